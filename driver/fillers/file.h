/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Open files, by descriptor of the current task; 0 for a negative or unused descriptor. */
#ifndef SCAP_FILE_H
#define SCAP_FILE_H

#define OVERLAYFS_MAGIC 0x794c7630

#define EVENT_FMODE_PATH    (1U << 14) /* FMODE_PATH and FMODE_CREATED of linux/fs.h */
#define EVENT_FMODE_CREATED (1U << 20)

/* Keeps the file it found last: several params are often about the same file. */
static __always_inline struct file *file_of(struct filler *f, s64 fd)
{
	if (f->have_file && f->file_fd == fd)
		return f->file;
	close_file(f);
	f->file = fd >= 0 ? open_file(fd) : NULL;
	f->file_fd = fd;
	f->have_file = true;
	return f->file;
}

/*
 * The descriptor that the call has made, or -1 if it may lead to another file by now: one that another
 * task with the same table has put there with dup2() or the like. A new file has one reference; one that
 * came from another descriptor has two. That nobody shares the table any more proves nothing: who did may
 * have ended since.
 */
static __always_inline s64 new_fd(struct filler *f, s64 fd)
{
	struct file *file = file_of(f, fd);

	if (!file || file_refs(file) > 1)
		return -1;
	return fd;
}

static __always_inline u64 file_dev(struct filler *f, s64 fd)
{
	struct file *file = file_of(f, fd);

	return file ? encode_dev(READ(file, f_inode, i_sb, s_dev)) : 0;
}

static __always_inline u64 file_ino(struct filler *f, s64 fd)
{
	struct file *file = file_of(f, fd);

	return file ? READ(file, f_inode, i_ino) : 0;
}

enum overlay_layer { NO_OVERLAY, OVERLAY_UPPER, OVERLAY_LOWER };

static __always_inline enum overlay_layer inode_layer(struct inode *inode)
{
	if (READ(inode, i_sb, s_magic) != OVERLAYFS_MAGIC)
		return NO_OVERLAY;
	return ovl_has_upper(inode) ? OVERLAY_UPPER : OVERLAY_LOWER;
}

static __always_inline u64 file_bits(struct filler *f, s64 fd)
{
	struct file *file = file_of(f, fd);
	u64 bits = 0;

	if (!file)
		return 0;
	if ((u32)READ(file, f_mode) & EVENT_FMODE_CREATED)
		bits = EVENT_O_F_CREATED;
	switch (inode_layer(READ(file, f_inode))) {
	case OVERLAY_UPPER:
		return bits | EVENT_FD_UPPER_LAYER;
	case OVERLAY_LOWER:
		return bits | EVENT_FD_LOWER_LAYER;
	default:
		return bits;
	}
}

static __always_inline u64 file_layer(struct filler *f, s64 fd)
{
	struct file *file = file_of(f, fd);

	return file ? inode_layer(READ(file, f_inode)) : NO_OVERLAY;
}

static __always_inline void push_fd_path(struct filler *f, s64 fd)
{
	struct file *file = file_of(f, fd);
	u32 start = f->off;

	if (file)
		append_path(f, number_of(file));
	end_param(f, start);
}

#endif
