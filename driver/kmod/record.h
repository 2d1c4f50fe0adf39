/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Each function turns a tracepoint hit into an event in each consumer's ring. All run with preemption off. */
#ifndef SCAP_KMOD_RECORD_H
#define SCAP_KMOD_RECORD_H

#include "kmod.h"

struct kernel_siginfo;
struct linux_binprm;
struct pt_regs;

void record_sys_enter(struct pt_regs *regs, long nr);
void record_sys_exit(struct pt_regs *regs, long ret);
void record_newtask(struct task_struct *task, u64 flags);
void record_process_exit(struct task_struct *task);
void record_process_fork(struct task_struct *parent, struct task_struct *child);
void record_process_exec(struct task_struct *task, struct linux_binprm *bprm);
void record_sched_switch(struct task_struct *prev, struct task_struct *next);
void record_page_fault(enum scap_tp tp, unsigned long address, struct pt_regs *regs,
		       unsigned long error);
void record_signal_deliver(int sig, struct kernel_siginfo *info);

#endif
