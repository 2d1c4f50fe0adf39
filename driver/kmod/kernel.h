/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Access to kernel structures, for the module: the functions of ../bpf/kernel.h and
 * ../bpf/path.h by means of the kernel's own. A hit runs in the context of the task
 * that caused it, with preemption off, under RCU.
 */
#ifndef SCAP_KMOD_KERNEL_H
#define SCAP_KMOD_KERNEL_H

#include <linux/audit.h>
#include <linux/binfmts.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs_struct.h>
#include <linux/kernfs.h>
#include <linux/mount.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/ptrace.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>
#include <linux/tty.h>
#include <linux/tty_driver.h>
#include <net/af_unix.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>

#include "compat.h"
#include "push.h"

/* The open file of a descriptor, with a reference for close_file. */
static inline struct file *open_file(s64 fd)
{
	return fd <= INT_MAX ? fget_raw(fd) : NULL;
}

/* References to an open file, without that of open_file. */
static inline u64 file_refs(struct file *file)
{
	return file_count(file) - 1;
}

static inline void close_file(struct filler *f)
{
	if (f->file)
		fput(f->file);
	f->file = NULL;
	f->have_file = false;
}

/* Takes a reference to a file that its owner may replace; NULL if there is none. */
static inline struct file *hold_file(struct file __rcu **slot)
{
	struct file *file;

	rcu_read_lock();
#ifdef HAVE_GET_FILE_RCU_SLOT /* 0ede61d8589c, 6.7 */
	file = get_file_rcu(slot);
#else
	do
		file = rcu_dereference(*slot);
	while (file && !get_file_rcu(file));
#endif
	rcu_read_unlock();
	return file;
}

/* The executable of the subject; close_exe() drops the reference when the event is done. */
static inline struct file *exe_file(struct filler *f)
{
	struct mm_struct *mm = subject(f)->mm;

	if (!f->have_exe) {
		f->exe = mm ? hold_file(&mm->exe_file) : NULL;
		f->have_exe = true;
	}
	return f->exe;
}

static inline void close_exe(struct filler *f)
{
	if (f->exe)
		fput(f->exe);
	f->exe = NULL;
	f->have_exe = false;
}

static inline bool kept_clone3_flags(struct filler *f, u64 *flags)
{
	*flags = f->kept ? f->kept_flags : 0;
	return f->kept;
}

/* A datagram socket may change its peer, which may free the old one. */
static inline void unix_peer_lock(struct unix_sock *u)
{
	spin_lock(&u->lock);
}

static inline void unix_peer_unlock(struct unix_sock *u)
{
	spin_unlock(&u->lock);
}

/* The controlling terminal as a dev_t, 0 without one. A new thread shares that of the current thread. */
static inline u32 tty_device(struct filler *f)
{
	struct tty_struct *tty = get_current_tty();
	u32 dev;

	if (!tty)
		return 0;
	dev = MKDEV(tty->driver->major, tty->driver->minor_start) + tty->index;
	tty_kref_put(tty);
	return dev;
}

