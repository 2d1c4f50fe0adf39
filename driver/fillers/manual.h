/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Fillers too irregular for the table: `filler: manual`. */
#ifndef SCAP_MANUAL_H
#define SCAP_MANUAL_H

/* ---- sendmmsg, recvmmsg: one event per message */


struct user_msghdr {
	u64 name, iov, iovlen, control, controllen;
	u32 namelen;
	u32 len; /* bytes of the message, from struct mmsghdr */
};

struct user_mmsghdr {
	u64 name;
	u32 namelen, pad;
	u64 iov, iovlen, control, controllen;
	u32 flags, pad2;
	u32 len, pad3;
};

struct user_mmsghdr32 {
	u32 name, namelen, iov, iovlen, control, controllen, flags, len;
};

static __always_inline struct user_msghdr read_mmsghdr(struct filler *f, u64 ptr)
{
	struct user_msghdr m = {};
	struct user_mmsghdr32 h32 = {};
	struct user_mmsghdr h = {};

	if (f->ia32) {
		if (user_read(&h32, ptr, sizeof(h32)))
			m = (struct user_msghdr){h32.name, h32.iov, h32.iovlen, h32.control, h32.controllen,
						h32.namelen, h32.len};
	} else if (user_read(&h, ptr, sizeof(h))) {
		m = (struct user_msghdr){h.name, h.iov, h.iovlen, h.control, h.controllen, h.namelen, h.len};
	}
	return m;
}

static __always_inline void fill_message(struct filler *f, u64 ptr, s64 fd, bool received)
{
	struct user_msghdr m = read_mmsghdr(f, ptr);

	push_s64(f, m.len);
	push_s64(f, fd);
	if (received)
		push_u32(f, m.len);
	else
		push_u32(f, iov_size(f, m.iov, m.iovlen));
	push_iov_data(f, m.iov, m.iovlen, m.len, fd, received ? RECVMMSG_EXIT_AFTER_DATA : SENDMMSG_EXIT_AFTER_DATA);
	if (received) {
		push_sock_tuple_in(f, fd, m.name);
		push_user_buf(f, m.control, m.controllen, RECVMMSG_EXIT_AFTER_MSGCONTROL);
	} else {
		push_sock_tuple(f, fd, m.name, m.namelen);
	}
}

/*
 * The driver defines these: append_message calls fill_message; next_event sends the
 * event built so far and begins another of its type. left is how many are to come,
 * that one included; false: there is no room, and all of them are counted as lost.
 */
static __always_inline void append_message(struct filler *f, u64 ptr, s64 fd, bool received);
static __always_inline bool next_event(struct filler *f, u32 left);
/* Counts messages that get no event. */
static __always_inline void lose_messages(struct filler *f, u32 n);

static __always_inline int fill_mmsg(struct filler *f, bool received)
{
	u64 ptr = f->arg[1];
	s64 fd = (s32)f->arg[0];

	if (f->ret <= 0) {
		push_s64(f, f->ret);
		push_s64(f, fd);
		push_u32(f, 0);
		push_empty(f);
		push_empty(f);
		if (received)
			push_empty(f);
		return 0;
	}
	if (f->ret > MMSG_EVENTS)
		lose_messages(f, f->ret - MMSG_EVENTS);
	for (int i = 0; i < MMSG_EVENTS; i++) {
		if (i >= f->ret)
			break;
		if (i && !next_event(f, (f->ret < MMSG_EVENTS ? f->ret : MMSG_EVENTS) - i))
			break;
		append_message(f, ptr, fd, received);
		ptr += f->ia32 ? sizeof(struct user_mmsghdr32) : sizeof(struct user_mmsghdr);
	}
	return 0;
}

static __always_inline int fill_sendmmsg_exit(struct filler *f)
{
	return fill_mmsg(f, false);
}

static __always_inline int fill_recvmmsg_exit(struct filler *f)
{
	return fill_mmsg(f, true);
}

#endif
