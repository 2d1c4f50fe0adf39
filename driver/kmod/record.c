// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * From a hit to an event: which event it is, which consumers want it, its bytes in
 * the ring. The params come from the fillers, which the eBPF driver compiles as well.
 */
#include <linux/binfmts.h>
#include <linux/nospec.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/timekeeping.h>
#include <asm/syscall.h>

#include "../abi/arch_gen.h"
#include "../abi/event.h"
#include "../abi/events_gen.h"
#include "kernel.h"
#include "newtask.h"
#include "record.h"

static u16 syscall_id_of(u32 nr);

#include "names.h"
#include "../fillers/all.h"
#define BOUNDED(index, size) array_index_nospec(index, size)
#include "../fillers/foreign.h"
#include "../fillers/all_gen.h"
#include "subprog.h"

enum drop { DROP_SAMPLED, DROP_NEVER, DROP_ALWAYS };

/* The counter of struct ring_info that counts an event's loss, besides n_drops_buffer. */
enum drop_category {
	DROPS_NONE,
	DROPS_CLONE_FORK,
	DROPS_EXECVE,
	DROPS_CONNECT_ENTER,
	DROPS_CONNECT,
	DROPS_OPEN_ENTER,
	DROPS_OPEN,
	DROPS_DIR_FILE,
	DROPS_OTHER_INTEREST,
	DROPS_CLOSE,
	DROPS_PROC_EXIT,
};

struct kmod_event {
	u16 code;
	u16 nparams;
	u16 old_nparams; /* how many of them older personas have; 0: all */
	enum drop drop;
	enum drop_category category;
	bool drop_failed; /* dropping mode drops its failures */
	int (*fill)(struct filler *f);
};

#define NO_SYSCALL -1

#include "table_gen.h"

/* The code that a generic event has for a native number. */
static u16 syscall_id_of(u32 nr)
{
	u16 id = syscall_ids[BOUNDED(nr, SYSCALLS)];

	return id < persona.ids ? id : 0;
}

/* How many params of an event a client of the persona expects. */
static u16 params_sent(const struct kmod_event *ev)
{
	return persona.older && ev->old_nparams ? ev->old_nparams : ev->nparams;
}

/* A tracepoint hit, the same for all consumers. */
struct hit {
	enum scap_tp tp;
	u64 ts;
	u64 tid;
	const struct kmod_event *ev;
	long nr;	 /* place in the tables by call and in the syscall masks; or NO_SYSCALL */
	struct filler f; /* what hit_init() sets; ring_write() sets the rest, for each event */
};

/* The counter of lost events of a category. */
static u64 *category_drops(struct ring_info *info, enum drop_category category)
{
	switch (category) {
	case DROPS_CLONE_FORK:	   return &info->n_drops_buffer_clone_fork_exit;
	case DROPS_EXECVE:	   return &info->n_drops_buffer_execve_exit;
	case DROPS_CONNECT_ENTER:  return &info->n_drops_buffer_connect_enter;
	case DROPS_CONNECT:	   return &info->n_drops_buffer_connect_exit;
	case DROPS_OPEN_ENTER:	   return &info->n_drops_buffer_open_enter;
	case DROPS_OPEN:	   return &info->n_drops_buffer_open_exit;
	case DROPS_DIR_FILE:	   return &info->n_drops_buffer_dir_file_exit;
	case DROPS_OTHER_INTEREST: return &info->n_drops_buffer_other_interest_exit;
	case DROPS_CLOSE:	   return &info->n_drops_buffer_close_exit;
	case DROPS_PROC_EXIT:	   return &info->n_drops_buffer_proc_exit;
	case DROPS_NONE:	   break;
	}
	return NULL;
}

