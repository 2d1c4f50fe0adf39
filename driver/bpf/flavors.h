/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The kernel structures that the programs read, with only the fields they read;
 * the loader sets the running kernel's offsets (CO-RE). ___name is the struct as
 * it was before the kernel commit named in its comment.
 */
#ifndef SCAP_BPF_FLAVORS_H
#define SCAP_BPF_FLAVORS_H

typedef unsigned short umode_t;
typedef u32 dev_t;
typedef struct {
	u32 val;
} kuid_t;
typedef struct {
	u32 val;
} kgid_t;

#if defined(SCAP_ARCH_AMD64)
struct pt_regs {
	unsigned long bp, bx, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, sp;
} __core;
#else
struct pt_regs {
	u64 regs[31];
	u64 sp;
	u64 pc;
	u64 orig_x0;
	s32 syscallno;
} __core;
#endif

struct thread_info {
	unsigned long flags;
#if defined(SCAP_ARCH_AMD64)
	u32 status;
#endif
} __core;

/* ---- files */

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
} __core;

struct user_namespace;

struct super_block {
	dev_t s_dev;
	unsigned long s_flags;
	unsigned long s_magic;
} __core;

struct inode {
	umode_t i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	unsigned int i_flags;
	struct super_block *i_sb;
	unsigned long i_ino; /* u64 since 7.1, which is the same here */
	s64 i_mtime_sec;
	s64 i_ctime_sec;
	u32 i_mtime_nsec;
	u32 i_ctime_nsec;
} __core;

/* 3aa63a569c64 ("fs: switch timespec64 fields in inode to discrete integers"), 6.11 */
struct inode___timespec {
	struct timespec64 __i_mtime;
	struct timespec64 __i_ctime;
} __core;

/* 12cd44023651 ("fs: rename inode i_atime and i_mtime fields"), 6.7 */
struct inode___mtime {
	struct timespec64 i_mtime;
} __core;

/* 13bc24457850 ("fs: rename i_ctime field to __i_ctime"), 6.6 */
struct inode___ctime {
	struct timespec64 i_ctime;
} __core;

struct qstr {
	u32 len;
	const unsigned char *name;
} __core;

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
} __core;

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
	int mnt_flags;
} __core;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
} __core;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} __core;

struct file {
	u32 f_mode;
	struct inode *f_inode;
	u32 f_flags;
	struct path f_path;
	void *private_data;
} __core;

typedef struct {
	int counter;
} atomic_t;
typedef struct {
	s64 counter;
} atomic_long_t;
struct file___count {
	atomic_long_t f_count;
} __core;
/* 90ee6ed776c0 ("fs: port files to file_ref"), 6.13: one less than the references */
typedef struct {
	atomic_long_t refcnt;
} file_ref_t;
struct file___ref {
	file_ref_t f_ref;
} __core;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} __core;

struct files_struct {
	atomic_t count;
	struct fdtable *fdt;
} __core;

struct fs_struct {
	struct path root;
} __core;

/* ---- sockets */

struct in6_addr {
	u8 bytes[16]; /* read as a whole */
};

struct sock_common {
	unsigned short skc_family;
	u16 skc_dport;
	u16 skc_num;
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} __core;

struct sock {
	struct sock_common __sk_common;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
	u16 sk_type;
} __core;

struct socket {
	struct sock *sk;
} __core;

struct ipv6_pinfo {
	struct in6_addr saddr;
} __core;

struct inet_sock {
	struct ipv6_pinfo *pinet6;
	u32 inet_saddr;
	u16 inet_sport;
} __core;

struct unix_address {
	int len;
	u8 name[]; /* struct sockaddr_un */
} __core;

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
} __core;

/* ---- tasks */

struct pid_namespace;

struct upid {
	int nr;
	struct pid_namespace *ns;
} __core;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} __core;

struct task_struct;

struct pid_namespace {
	struct task_struct *child_reaper;
	unsigned int level;
} __core;

struct nsproxy {
	struct pid_namespace *pid_ns_for_children;
} __core;

struct rlimit {
	unsigned long rlim_cur;
} __core;

struct tty_driver {
	int major;
	int minor_start;
} __core;

struct tty_struct {
	struct tty_driver *driver;
	int index;
} __core;

struct list_head {
	struct list_head *next;
} __core;

enum pid_type { PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID };

struct signal_struct {
	struct list_head thread_head;
	int group_exit_code;
	unsigned int flags;
	unsigned int is_child_subreaper : 1; /* a bool since 7.3 */
	unsigned int has_child_subreaper : 1;
	struct pid *pids[4];
	struct tty_struct *tty;
	struct rlimit rlim[16];
} __core;

struct group_info {
	int ngroups;
	kgid_t gid[];
} __core;

/* f122a08b197d ("capability: just use a 'u64' instead of a 'u32[2]' array"), 6.3; the same bytes */
typedef struct {
	u64 val;
} kernel_cap_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
	kgid_t egid;
	kuid_t fsuid;
	kgid_t fsgid;
	kernel_cap_t cap_inheritable;
	kernel_cap_t cap_permitted;
	kernel_cap_t cap_effective;
	struct user_namespace *user_ns;
	struct group_info *group_info;
} __core;

struct percpu_counter {
	s64 count;
	s32 *counters; /* of each CPU */
} __core;

struct bpf_array {
	void *pptrs[1]; /* of each element of a map with values for each CPU */
} __core;

struct mm_struct {
	unsigned long total_vm;
	unsigned long arg_start, arg_end;
	unsigned long env_start, env_end;
	struct percpu_counter rss_stat[4];
	struct file *exe_file;
} __core;

/* f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter"), 6.2 */
struct mm_rss_stat {
	atomic_long_t count[4];
} __core;
struct mm_struct___rss {
	struct mm_rss_stat rss_stat;
} __core;

struct kernfs_node {
	struct kernfs_node *__parent;
	const char *name;
} __core;

/* 633488947ef6 ("kernfs: Use RCU to access kernfs_node::parent"), 6.15 */
struct kernfs_node___parent {
	struct kernfs_node *parent;
} __core;

struct cgroup {
	struct kernfs_node *kn;
} __core;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
} __core;

struct css_set {
	struct cgroup_subsys_state *subsys[1];
} __core;

enum cgroup_subsys_id { cpuset_cgrp_id, cpu_cgrp_id, cpuacct_cgrp_id, io_cgrp_id, memory_cgrp_id };

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	unsigned int flags;
	int exit_code;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct list_head children;
	struct list_head thread_node;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	u64 start_boottime;
	unsigned long min_flt;
	unsigned long maj_flt;
	struct mm_struct *mm;
	struct cred *cred;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	kuid_t loginuid;
	struct css_set *cgroups;
} __core;

struct linux_binprm {
	const char *filename;
} __core;

union __sifields {
	struct {
		int _pid; /* at the same place in _kill, _rt and _sigchld */
	} _kill;
} __core;

struct kernel_siginfo {
	int si_signo;
	int si_code;
	union __sifields _sifields;
} __core;

#endif
