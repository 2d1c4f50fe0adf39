/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Sockets by descriptor, user socket addresses, tuples, the snap length of a socket's data. */
#ifndef SCAP_SOCK_H
#define SCAP_SOCK_H

#define S_IFMT_BITS  0170000
#define S_IFSOCK_BIT 0140000

#define UNIX_PATH 108 /* bytes of sun_path */

static __always_inline u16 be16(u16 v)
{
	return __builtin_bswap16(v);
}

static __always_inline u32 be32(u32 v)
{
	return __builtin_bswap32(v);
}

/* ---- user addresses */

struct user_sockaddr {
	u16 family;
	union {
		struct {
			u16 port; /* network order, as all ports and addresses here */
			u32 addr;
			u8 zero[8];
		} __attribute__((packed)) in;
		struct {
			u16 port;
			u32 flowinfo;
			struct in6_addr addr;
			u32 scope;
		} __attribute__((packed)) in6;
	};
} __attribute__((packed));

#define SOCKADDR_IN_SIZE  16
#define SOCKADDR_IN6_SIZE 24 /* without the scope, as the kernel accepts it */

/*
 * The path of a user struct sockaddr_un of len bytes, which ends at its first NUL. The name of
 * an abstract one is what follows its leading NUL: all bytes of it, more NULs included.
 */
static __always_inline void append_user_sun_path(struct filler *f, u64 ptr, u64 len)
{
	u32 max = len - 2 < UNIX_PATH ? len - 2 : UNIX_PATH;

	if (max && !user_u8(ptr, 2)) {
		append_user(f, ptr + 3, max - 1);
		append_u8(f, 0);
		return;
	}
	if (max && append_user_str(f, ptr + 2, max + 1))
		return;
	/* unreadable as a string: perhaps there is no NUL before an unmapped page */
	if (max)
		append_user(f, ptr + 2, max);
	append_u8(f, 0);
}

static __always_inline void push_sockaddr(struct filler *f, u64 ptr, u64 addrlen)
{
	struct user_sockaddr a = {};
	u32 start = f->off;
	s32 len = addrlen;

	if (len >= SOCKADDR_IN6_SIZE)
		user_read(&a, ptr, SOCKADDR_IN6_SIZE);
	else if (len >= SOCKADDR_IN_SIZE)
		user_read(&a, ptr, SOCKADDR_IN_SIZE);
	else if (len >= 2)
		user_read(&a, ptr, 2);
	switch (a.family) {
	case EVENT_AF_INET:
		if (len < SOCKADDR_IN_SIZE)
			break;
		append_u8(f, EVENT_AF_INET);
		append_u32(f, a.in.addr);
		append_u16(f, be16(a.in.port));
		break;
	case EVENT_AF_INET6:
		if (len < SOCKADDR_IN6_SIZE)
			break;
		append_u8(f, EVENT_AF_INET6);
		append_bytes(f, &a.in6.addr, sizeof(a.in6.addr));
		append_u16(f, be16(a.in6.port));
		break;
	case EVENT_AF_UNIX:
		append_u8(f, EVENT_AF_UNIX);
		append_user_sun_path(f, ptr, len);
		break;
	}
	end_param(f, start);
}

/* ---- sockets */

static __always_inline struct sock *sock_of(struct filler *f, s64 fd)
{
	struct file *file = file_of(f, fd);

	if (!file || (READ(file, f_inode, i_mode) & S_IFMT_BITS) != S_IFSOCK_BIT)
		return NULL;
	/* a bound unix socket's inode can be opened too, with O_PATH */
	if ((u32)READ(file, f_mode) & EVENT_FMODE_PATH)
		return NULL;
	return READ((struct socket *)READ(file, private_data), sk);
}

static __always_inline u64 sock_ptr(struct filler *f, s64 fd)
{
	return number_of(sock_of(f, fd));
}

static __always_inline u64 sock_peer(struct filler *f, s64 fd)
{
	struct sock *sk = sock_of(f, fd);

	if (!sk || READ(sk, __sk_common.skc_family) != EVENT_AF_UNIX)
		return 0;
	return number_of(READ((struct unix_sock *)sk, peer));
}

static __always_inline u64 sock_backlog(struct filler *f, s64 fd)
{
	struct sock *sk = sock_of(f, fd);

	return sk ? READ(sk, sk_ack_backlog) : 0;
}

static __always_inline u64 sock_max_backlog(struct filler *f, s64 fd)
{
	struct sock *sk = sock_of(f, fd);

	return sk ? READ(sk, sk_max_ack_backlog) : 0;
}

static __always_inline u64 sock_queue_pct(struct filler *f, s64 fd)
{
	u64 len = sock_backlog(f, fd), max = sock_max_backlog(f, fd);

	return max ? len * 100 / max : 0;
}

