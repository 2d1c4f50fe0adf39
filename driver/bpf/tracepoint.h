/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The tracepoints: their arguments, and the task of the event. */
#ifndef SCAP_BPF_TRACEPOINT_H
#define SCAP_BPF_TRACEPOINT_H

#define PF_KTHREAD 0x00200000

static __always_inline bool pick_switch(struct filler *f, u64 *ctx, u32 *tid)
{
	if (settings.dropping)
		return false;
	f->task = (void *)ctx[1];
	f->tp[2] = ctx[2];
	return true;
}
#define TP_sched_switch(symbol, code, nparams, bytes) \
	TRACEPOINT_PROG(x_##symbol, symbol, sched_switch, pick_switch, events, code, nparams, bytes)

static __always_inline bool pick_exit(struct filler *f, u64 *ctx, u32 *tid)
{
	f->task = (void *)ctx[0];
	return !(READ(f->task, flags) & PF_KTHREAD);
}
#define TP_sched_process_exit(symbol, code, nparams, bytes) \
	TRACEPOINT_PROG(x_##symbol, symbol, sched_process_exit, pick_exit, events, code, nparams, bytes)

static __always_inline bool pick_signal(struct filler *f, u64 *ctx, u32 *tid)
{
	if (settings.dropping)
		return false;
	f->tp[0] = (s32)ctx[0];
	f->tp[1] = ctx[1];
	return true;
}
#define TP_signal_deliver(symbol, code, nparams, bytes) \
	TRACEPOINT_PROG(x_##symbol, symbol, signal_deliver, pick_signal, events, code, nparams, bytes)

#if defined(SCAP_ARCH_AMD64)
static __always_inline bool pick_fault(struct filler *f, u64 *ctx, u32 *tid)
{
	if (settings.dropping)
		return false;
	f->tp[0] = ctx[0];
	f->tp[1] = ctx[1];
	f->tp[2] = ctx[2];
	return true;
}
#define TP_page_fault_user(symbol, code, nparams, bytes)                                                    \
	TRACEPOINT_PROG(x_##symbol, symbol, page_fault_user, pick_fault, page_faults, code, nparams, bytes) \
	TRACEPOINT_PROG(k_##symbol, symbol, page_fault_kernel, pick_fault, page_faults, code, nparams, bytes)
#else
#define TP_page_fault_user(symbol, code, nparams, bytes)
#endif

/* A CPU that comes while a capture runs gets a ring, so this event is never needed. */
#define TP_cpu_hotplug(symbol, code, nparams, bytes)

/* The event of a successful exec is made here, with the new image in place. */
static __always_inline bool pick_exec(struct filler *f, u64 *ctx, u32 *tid)
{
	f->tp[2] = ctx[2];
	f->exec = true;
	return true;
}
#define TP_sched_process_exec(symbol, code, nparams, bytes) \
	TRACEPOINT_PROG(t_##symbol, symbol, sched_process_exec, pick_exec, events, code, nparams, bytes)

#if !defined(SCAP_ARCH_AMD64)
/* Where a new thread does not pass sys_exit, its clone event is made here. */
static __always_inline bool pick_child(struct filler *f, u64 *ctx, u32 *tid)
{
	f->task = (void *)ctx[1];
	f->child = true;
	*tid = READ(f->task, pid);
	return !(READ(f->task, flags) & PF_KTHREAD);
}
#define TP_sched_process_fork(symbol, code, nparams, bytes) \
	TRACEPOINT_PROG(t_##symbol, symbol, sched_process_fork, pick_child, events, code, nparams, bytes)
#else
#define TP_sched_process_fork(symbol, code, nparams, bytes)
#endif

#endif