/* Finds room for an event after head; without room, nothing that is pushed is written. */
static void event_begin(struct filler *f)
{
	const struct kmod_event *ev = f->event;
	struct ring *r = f->ring;
	struct ring_info *info = r->info;
	u32 tail, space;

	info->n_evts++;
	if (ev->code == EVT_SWITCH_ENTER || ev->code == EVT_PROCEXIT_ENTER)
		info->n_context_switches++;
	/* The client's position, which may be anything. After this load, what the client has read is free. */
	tail = smp_load_acquire(&info->tail);
	if (tail >= r->size)
		tail = 0;
	space = tail > r->head ? tail - r->head - 1 : r->size + tail - r->head - 1;
	f->buf = r->buf + r->head;
	f->cap = min_t(u32, space, EVENT_MAX + 1); /* a string is read with the byte that shows whether it is cut */
	f->off = EVENT_PAYLOAD(f->limit);
	f->n = 0;
	f->no_header = f->full = space < EVENT_PAYLOAD(f->limit);
	if (f->no_header)
		info->n_drops_buffer++;
}

/* Publishes the event; false if it is lost. */
static bool event_end(struct filler *f)
{
	const struct kmod_event *ev = f->event;
	struct ring *r = f->ring;
	struct event_header *head;
	u64 *category;
	u32 next;

	if (f->no_header)
		return false;
	if (f->full || f->n != ev->nparams || f->off > EVENT_MAX) {
		r->info->n_drops_buffer++;
		category = category_drops(r->info, ev->category);
		if (category)
			(*category)++;
		return false;
	}
	head = (struct event_header *)f->buf;
	head->ts = f->hit->ts;
	head->tid = f->hit->tid;
	head->len = f->off;
	head->type = ev->code;
	head->nparams = f->limit;
	next = r->head + f->off;
	if (next >= r->size)
		next -= r->size;
	r->head = next;
	/* Orders the event before the head that covers it; pairs with the client's load of head. */
	smp_store_release(&r->info->head, next);
	return true;
}

static __always_inline void lose_messages(struct filler *f, u32 n)
{
	f->ring->info->n_evts += n;
	f->ring->info->n_drops_messages += n;
}

/* Lets a filler send several events for one hit. */
static __always_inline bool next_event(struct filler *f, u32 left)
{
	event_end(f);
	event_begin(f);
	return true;
}

/* Writes an event; false if it is lost. */
static bool ring_write(struct consumer *c, struct ring *r, struct hit *h, const struct kmod_event *ev)
{
	struct filler *f = &h->f;

	f->type = ev->code;
	f->limit = params_sent(ev);
	f->file_fd = 0;
	f->file = f->exe = NULL;
	f->have_file = f->have_exe = false;
	f->exe_len = 0;
	f->tmp = r->tmp;
	f->ring = r;
	f->hit = h;
	f->event = ev;
	f->set = &c->set;
	event_begin(f);
	if (f->no_header)
		return false;
	ev->fill(f);
	close_file(f);
	close_exe(f);
	return event_end(f);
}

/* Writes the events that are due before the consumer's next one. */
static void write_owed(struct consumer *c, struct ring *r, struct hit *h)
{
	const struct kmod_event *marker;
	int cpu;

	if (unlikely(READ_ONCE(c->marker))) {
		marker = xchg(&c->marker, NULL);
		if (marker && !ring_write(c, r, h, marker))
			cmpxchg(&c->marker, NULL, marker); /* retry with the next event, unless there is a newer marker */
	}
	/* On whichever CPU is next: CPU 0, where the reference tells it, may have nothing to do. */
	cpu = READ_ONCE(c->hotplugged);
	if (unlikely(cpu >= 0) && cmpxchg(&c->hotplugged, cpu, HOTPLUG_TOLD) == cpu) {
		struct hit plug = *h;

		plug.f.tp[0] = cpu;
		if (!ring_write(c, r, &plug, &ev_cpu_hotplug_enter))
			WRITE_ONCE(c->hotplugged, cpu); /* retry with the next event */
	}
}

/* Writes the events that are due, then ev if it is not NULL. */
static void write_event(struct consumer *c, struct hit *h, const struct kmod_event *ev)
{
	struct ring *r = this_cpu_ptr(c->rings);

	if (!r->buf) {
		/* A CPU that came after the consumer, which gets one event about it, in another CPU's ring. */
		cmpxchg(&c->hotplugged, HOTPLUG_NONE, (int)smp_processor_id());
		return;
	}
	if (!READ_ONCE(r->open))
		return;
	write_owed(c, r, h);
	if (ev)
		ring_write(c, r, h, ev);
}