static inline u64 inode_ctime(struct inode *inode)
{
	struct timespec64 t;

	if (!inode)
		return 0;
#ifdef HAVE_INODE_GET_CTIME /* 0c476792a74b, 6.6 */
	t = inode_get_ctime(inode);
#else
	t = inode->i_ctime;
#endif
	return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static inline u64 inode_mtime(struct inode *inode)
{
	struct timespec64 t;

	if (!inode)
		return 0;
#ifdef HAVE_INODE_GET_MTIME /* 12cd44023651, 6.7 */
	t = inode_get_mtime(inode);
#else
	t = inode->i_mtime;
#endif
	return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

/* On overlayfs the pointer to the upper dentry follows the inode (struct ovl_inode, private to overlayfs). */
static inline bool ovl_has_upper(struct inode *inode)
{
	return READ_ONCE(*(void **)(inode + 1)) != NULL;
}

/* More CPUs are not added up: that would take longer than the call. */
#define MOST_COUNTED_CPUS 64

/* Pages of a kind in use, as /proc counts them. */
static inline u64 scap_mm_counter(struct mm_struct *mm, int kind)
{
	s64 n = get_mm_counter(mm, kind);
#if defined(HAVE_RSS_STAT_PERCPU) && defined(CONFIG_SMP) /* f1a7941243c1, 6.2 */
	struct percpu_counter *c = &mm->rss_stat[kind];
	int cpu;

	/* get_mm_counter leaves out what CPUs have not yet added, and takes a negative count for 0. */
	n = READ_ONCE(c->count);
	if (nr_cpu_ids <= MOST_COUNTED_CPUS) {
		for_each_possible_cpu(cpu)
			n += READ_ONCE(*per_cpu_ptr(c->counters, cpu));
	}
#endif

	return n > 0 ? n : 0;
}

static inline struct upid *upid_at(struct pid *pid, u32 level)
{
	return pid ? &pid->numbers[level] : NULL;
}

/* Until f122a08b197d (6.3) the bits were two words, with the same bytes. */
static inline u64 caps_of(kernel_cap_t caps)
{
	u64 bits;

	BUILD_BUG_ON(sizeof(caps) != sizeof(bits));
	memcpy(&bits, &caps, sizeof(bits));
	return bits;
}

static inline u64 loginuid_of(struct task_struct *task)
{
	return from_kuid(&init_user_ns, audit_get_loginuid(task));
}

static inline u64 regs_ip_of(const struct pt_regs *regs)
{
	return instruction_pointer((struct pt_regs *)regs);
}

static inline u64 regs_sp_of(const struct pt_regs *regs)
{
	return user_stack_pointer((struct pt_regs *)regs);
}

/* The address of a controller's css, 0 if the kernel does not have the controller. */
#define CSS_OF(id)                                                               \
	static inline u64 css_##id(struct task_struct *t)                        \
	{                                                                        \
		return number_of(rcu_dereference_raw(t->cgroups)->subsys[id]);   \
	}
#define NO_CSS(id)                                        \
	static inline u64 css_##id(struct task_struct *t) \
	{                                                 \
		return 0;                                 \
	}
#if IS_ENABLED(CONFIG_CPUSETS)
CSS_OF(cpuset_cgrp_id)
#else
NO_CSS(cpuset_cgrp_id)
#endif
#if IS_ENABLED(CONFIG_CGROUP_SCHED)
CSS_OF(cpu_cgrp_id)
#else
NO_CSS(cpu_cgrp_id)
#endif
#if IS_ENABLED(CONFIG_CGROUP_CPUACCT)
CSS_OF(cpuacct_cgrp_id)
#else
NO_CSS(cpuacct_cgrp_id)
#endif
#if IS_ENABLED(CONFIG_BLK_CGROUP)
CSS_OF(io_cgrp_id)
#else
NO_CSS(io_cgrp_id)
#endif
#if IS_ENABLED(CONFIG_MEMCG)
CSS_OF(memory_cgrp_id)
#else
NO_CSS(memory_cgrp_id)
#endif
#define css_of(task, id) css_##id(task)

/*
 * Writes the path of a file from the root of the current task to buf; of a path that does not
 * fit, the last names. d_path() writes backwards, and leaves there what did fit.
 */
static inline char *path_text(struct path *path, char *buf, bool *cut)
{
	char *text = d_path(path, buf, PATH_TMP_SIZE);

	*cut = text == ERR_PTR(-ENAMETOOLONG);
	if (!*cut)
		return text;
	memset(buf, 0, PATH_TMP_SIZE);
	text = d_path(path, buf, PATH_TMP_SIZE);
	if (!IS_ERR(text)) {
		*cut = false; /* renamed meanwhile */
		return text;
	}
	/* at the front there may be the end of a name */
	return memchr(buf, '/', PATH_TMP_SIZE) ?: text;
}

/* The last names of a path, as many as the eBPF driver tells. */
static inline char *last_names(char *path, bool *cut)
{
	char *end = path + strlen(path), *start = end, *at;
	int names = 0;

	for (at = end - 1; at >= path; at--) {
		if (*at != '/')
			continue;
		if (end - at >= TMP_SIZE || names++ == PATH_NAMES) {
			*cut = true;
			break;
		}
		start = at;
	}
	return start;
}

/* Without " (deleted)", which the eBPF driver cannot find out, and which a memfd always has. */
static inline void append_path(struct filler *f, u64 address)
{
	struct path *path = &((struct file *)(unsigned long)address)->f_path;
	bool cut, in_tree = !path->dentry->d_op || !path->dentry->d_op->d_dname;
	char *text = path_text(path, (char *)f->tmp, &cut);
	size_t len;

	if (IS_ERR(text))
		return;
	len = strlen(text);
	if ((d_unlinked(path->dentry) || !in_tree) && len >= sizeof(DELETED) &&
	    !strcmp(text + len - (sizeof(DELETED) - 1), DELETED))
		text[len - (sizeof(DELETED) - 1)] = 0;
	if (in_tree) /* else it is one name, which may have slashes: memfd */
		text = last_names(text, &cut);
	if (cut)
		append_bytes(f, CUT_MARK, CUT_MARK_LEN);
	append_kernel_str(f, text, STRING_MAX);
}

/* The path of a controller's cgroup. */
static inline void append_cgroup_path(struct filler *f, u64 address)
{
	struct cgroup *cgroup = ((struct cgroup_subsys_state *)(unsigned long)address)->cgroup, *top = cgroup;
	char *path = (char *)f->tmp;
	int n;

	for (n = 0; n < CGROUP_NAMES && cgroup_parent(top); n++)
		top = cgroup_parent(top);
	if (cgroup_parent(top))
		append_bytes(f, CUT_MARK, CUT_MARK_LEN);
	if (kernfs_path_from_node(cgroup->kn, top->kn, path, TMP_SIZE) < 0)
		path[0] = 0;
	append_kernel_str(f, path, STRING_MAX);
}

/* The CPU that the event is about. */
static inline u32 this_cpu(struct filler *f)
{
	return f->tp[0];
}

/* ---- settings of the consumer of the event */

#define DEFINE_SETTING(type, name, field)                              \
	static __always_inline type setting_##name(struct filler *f)   \
	{                                                              \
		return READ_ONCE(f->set->field);                       \
	}
DEFINE_SETTING(u32, snaplen, snaplen)
DEFINE_SETTING(u32, ratio, ratio)
DEFINE_SETTING(bool, dynamic_snaplen, dynamic_snaplen)
DEFINE_SETTING(u16, full_port_first, port_start)
DEFINE_SETTING(u16, full_port_last, port_end)
DEFINE_SETTING(u16, statsd_port, statsd_port)
#undef DEFINE_SETTING

#endif
