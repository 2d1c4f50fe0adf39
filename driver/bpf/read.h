/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Reading kernel and user memory, for eBPF. Unreadable kernel memory reads as 0,
 * and so do fields of a NULL pointer.
 */
#ifndef SCAP_BPF_READ_H
#define SCAP_BPF_READ_H

/* bpf_rdonly_cast is in 6.2. This type, by which it is found, is in 6.4: no kernel has the type alone. */
struct bpf_iter_num {
	u64 opaque[1];
};
#define fast_read core_type_exists(struct bpf_iter_num)

/*
 * READ(p, a) is p->a; READ(p, a, b, c) is p->a->b->c. If the kernel can cast
 * pointers each hop is one load, else a call of the probe read helper.
 */
#define READ1(p, a)                                                                          \
	({                                                                                   \
		typeof((p)->a) v_;                                                           \
		typeof(p) p_ = (p);                                                          \
		if (fast_read)                                                               \
			v_ = ((typeof(p))bpf_rdonly_cast(p_, core_type_id(typeof(*p_))))->a; \
		else                                                                         \
			bpf_probe_read_kernel(&v_, sizeof(v_), &p_->a);                      \
		v_;                                                                          \
	})
#define READ2(p, a, b)				 READ1(READ1(p, a), b)
#define READ3(p, a, b, c)			 READ1(READ2(p, a, b), c)
#define READ4(p, a, b, c, d)			 READ1(READ3(p, a, b, c), d)
#define READ5(p, a, b, c, d, e)			 READ1(READ4(p, a, b, c, d), e)
#define READ_PICK(_1, _2, _3, _4, _5, name, ...) name
#define READ(p, ...)				 READ_PICK(__VA_ARGS__, READ5, READ4, READ3, READ2, READ1)(p, __VA_ARGS__)

/* p->a as a plain number for the verifier: in loops, kinds of pointers would multiply its work. */
#define PROBE(p, a)                                              \
	({                                                       \
		typeof((p)->a) v_;                               \
		bpf_probe_read_kernel(&v_, sizeof(v_), &(p)->a); \
		v_;                                              \
	})

/* Whether the running kernel's struct has the field; the loader makes it a constant. */
#define HAS(type, field) core_field_exists(((type *)0)->field)

/* The value at a pointer of any type. */
#define READ_AT(p)                                           \
	({                                                   \
		typeof(*(p)) v_;                             \
		bpf_probe_read_kernel(&v_, sizeof(v_), (p)); \
		v_;                                          \
	})

/* Copies size bytes (a constant) of kernel memory; zeros if they are unreadable. */
static __always_inline void kernel_read(void *dst, const void *src, u32 size)
{
	bpf_probe_read_kernel(dst, size, src);
}

/* A pointer as a number: the verifier accepts numbers as arguments of global functions. */
static __always_inline u64 number_of(const void *p)
{
	u64 v;

	bpf_probe_read_kernel(&v, sizeof(v), &p);
	return v;
}

/* The struct that has the field at p. */
#define OUTER(p, type, field) ((type *)((u8 *)(p) - __builtin_preserve_field_info(((type *)0)->field, 0)))

static __always_inline struct task_struct *current_task(void)
{
	if (fast_read)
		return bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

/* Copies size user bytes, at most EVENT_MAX - 1; true if all of them were read. */
static __always_inline bool user_read(void *dst, u64 ptr, u64 size)
{
	if (!__builtin_constant_p(size)) {
		opaque(size);
		size &= EVENT_MAX - 1;
	}
	return ptr && !bpf_probe_read_user(dst, size, (void *)ptr);
}

/* Copies a user string, cut to max bytes; returns its length with the NUL, 0 if it is unreadable. */
static __always_inline u32 user_read_str(void *dst, u64 ptr, u32 max)
{
	long n = ptr ? bpf_probe_read_user_str(dst, max, (void *)ptr) : -1;

	/* Before 6.13 the helper returns 0 for an empty string, not 1. */
	return n > 0 ? n : n == 0;
}

#endif
