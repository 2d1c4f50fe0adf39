/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Writing params, for the module: straight into the ring, which is mapped twice in a row so that no event wraps. */
#ifndef SCAP_KMOD_PUSH_H
#define SCAP_KMOD_PUSH_H

#include <linux/sched.h>

#include "../abi/event.h"
#include "kmod.h"
#include "read.h"

struct hit;

/* The event being built. */
struct filler {
	const struct pt_regs *regs;
	s64 ret;
	u64 arg[6];
	u64 tp[4];		  /* arguments of a tracepoint */
	u8 *buf;		  /* start of the event, in the ring */
	u32 cap;		  /* bytes that may be written from there */
	u32 off;		  /* where the next param starts, from buf */
	u16 n;			  /* params pushed */
	u16 limit;		  /* params that are sent; params pushed after these are not */
	u16 type;		  /* event code */
	u8 ia32;		  /* layout of user structs: LAYOUT_ bits */
	bool exec;		  /* from sched_process_exec: the call succeeded */
	bool child;		  /* from sched_process_fork: task is the new thread */
	bool full;		  /* a param did not fit: the event is lost */
	bool have_file;		  /* file_fd and file are set */
	u32 nr;			  /* place of the syscall in the tables by call */
	u32 number;			  /* as a task without native number for it passed it */
	s64 file_fd;
	struct file *file;	  /* open file of file_fd, looked up last, with a reference */
	bool have_exe;		  /* exe is set */
	struct file *exe;	  /* the executable, with a reference */
	struct task_struct *task; /* the task of the task_ helpers; NULL: the current one */
	bool kept;		  /* kept_flags is set */
	u64 kept_flags;		  /* of a clone3, see newtask.c */
	u32 exe_len;		  /* bytes of the exe param: it and args share a limit */
	u8 *tmp;		  /* PATH_TMP_SIZE bytes of the ring */
	struct ring *ring;
	const struct hit *hit;
	const struct kmod_event *event;
	const struct settings *set; /* of the consumer */
	bool no_header;		    /* not even the header fits: the loss is counted already */
};

/* Room for len more bytes; NULL if they do not fit, and then the event is lost. */
static __always_inline u8 *room(struct filler *f, u64 len)
{
	if (f->full || len > f->cap - f->off) {
		f->full = true;
		return NULL;
	}
	return f->buf + f->off;
}

static __always_inline void append_bytes(struct filler *f, const void *p, u32 len)
{
	u8 *to = room(f, len);

	if (to) {
		memcpy(to, p, len);
		f->off += len;
	}
}

#define DEFINE_APPEND(type)                                                 \
	static __always_inline void append_##type(struct filler *f, type v) \
	{                                                                   \
		append_bytes(f, &v, sizeof(v));                             \
	}
DEFINE_APPEND(u8)
DEFINE_APPEND(u16)
DEFINE_APPEND(u32)
DEFINE_APPEND(u64)
DEFINE_APPEND(s8)
DEFINE_APPEND(s16)
DEFINE_APPEND(s32)
DEFINE_APPEND(s64)
#undef DEFINE_APPEND

/* Appends len user bytes: all of them or none. */
static inline bool append_user(struct filler *f, u64 ptr, u64 len)
{
	u8 *to = room(f, len);

	if (!to || (len && !user_read(to, ptr, len)))
		return false;
	f->off += len;
	return true;
}

/* Appends a user string, cut to max bytes with its NUL; returns its length, 0 if it is unreadable. */
static inline u32 append_user_str(struct filler *f, u64 ptr, u32 max)
{
	u32 left = f->full ? 0 : f->cap - f->off, n;

	if (!left && max)
		f->full = true; /* without room it is unknown whether there is a string */
	n = user_read_str(f->buf + f->off, ptr, min(max, left));

	/* cut by the end of the ring, not by max */
	if (n && n == left && left < max)
		f->full = true;
	f->off += n;
	return n;
}

/* len bytes of the kernel's. */
static inline void append_kernel(struct filler *f, const void *p, u32 len)
{
	append_bytes(f, p, len);
}

/* A kernel string of at most max bytes with its NUL, cut; its length. */
static inline u32 append_kernel_str(struct filler *f, const void *str, u32 max)
{
	u32 len;

	if (!str || !max)
		return 0;
	len = strnlen(str, max - 1);
	append_bytes(f, str, len);
	append_u8(f, 0);
	return len + 1;
}

static __always_inline void rewrite_u16(struct filler *f, u32 off, u16 v)
{
	if (!f->full)
		memcpy(f->buf + off, &v, sizeof(v));
}

/* Overwrites the end of what was appended, at least 4 bytes, with CUT_MARK. */
static __always_inline void mark_end(struct filler *f)
{
	if (!f->full)
		memcpy(f->buf + f->off - sizeof(CUT_MARK), CUT_MARK, sizeof(CUT_MARK));
}

/* Appends a user string, marked if it is cut; returns its length, 0 if it is unreadable. */
static inline u32 append_user_text(struct filler *f, u64 ptr)
{
	u32 n = append_user_str(f, ptr, STRING_MAX + 1);

	if (n <= STRING_MAX)
		return n;
	f->off--;
	mark_end(f);
	return STRING_MAX;
}

static __always_inline void end_param(struct filler *f, u32 start)
{
	u16 len = f->off - start;

	if (f->full)
		return;
	if (f->n < f->limit)
		memcpy(f->buf + EVENT_PAYLOAD(f->n), &len, sizeof(len));
	else
		f->off = start;
	f->n++;
}

/* Only the eBPF verifier needs this. */
static __always_inline u32 forget(struct filler *f, u32 v)
{
	return v;
}

static __always_inline u8 *tmp_of(struct filler *f)
{
	return f->tmp;
}

static __always_inline struct task_struct *subject(struct filler *f)
{
	return f->task ? f->task : current;
}

#endif
