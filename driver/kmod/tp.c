// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Tracepoints: finds them by name and attaches probes while a consumer wants them.
 * record.c makes a hit an event, and writes it for each consumer that wants it.
 */
#include <linux/delay.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/tracepoint.h>
#include <trace/events/sched.h>
#include <trace/events/signal.h>
#include <trace/events/syscalls.h>
#include <trace/events/task.h>
#ifdef CONFIG_X86
#if __has_include(<trace/events/exceptions.h>)
#include <trace/events/exceptions.h>
#else
#include <asm/trace/exceptions.h>
#endif
#endif

#include "compat.h"
#include "kmod.h"
#include "newtask.h"
#include "record.h"

static DEFINE_PER_CPU(unsigned long, hits);

/* Kernel threads make no events but switches. */
static void probe_sys_enter(void *data, struct pt_regs *regs, long nr)
{
	preempt_disable_notrace();
	this_cpu_inc(hits);
	record_sys_enter(regs, nr);
	preempt_enable_notrace();
}

/* Since 6.13 (0e6caab8db8b) this probe is called with preemption on. */
static void probe_sys_exit(void *data, struct pt_regs *regs, long ret)
{
	preempt_disable_notrace();
	this_cpu_inc(hits);
	record_sys_exit(regs, ret);
	preempt_enable_notrace();
}

static void probe_process_exit(void *data, struct task_struct *p EXIT_GROUP_DEAD)
{
	preempt_disable_notrace();
	this_cpu_inc(hits);
	if (!(current->flags & PF_KTHREAD))
		record_process_exit(p);
	preempt_enable_notrace();
}

static void probe_sched_switch(void *data, bool preempt, struct task_struct *prev,
			       struct task_struct *next SWITCH_PREV_STATE)
{
	preempt_disable_notrace();
	this_cpu_inc(hits);
	record_sched_switch(prev, next);
	preempt_enable_notrace();
}

#ifdef CONFIG_X86
static void probe_page_fault_user(void *data, unsigned long address, struct pt_regs *regs,
				  unsigned long error)
{
	preempt_disable_notrace();
	this_cpu_inc(hits);
	record_page_fault(TP_PAGE_FAULT_USER, address, regs, error);
	preempt_enable_notrace();
}

static void probe_page_fault_kernel(void *data, unsigned long address, struct pt_regs *regs,
				    unsigned long error)
{
	preempt_disable_notrace();
	this_cpu_inc(hits);
	record_page_fault(TP_PAGE_FAULT_KERNEL, address, regs, error);
	preempt_enable_notrace();
}
#endif

static void probe_signal_deliver(void *data, int sig, struct kernel_siginfo *info,
				 struct k_sigaction *ka)
{
	preempt_disable_notrace();
	this_cpu_inc(hits);
	record_signal_deliver(sig, info);
	preempt_enable_notrace();
}

#ifndef CONFIG_X86
static void probe_process_fork(void *data, struct task_struct *parent, struct task_struct *child)
{
	preempt_disable_notrace();
	this_cpu_inc(hits);
	if (!(child->flags & PF_KTHREAD))
		record_process_fork(parent, child);
	preempt_enable_notrace();
}
#endif

static void probe_process_exec(void *data, struct task_struct *p, pid_t old_pid,
			       struct linux_binprm *bprm)
{
	preempt_disable_notrace();
	this_cpu_inc(hits);
	if (!(p->flags & PF_KTHREAD))
		record_process_exec(p, bprm);
	preempt_enable_notrace();
}

/* Not a consumer's: attached together with sys_exit, for the events of clone3. */
static void probe_newtask(void *data, struct task_struct *task, NEWTASK_FLAGS flags)
{
	preempt_disable_notrace();
	record_newtask(task, flags);
	preempt_enable_notrace();
}

static struct tracepoint *newtask;

/* In the order of enum scap_tp. probe is NULL if the architecture does not have the tracepoint. */
static struct {
	const char *name;
	void *probe;
	struct tracepoint *tp;
	unsigned int users;
} tps[TP_COUNT] = {
	[TP_SYS_ENTER]		= { "sys_enter", probe_sys_enter },
	[TP_SYS_EXIT]		= { "sys_exit", probe_sys_exit },
	[TP_SCHED_PROCESS_EXIT] = { "sched_process_exit", probe_process_exit },
	[TP_SCHED_SWITCH]	= { "sched_switch", probe_sched_switch },
#ifdef CONFIG_X86
	[TP_PAGE_FAULT_USER]	= { "page_fault_user", probe_page_fault_user },
	[TP_PAGE_FAULT_KERNEL]	= { "page_fault_kernel", probe_page_fault_kernel },
#endif
	[TP_SIGNAL_DELIVER]	= { "signal_deliver", probe_signal_deliver },
#ifndef CONFIG_X86
	[TP_SCHED_PROCESS_FORK] = { "sched_process_fork", probe_process_fork },
#endif
	[TP_SCHED_PROCESS_EXEC] = { "sched_process_exec", probe_process_exec },
};

