/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Access to kernel structures whose layout depends on the kernel. kmod/kernel.h
 * has the same functions for the module.
 */
#ifndef SCAP_BPF_KERNEL_H
#define SCAP_BPF_KERNEL_H

#define PAGE_SHIFT page_shift

/* A bit field, or the whole field that it became in later kernels. */
#define READ_BITS(p, field)                                                                      \
	({                                                                                       \
		u64 v_ = 0;                                                                      \
		bpf_probe_read_kernel(&v_, __builtin_preserve_field_info((p)->field, 1),         \
				      (u8 *)(p) + __builtin_preserve_field_info((p)->field, 0)); \
		v_ <<= __builtin_preserve_field_info((p)->field, 4);                             \
		v_ >>= __builtin_preserve_field_info((p)->field, 5);                             \
		v_;                                                                              \
	})

/* Takes the flags that keep_task_newtask kept for the subject's clone3; false if there are none. */
static __always_inline bool kept_clone3_flags(struct filler *f, u64 *flags)
{
	u32 tid = READ(subject(f), pid);
	u64 *kept = bpf_map_lookup_elem(&clone3_flags_kept, &tid);

	if (!kept)
		return false;
	*flags = *kept;
	bpf_map_delete_elem(&clone3_flags_kept, &tid);
	return true;
}

#define NS_PER_S 1000000000ULL

/* Since 6.13 the top bit of ctime's nanoseconds says that somebody has read it. */
#define CTIME_QUERIED (1U << 31)

static __always_inline u64 inode_ctime(struct inode *inode)
{
	if (HAS(struct inode, i_ctime_sec))
		return READ(inode, i_ctime_sec) * NS_PER_S + (READ(inode, i_ctime_nsec) & ~CTIME_QUERIED);
	if (HAS(struct inode___timespec, __i_ctime)) {
		struct inode___timespec *i = (void *)inode;

		return READ(i, __i_ctime.tv_sec) * NS_PER_S + READ(i, __i_ctime.tv_nsec);
	} else {
		struct inode___ctime *i = (void *)inode;

		return READ(i, i_ctime.tv_sec) * NS_PER_S + READ(i, i_ctime.tv_nsec);
	}
}

static __always_inline u64 inode_mtime(struct inode *inode)
{
	if (HAS(struct inode, i_mtime_sec))
		return READ(inode, i_mtime_sec) * NS_PER_S + READ(inode, i_mtime_nsec);
	if (HAS(struct inode___timespec, __i_mtime)) {
		struct inode___timespec *i = (void *)inode;

		return READ(i, __i_mtime.tv_sec) * NS_PER_S + READ(i, __i_mtime.tv_nsec);
	} else {
		struct inode___mtime *i = (void *)inode;

		return READ(i, i_mtime.tv_sec) * NS_PER_S + READ(i, i_mtime.tv_nsec);
	}
}

/* On overlayfs the pointer to the upper dentry follows the inode (struct ovl_inode, private to overlayfs). */
static __always_inline bool ovl_has_upper(struct inode *inode)
{
	return READ_AT((void **)((u8 *)inode + core_type_size(struct inode))) != NULL;
}

/* More CPUs are not added up: that would take longer than the call. driver.go has the same limit. */
#define MOST_COUNTED_CPUS 64

/* What CPUs have counted and not yet added to count: each up to 32, or twice as many as there are CPUs. */
static __always_inline s64 cpus_counts(struct percpu_counter *c)
{
	s32 *counts = PROBE(c, counters);
	void *base = PROBE((struct bpf_array *)number_of(&percpu_memory), pptrs[0]);
	s64 sum = 0;
	u32 zero = 0;

	for (u32 cpu = 0; cpu < MOST_COUNTED_CPUS && cpu < counted_cpus; cpu++) {
		void *there = bpf_map_lookup_percpu_elem(&percpu_memory, &zero, cpu);

		if (there)
			sum += READ_AT((s32 *)((u8 *)counts + (number_of(there) - (u64)base)));
	}
	return sum;
}

/* Pages of a kind in use, as /proc counts them. */
enum mm_counter_kind { MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES };

#define mm_counter(mm, kind)                                         \
	({                                                           \
		s64 n_;                                              \
		if (core_type_exists(struct mm_rss_stat)) {          \
			struct mm_struct___rss *m_ = (void *)(mm);   \
			n_ = READ(m_, rss_stat.count[kind].counter); \
		} else {                                             \
			n_ = READ((mm), rss_stat[kind].count) +      \
			     cpus_counts(&(mm)->rss_stat[kind]);     \
		}                                                    \
		n_ > 0 ? (u64)n_ : 0;                                \
	})

static __always_inline struct kernfs_node *kernfs_parent_of(struct kernfs_node *kn)
{
	if (HAS(struct kernfs_node, __parent))
		return READ(kn, __parent);
	return READ((struct kernfs_node___parent *)kn, parent);
}

/* The number of pid in the namespace at that level. */
static __always_inline struct upid *upid_at(struct pid *pid, u32 level)
{
	return (void *)((u8 *)&pid->numbers + (u64)level * core_type_size(struct upid));
}

/* The address of a controller's css, 0 if the kernel does not have the controller. */
#define css_of(task, id)                                                                         \
	({                                                                                       \
		u64 css_ = 0;                                                                    \
		if (core_enum_exists(enum cgroup_subsys_id, id)) {                               \
			struct css_set *set_ = READ(task, cgroups);                              \
			css_ = READ_AT((u64 *)((u8 *)&set_->subsys +                             \
					       8 * core_enum_value(enum cgroup_subsys_id, id))); \
		}                                                                                \
		css_;                                                                            \
	})

static __always_inline u64 regs_ip_of(const struct pt_regs *regs)
{
#if defined(SCAP_ARCH_AMD64)
	return READ((struct pt_regs *)regs, ip);
#else
	return READ((struct pt_regs *)regs, pc);
#endif
}

static __always_inline u64 regs_sp_of(const struct pt_regs *regs)
{
	return READ((struct pt_regs *)regs, sp);
}

static __always_inline u64 caps_of(kernel_cap_t caps)
{
	return caps.val;
}

/* The controlling terminal as a kernel dev_t, 0 without one. */
static __always_inline u32 tty_device(struct filler *f)
{
	struct tty_struct *tty = READ(subject(f), signal, tty);

	if (!tty)
		return 0;
	return READ(tty, driver, major) << 20 | (READ(tty, driver, minor_start) + READ(tty, index));
}

static __always_inline struct file *exe_file(struct filler *f)
{
	return READ(subject(f), mm, exe_file);
}

static __always_inline struct file *open_file(s64 fd)
{
	struct fdtable *table = READ(current_task(), files, fdt);

	return fd < READ(table, max_fds) ? READ_AT(READ(table, fd) + fd) : NULL;
}

/* References to an open file. */
static __always_inline u64 file_refs(struct file *file)
{
	if (HAS(struct file___ref, f_ref))
		return READ((struct file___ref *)file, f_ref.refcnt.counter) + 1;
	return READ((struct file___count *)file, f_count.counter);
}

/* Nothing to release: probe reads need neither a reference nor a lock. */
static __always_inline void close_file(struct filler *f)
{
}

static __always_inline void unix_peer_lock(struct unix_sock *u)
{
}

static __always_inline void unix_peer_unlock(struct unix_sock *u)
{
}

static __always_inline u32 loginuid_of(struct task_struct *task)
{
	return HAS(struct task_struct, loginuid) ? READ(task, loginuid).val : (u32)-1;
}

#endif
