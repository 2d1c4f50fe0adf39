/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The functions that the fillers declare and a driver defines: in the module, plain calls. */
#ifndef SCAP_KMOD_SUBPROG_H
#define SCAP_KMOD_SUBPROG_H

static __always_inline void append_argv(struct filler *f, u64 argv, u32 first, u32 room)
{
	gather_argv(f, argv, first, room);
}

static __always_inline void append_array(struct filler *f, u64 ptr, u64 n, u64 shape)
{
	gather_array(f, ptr, n, shape);
}

static __always_inline void append_iov(struct filler *f, u64 iov, u64 cnt, u32 cap)
{
	gather_iov(f, iov, cnt, cap);
}

static __always_inline u64 iov_size(struct filler *f, u64 iov, u64 cnt)
{
	return sum_iov(f, iov, cnt);
}

static __always_inline void append_message(struct filler *f, u64 ptr, s64 fd, bool received)
{
	u16 type = f->type;
	u64 vector = f->arg[1];

	/* user_peer() looks for the address where sendmsg and recvmsg have it */
	f->type = received ? EVT_RECVMSG_EXIT : EVT_SENDMSG_EXIT;
	f->arg[1] = ptr;
	fill_message(f, ptr, fd, received);
	f->type = type;
	f->arg[1] = vector;
}

#endif
