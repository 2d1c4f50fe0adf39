/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* exec: arguments and environment, from the new image or from the caller, and the executable file. */
#ifndef SCAP_EXEC_H
#define SCAP_EXEC_H

/*
 * The argument area of the image: strings one after another. A new thread shares it
 * with the current thread, whose user memory is read.
 */
static __always_inline u64 mm_arg_start(struct filler *f)
{
	return READ(subject(f), mm, arg_start);
}

static __always_inline u64 mm_arg_end(struct filler *f)
{
	return READ(subject(f), mm, arg_end);
}

static __always_inline void push_mm_exe(struct filler *f)
{
	u64 ptr = mm_arg_start(f), end = mm_arg_end(f);
	u32 start = f->off;

	if (!ptr || ptr >= end || !append_user_text(f, ptr))
		append_u8(f, 0);
	f->exe_len = f->off - start;
	end_param(f, start);
}

/* Appends a whole area of strings, cut to max bytes. */
static __always_inline void append_area(struct filler *f, u64 ptr, u64 end, u32 max)
{
	u64 len = end - ptr;
	bool cut = len > max;

	if (!ptr || ptr >= end)
		return;
	if (cut)
		len = max;
	if (append_user(f, ptr, len) && cut)
		mark_end(f);
}

/* What exe leaves to args. Less than the mark of a cut takes is nothing. */
static __always_inline u32 room_after_exe(struct filler *f)
{
	u32 room = STRING_MAX - f->exe_len;

	return room < sizeof(CUT_MARK) ? 0 : room;
}

static __always_inline void push_mm_args(struct filler *f)
{
	u64 ptr = mm_arg_start(f), end = mm_arg_end(f);
	u32 start = f->off, room = room_after_exe(f);

	if (room && ptr + f->exe_len < end)
		append_area(f, ptr + f->exe_len, end, room);
	end_param(f, start);
}

/* ---- exec: from the new image if the call succeeded, else from its arguments */

static __always_inline void push_exec_exe(struct filler *f, u64 argv)
{
	u32 start = f->off;

	if (f->exec) {
		push_mm_exe(f);
		return;
	}
	push_user_argv0(f, argv);
	f->exe_len = f->off - start;
}

static __always_inline void push_exec_args(struct filler *f, u64 argv)
{
	u32 start = f->off, room;

	if (f->exec) {
		push_mm_args(f);
		return;
	}
	room = room_after_exe(f);
	if (room)
		append_argv(f, argv, 1, room);
	end_param(f, start);
}

static __always_inline void push_exec_env(struct filler *f, u64 envp)
{
	u32 start = f->off;

	if (f->exec)
		append_area(f, READ(subject(f), mm, env_start), READ(subject(f), mm, env_end), STRING_MAX);
	else
		append_argv(f, envp, 0, STRING_MAX);
	end_param(f, start);
}

static __always_inline void push_exec_filename(struct filler *f, u64 filename)
{
	if (f->exec)
		push_kernel_str(f, READ((struct linux_binprm *)f->tp[2], filename), STRING_MAX);
	else
		push_user_str(f, filename);
}

/* ---- the executable */

static __always_inline void push_exe_path(struct filler *f)
{
	u64 file = number_of(exe_file(f));
	u32 start = f->off;

	if (file)
		append_path(f, file);
	end_param(f, start);
}

static __always_inline u64 exe_ino(struct filler *f)
{
	struct file *file = exe_file(f);

	return file ? READ(file, f_inode, i_ino) : 0;
}

static __always_inline u64 exe_ctime(struct filler *f)
{
	struct file *file = exe_file(f);

	return file ? inode_ctime(READ(file, f_inode)) : 0;
}

static __always_inline u64 exe_mtime(struct filler *f)
{
	struct file *file = exe_file(f);

	return file ? inode_mtime(READ(file, f_inode)) : 0;
}

#define EXE_WRITABLE	1
#define EXE_UPPER_LAYER 2
#define EXE_FROM_MEMFD	4
#define EXE_LOWER_LAYER 8

#define SB_RDONLY_BIT	   1
#define S_IMMUTABLE_BIT	   8
#define MNT_READONLY_BIT   0x40
#define CAP_DAC_OVERRIDE_N 1
#define CAP_FOWNER_N	   3
#define GROUPS_LOOKED_AT   32

/* The name is "memfd:..." and the dentry is not in a directory tree. */
static __always_inline bool is_memfd(struct dentry *dentry)
{
	char name[6] = {};

	if (READ(dentry, d_parent) != dentry)
		return false;
	kernel_read(name, READ(dentry, d_name.name), sizeof(name));
	return name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' && name[4] == 'd' &&
	       name[5] == ':';
}

static __always_inline bool in_groups(struct cred *cred, u32 gid)
{
	struct group_info *groups = READ(cred, group_info);
	s32 n = READ(groups, ngroups);

	if (READ(cred, egid).val == gid)
		return true;
	for (int i = 0; i < GROUPS_LOOKED_AT; i++) {
		if (i >= n)
			break;
		if (READ_AT((u32 *)&groups->gid + i) == gid)
			return true;
	}
	return false;
}

/* Whether the credentials that run the file may also write to it. */
static __always_inline bool can_write(struct cred *cred, struct file *file, struct inode *inode)
{
	u32 mode = READ(inode, i_mode), uid = READ(inode, i_uid).val;
	u64 caps = caps_of(READ(cred, cap_effective));

	if (READ(inode, i_sb, s_flags) & SB_RDONLY_BIT)
		return false;
	if (READ(file, f_path.mnt, mnt_flags) & MNT_READONLY_BIT)
		return false;
	if (READ(inode, i_flags) & S_IMMUTABLE_BIT)
		return false;
	/* the owner may give itself write permission */
	if (READ(cred, euid).val == uid)
		return true;
	if (caps & (1ULL << CAP_DAC_OVERRIDE_N | 1ULL << CAP_FOWNER_N))
		return true;
	if (in_groups(cred, READ(inode, i_gid).val))
		return mode & 0020;
	return mode & 0002;
}

SUBPROGRAM(exe) u32 file_exe_flags(u64 file_address, u64 cred_address)
{
	struct file *file = (struct file *)file_address;
	struct inode *inode = READ(file, f_inode);
	u32 flags = 0;

	if (can_write((struct cred *)cred_address, file, inode))
		flags = EXE_WRITABLE;
	switch (inode_layer(inode)) {
	case OVERLAY_UPPER:
		flags |= EXE_UPPER_LAYER;
		break;
	case OVERLAY_LOWER:
		flags |= EXE_LOWER_LAYER;
		break;
	default:
		break;
	}
	if (is_memfd(READ(file, f_path.dentry)))
		flags |= EXE_FROM_MEMFD;
	return flags;
}

static __always_inline u64 exe_flags(struct filler *f)
{
	u64 file = number_of(exe_file(f));

	return file ? file_exe_flags(file, number_of(READ(subject(f), cred))) : 0;
}

#endif
