/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The frame of an event's program: begin counts the event and finds room, end sends it. */
#ifndef SCAP_BPF_PROGRAM_H
#define SCAP_BPF_PROGRAM_H

/*
 * Counters and scratch belong to their CPU. Where programs run with preemption off, which
 * they do not on PREEMPT_RT, a plain addition is exact, and scratch is free if nothing says
 * that it is not. Page fault programs interrupt other programs: they have counters of their
 * own and always add atomically.
 */
struct mutex {
	struct rt_mutex_base *rtmutex;
} __core;
#define preemptible (HAS(struct mutex, rtmutex) || (may_preempt && !guard))

/* Whether another task can run between the dispatcher and the program that it calls. */
#define parted (HAS(struct mutex, rtmutex) || (may_preempt && !perf_tp))

#define ADD(f, what, n)                                                  \
	do {                                                             \
		if (preemptible || (f)->count == &(f)->cpu->page_faults) \
			__sync_fetch_and_add(&(f)->count->what, n);      \
		else                                                     \
			(f)->count->what += (n);                         \
	} while (0)
#define COUNT(f, what) ADD(f, what, 1)

/*
 * Since 7.0 the kernel runs tracepoint programs with preemption on (the loader asks BTF). A
 * task that preempts a program finds the scratch busy, and the kernel does not even run
 * the active program for it: it takes the second run for recursion until the
 * preempted task goes on. So the dispatchers are attached through perf there
 * (see call_regs()), which keeps preemption off; the other programs disable it
 * themselves. The program's count of misses has what is lost before and after
 * that. Where programs can do neither, tasks claim what they use.
 */
static __always_inline void quiet(bool already)
{
	if (guard && !already)
		bpf_preempt_disable();
}

static __always_inline void quiet_end(bool already)
{
	if (guard && !already)
		bpf_preempt_enable();
}

/*
 * Takes something of the CPU that one task at a time may use; false if it is in use. Of two
 * tasks that want it at once one gets it, or none: who reads 1 is alone, or all others have
 * read more and go.
 */
static __always_inline bool claim(u32 *busy)
{
	__sync_fetch_and_add(busy, 1);
	if (*(volatile u32 *)busy == 1)
		return true;
	__sync_fetch_and_add(busy, -1);
	return false;
}

static __always_inline void release(u32 *busy)
{
	__sync_fetch_and_add(busy, -1);
}

static __always_inline bool claim_scratch(struct cpu *cpu)
{
	if (preemptible)
		return claim(&cpu->scratch_busy);
	if (cpu->scratch_busy)
		return false;
	cpu->scratch_busy = 1;
	return true;
}

static __always_inline void release_scratch(struct cpu *cpu)
{
	if (preemptible)
		release(&cpu->scratch_busy);
	else
		cpu->scratch_busy = 0;
}

static __always_inline struct cpu *cpu_entry(u32 *id)
{
	*id = bpf_get_smp_processor_id();
	return bpf_map_lookup_elem(&cpus, id);
}

static __always_inline void header(struct filler *f, u32 tid, u16 type, u32 nparams, u32 len)
{
	*(u64 *)(f->buf + EVENT_TS) = settings.boot_offset + bpf_ktime_get_boot_ns();
	*(u64 *)(f->buf + EVENT_TID) = tid;
	*(u32 *)(f->buf + EVENT_LEN) = len;
	*(u16 *)(f->buf + EVENT_TYPE) = type;
	*(u32 *)(f->buf + EVENT_NPARAMS) = nparams;
	f->off = EVENT_PAYLOAD(nparams);
	f->n = 0;
}

/* Counts the loss of n events, of which one has been seen. */
#define LOSE(f, what, n)                               \
	do {                                           \
		COUNT(f, what);                        \
		if ((n) > 1) {                         \
			ADD(f, seen, (n) - 1);         \
			ADD(f, what, (n) - 1);         \
		}                                      \
	} while (0)

/* Room for an event in the CPU's ring of our own; without it, this one and the others of n are lost. */
static __always_inline bool find_place(struct filler *f, u32 id, u32 n)
{
	struct cpu *cpu = f->cpu;
	u64 head = cpu->head;

	if (unlikely((head & (SEGMENT_SIZE - 1)) > SEGMENT_SIZE - SEGMENT_ROOM))
		head = (head | (SEGMENT_SIZE - 1)) + 1;
	if (unlikely(head + SEGMENT_ROOM - *(volatile u64 *)&cpu->tail > ring_size)) {
		LOSE(f, drop_buffer, n);
		return false;
	}
	f->buf = (u8 *)place_at(id, head);
	if (!f->buf) {
		LOSE(f, drop_no_ring, n);
		return false;
	}
	cpu->head = head;
	return true;
}

