/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Reading kernel and user memory, for the module. Fields of a NULL pointer read as
 * 0. User memory is read with page faults off: what is not resident is unreadable.
 */
#ifndef SCAP_KMOD_READ_H
#define SCAP_KMOD_READ_H

#include <linux/uaccess.h>

#undef READ /* the block layer's */

/* volatile: the compiler must not load twice what another CPU may change. */
#define READ1(p, a)                                                          \
	({                                                                   \
		__auto_type p_ = (p);                                        \
		p_ ? *(const volatile typeof(p_->a) *)&p_->a : (typeof(p_->a)){ 0 }; \
	})
#define READ2(p, a, b)		READ1(READ1(p, a), b)
#define READ3(p, a, b, c)	READ1(READ2(p, a, b), c)
#define READ4(p, a, b, c, d)	READ1(READ3(p, a, b, c), d)
#define READ5(p, a, b, c, d, e) READ1(READ4(p, a, b, c, d), e)
#define READ_PICK(_1, _2, _3, _4, _5, _6, name, ...) name
#define READ(p, ...) READ_PICK(p, __VA_ARGS__, READ5, READ4, READ3, READ2, READ1)(p, __VA_ARGS__)

/* A bit field. */
#define READ_BITS(p, field)             \
	({                              \
		__auto_type b_ = (p);   \
		b_ ? b_->field : 0;     \
	})

#define READ_AT(p)                                                           \
	({                                                                   \
		__auto_type p_ = (p);                                        \
		p_ ? *(const volatile typeof(*p_) *)p_ : (typeof(*p_)){ 0 }; \
	})

#define OUTER(p, type, field) container_of(p, type, field)

/* Copies size bytes of kernel memory; leaves dst alone if src is NULL. */
static __always_inline void scap_kernel_read(void *dst, const void *src, u32 size)
{
	if (src)
		memcpy(dst, src, size);
}

static __always_inline u64 number_of(const void *p)
{
	return (unsigned long)p;
}

#define SUBPROGRAM(group) static noinline

static __always_inline struct task_struct *scap_current_task(void)
{
	return current;
}

/* Copies size user bytes; true if all of them were read, else dst is zeros: as in eBPF. */
static inline bool user_read(void *dst, u64 ptr, u64 size)
{
	const void __user *src = (const void __user *)(unsigned long)ptr;
	bool ok = false;

	if (ptr && access_ok(src, size)) {
		pagefault_disable();
		ok = !__copy_from_user_inatomic(dst, src, size);
		pagefault_enable();
	}
	if (unlikely(!ok))
		memset(dst, 0, size);
	return ok;
}

/* Copies a user string, cut to max bytes; returns its length with the NUL, 0 if it is unreadable. */
static inline u32 user_read_str(void *dst, u64 ptr, u32 max)
{
	char *to = dst;
	u32 n = 0;

	if (!ptr || !max)
		return 0;
	/* Aligned runs do not cross a page: a string may end where an unmapped page begins. */
	while (n < max) {
		u32 run = min_t(u32, max - n, 64 - ((ptr + n) & 63));
		char *nul;

		if (!user_read(to + n, ptr + n, run))
			return 0;
		nul = memchr(to + n, 0, run);
		if (nul)
			return nul - to + 1;
		n += run;
	}
	to[max - 1] = 0;
	return max;
}

#endif