/* Counts an event that is not written: see record(). */
static void lose_nested(struct consumer *c)
{
	struct ring *r = this_cpu_ptr(c->rings);

	if (r->buf && READ_ONCE(r->open))
		r->info->n_preemptions++;
}

static bool in_dropping_gap(struct consumer *c, u64 ts)
{
	u32 ratio = READ_ONCE(c->set.ratio);
	u32 ns = do_div(ts, NSEC_PER_SEC);

	return ns >= NSEC_PER_SEC / ratio;
}

/* Whether dropping mode keeps the event. Where a gap begins or ends, a marker becomes due. */
static bool dropping_keeps(struct consumer *c, struct hit *h, const struct kmod_event *ev)
{
	int gap;

	if (ev->drop_failed && h->f.ret < 0)
		return false;
	if (!dropping_keeps_call(h->nr, h->f.arg))
		return false;
	/* The dropping mode of older versions does not keep F_SETFD. */
	if (ev->code == EVT_FCNTL_EXIT && (u32)h->f.arg[1] == F_SETFD && persona.older)
		return false;
	if (ev->drop == DROP_NEVER)
		return true;
	if (ev->drop == DROP_ALWAYS)
		return false;
	gap = in_dropping_gap(c, h->ts);
	if (gap != READ_ONCE(c->in_gap) && cmpxchg(&c->in_gap, !gap, gap) == !gap)
		WRITE_ONCE(c->marker, gap ? &ev_drop_enter : &ev_drop_exit);
	return !gap;
}

/* The event that a consumer gets for a hit; NULL: none. */
static const struct kmod_event *event_for(struct consumer *c, struct hit *h)
{
	const struct kmod_event *ev = h->ev;
	bool unknown = ev->code >= FIRST_OWN_CODE ? !READ_ONCE(c->set.own_events) :
						    ev->code >= persona.codes;

	if (likely(!unknown))
		return ev;
	return h->tp == TP_SYS_EXIT ? &ev_generic_exit : NULL;
}

static bool wants(struct consumer *c, enum scap_tp tp, long nr)
{
	if (!(READ_ONCE(c->tps) & BIT(tp)))
		return false;
	if (nr == NO_SYSCALL || test_bit(nr, c->syscalls))
		return true;
	/* A client of the reference's interface can select native numbers only. */
	return unlikely(nr >= SYSCALLS) && !READ_ONCE(c->set.own_events);
}

/*
 * Whether any consumer wants the event: most hits end here. Like all that goes through
 * the list of consumers here it runs with preemption off, which is enough for
 * synchronize_rcu() to wait for it.
 */
static bool wanted(enum scap_tp tp, long nr)
{
	struct consumer *c;

	list_for_each_entry_rcu(c, &consumers, list) {
		if (wants(c, tp, nr))
			return true;
	}
	return false;
}

/* How many hits are being recorded on this CPU. */
static DEFINE_PER_CPU(int, recording);

/*
 * A page fault within a filler, or within an interrupt of it, is a hit inside a hit. No
 * consumer gets it: one would have it in the middle of an event, another, whose turn has not
 * come, before an event with an earlier time.
 */
static void record(struct hit *h)
{
	bool nested = this_cpu_inc_return(recording) != 1;
	const struct kmod_event *ev;
	struct consumer *c;

	barrier();
	/* A fault in an NMI may interrupt the clock's update; the ordinary reading would wait forever for its end. */
	h->ts = unlikely(in_nmi()) ? ktime_get_real_fast_ns() : ktime_get_real_ns();
	list_for_each_entry_rcu(c, &consumers, list) {
		if (!wants(c, h->tp, h->nr))
			continue;
		if (READ_ONCE(c->set.drop_failed) && h->tp == TP_SYS_EXIT && h->f.ret < 0)
			continue;
		ev = event_for(c, h);
		if (!ev)
			continue;
		if (unlikely(nested)) {
			lose_nested(c);
			continue;
		}
		if (READ_ONCE(c->set.dropping) && !dropping_keeps(c, h, ev)) {
			if (READ_ONCE(c->marker))
				write_event(c, h, NULL);
			continue;
		}
		write_event(c, h, ev);
	}
	barrier();
	this_cpu_dec(recording);
}

