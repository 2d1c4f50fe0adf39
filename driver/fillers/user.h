/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* User memory: numbers, strings, vectors. Unreadable memory gives 0 or an empty param. */
#ifndef SCAP_USER_H
#define SCAP_USER_H

/* How a 32-bit task lays structs out; f->ia32 is 0 for the layout of 64-bit tasks. */
#define LAYOUT_IA32	1
#define LAYOUT_TIME64	2 /* but for times, which have 64 bits */
#define LAYOUT_IDS16	4 /* and user and group ids have 16 bits */
#define LAYOUT_STATFS64 8 /* and struct statfs64, see user_statfs_at() */

#define DEFINE_USER(name, ret, type)                                       \
	static __always_inline ret name(u64 ptr, u64 off)                  \
	{                                                                  \
		type v = 0;                                                \
                                                                           \
		return ptr && user_read(&v, ptr + off, sizeof(v)) ? v : 0; \
	}
DEFINE_USER(user_u8, u64, u8)
DEFINE_USER(user_u16, u64, u16)
DEFINE_USER(user_s16, s64, s16)
DEFINE_USER(user_u32, u64, u32)
DEFINE_USER(user_s32, s64, s32)
DEFINE_USER(user_u64, u64, u64)
#undef DEFINE_USER

static __always_inline u64 id16(u16 id)
{
	return id == (u16)-1 ? (u32)-1 : id;
}

static __always_inline u64 user_id(struct filler *f, u64 ptr, u64 n)
{
	return f->ia32 & LAYOUT_IDS16 ? id16(user_u16(ptr, n * 2)) : user_u32(ptr, n * 4);
}

static __always_inline u64 user_long(struct filler *f, u64 ptr, u64 n)
{
	return f->ia32 ? user_u32(ptr, n * 4) : user_u64(ptr, n * 8);
}

static __always_inline u64 user_rlim(struct filler *f, u64 ptr, u64 n)
{
	u64 v = user_long(f, ptr, n);

	return f->ia32 && v == (u32)-1 ? (u64)-1 : v;
}

static __always_inline u64 user_ulong(struct filler *f, u64 ptr, u64 off, u64 off32)
{
	return f->ia32 ? user_u32(ptr, off32) : user_u64(ptr, off);
}

static __always_inline s64 user_slong(struct filler *f, u64 ptr, u64 off, u64 off32)
{
	return f->ia32 ? user_s32(ptr, off32) : (s64)user_u64(ptr, off);
}

/*
 * Number n of a struct statfs: f_blocks is 2, f_ffree 6. In the struct statfs64 of 32-bit tasks, which is packed, these have
 * 64 bits, and follow two numbers of 32.
 */
static __always_inline u64 user_statfs_at(struct filler *f, u64 ptr, u64 n)
{
	return f->ia32 & LAYOUT_STATFS64 ? user_u64(ptr, (n - 1) * 8) : user_long(f, ptr, n);
}

#define STATFS_FLAGS	80
#define STATFS32_FLAGS	44
#define STATFS64_FLAGS	64

static __always_inline u64 user_statfs_flags(struct filler *f, u64 ptr)
{
	u64 off32 = f->ia32 & LAYOUT_STATFS64 ? STATFS64_FLAGS : STATFS32_FLAGS;

	return user_slong(f, ptr, STATFS_FLAGS, off32);
}

static __always_inline u64 layout_off(struct filler *f, u64 off, u64 off32)
{
	return f->ia32 ? off32 : off;
}

static __always_inline u64 x86_off(u64 x86, u64 other)
{
#if defined(SCAP_ARCH_AMD64)
	return x86;
#else
	return other;
#endif
}

/* Where the frame of a signal has registers, from the stack pointer on: in the mcontext of its ucontext. */
#if defined(SCAP_ARCH_AMD64)
#define FRAME_SP 160
#define FRAME_IP 168
#else /* arm64, where a siginfo comes first */
#define FRAME_SP 560
#define FRAME_IP 568
#endif

