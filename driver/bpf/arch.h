/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Per architecture: the syscall's number and arguments, and whether the caller is a 32-bit task. */
#ifndef SCAP_BPF_ARCH_H
#define SCAP_BPF_ARCH_H

/*
 * The context of sys_exit and sys_enter. A tracing program gets the tracepoint's
 * arguments; a program called by perf gets perf's record: 8 bytes of its own, the
 * number, then the result (sys_exit) or the arguments (sys_enter).
 */
static __always_inline const struct pt_regs *call_regs(u64 *ctx)
{
	if (perf_tp)
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return (void *)ctx[0];
}

static __always_inline s64 call_ret(u64 *ctx)
{
	u64 ret;

	if (!perf_tp)
		return ctx[1];
	ret = ctx[2];
	opaque(ret); /* keeps them two loads: the verifier refuses one load at a variable offset */
	return ret;
}

static __always_inline u32 native_number(const struct pt_regs *regs);

/* The number of the call that ends; of a 32-bit task, its own. */
static __always_inline u32 exit_number(u64 *ctx)
{
	return perf_tp ? ctx[1] : native_number((void *)ctx[0]);
}

/* What a task's flags are read from: without a call where the kernel knows the type of the current task (5.11). */
enum bpf_func_id { BPF_FUNC_get_current_task_btf = 158, BPF_FUNC_task_pt_regs = 175 };
#define CURRENT_FLAGS(field)                                                              \
	(core_enum_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf) ?              \
		 bpf_get_current_task_btf()->field :                                      \
		 READ((struct task_struct *)bpf_get_current_task(), field))

#if defined(SCAP_ARCH_AMD64)

#define TS_COMPAT 2 /* thread_info.status during a 32-bit call */

/* Consecutive registers of struct pt_regs, whose layout is part of the ABI. */
struct call_regs {
	u64 r10, r9, r8, ax, cx, dx, si, di, orig_ax;
};

static __always_inline u32 probe_number(const struct pt_regs *regs)
{
	u64 nr;

	bpf_probe_read_kernel(&nr, sizeof(nr), &regs->orig_ax);
	return nr;
}

static __always_inline u32 native_number(const struct pt_regs *regs)
{
	return btf_tp ? regs->orig_ax : probe_number(regs);
}

static __always_inline void native_call(const struct pt_regs *regs, u32 *nr, u64 arg[6])
{
	struct call_regs r;

	if (btf_tp) {
		*nr = regs->orig_ax;
		arg[0] = regs->di;
		arg[1] = regs->si;
		arg[2] = regs->dx;
		arg[3] = regs->r10;
		arg[4] = regs->r8;
		arg[5] = regs->r9;
		return;
	}
	bpf_probe_read_kernel(&r, sizeof(r), &regs->r10);
	*nr = r.orig_ax;
	arg[0] = r.di;
	arg[1] = r.si;
	arg[2] = r.dx;
	arg[3] = r.r10;
	arg[4] = r.r8;
	arg[5] = r.r9;
}

static __always_inline void ia32_registers(const struct pt_regs *regs, u32 reg[6])
{
	struct call_regs r;
	u64 bp = 0, bx = 0;

	bpf_probe_read_kernel(&r, sizeof(r), &regs->r10);
	bpf_probe_read_kernel(&bp, sizeof(bp), &regs->bp);
	bpf_probe_read_kernel(&bx, sizeof(bx), &regs->bx);
	reg[0] = bx;
	reg[1] = r.cx;
	reg[2] = r.dx;
	reg[3] = r.si;
	reg[4] = r.di;
	reg[5] = bp;
}

static __always_inline bool is_compat(void)
{
	return CURRENT_FLAGS(thread_info.status) & TS_COMPAT;
}

#elif defined(SCAP_ARCH_ARM64)

#define TIF_32BIT 22

static __always_inline u32 probe_number(const struct pt_regs *regs)
{
	s32 nr;

	bpf_probe_read_kernel(&nr, sizeof(nr), &regs->syscallno);
	return nr;
}

static __always_inline u32 native_number(const struct pt_regs *regs)
{
	return btf_tp ? regs->syscallno : probe_number(regs);
}

/* At sys_exit x0 holds the result, and orig_x0 the first argument. */
static __always_inline void native_call(const struct pt_regs *regs, u32 *nr, u64 arg[6])
{
	u64 r[6], x0;
	s32 n;

	if (btf_tp) {
		*nr = regs->syscallno;
		arg[0] = regs->orig_x0;
		arg[1] = regs->regs[1];
		arg[2] = regs->regs[2];
		arg[3] = regs->regs[3];
		arg[4] = regs->regs[4];
		arg[5] = regs->regs[5];
		return;
	}
	bpf_probe_read_kernel(&n, sizeof(n), &regs->syscallno);
	*nr = n;
	bpf_probe_read_kernel(&r, sizeof(r), &regs->regs[0]);
	bpf_probe_read_kernel(&x0, sizeof(x0), &regs->orig_x0);
	arg[0] = x0;
	arg[1] = r[1];
	arg[2] = r[2];
	arg[3] = r[3];
	arg[4] = r[4];
	arg[5] = r[5];
}

static __always_inline bool is_compat(void)
{
	return CURRENT_FLAGS(thread_info.flags) & (1UL << TIF_32BIT);
}

#endif
#endif