/* Field by field: clearing the whole of it takes longer, and ring_write() sets the rest. */
static void hit_init(struct hit *h, enum scap_tp tp, const struct kmod_event *ev)
{
	struct filler *f = &h->f;

	h->tp = tp;
	h->ev = ev;
	h->nr = NO_SYSCALL;
	h->tid = task_pid_nr(current);
	f->regs = NULL;
	f->ret = 0;
	memset(f->arg, 0, sizeof(f->arg));
	memset(f->tp, 0, sizeof(f->tp));
	f->ia32 = 0;
	f->exec = f->child = f->kept = false;
	f->nr = f->number = 0;
	f->task = NULL;
	f->kept_flags = 0;
}

/* ---- system calls */

#if defined(CONFIG_X86_64) && defined(CONFIG_IA32_EMULATION)

static bool is_compat_call(void)
{
	return in_ia32_syscall();
}

/* A call of a 32-bit task. */
static bool read_ia32_call(struct call *call, const unsigned long arg[6], u32 nr, long ret)
{
	u32 reg[6], i;

	for (i = 0; i < 6; i++)
		reg[i] = arg[i];
	return ia32_call(call, nr, reg, ret);
}

/* A 32-bit task that executes a 64-bit program returns with its 32-bit number and clear registers. */
static bool after_compat_exec(u32 nr, const u64 arg[6], long ret)
{
	if (!is_ia32_exec(nr) || ret)
		return false;
	return !(arg[0] | arg[1] | arg[2] | arg[3] | arg[4] | arg[5]);
}

#else

static bool is_compat_call(void)
{
#ifdef CONFIG_COMPAT
	return is_compat_task();
#else
	return false;
#endif
}

static bool read_ia32_call(struct call *call, const unsigned long arg[6], u32 nr, long ret)
{
	memset(call, 0, sizeof(*call));
	call->nr = UNKNOWN_CALL;
	call->number = nr;
	return nr != NO_NUMBER;
}

static bool after_compat_exec(u32 nr, const u64 arg[6], long ret)
{
	return false;
}

#endif

/* A number of a 64-bit task that is no native call. */
static bool read_odd_call(struct call *call, const unsigned long arg[6], u32 nr)
{
	unsigned int i;

	for (i = 0; i < 6; i++)
		call->arg[i] = arg[i];
#ifdef CONFIG_X86_64
	return x32_call(call, nr);
#else
	call->nr = UNKNOWN_CALL;
	call->number = nr;
	call->layout = 0;
	return nr != NO_NUMBER;
#endif
}

/* A call that is not a native one of a 64-bit task; false if it makes no event that a consumer wants. */
static bool read_foreign_call(struct hit *h, enum scap_tp tp, struct pt_regs *regs, u32 nr, long ret)
{
	unsigned long arg[6];
	struct call call;

	syscall_get_arguments(current, regs, arg);
	if (!(is_compat_call() ? read_ia32_call(&call, arg, nr, ret) : read_odd_call(&call, arg, nr)) ||
	    !wanted(tp, call.nr))
		return false;
	hit_init(h, tp, NULL);
	h->nr = h->f.nr = call.nr;
	h->f.number = call.number;
	h->f.ia32 = call.layout;
	memcpy(h->f.arg, call.arg, sizeof(h->f.arg));
	return true;
}