static __always_inline u64 sigframe_ip(struct filler *f)
{
	return f->ia32 ? 0 : user_u64(regs_sp_of(f->regs), FRAME_IP);
}

static __always_inline u64 sigframe_sp(struct filler *f)
{
	return f->ia32 ? 0 : user_u64(regs_sp_of(f->regs), FRAME_SP);
}

/* Reading the ends is enough: nothing that the table describes has more than two pages. */
static __always_inline u64 user_readable(u64 ptr, u64 size)
{
	u8 byte;

	return ptr && user_read(&byte, ptr, 1) && user_read(&byte, ptr + size - 1, 1);
}

static __always_inline u64 fits(u64 end, u64 size)
{
	return end <= size;
}

static __always_inline u64 or_if_zero(u64 v, u64 other)
{
	return v ? v : other;
}

static __always_inline u64 any_bit(u64 v, u64 bits)
{
	return (v & bits) != 0;
}

struct user_times {
	s64 sec, frac;
};

struct user_times32 {
	s32 sec, frac;
};

static __always_inline struct user_times user_times(struct filler *f, u64 ptr)
{
	struct user_times t = {};
	struct user_times32 t32 = {};

	if (!f->ia32 || f->ia32 & LAYOUT_TIME64) {
		if (!user_read(&t, ptr, sizeof(t)))
			t = (struct user_times){};
	} else if (user_read(&t32, ptr, sizeof(t32))) {
		t.sec = t32.sec;
		t.frac = t32.frac;
	}
	return t;
}

static __always_inline u64 user_timespec(struct filler *f, u64 ptr)
{
	struct user_times t = user_times(f, ptr);

	return t.sec * 1000000000LL + t.frac;
}

/* Where number n of the structs timespec at ptr is. */
static __always_inline u64 nth_times(struct filler *f, u64 ptr, u64 n)
{
	bool small = f->ia32 && !(f->ia32 & LAYOUT_TIME64);

	return ptr + n * (small ? sizeof(struct user_times32) : sizeof(struct user_times));
}

static __always_inline u64 user_timespecs(struct filler *f, u64 ptr, u64 n)
{
	return user_timespec(f, nth_times(f, ptr, n));
}

static __always_inline u64 user_nsec(struct filler *f, u64 ptr, u64 n)
{
	return user_times(f, nth_times(f, ptr, n)).frac;
}

static __always_inline u64 user_timeval(struct filler *f, u64 ptr)
{
	struct user_times t = user_times(f, ptr);

	return t.sec * 1000000000LL + t.frac * 1000;
}

#define ENTER_EXT_ARG	  8
#define ENTER_EXT_ARG_REG 64

/*
 * Signals 1 to 32 of the set that io_uring_enter waits with. The argument points to
 * the set; with EXT_ARG it points to a struct whose first member points to the set;
 * with EXT_ARG_REG it is an offset into memory registered before: 0.
 */
static __always_inline u64 io_uring_sig(u64 flags, u64 arg)
{
	if (flags & ENTER_EXT_ARG_REG)
		return 0;
	if (flags & ENTER_EXT_ARG)
		arg = user_u64(arg, 0);
	return user_u32(arg, 0);
}

/* ---- struct iovec */

struct user_iovec {
	u64 base, len;
};

struct user_iovec32 {
	u32 base, len;
};

#define IOV_GATHER 32	/* vectors whose data is told */
#define IOV_MAX	   1024 /* that a call may have: UIO_MAXIOV of the kernel */

/* Reads the array into tmp; returns how many vectors, 0 if it is unreadable. */
static __always_inline u32 read_iovecs(struct filler *f, u64 iov, u64 cnt)
{
	u32 n = cnt < IOV_GATHER ? cnt : IOV_GATHER;
	u32 size = n * (f->ia32 ? sizeof(struct user_iovec32) : sizeof(struct user_iovec));

	return n && user_read(tmp_of(f), iov, size) ? n : 0;
}