/*
 * Finds room for the event; size is the size of its params if that is fixed, else 0; n is
 * how many events this hit makes.
 */
static __always_inline bool find_room(struct filler *f, u32 id, u32 nparams, u32 size, u32 n)
{
	COUNT(f, seen);
	if (in_place) {
		f->size = size ? EVENT_PAYLOAD(nparams) + size : 0;
		if (f->cpu->scratch_busy) {
			COUNT(f, drop_scratch);
			return false;
		}
		/*
		 * The ring is taken before head is read: an interrupt whose page fault is an event of its
		 * own moves head, and ends before this program goes on.
		 */
		f->cpu->scratch_busy = 1;
		asm volatile("" ::: "memory");
		if (!find_place(f, id, n)) {
			f->cpu->scratch_busy = 0;
			return false;
		}
		return true;
	}
	f->ring = bpf_map_lookup_elem(&rings, &id);
	if (!f->ring) {
		COUNT(f, drop_no_ring);
		return false;
	}
	if (size) {
		f->size = EVENT_PAYLOAD(nparams) + size;
		f->buf = bpf_ringbuf_reserve(f->ring, EVENT_PAYLOAD(nparams) + size, 0);
		if (!f->buf) {
			COUNT(f, drop_buffer);
			return false;
		}
		return true;
	}
	f->size = 0;
	f->buf = bpf_map_lookup_elem(&scratch, &id);
	if (!f->buf || !claim_scratch(f->cpu)) {
		COUNT(f, drop_scratch);
		return false;
	}
	return true;
}

