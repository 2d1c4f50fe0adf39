/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whole params, built from the pieces that a driver's push.h appends. */
#ifndef SCAP_PARAM_H
#define SCAP_PARAM_H

/* push_u64(f, v) sends v; push_dyn_u64(f, i, v) sends the index i of its type, then v. */
#define DEFINE_PUSH(type)                                                               \
	static __always_inline void push_##type(struct filler *f, type v)               \
	{                                                                               \
		u32 start = f->off;                                                     \
                                                                                        \
		append_##type(f, v);                                                    \
		end_param(f, start);                                                    \
	}                                                                               \
	static __always_inline void push_dyn_##type(struct filler *f, u8 index, type v) \
	{                                                                               \
		u32 start = f->off;                                                     \
                                                                                        \
		append_u8(f, index);                                                    \
		append_##type(f, v);                                                    \
		end_param(f, start);                                                    \
	}
DEFINE_PUSH(u8)
DEFINE_PUSH(u16)
DEFINE_PUSH(u32)
DEFINE_PUSH(u64)
DEFINE_PUSH(s8)
DEFINE_PUSH(s16)
DEFINE_PUSH(s32)
DEFINE_PUSH(s64)
#undef DEFINE_PUSH

/* No value: zero bytes. */
static __always_inline void push_empty(struct filler *f)
{
	end_param(f, f->off);
}

/* The empty string: its NUL. */
static __always_inline void push_str_lit_empty(struct filler *f)
{
	push_u8(f, 0);
}

static __always_inline void push_dyn_str_lit_empty(struct filler *f, u8 index)
{
	push_dyn_u8(f, index, 0);
}

/* A user string; empty if NULL or unreadable. */
static __always_inline void push_user_str(struct filler *f, u64 ptr)
{
	u32 start = f->off;

	append_user_text(f, ptr);
	end_param(f, start);
}

static __always_inline void push_dyn_user_str(struct filler *f, u8 index, u64 ptr)
{
	u32 start = f->off;

	append_u8(f, index);
	append_user_text(f, ptr);
	end_param(f, start);
}

/* A kernel string of at most max bytes with its NUL. */
static __always_inline void push_kernel_str(struct filler *f, const char *str, u32 max)
{
	u32 start = f->off;

	append_kernel_str(f, str, max);
	end_param(f, start);
}

/* How many bytes a param may have, if those of the params after it may be as many as `after`. */
static __always_inline u32 room_for(struct filler *f, u32 after)
{
	u32 left = EVENT_MAX - after - f->off;

	return left < PARAM_MAX ? left : PARAM_MAX;
}

/* User bytes, cut to what the event has left: all of them or none. */
static __always_inline void append_user_cut(struct filler *f, u64 ptr, u64 len, u32 after)
{
	u32 most = room_for(f, after);

	append_user(f, ptr, len < most ? len : most);
}

static __always_inline void push_user_buf(struct filler *f, u64 ptr, u64 len, u32 after)
{
	u32 start = f->off;

	append_user_cut(f, ptr, len, after);
	end_param(f, start);
}

static __always_inline void push_dyn_user_buf(struct filler *f, u8 index, u64 ptr, u64 len, u32 after)
{
	u32 start = f->off;

	append_u8(f, index);
	append_user_cut(f, ptr, len, after);
	end_param(f, start);
}

#endif
