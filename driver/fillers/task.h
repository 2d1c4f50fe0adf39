/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The task an event is about: the current one unless a tracepoint names another. */
#ifndef SCAP_TASK_H
#define SCAP_TASK_H

static __always_inline s64 task_tid(struct filler *f)
{
	return READ(subject(f), pid);
}

static __always_inline s64 task_pid(struct filler *f)
{
	return READ(subject(f), tgid);
}

static __always_inline s64 task_ptid(struct filler *f)
{
	return READ(subject(f), real_parent, pid);
}

/* The level of the task's own pid namespace; 0 is the initial one. */
static __always_inline u32 ns_level(struct task_struct *task)
{
	return READ(task, thread_pid, level);
}

/* The number of a pid in the task's own namespace; 0 if it is not in there. */
static __always_inline s64 nr_in_ns(struct task_struct *task, struct pid *pid)
{
	u32 level = ns_level(task);

	if (!pid || READ(pid, level) < level)
		return 0;
	return READ(upid_at(pid, level), nr);
}

static __always_inline s64 task_vtid(struct filler *f)
{
	struct task_struct *task = subject(f);

	return nr_in_ns(task, READ(task, thread_pid));
}

static __always_inline s64 task_vpid(struct filler *f)
{
	struct task_struct *task = subject(f);

	return nr_in_ns(task, READ(task, signal, pids[PIDTYPE_TGID]));
}

static __always_inline s64 task_vpgid(struct filler *f)
{
	struct task_struct *task = subject(f);

	return nr_in_ns(task, READ(task, signal, pids[PIDTYPE_PGID]));
}

static __always_inline s64 task_pgid(struct filler *f)
{
	struct pid *pid = READ(subject(f), signal, pids[PIDTYPE_PGID]);

	return pid ? READ(upid_at(pid, 0), nr) : 0;
}

static __always_inline u64 task_euid(struct filler *f)
{
	return READ(subject(f), cred, euid).val;
}

static __always_inline u64 task_egid(struct filler *f)
{
	return READ(subject(f), cred, egid).val;
}

static __always_inline u64 task_cap_inheritable(struct filler *f)
{
	return caps_of(READ(subject(f), cred, cap_inheritable));
}

static __always_inline u64 task_cap_permitted(struct filler *f)
{
	return caps_of(READ(subject(f), cred, cap_permitted));
}

static __always_inline u64 task_cap_effective(struct filler *f)
{
	return caps_of(READ(subject(f), cred, cap_effective));
}

static __always_inline u64 task_loginuid(struct filler *f)
{
	return loginuid_of(subject(f));
}

static __always_inline u64 task_tty(struct filler *f)
{
	return encode_dev(tty_device(f));
}

#define RLIMIT_NOFILE_INDEX 7

static __always_inline u64 task_fdlimit(struct filler *f)
{
	return READ(subject(f), signal, rlim[RLIMIT_NOFILE_INDEX].rlim_cur);
}

static __always_inline u64 task_maj_flt(struct filler *f)
{
	return READ(subject(f), maj_flt);
}

static __always_inline u64 task_min_flt(struct filler *f)
{
	return READ(subject(f), min_flt);
}

/* ---- memory, KiB; 0 for a kernel thread */

static __always_inline u64 pages_to_kib(u64 pages)
{
	return pages << (PAGE_SHIFT - 10);
}

static __always_inline u64 task_vm_size(struct filler *f)
{
	struct mm_struct *mm = READ(subject(f), mm);

	return mm ? pages_to_kib(READ(mm, total_vm)) : 0;
}

static __always_inline u64 task_vm_rss(struct filler *f)
{
	struct mm_struct *mm = READ(subject(f), mm);

	if (!mm)
		return 0;
	return pages_to_kib(mm_counter(mm, MM_FILEPAGES) + mm_counter(mm, MM_ANONPAGES) +
			    mm_counter(mm, MM_SHMEMPAGES));
}