/* A program wakes readers once per wake_bytes of its CPU, else never. */
static __always_inline u64 wake(struct filler *f, u32 len)
{
	u32 limit = settings.wake_bytes;

	if (likely(!limit))
		return BPF_RB_NO_WAKEUP;
	f->cpu->unwoken += len;
	if (f->cpu->unwoken < limit)
		return BPF_RB_NO_WAKEUP;
	f->cpu->unwoken = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* Moves head past the event of len bytes. The reader sees the event before the new head: amd64 keeps the order of stores. */
static __always_inline void publish(struct filler *f, u32 len)
{
	struct cpu *cpu = f->cpu;

	asm volatile("" ::: "memory");
	*(volatile u64 *)&cpu->head = cpu->head + ((len + 7) & ~7U);
	COUNT(f, delivered);
	if (unlikely(wake(f, len) == BPF_RB_FORCE_WAKEUP))
		bpf_ringbuf_output(&waker, &cpu->tail, sizeof(cpu->tail), BPF_RB_FORCE_WAKEUP);
}

/* Sends the event in scratch, and keeps scratch for the next one. */
static __always_inline void send_scratch(struct filler *f)
{
	u32 len = f->off;

	opaque(len);
	if (len > EVENT_MAX) {
		COUNT(f, drop_too_large);
		return;
	}
	*(u32 *)(f->buf + EVENT_LEN) = len;
	if (in_place)
		publish(f, len);
	else if (bpf_ringbuf_output(f->ring, f->buf, len, wake(f, len)))
		COUNT(f, drop_buffer);
	else
		COUNT(f, delivered);
}

static __always_inline int event_end(struct filler *f)
{
	if (in_place) {
		if (f->size)
			publish(f, f->size);
		else if (!f->full)
			send_scratch(f);
		asm volatile("" ::: "memory"); /* whoever finds the ring free finds the new head */
		f->cpu->scratch_busy = 0;
	} else if (f->size) {
		bpf_ringbuf_submit(f->buf, wake(f, f->size));
		COUNT(f, delivered);
	} else {
		send_scratch(f);
		release_scratch(f->cpu);
	}
	return 0;
}

/* Takes the call that the dispatcher left in the CPU's entry. */
static __always_inline void take_call(struct filler *f)
{
	struct cpu *cpu = f->cpu;

	f->ia32 = cpu->call_layout;
	f->nr = cpu->call_nr;
	f->number = cpu->call_number;
	for (int i = 0; i < 6; i++)
		f->arg[i] = cpu->arg[i];
}

/* Whether the dispatcher left the current task's call in the CPU's entry, where another task can run meanwhile. */
static __always_inline bool left_call(u64 *ctx)
{
	return is_compat() || native_number(call_regs(ctx)) >= SYSCALLS;
}

/* Loads the call's arguments; the dispatcher leaves those of a call that is not native in the CPU's entry. */
static __always_inline void load_call(struct filler *f, u64 *ctx)
{
	struct cpu *cpu = f->cpu;

	f->regs = call_regs(ctx);
	native_call(f->regs, &f->nr, f->arg);
	if (parted) {
		if (left_call(ctx)) {
			take_call(f);
			asm volatile("" ::: "memory");
			release(&cpu->call_kind);
		}
		return;
	}
	if (unlikely(cpu->call_kind)) {
		if (cpu->call_pid_tgid == bpf_get_current_pid_tgid())
			take_call(f);
		cpu->call_kind = CALL_NATIVE;
	}
}

/* How many events an exit makes. */
static __always_inline u32 events_of(struct filler *f, u16 type)
{
	if (type != EVT_SENDMMSG_EXIT && type != EVT_RECVMMSG_EXIT)
		return 1;
	return f->ret < 1 ? 1 : f->ret > MMSG_EVENTS ? MMSG_EVENTS : f->ret;
}

static __always_inline bool call_begin(struct filler *f, u64 *ctx, u16 type, u32 nparams, u32 size)
{
	u32 id;

	f->cpu = cpu_entry(&id);
	if (!f->cpu)
		return false;
	f->count = &f->cpu->events;
	load_call(f, ctx);
	f->type = type;
	f->nparams = nparams;
	if (!find_room(f, id, nparams, size, events_of(f, type)))
		return false;
	header(f, bpf_get_current_pid_tgid(), type, nparams, f->size);
	return true;
}

/*
 * Generated code has one line per program:
 *	EXIT_PROG(symbol, code, nparams)		sys_exit, tail-called by number
 *	ENTER_PROG(symbol, code, nparams)		sys_enter, tail-called by number
 *	TP_PROG(symbol, tracepoint, code, nparams)	a tracepoint, or an event of the driver itself: TP_tracepoint
 * and the same with _FIXED and the size of the params, if that never varies.
 */
#define EXIT_PROG_FIXED(symbol, code, nparams, bytes)            \
	SEC("tp_btf/sys_exit") int x_##symbol(u64 *ctx)          \
	{                                                        \
		struct filler f = {};                            \
                                                                 \
		f.ret = call_ret(ctx);                           \
		quiet(perf_tp);                                  \
		if (call_begin(&f, ctx, code, nparams, bytes)) { \
			fill_##symbol(&f);                       \
			event_end(&f);                           \
		}                                                \
		quiet_end(perf_tp);                              \
		return 0;                                        \
	}
#define EXIT_PROG(symbol, code, nparams) EXIT_PROG_FIXED(symbol, code, nparams, 0)

#define ENTER_PROG_FIXED(symbol, code, nparams, bytes)           \
	SEC("tp_btf/sys_enter") int x_##symbol(u64 *ctx)         \
	{                                                        \
		struct filler f = {};                            \
                                                                 \
		quiet(perf_tp);                                  \
		if (call_begin(&f, ctx, code, nparams, bytes)) { \
			fill_##symbol(&f);                       \
			event_end(&f);                           \
		}                                                \
		quiet_end(perf_tp);                              \
		return 0;                                        \
	}
#define ENTER_PROG(symbol, code, nparams) ENTER_PROG_FIXED(symbol, code, nparams, 0)

/*
 * A tracepoint's program. pick sets f->task if the event is about another task than
 * the current one; it returns false for a hit that makes no event.
 */
#define TRACEPOINT_PROG(program, symbol, tracepoint, pick, counters, code, nparams, bytes) \
	SEC("tp_btf/" #tracepoint) int program(u64 *ctx)                                   \
	{                                                                                  \
		struct filler f = {};                                                      \
		u32 tid = bpf_get_current_pid_tgid();                                      \
		u32 id;                                                                    \
                                                                                           \
		if (!pick(&f, ctx, &tid))                                                  \
			return 0;                                                          \
		quiet(false);                                                              \
		f.cpu = cpu_entry(&id);                                                    \
		if (f.cpu) {                                                               \
			f.count = &f.cpu->counters;                                        \
			if (find_room(&f, id, nparams, bytes, 1)) {                           \
				header(&f, tid, code, nparams, f.size);                    \
				fill_##symbol(&f);                                         \
				event_end(&f);                                             \
			}                                                                  \
		}                                                                          \
		quiet_end(false);                                                          \
		return 0;                                                                  \
	}

#define TP_PROG_FIXED(symbol, tracepoint, code, nparams, bytes) TP_##tracepoint(symbol, code, nparams, bytes)
#define TP_PROG(symbol, tracepoint, code, nparams)		TP_##tracepoint(symbol, code, nparams, 0)

#endif