/* Vector i of the array in tmp. */
static __always_inline struct user_iovec iovec_at(struct filler *f, u32 i)
{
	struct user_iovec v;

	i &= IOV_GATHER - 1;
	if (f->ia32) {
		struct user_iovec32 *v32 = (void *)tmp_of(f);

		v.base = v32[i].base;
		v.len = v32[i].len;
	} else {
		v = ((struct user_iovec *)tmp_of(f))[i];
	}
	return v;
}

/* The low half of the length of vector i, without a branch, which would multiply the verifier's work. */
static __always_inline u32 iov_len_at(struct filler *f, u32 i, u32 size)
{
	u32 at = (i * size + size / 2) & (TMP_SIZE - 1);

	return *(u32 *)(tmp_of(f) + at);
}

/* The length of all vectors; 0 if there are more than any call takes. */
static __always_inline u32 sum_iov(struct filler *f, u64 iov, u64 cnt)
{
	u32 size = f->ia32 ? sizeof(struct user_iovec32) : sizeof(struct user_iovec), sum = 0;

	if (cnt > IOV_MAX)
		return 0;
	size = forget(f, size); /* else each iteration is checked for both sizes */
	for (u32 done = 0; done < IOV_MAX; done += IOV_GATHER) {
		u32 n = done < cnt ? read_iovecs(f, iov + done * size, cnt - done) : 0;

		for (u32 i = 0; i < IOV_GATHER; i++) {
			if (i >= n)
				return sum;
			sum += iov_len_at(f, i, size);
		}
		sum = forget(f, sum);
	}
	return sum;
}

/* Appends at most cap bytes, up to the first unreadable vector. */
static __always_inline void gather_iov(struct filler *f, u64 iov, u64 cnt, u32 cap)
{
	u32 n = read_iovecs(f, iov, cnt);

	for (u32 i = 0; i < IOV_GATHER; i++) {
		struct user_iovec v;

		if (i >= n || !cap)
			break;
		v = iovec_at(f, i);
		if (v.len > cap)
			v.len = cap;
		if (!append_user(f, v.base, v.len))
			break;
		cap = forget(f, cap - (u32)v.len);
		f->off = forget(f, f->off);
	}
}

/* The driver defines these: they call gather_iov and sum_iov. */
static __always_inline void append_iov(struct filler *f, u64 iov, u64 cnt, u32 cap);
static __always_inline u64 iov_size(struct filler *f, u64 iov, u64 cnt);

static __always_inline u32 snaplen_for(struct filler *f, s64 fd);

static __always_inline void push_iov_data(struct filler *f, u64 iov, u64 cnt, u64 cap, s64 fd, u32 after)
{
	u32 start = f->off, most = room_for(f, after), snaplen = snaplen_for(f, (s32)fd);

	if (snaplen < most)
		most = snaplen;
	append_iov(f, iov, cnt, cap < most ? cap : most);
	end_param(f, start);
}

/* ---- struct pollfd */

struct user_pollfd {
	s32 fd;
	u16 events, revents;
};

#define POLL_GATHER 16	     /* descriptors told */
#define FDS_LEFT_OUT (1LL << 32) /* and the number of the others: one more entry has their sum, which is no descriptor */

static __always_inline u32 poll_events(u64 v);

static __always_inline void push_fdlist(struct filler *f, u64 fds, u64 n)
{
	struct user_pollfd *p = (void *)tmp_of(f);
	u32 start = f->off, left = 0;

	n = (u32)n;
	if (n > POLL_GATHER) {
		left = n - POLL_GATHER;
		n = POLL_GATHER;
	}
	if (!n || !user_read(p, fds, n * sizeof(*p)))
		n = left = 0;
	append_u16(f, n + !!left);
	for (u32 i = 0; i < POLL_GATHER; i++) {
		if (i >= n)
			break;
		append_s64(f, p[i].fd);
		append_u16(f, poll_events(p[i].revents));
	}
	if (left) {
		append_s64(f, FDS_LEFT_OUT + left);
		append_u16(f, 0);
	}
	end_param(f, start);
}

