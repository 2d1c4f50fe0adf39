/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Writing params, for eBPF. f->buf is in a ring of our own, or a ring record of the exact size, or the CPU's scratch. */
#ifndef SCAP_BPF_PUSH_H
#define SCAP_BPF_PUSH_H

#define EVENT_MASK (EVENT_MAX - 1)

/* The event being built. It lives in registers: every function that takes it is inlined. */
struct filler {
	const struct pt_regs *regs;
	s64 ret;
	u64 arg[6];
	u64 tp[4];	/* arguments of a tracepoint */
	u8 *buf;	/* start of the event */
	u32 off;	/* where the next param starts, from buf */
	u16 n;		/* params pushed */
	u16 type;	/* event code */
	u32 nparams;	/* of the event */
	u8 ia32;	/* layout of user structs: LAYOUT_ bits */
	bool exec;	/* from sched_process_exec: the call succeeded */
	bool child;	/* from sched_process_fork: task is the new thread */
	bool have_file; /* file_fd and file are set */
	u32 nr;		/* place of the syscall in the tables by call */
	u32 number;		/* as a task without native number for it passed it */
	s64 file_fd;
	struct file *file;	  /* open file of file_fd, looked up last */
	struct task_struct *task; /* the task of the task_ helpers; NULL: the current one */
	struct cpu *cpu;
	struct counters *count;
	void *ring;
	u32 size;    /* of a fixed-size event, else 0 */
	bool full;   /* no room for the next of several events */
	u32 exe_len; /* bytes of the exe param: it and args share a limit */
};

/*
 * The mask is for the verifier, which does not follow the compiler's proof that it
 * changes nothing. An event that outgrows the mask is dropped in the end, by its
 * length.
 */
static __always_inline u8 *here(struct filler *f)
{
	u32 off = f->off;

	if (!__builtin_constant_p(off))
		opaque(off);
	return f->buf + (off & EVENT_MASK);
}

/*
 * A param is appended piece by piece: start = f->off, append_..., end_param(f,
 * start). The stores are unaligned; declaring them so would make each of them
 * one store per byte.
 */
#define DEFINE_APPEND(type)                                                 \
	static __always_inline void append_##type(struct filler *f, type v) \
	{                                                                   \
		*(type *)here(f) = v;                                       \
		f->off += sizeof(type);                                     \
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

/* Appends len bytes from p; len is a constant. */
static __always_inline void append_bytes(struct filler *f, const void *p, u32 len)
{
	memcpy(here(f), p, len);
	f->off += len;
}

/* Appends len user bytes, at most PARAM_MAX: all of them or none. */
static __always_inline bool append_user(struct filler *f, u64 ptr, u64 len)
{
	if (len && !user_read(here(f), ptr, len))
		return false;
	f->off += len;
	return true;
}

/* Appends a user string, cut to max bytes with its NUL; returns its length, 0 if it is unreadable. */
static __always_inline u32 append_user_str(struct filler *f, u64 ptr, u32 max)
{
	u32 n = user_read_str(here(f), ptr, max);

	f->off += n;
	return n;
}

/*
 * Appends a user string, marked if it is cut; returns its length, 0 if it is unreadable. Without
 * a branch, which would double the verifier's work for each string: where nothing is cut the
 * mark is behind the string, and what comes next overwrites it.
 */
static __always_inline u32 append_user_text(struct filler *f, u64 ptr)
{
	u32 n = user_read_str(here(f), ptr, STRING_MAX + 1), cut, at;

	_Static_assert(STRING_MAX == 1 << 12, "which numbers up to STRING_MAX + 1 are odd and above");
	opaque(n);
	cut = n >> 12 & n & 1;
	n -= cut;
	f->off += n;
	at = f->off - cut * sizeof(u32);
	opaque(at);
	*(u32 *)(f->buf + (at & EVENT_MASK)) = CUT_MARK_STRING;
	return n;
}

/* len bytes of the kernel's, at most EVENT_MASK; zeros when they cannot be read. */
static __always_inline void append_kernel(struct filler *f, const void *p, u32 len)
{
	opaque(len);
	len &= EVENT_MASK;
	bpf_probe_read_kernel(here(f), len, p);
	f->off += len;
}

/* A kernel string of at most max bytes with its NUL, cut; its length; max below EVENT_MAX. */
static __always_inline u32 append_kernel_str(struct filler *f, const void *str, u32 max)
{
	long n;

	if (!__builtin_constant_p(max)) {
		opaque(max);
		max &= EVENT_MASK;
	}
	n = str ? bpf_probe_read_kernel_str(here(f), max, str) : 0;
	if (n < 0)
		n = 0;
	f->off += n;
	return n;
}

/* Overwrites a number that was appended at off. */
static __always_inline void rewrite_u16(struct filler *f, u32 off, u16 v)
{
	*(u16 *)(f->buf + (off & EVENT_MASK)) = v;
}

/* Overwrites the end of what was appended, at least 4 bytes, with CUT_MARK. */
static __always_inline void mark_end(struct filler *f)
{
	u32 at = f->off - sizeof(u32);

	opaque(at);
	*(u32 *)(f->buf + (at & EVENT_MASK)) = CUT_MARK_STRING;
}

static __always_inline void end_param(struct filler *f, u32 start)
{
	*(u16 *)(f->buf + EVENT_PAYLOAD(f->n)) = f->off - start;
	f->n++;
}

/* TMP_SIZE bytes, and as many again that a write may run into; only for events built in scratch. */
static __always_inline u8 *tmp_of(struct filler *f)
{
	return f->buf + SCRATCH_SIZE;
}

/*
 * Returns v as a number that the verifier knows nothing about. What it knows of a
 * loop's variables makes it check each iteration separately.
 */
static __always_inline u32 forget(struct filler *f, u32 v)
{
	volatile u32 *p = (volatile u32 *)(f->buf + offsetof(struct scratch, forgotten));

	*p = v;
	return *p;
}

static __always_inline struct task_struct *subject(struct filler *f)
{
	return f->task ? f->task : current_task();
}

#endif