static __always_inline u64 task_vm_swap(struct filler *f)
{
	struct mm_struct *mm = READ(subject(f), mm);

	return mm ? pages_to_kib(mm_counter(mm, MM_SWAPENTS)) : 0;
}

#define COMM_SIZE 16

static __always_inline void push_task_comm(struct filler *f)
{
	push_kernel_str(f, (const char *)&subject(f)->comm, COMM_SIZE);
}

/* ---- namespaces */

#define NATIVE_CSIGNAL	     0x000000ff /* of clone only: the signal that ends the child */
#define NATIVE_CLONE_VM	     0x00000100
#define NATIVE_CLONE_FILES   0x00000400
#define NATIVE_CLONE_SIGHAND 0x00000800
#define NATIVE_CLONE_THREAD  0x00010000

#define EVENT_CLONE_CHILD_IN_PIDNS (1U << 29)

/* What a new thread shares with its parent, as far as its flags follow from that. */
static __always_inline u64 shared_flags(struct task_struct *child, struct task_struct *parent)
{
	u64 flags = 0;

	if (READ(child, pid) != READ(child, tgid))
		flags = NATIVE_CLONE_THREAD | NATIVE_CLONE_SIGHAND | NATIVE_CLONE_VM;
	if (READ(child, files) == READ(parent, files))
		flags |= NATIVE_CLONE_FILES;
	return flags;
}

/*
 * The struct of a clone3 may be changed before the call returns, by the child that shares
 * the memory first of all. So the flags of a call that made a task are those that the
 * kernel told while it made it. They are 0 in the parent's event, and what the child
 * shares in its own, if the driver did not see that: the call began before the capture.
 */
static __always_inline u64 clone3_flags(struct filler *f, u64 args)
{
	u64 flags = 0;

	if (f->ret < 0)
		return user_u64(args, 0);
	if (!kept_clone3_flags(f, &flags) && !f->ret)
		flags = shared_flags(current_task(), READ(current_task(), real_parent));
	return flags;
}

/* The fork tracepoint does not have the argument: the flags follow from what the new thread shares. */
static __always_inline u64 clone_arg_flags(struct filler *f)
{
	u64 flags = 0;

	if (!f->child)
		return f->arg[0] & ~NATIVE_CSIGNAL;
	if (kept_clone3_flags(f, &flags))
		return flags;
	return shared_flags(f->task, current_task());
}

static __always_inline u64 clone_ns_bits(struct filler *f)
{
	struct task_struct *task = subject(f);
	u32 level = ns_level(task);
	u32 children = READ(task, nsproxy, pid_ns_for_children, level);

	if (level || (!f->child && children != level))
		return EVENT_CLONE_CHILD_IN_PIDNS;
	return 0;
}

/* The start of the init of the task's pid namespace, in ns since boot: readers add the time of boot. */
static __always_inline u64 task_pidns_start(struct filler *f)
{
	struct task_struct *task = subject(f);
	struct pid *pid = READ(task, thread_pid);
	struct upid *own = upid_at(pid, READ(pid, level));

	return READ(own, ns, child_reaper, start_boottime);
}

/* ---- cgroups */

#define APPEND_CGROUP(f, subsys, prefix)                                     \
	do {                                                                 \
		u64 css_ = css_of(subject(f), subsys##_cgrp_id);             \
		if (css_) {                                                  \
			append_bytes(f, prefix "=", sizeof(prefix "=") - 1); \
			append_cgroup_path(f, css_);                         \
		}                                                            \
	} while (0)

static __always_inline void push_cgroups(struct filler *f)
{
	u32 start = f->off;

	APPEND_CGROUP(f, cpuset, "cpuset");
	APPEND_CGROUP(f, cpu, "cpu");
	APPEND_CGROUP(f, cpuacct, "cpuacct");
	APPEND_CGROUP(f, io, "io");
	APPEND_CGROUP(f, memory, "memory");
	end_param(f, start);
}

#endif