/* ---- tuples */

struct inet_end {
	u32 addr;
	u16 port;
};

struct inet6_end {
	struct in6_addr addr;
	u16 port;
};

static __always_inline void append_inet(struct filler *f, struct inet_end *e)
{
	append_u32(f, e->addr);
	append_u16(f, be16(e->port));
}

static __always_inline void append_inet6(struct filler *f, struct inet6_end *e)
{
	append_bytes(f, &e->addr, sizeof(e->addr));
	append_u16(f, be16(e->port));
}

/* The bound name of a unix socket, as append_user_sun_path has it: its NUL alone when it has none. */
static __always_inline void append_unix_name(struct filler *f, struct unix_sock *u)
{
	struct unix_address *a = u ? READ(u, addr) : NULL;
	u8 *name = a ? (u8 *)&a->name + 2 : NULL;
	s32 len = a ? READ(a, len) - 2 : 0;

	if (len > UNIX_PATH)
		len = UNIX_PATH;
	if (len > 0 && !READ_AT(name)) {
		append_kernel(f, name + 1, len - 1);
		append_u8(f, 0);
		return;
	}
	if (len <= 0 || !append_kernel_str(f, name, len + 1))
		append_u8(f, 0);
}

#define SOCK_DGRAM_NR 2
#define SOCK_RAW_NR   3

/*
 * Reads the address that a call on a socket gives beside its data; the family that the kernel
 * takes it for, 0 when there is none. Only datagram and raw sockets look at it; an IPv4 one takes
 * AF_UNSPEC for AF_INET, an IPv6 one for no address at all, unless it is raw.
 */
static __always_inline u16 read_sockaddr(struct sock *sk, u64 ptr, s32 len, struct user_sockaddr *a)
{
	u16 own, type;

	if (!ptr || len < SOCKADDR_IN_SIZE)
		return 0;
	type = READ(sk, sk_type);
	if (type != SOCK_DGRAM_NR && type != SOCK_RAW_NR)
		return 0;
	if (!user_read(a, ptr, SOCKADDR_IN_SIZE))
		return 0;
	own = READ(sk, __sk_common.skc_family);
	if (a->family == EVENT_AF_INET || (own == EVENT_AF_INET && !a->family))
		return EVENT_AF_INET;
	if (own != EVENT_AF_INET6 || len < SOCKADDR_IN6_SIZE)
		return 0;
	if (a->family != EVENT_AF_INET6 && (a->family || type != SOCK_RAW_NR))
		return 0;
	return user_read(a, ptr, SOCKADDR_IN6_SIZE) ? EVENT_AF_INET6 : 0;
}

/* An IPv4 address as an IPv6 one, ::ffff:1.2.3.4. */
static __always_inline struct in6_addr mapped(u32 addr)
{
	struct in6_addr a = {};
	u32 *word = (u32 *)&a;

	word[2] = be32(0xffff);
	word[3] = addr;
	return a;
}

/*
 * Local is the source when out, else the destination. addr is a user sockaddr of len bytes, or 0:
 * where a datagram goes, whether the socket has a peer or not, or where it came from when
 * the socket has no peer.
 */
static __always_inline void push_tuple(struct filler *f, s64 fd, bool out, u64 addr, s32 len)
{
	struct sock *sk = sock_of(f, fd);
	u32 start = f->off;

	if (sk && READ(sk, __sk_common.skc_family) == EVENT_AF_INET) {
		struct inet_end local = {}, remote = {};
		struct user_sockaddr a = {};

		local.addr = READ((struct inet_sock *)sk, inet_saddr);
		local.port = READ((struct inet_sock *)sk, inet_sport);
		remote.addr = READ(sk, __sk_common.skc_daddr);
		remote.port = READ(sk, __sk_common.skc_dport);
		if ((out || !remote.port) && read_sockaddr(sk, addr, len, &a)) {
			remote.addr = a.in.addr;
			remote.port = a.in.port;
		}
		append_u8(f, EVENT_AF_INET);
		append_inet(f, out ? &local : &remote);
		append_inet(f, out ? &remote : &local);
	} else if (sk && READ(sk, __sk_common.skc_family) == EVENT_AF_INET6) {
		struct inet6_end local = {}, remote = {};
		struct user_sockaddr a = {};
		u16 family;

		local.addr = READ((struct inet_sock *)sk, pinet6, saddr);
		local.port = READ((struct inet_sock *)sk, inet_sport);
		remote.addr = READ(sk, __sk_common.skc_v6_daddr);
		remote.port = READ(sk, __sk_common.skc_dport);
		family = out || !remote.port ? read_sockaddr(sk, addr, len, &a) : 0;
		if (family == EVENT_AF_INET) {
			remote.addr = mapped(a.in.addr);
			remote.port = a.in.port;
		} else if (family == EVENT_AF_INET6) {
			remote.addr = a.in6.addr;
			remote.port = a.in6.port;
		}
		append_u8(f, EVENT_AF_INET6);
		append_inet6(f, out ? &local : &remote);
		append_inet6(f, out ? &remote : &local);
	} else if (sk && READ(sk, __sk_common.skc_family) == EVENT_AF_UNIX) {
		struct unix_sock *u = (void *)sk;
		bool named = out && addr && len > 2 && READ(sk, sk_type) == SOCK_DGRAM_NR;
		struct unix_sock *peer;

		unix_peer_lock(u);
		/* whom the name leads to is not known any more */
		peer = named ? NULL : (void *)READ(u, peer);

		append_u8(f, EVENT_AF_UNIX);
		append_u64(f, number_of(out ? peer : u));
		append_u64(f, number_of(out ? u : peer));
		if (named)
			append_user_sun_path(f, addr, len);
		else
			append_unix_name(f, out ? peer : u);
		unix_peer_unlock(u);
	}
	end_param(f, start);
}

