/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Values from tracepoints, from the dispatcher and from settings. */
#ifndef SCAP_TRACE_H
#define SCAP_TRACE_H

static __always_inline u64 tp(struct filler *f, u32 n)
{
	return f->tp[n & 3];
}

static __always_inline s64 tid_of(u64 task)
{
	return READ((struct task_struct *)task, pid);
}

static __always_inline u64 regs_ip(u64 regs)
{
	return regs_ip_of((const struct pt_regs *)regs);
}

#define SI_USER	  0
#define SI_QUEUE  (-1)
#define SIG_HUP	  1
#define SIG_INT	  2
#define SIG_QUIT  3
#define SIG_KILL  9
#define SIG_TERM  15
#define SIG_CHLD  17
#define SIG_TSTP  20
#define SIG_RTMIN 32
#define SIG_LAST  64

/* Pointer values up to this one stand for signals of the kernel, which have no siginfo. */
#define SEND_SIG_LAST 2

static __always_inline s64 signal_sender(u64 signal, u64 siginfo)
{
	struct kernel_siginfo *info = (struct kernel_siginfo *)siginfo;
	u32 sig = signal;

	if (siginfo <= SEND_SIG_LAST)
		return 0;
	switch (sig) {
	case SIG_KILL:
	case SIG_CHLD:
		return READ(info, _sifields._kill._pid);
	case SIG_TERM:
	case SIG_HUP:
	case SIG_INT:
	case SIG_TSTP:
	case SIG_QUIT:
		return READ(info, si_code) <= SI_USER ? READ(info, _sifields._kill._pid) : 0;
	}
	return sig >= SIG_RTMIN && sig <= SIG_LAST ? READ(info, _sifields._kill._pid) : 0;
}

/* ---- the end of a thread */

static __always_inline s64 exit_code(struct filler *f)
{
	return READ(subject(f), exit_code);
}

static __always_inline s64 exit_status(struct filler *f)
{
	return (exit_code(f) >> 8) & 0xff;
}

/* 0x7f means stopped, which is not an end. */
static __always_inline u64 exit_signal(struct filler *f)
{
	u32 sig = exit_code(f) & 0x7f;

	return sig == 0x7f ? 0 : sig;
}

static __always_inline u64 exit_core(struct filler *f)
{
	return exit_code(f) & 0x80 ? 1 : 0;
}

/* ---- the dispatcher and settings */

static __always_inline u64 syscall_id(struct filler *f)
{
	return f->nr < SYSCALLS ? syscall_id_of(f->nr) : f->nr - SYSCALLS;
}

static __always_inline u64 native_id(struct filler *f)
{
	return f->nr < SYSCALLS ? f->nr : f->number;
}

static __always_inline u64 sampling_ratio(struct filler *f)
{
	return setting_ratio(f);
}

static __always_inline u64 cpu_id(struct filler *f)
{
	return this_cpu(f);
}

#endif