/* False if the call makes no event that a consumer wants. ret is not 0 at sys_enter. */
static bool read_call(struct hit *h, enum scap_tp tp, struct pt_regs *regs, u32 nr, long ret)
{
	struct filler *f = &h->f;

	if (unlikely(nr >= SYSCALLS || is_compat_call())) {
		if (!read_foreign_call(h, tp, regs, nr, ret))
			return false;
	} else {
		nr = BOUNDED(nr, SYSCALLS);
		if (!wanted(tp, nr))
			return false;
		hit_init(h, tp, NULL);
		h->nr = f->nr = f->number = nr;
		BUILD_BUG_ON(sizeof(f->arg[0]) != sizeof(unsigned long));
		syscall_get_arguments(current, regs, (unsigned long *)f->arg);
		if (after_compat_exec(nr, f->arg, ret))
			return false;
	}
	f->regs = regs;
	return true;
}

void record_sys_enter(struct pt_regs *regs, long nr)
{
	struct hit h;

	if (!read_call(&h, TP_SYS_ENTER, regs, nr, 1))
		return;
	h.ev = enter_events[BOUNDED(h.nr, CALLS)];
	if (h.ev)
		record(&h);
}

void record_sys_exit(struct pt_regs *regs, long ret)
{
	struct hit h;

	if (!read_call(&h, TP_SYS_EXIT, regs, syscall_get_nr(current, regs), ret) ||
	    (!ret && zero_reported_elsewhere(h.nr)))
		return;
	h.ev = exit_events[BOUNDED(h.nr, CALLS)] ?: &ev_generic_exit;
	h.f.ret = ret;
	if (unlikely(h.nr == NR_CLONE3))
		h.f.kept = newtask_take(current->pid, &h.f.kept_flags);
	record(&h);
}

/* ---- the other tracepoints */

/* A clone3 makes a task: the flags are what the kernel took from the caller's struct. */
void record_newtask(struct task_struct *task, u64 flags)
{
	u32 nr = syscall_get_nr(current, task_pt_regs(current));

	if (current->flags & PF_KTHREAD || (nr & ~X32_BIT) != NR_CLONE3 || !wanted(TP_SYS_EXIT, NR_CLONE3))
		return;
	newtask_keep(current->pid, flags);
	newtask_keep(task->pid, flags);
}

void record_process_exit(struct task_struct *task)
{
	struct hit h;

	if (!wanted(TP_SCHED_PROCESS_EXIT, NO_SYSCALL))
		return;
	hit_init(&h, TP_SCHED_PROCESS_EXIT, &ev_procexit_enter);
	h.f.task = task;
	record(&h);
}

void record_process_fork(struct task_struct *parent, struct task_struct *child)
{
	struct hit h;

	hit_init(&h, TP_SCHED_PROCESS_FORK, &ev_clone_exit);
	h.tid = child->pid;
	h.f.kept = newtask_take(child->pid, &h.f.kept_flags);
	h.f.task = child;
	h.f.child = true;
	h.f.nr = __NR_clone;
	record(&h);
}

void record_process_exec(struct task_struct *task, struct linux_binprm *bprm)
{
	struct hit h;

	hit_init(&h, TP_SCHED_PROCESS_EXEC, &ev_execve_exit);
	h.f.exec = true;
	h.f.tp[2] = number_of(bprm);
	h.f.nr = __NR_execve;
	record(&h);
}

void record_sched_switch(struct task_struct *prev, struct task_struct *next)
{
	struct hit h;

	if (!wanted(TP_SCHED_SWITCH, NO_SYSCALL))
		return;
	hit_init(&h, TP_SCHED_SWITCH, &ev_switch_enter);
	h.f.task = prev;
	h.f.tp[2] = number_of(next);
	record(&h);
}

void record_page_fault(enum scap_tp tp, unsigned long address, struct pt_regs *regs,
		       unsigned long error)
{
	struct hit h;

	if (!wanted(tp, NO_SYSCALL))
		return;
	hit_init(&h, tp, &ev_page_fault_enter);
	h.f.tp[0] = address;
	h.f.tp[1] = number_of(regs);
	h.f.tp[2] = error;
	record(&h);
}

void record_signal_deliver(int sig, struct kernel_siginfo *info)
{
	struct hit h;

	hit_init(&h, TP_SIGNAL_DELIVER, &ev_signaldeliver_enter);
	h.f.tp[0] = sig;
	h.f.tp[1] = number_of(info);
	record(&h);
}