/* ---- arrays of numbers, of structs, of pointers to structs */

#define ARRAY_GATHER 16 /* elements told */

/* Reads an unsigned number of 1, 2, 4 or 8 bytes. */
static __always_inline bool user_number(u64 *v, u64 ptr, u64 size)
{
	u8 v8;
	u16 v16;
	u32 v32;

	switch (size) {
	case 1:
		if (!user_read(&v8, ptr, 1))
			return false;
		*v = v8;
		return true;
	case 2:
		if (!user_read(&v16, ptr, 2))
			return false;
		*v = v16;
		return true;
	case 4:
		if (!user_read(&v32, ptr, 4))
			return false;
		*v = v32;
		return true;
	}
	return user_read(v, ptr, 8);
}

/*
 * What to read of each element: size bytes at off. Stride 0: the elements are pointers. A signed number has 16 times
 * the bits that it lacks of 64 in its size: shifted up and down by so many, it keeps its sign without a branch.
 */
#define ARRAY_SHAPE(stride, off, size) ((u64)(stride) << 32 | (u64)(off) << 16 | (u64)(size))

static __always_inline void gather_array(struct filler *f, u64 ptr, u64 n, u64 shape)
{
	u64 stride = shape >> 32, off = shape >> 16 & 0xffff, size = shape & 0xf, lacks = shape >> 4 & 0x3f, at, v;

	for (u32 i = 0; i < ARRAY_GATHER; i++) {
		if (i >= n)
			break;
		at = stride ? ptr + i * stride : user_long(f, ptr, i);
		if (!user_number(&v, at + off, size))
			break;
		append_u64(f, (s64)(v << lacks) >> lacks);
	}
}

/* The driver defines this: it calls gather_array. */
static __always_inline void append_array(struct filler *f, u64 ptr, u64 n, u64 shape);

static __always_inline void push_user_array(struct filler *f, u64 ptr, u64 n, u64 stride, u64 off, u64 size)
{
	u32 start = f->off;

	append_array(f, ptr, n, ARRAY_SHAPE(stride, off, size));
	end_param(f, start);
}

static __always_inline void push_user_ids(struct filler *f, u64 ptr, u64 n)
{
	u64 size = f->ia32 & LAYOUT_IDS16 ? sizeof(u16) : sizeof(u32);

	push_user_array(f, ptr, n, size, 0, size);
}

static __always_inline void push_user_pointed(struct filler *f, u64 ptrs, u64 n, u64 off, u64 size)
{
	push_user_array(f, ptrs, n, 0, off, size);
}

/* ---- vectors of strings */

#define ARGV_GATHER 16

/*
 * Appends the vector's strings from index first on with their NULs, at most room bytes together.
 * CUT_MARK stands for those from ARGV_GATHER on. Strings that take all of the room are taken
 * for cut, as it is not known whether more would follow.
 */
static __always_inline void gather_argv(struct filler *f, u64 argv, u32 first, u32 room)
{
	u32 start = f->off;

	for (u32 i = first; i <= ARGV_GATHER; i++) {
		u64 str = user_long(f, argv, i);

		if (!str || f->off - start >= room)
			break;
		if (i == ARGV_GATHER)
			append_bytes(f, CUT_MARK, sizeof(CUT_MARK));
		else if (!append_user_text(f, str))
			break;
	}
	if (f->off - start >= room) {
		f->off = start + room;
		mark_end(f);
	}
}

/* The driver defines this: it calls gather_argv. */
static __always_inline void append_argv(struct filler *f, u64 argv, u32 first, u32 room);

static __always_inline void push_user_argv0(struct filler *f, u64 argv)
{
	u64 str = user_long(f, argv, 0);
	u32 start = f->off;

	if (!str || !append_user_text(f, str))
		append_u8(f, 0);
	end_param(f, start);
}

#endif