static __always_inline void push_sock_tuple(struct filler *f, s64 fd, u64 addr, u64 len)
{
	push_tuple(f, fd, true, addr, len);
}

static __always_inline void push_sock_tuple_in(struct filler *f, s64 fd, u64 addr)
{
	push_tuple(f, fd, false, addr, SOCKADDR_IN6_SIZE);
}

/* ---- snap length */

#define SNAPLEN_FULL   16000
#define SNAPLEN_TEXT   2000
#define SNAPLEN_DNS    512
#define PORT_DNS       53
#define PORT_MYSQL     3306
#define PORT_POSTGRES  5432
#define PORT_MONGO     27017
#define PAYLOAD_LOOKED 16

/* The user sockaddr with the remote end of an unconnected socket; 0 if the call has none. */
static __always_inline u64 user_peer(struct filler *f)
{
	switch (f->type) {
	case EVT_SENDTO_EXIT:
	case EVT_RECVFROM_EXIT:
		return f->arg[4];
	case EVT_SENDMSG_EXIT:
	case EVT_RECVMSG_EXIT:
		return user_long(f, f->arg[1], 0);
	}
	return 0;
}

static __always_inline u32 word_at(const u8 *b)
{
	return b[0] | b[1] << 8 | b[2] << 16 | (u32)b[3] << 24;
}

#define WORD(a, b, c, d) ((u32)(a) | (u32)(b) << 8 | (u32)(c) << 16 | (u32)(d) << 24)

/* The length that the payload's first bytes choose, or 0. */
static __always_inline u32 snaplen_by_bytes(const u8 *b, u32 n, u16 local, u16 remote)
{
	u32 word, op;

	if (local == PORT_MYSQL || remote == PORT_MYSQL) {
		if (n < 5)
			return 0;
		return b[0] == 3 || b[1] == 3 || b[2] == 3 || b[3] == 3 || b[4] == 3 || (!b[2] && !b[3])
			       ? SNAPLEN_TEXT
			       : 0;
	}
	if (local == PORT_POSTGRES || remote == PORT_POSTGRES) {
		if (n < 7)
			return 0;
		return (b[0] == 'Q' && !b[1]) || (b[0] == 'P' && !b[1]) || (!b[4] && b[5] == 3 && !b[6]) ||
				       (b[0] == 'E' && !b[1])
			       ? SNAPLEN_TEXT
			       : 0;
	}
	if (local == PORT_MONGO || remote == PORT_MONGO)
		return SNAPLEN_TEXT;
	op = word_at(b + 12);
	if (n >= 16 && (op == 1 || (op >= 2001 && op <= 2007)))
		return SNAPLEN_TEXT;
	if (n < 5)
		return 0;
	word = word_at(b);
	if (word == WORD('G', 'E', 'T', ' ') || word == WORD('P', 'O', 'S', 'T') ||
	    word == WORD('P', 'U', 'T', ' ') || word == WORD('D', 'E', 'L', 'E') ||
	    word == WORD('T', 'R', 'A', 'C') || word == WORD('C', 'O', 'N', 'N') ||
	    word == WORD('O', 'P', 'T', 'I') || (word == WORD('H', 'T', 'T', 'P') && b[4] == '/'))
		return SNAPLEN_TEXT;
	return 0;
}