static void find_tp(struct tracepoint *tp, void *data)
{
	unsigned int i;

	for (i = 0; i < TP_COUNT; i++)
		if (tps[i].probe && !strcmp(tp->name, tps[i].name))
			tps[i].tp = tp;
	if (!strcmp(tp->name, "task_newtask"))
		newtask = tp;
}

/* Unregistering may need memory. Retry: a probe that stays attached would be called after the module is gone. */
static void unregister(struct tracepoint *tp, void *probe)
{
	while (tracepoint_probe_unregister(tp, probe, NULL) == -ENOMEM)
		msleep(10);
}

int tp_init(void)
{
	/* The kernel calls probes through an untyped pointer; these let the compiler check their types. */
	check_trace_callback_type_sys_enter(probe_sys_enter);
	check_trace_callback_type_sys_exit(probe_sys_exit);
	check_trace_callback_type_sched_process_exit(probe_process_exit);
	check_trace_callback_type_sched_switch(probe_sched_switch);
	check_trace_callback_type_signal_deliver(probe_signal_deliver);
	check_trace_callback_type_sched_process_exec(probe_process_exec);
	check_trace_callback_type_task_newtask(probe_newtask);
#ifdef CONFIG_X86
	check_trace_callback_type_page_fault_user(probe_page_fault_user);
	check_trace_callback_type_page_fault_kernel(probe_page_fault_kernel);
#else
	check_trace_callback_type_sched_process_fork(probe_process_fork);
#endif

	newtask_init();
	for_each_kernel_tracepoint(find_tp, NULL);
	if (!tps[TP_SYS_EXIT].tp || !tps[TP_SYS_ENTER].tp) {
		pr_err("scap: this kernel has no system-call tracepoints\n");
		return -ENOENT;
	}
	return 0;
}

void tp_exit(void)
{
	tp_wait();
}

/* Succeeds without effect if this architecture or kernel does not have the tracepoint. */
int tp_enable(struct consumer *c, unsigned int tp)
{
	int err;

	if (c->tps & BIT(tp) || !tps[tp].tp)
		return 0;
	if (!tps[tp].users) {
		if (tp == TP_SYS_EXIT && newtask) {
			err = tracepoint_probe_register(newtask, probe_newtask, NULL);
			if (err) {
				pr_err("scap: tracepoint task_newtask: cannot attach: %d\n", err);
				return err;
			}
		}
		err = tracepoint_probe_register(tps[tp].tp, tps[tp].probe, NULL);
		if (err) {
			pr_err("scap: tracepoint %s: cannot attach: %d\n", tps[tp].name, err);
			if (tp == TP_SYS_EXIT && newtask)
				unregister(newtask, probe_newtask);
			return err;
		}
	}
	tps[tp].users++;
	WRITE_ONCE(c->tps, c->tps | BIT(tp));
	return 0;
}

static bool tp_put(struct consumer *c, unsigned int tp)
{
	unsigned int i, users = 0;
	int cpu;

	if (!(c->tps & BIT(tp)))
		return false;
	WRITE_ONCE(c->tps, c->tps & ~BIT(tp));
	if (--tps[tp].users)
		return false;
	unregister(tps[tp].tp, tps[tp].probe);
	if (tp == TP_SYS_EXIT && newtask)
		unregister(newtask, probe_newtask);
	for (i = 0; i < TP_COUNT; i++)
		users += tps[i].users;
	if (!users)
		for_each_possible_cpu(cpu)
			per_cpu(hits, cpu) = 0;
	return true;
}

/* When this returns, no probe of that tracepoint runs or will start. */
void tp_disable(struct consumer *c, unsigned int tp)
{
	if (tp_put(c, tp))
		tp_wait();
}

/* All of a consumer's; true when tp_wait is still to be called. */
bool tp_put_all(struct consumer *c)
{
	bool wait = false;
	unsigned int tp;

	for (tp = 0; tp < TP_COUNT; tp++)
		wait |= tp_put(c, tp);
	return wait;
}

/* Waits until no detached probe runs any more. */
void tp_wait(void)
{
	tracepoint_synchronize_unregister();
}

void tp_hits(long *out, unsigned int cpus)
{
	unsigned int cpu;

	for (cpu = 0; cpu < cpus; cpu++)
		out[cpu] = cpu_possible(cpu) ? per_cpu(hits, cpu) : 0;
}
