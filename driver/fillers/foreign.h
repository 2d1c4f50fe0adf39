/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Calls that are not native: those of 32-bit and x32 tasks, and numbers that are no call.
 * Each gets a place in the tables by call, and the arguments of the native call that it
 * is. For the dispatchers; a driver defines BOUNDED(index, size) before.
 */
#ifndef SCAP_FOREIGN_H
#define SCAP_FOREIGN_H

#define X32_BIT	  0x40000000 /* of an x32 task's numbers, on amd64 */
#define NR_CLONE3 435	     /* everywhere */

struct call {
	u32 nr;	    /* its place in the tables by call */
	u32 number; /* what the task passed */
	u32 layout; /* of structs in user memory: LAYOUT_ bits */
	u64 arg[6];
};

#define CALL_LAYOUT_SHIFT 12
#define FOREIGN_CALL(nr, layout) ((nr) | (layout) << CALL_LAYOUT_SHIFT)

static __always_inline u64 pair(u32 low, u32 high)
{
	return low | (u64)high << 32;
}

/* Arguments that are words in memory. */
static __always_inline void ia32_vector(u64 arg[6], u64 ptr, u32 words)
{
	for (u32 i = 0; i < 6; i++) {
		u32 v = 0;

		if (i < words && !user_read(&v, ptr + 4 * i, sizeof(v)))
			v = 0;
		arg[i] = v;
	}
}

#include "../abi/calls_gen.h"

/* The kernel clears the number when a signal handler returns, and where an exec forgets the call. */
#define NO_NUMBER ((u32)-1)

#if defined(SCAP_ARCH_AMD64)

/* False if the call makes no event. */
static __always_inline bool ia32_call(struct call *c, u32 nr, const u32 reg[6], s64 ret)
{
	u32 entry, which;

	if (nr == NO_NUMBER)
		return false;
	/* A 64-bit task that executes a 32-bit program returns from exec with its 64-bit number. */
	if (is_exec(nr) && !ret && !(reg[0] | reg[1] | reg[2] | reg[3] | reg[4] | reg[5]))
		return false;
	c->nr = UNKNOWN_CALL;
	c->number = nr;
	c->layout = LAYOUT_IA32;
	for (int i = 0; i < 6; i++)
		c->arg[i] = reg[i];
	if (nr >= SYSCALLS)
		return true;
	entry = ia32_calls[BOUNDED(nr, SYSCALLS)];
	if (entry) {
		c->nr = entry & (CALLS - 1);
		c->layout = entry >> CALL_LAYOUT_SHIFT;
	} else if (nr >= FIRST_COMMON_NR) {
		c->nr = nr;
	}
	which = reg[0];
	if (nr != IA32_NR_SOCKETCALL) {
		ia32_arguments(nr, reg, c->arg);
	} else if (which < SOCKETCALLS) {
		which = BOUNDED(which, SOCKETCALLS);
		if (socketcalls[which].nr) {
			c->nr = socketcalls[which].nr;
			ia32_vector(c->arg, reg[1], socketcalls[which].args);
		}
	}
	return true;
}

/* A 64-bit task's number that is no native call: of x32, or unknown. The arguments are set already. */
static __always_inline bool x32_call(struct call *c, u32 nr)
{
	u32 entry;

	if (nr == NO_NUMBER)
		return false;
	c->nr = UNKNOWN_CALL;
	c->number = nr;
	c->layout = 0;
	if (!(nr & X32_BIT))
		return true;
	nr &= ~X32_BIT;
	if (nr < SYSCALLS) {
		c->nr = nr;
	} else if (nr < SYSCALLS + X32_CALLS) {
		entry = x32_calls[BOUNDED(nr - SYSCALLS, X32_CALLS)];
		if (entry) {
			c->nr = entry & (CALLS - 1);
			c->layout = entry >> CALL_LAYOUT_SHIFT;
		}
	}
	return true;
}

#endif
#endif
