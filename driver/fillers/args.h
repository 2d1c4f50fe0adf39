/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Arithmetic on arguments, and the conversions that flags.yaml calls manual. */
#ifndef SCAP_ARGS_H
#define SCAP_ARGS_H

static __always_inline s64 at_fdcwd(u64 fd)
{
	return (s32)fd == -100 ? AT_FDCWD_EVENT : (s32)fd;
}

static __always_inline u64 high_bits(u64 v, u64 n)
{
	return v >> n;
}

static __always_inline u64 io_len(s64 ret, u64 count)
{
	return ret > 0 ? (u64)ret : count;
}

static __always_inline u64 io_done(s64 ret)
{
	return ret > 0 ? ret : 0;
}

/* Packs the two parts of a device number. */
static __always_inline u32 make_dev(u64 major, u64 minor)
{
	return (minor & 0xff) | (u32)major << 8 | ((u32)minor & ~0xffU) << 12;
}

/* Repacks a user dev_t, whose minor number is in two parts, as events have it. */
static __always_inline u32 new_encode_dev(u64 dev)
{
	u32 major = ((u32)dev & 0xfff00) >> 8;
	u32 minor = ((u32)dev & 0xff) | (((u32)dev >> 12) & 0xfff00);

	return make_dev(major, minor);
}

/* Repacks a kernel dev_t: 12 bits of major, 20 of minor. */
static __always_inline u32 encode_dev(u32 dev)
{
	return make_dev(dev >> 20, dev & 0xfffff);
}

#define NATIVE_SYNC_ALONE 0x100000 /* __O_SYNC, which the kernel treats as O_SYNC */
#define NATIVE_DSYNC	  0x1000

/* The access mode is a number: 0, 1, 2 become 1, 2, 3. Neither 3 nor a path may be read or written. */
static __always_inline u32 open_flags(u64 v)
{
	u32 mode = v & 3, bits;

	if (v & NATIVE_SYNC_ALONE)
		v |= NATIVE_DSYNC;
	bits = open_bits(v);
	return (mode == 3 || bits & EVENT_O_PATH ? EVENT_O_NONE : mode + EVENT_O_RDONLY) | bits;
}

static __always_inline u32 open_mode(u64 flags, u64 mode)
{
	return open_bits(flags) & (EVENT_O_CREAT | EVENT_O_TMPFILE) ? mode & 07777 : 0;
}

static __always_inline u32 mknod_mode(u64 v)
{
	u32 type = v & 0170000;

	switch (type) {
	case 0:
		type = 0100000;
		break;
	case 0140000: /* socket */
	case 0100000: /* regular file */
	case 0060000: /* block device */
	case 0020000: /* character device */
	case 0010000: /* fifo */
		break;
	default:
		type = 0;
	}
	return type | (v & 07777);
}

/* Old callers put a magic number into the top half. */
static __always_inline u32 mount_flags(u64 v)
{
	return (v & 0xffff0000) == 0xc0ed0000 ? v & 0xffff : v;
}

#define NATIVE_IPC_64 0x100

/* The C library of 32-bit tasks adds a flag for the layout of structs, which the kernel removes. */
static __always_inline u64 ipc_cmd(struct filler *f, u64 cmd)
{
	return f->ia32 ? cmd & ~NATIVE_IPC_64 : cmd;
}

static __always_inline u32 futex_op(u64 v)
{
	return (u32)v > 0xffff ? 0xffff : v;
}

#define MAP_TYPE_MASK  0xf
#define MAP_HUGE_BITS 0xfc000000

static __always_inline u32 mmap_flags(u64 v)
{
	return mmap_type(v & MAP_TYPE_MASK) | mmap_bits(v) | (v & EVENT_MAP_HUGETLB ? v & MAP_HUGE_BITS : 0);
}

/* Each of the low three bits of the x86 error code becomes one of two flags. */
static __always_inline u32 pf_flags(u64 v)
{
	return (v & 1 ? EVENT_PROTECTION_VIOLATION : EVENT_PAGE_NOT_PRESENT) |
	       (v & 2 ? EVENT_WRITE_ACCESS : EVENT_READ_ACCESS) |
	       (v & 4 ? EVENT_USER_FAULT : EVENT_SUPERVISOR_FAULT) |
	       (v & 8 ? EVENT_RESERVED_PAGE : 0) | (v & 16 ? EVENT_INSTRUCTION_FETCH : 0);
}

#endif
