/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Loops, as global functions whose arguments are numbers: the verifier checks each
 * once, instead of once for each path that leads there.
 */
#ifndef SCAP_BPF_SUBPROG_H
#define SCAP_BPF_SUBPROG_H

static __always_inline bool scratch_filler(struct filler *f, u32 off, u32 ia32)
{
	struct scratch *s = this_scratch();

	if (!s)
		return false;
	f->buf = s->data;
	f->off = off;
	f->ia32 = ia32;
	return true;
}

SUBPROGRAM(argv) u32 write_argv(u64 argv, u32 first, u32 room, u32 off, u32 ia32)
{
	struct filler f = {};

	if (scratch_filler(&f, off, ia32))
		gather_argv(&f, argv, first, room);
	return f.off;
}

static __always_inline void append_argv(struct filler *f, u64 argv, u32 first, u32 room)
{
	f->off = write_argv(argv, first, room, f->off, f->ia32);
}

SUBPROGRAM(array) u32 write_array(u64 ptr, u64 n, u64 shape, u32 off, u32 ia32)
{
	struct filler f = {};

	if (scratch_filler(&f, off, ia32))
		gather_array(&f, ptr, n, shape);
	return f.off;
}

static __always_inline void append_array(struct filler *f, u64 ptr, u64 n, u64 shape)
{
	f->off = write_array(ptr, n, shape, f->off, f->ia32);
}

SUBPROGRAM(iov) u32 write_iov(u64 iov, u64 cnt, u32 cap, u32 off, u32 ia32)
{
	struct filler f = {};

	if (scratch_filler(&f, off, ia32))
		gather_iov(&f, iov, cnt, cap);
	return f.off;
}

static __always_inline void append_iov(struct filler *f, u64 iov, u64 cnt, u32 cap)
{
	f->off = write_iov(iov, cnt, cap, f->off, f->ia32);
}

SUBPROGRAM(iov_size) u32 total_iov(u64 iov, u64 cnt, u32 ia32)
{
	struct filler f = {};

	return scratch_filler(&f, 0, ia32) ? sum_iov(&f, iov, cnt) : 0;
}

static __always_inline u64 iov_size(struct filler *f, u64 iov, u64 cnt)
{
	return total_iov(iov, cnt, f->ia32);
}

/* One message of sendmmsg or recvmmsg. */
SUBPROGRAM(message) u32 write_message(u64 ptr, s64 fd, u32 off, u32 ia32, u32 received)
{
	struct filler f = {};

	if (!scratch_filler(&f, off, ia32))
		return off;
	/* user_peer() looks for the address where sendmsg and recvmsg have it */
	f.type = received ? EVT_RECVMSG_EXIT : EVT_SENDMSG_EXIT;
	f.arg[1] = ptr;
	fill_message(&f, ptr, fd, received);
	return f.off;
}

static __always_inline void append_message(struct filler *f, u64 ptr, s64 fd, bool received)
{
	f->off = write_message(ptr, fd, f->off, f->ia32, received);
}

static __always_inline void lose_messages(struct filler *f, u32 n)
{
	ADD(f, seen, n);
	ADD(f, drop_messages, n);
}

static __always_inline bool next_event(struct filler *f, u32 left)
{
	send_scratch(f);
	COUNT(f, seen);
	if (in_place && !find_place(f, bpf_get_smp_processor_id(), left)) {
		f->full = true;
		return false;
	}
	header(f, bpf_get_current_pid_tgid(), f->type, f->nparams, 0);
	return true;
}

#endif