/* The length that the ports alone choose, or 0; sets *local and *remote to the ports. */
static __always_inline u32 snaplen_by_ports(struct filler *f, struct sock *sk, u16 *local, u16 *remote)
{
	u16 first = setting_full_port_first(f), last = setting_full_port_last(f);
	u64 addr;

	*local = be16(READ((struct inet_sock *)sk, inet_sport));
	*remote = be16(READ(sk, __sk_common.skc_dport));
	if (!*remote) {
		addr = user_peer(f);
		*remote = be16(user_u16(addr, 2));
	}
	if (last && ((*local >= first && *local <= last) || (*remote >= first && *remote <= last)))
		return SNAPLEN_FULL;
	if (*remote == setting_statsd_port(f))
		return SNAPLEN_TEXT;
	return *remote == PORT_DNS ? SNAPLEN_DNS : 0;
}

static __always_inline struct sock *inet_sock_of(struct filler *f, s64 fd)
{
	struct sock *sk = sock_of(f, fd);
	u16 family = sk ? READ(sk, __sk_common.skc_family) : 0;

	return family == EVENT_AF_INET || family == EVENT_AF_INET6 ? sk : NULL;
}

/* How much of an I/O vector's data on fd is sent; fd -1: there is no descriptor. */
static __always_inline u32 snaplen_for(struct filler *f, s64 fd)
{
	u32 snaplen = setting_snaplen(f), more = 0;
	u16 local, remote;
	struct sock *sk;

	if (likely(!setting_dynamic_snaplen(f)) || fd < 0)
		return snaplen;
	sk = inet_sock_of(f, fd);
	if (sk)
		more = snaplen_by_ports(f, sk, &local, &remote);
	return more > snaplen ? more : snaplen;
}

/* User bytes cut to the snap length, which their first bytes may raise on a socket. fd -1: there is no descriptor. */
static __always_inline void push_user_data(struct filler *f, u64 ptr, u64 len, s64 fd, u32 after)
{
	u32 snaplen = setting_snaplen(f), more = 0, n;
	u8 head[PAYLOAD_LOOKED] = {};
	u16 local, remote;
	struct sock *sk;

	if (unlikely(setting_dynamic_snaplen(f)) && fd >= 0) {
		sk = inet_sock_of(f, fd);
		if (sk) {
			more = snaplen_by_ports(f, sk, &local, &remote);
			n = len < PAYLOAD_LOOKED ? len : PAYLOAD_LOOKED;
			if (!more && n && user_read(head, ptr, n))
				more = snaplen_by_bytes(head, n, local, remote);
		}
		if (more > snaplen)
			snaplen = more;
	}
	push_user_buf(f, ptr, len < snaplen ? len : snaplen, after);
}

/* ---- socket options */

#define NATIVE_SOL_SOCKET 1

#define SO_ERROR_NR	   4
#define SO_RCVTIMEO_NR	   20
#define SO_SNDTIMEO_NR	   21
#define SO_COOKIE_NR	   57
#define SO_RCVTIMEO_NEW_NR 66
#define SO_SNDTIMEO_NEW_NR 67

/* Bit n: option n of SOL_SOCKET is an integer. */
#define SO_INTEGERS                                                                                         \
	(0x3ffffffffffffULL & ~(1ULL << 0 | 1ULL << 4 | 1ULL << 13 | 1ULL << 17 | 1ULL << 20 | 1ULL << 21 | \
				1ULL << 26 | 1ULL << 28))

static __always_inline void push_sockopt_val(struct filler *f, s32 level, s32 name, u64 ptr, u64 len, u32 after)
{
	struct user_times t = {};

	if (level == NATIVE_SOL_SOCKET) {
		switch (name) {
		case SO_ERROR_NR:
			push_dyn_s64(f, SOCKOPT_DYN_ERRNO, -user_s32(ptr, 0));
			return;
		case SO_RCVTIMEO_NR:
		case SO_SNDTIMEO_NR:
			push_dyn_u64(f, SOCKOPT_DYN_RELTIME, user_timeval(f, ptr));
			return;
		case SO_RCVTIMEO_NEW_NR:
		case SO_SNDTIMEO_NEW_NR:
			if (!user_read(&t, ptr, sizeof(t)))
				t = (struct user_times){};
			push_dyn_u64(f, SOCKOPT_DYN_RELTIME, t.sec * 1000000000LL + t.frac * 1000);
			return;
		case SO_COOKIE_NR:
			push_dyn_u64(f, SOCKOPT_DYN_UINT64, user_u64(ptr, 0));
			return;
		}
		if (name > 0 && name < 50 && (SO_INTEGERS >> name & 1)) {
			push_dyn_u32(f, SOCKOPT_DYN_UINT32, user_u32(ptr, 0));
			return;
		}
	}
	push_dyn_user_buf(f, SOCKOPT_DYN_BYTEBUF, ptr, (s32)len > 0 ? len : 0, after);
}

#endif
