/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
//go:build ignore

/*
 * The object that is always loaded: sys_exit and sys_enter run for every syscall and
 * tail-call the program of its event, which is in the object of its class. The core
 * also has the programs of events without a syscall.
 */
#define OBJECT_CORE
#include "object.h"
#include "../fillers/foreign.h"
#include "../fillers/core_gen.h"

/* Keep the types in the object's BTF, where Go tests compare them with package event and with package driver. */
const struct event_header *event_header_type __attribute__((unused));
const struct segment *segment_type __attribute__((unused));

/* By native syscall number. */
const volatile u16 syscall_code[SYSCALLS] = {};	  /* its code in generic events */
u16 interest[CALLS];				  /* by call: INTEREST_ bits */

u8 in_gap; /* dropping mode: inside the part of the second that is dropped */

struct {
	map_uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	map_uint(max_entries, CALLS);
	map_type(key, u32);
	map_type(value, u32);
} exit_progs SEC(".maps"), enter_progs SEC(".maps");

/* The dispatcher itself sends this event. */
#define TP_dropping_mode(symbol, code, nparams, bytes)                         \
	static __always_inline void send_##symbol(struct cpu *cpu, u32 id)     \
	{                                                                      \
		struct filler f = {.cpu = cpu, .count = &cpu->events};         \
                                                                               \
		if (!find_room(&f, id, nparams, bytes, 1))                       \
			return;                                                \
		header(&f, bpf_get_current_pid_tgid(), code, nparams, f.size); \
		fill_##symbol(&f);                                             \
		event_end(&f);                                                 \
	}

#include "core_gen.h"

/* ---- dispatchers */

/* Counts a call without a program: the kernel refused it. */
static __always_inline void no_program(u64 *ctx)
{
	u32 id;
	struct filler f = {};

	quiet(perf_tp);
	f.cpu = cpu_entry(&id);
	if (f.cpu) {
		f.count = &f.cpu->events;
		if (!parted)
			f.cpu->call_kind = CALL_NATIVE;
		else if (left_call(ctx))
			release(&f.cpu->call_kind);
		COUNT(&f, seen);
		COUNT(&f, drop_no_program);
	}
	quiet_end(perf_tp);
}

/* Whether dropping mode drops this event now. */
static __always_inline bool sampled_out(u16 in)
{
	u32 ratio = settings.sampling_ratio, id;
	struct cpu *cpu;
	bool gap;

	if (in & INTEREST_NEVER)
		return false;
	if (in & INTEREST_ALWAYS)
		return true;
	if (!ratio)
		return false;
	gap = (settings.boot_offset + bpf_ktime_get_boot_ns()) % NS_PER_S >= NS_PER_S / ratio;
	if (gap != in_gap) {
		/* The first CPU to notice sends the event; if two notice at once it comes twice. */
		in_gap = gap;
		quiet(perf_tp);
		cpu = cpu_entry(&id);
		if (cpu && gap)
			send_drop_enter(cpu, id);
		else if (cpu)
			send_drop_exit(cpu, id);
		quiet_end(perf_tp);
	}
	return gap;
}

/* Whether dropping mode or drop_failed drops this event. */
static __always_inline bool filtered_out(u16 in, u32 nr, s64 ret, const u64 arg[6])
{
	if (settings.dropping) {
		if ((in & INTEREST_FAILURE) && ret < 0)
			return true;
		if ((in & INTEREST_UNLESS) && !dropping_keeps_call(nr, arg))
			return true;
		if (sampled_out(in))
			return true;
	}
	return settings.drop_failed && ret < 0;
}

/* Returns for which no event is sent: see INTEREST_SILENT_ZERO and INTEREST_AFTER_EXEC. */
static __always_inline bool silent(u16 in, s64 ret, const u64 arg[6])
{
	if (ret)
		return false;
	if (in & INTEREST_SILENT_ZERO)
		return true;
	/* exec clears the registers; no other call with that number returns 0 with all of them clear */
	return (in & INTEREST_AFTER_EXEC) && !(arg[0] | arg[1] | arg[2] | arg[3] | arg[4] | arg[5]);
}

/* Returns the place of a call that is not native in the tables; CALLS if it makes no event. */
static __always_inline u32 foreign_call(struct call *c, const struct pt_regs *regs, u32 nr, s64 ret,
					bool compat)
{
#if defined(SCAP_ARCH_AMD64)
	u32 reg[6], native;

	if (compat) {
		ia32_registers(regs, reg);
		return ia32_call(c, nr, reg, ret) ? c->nr : CALLS;
	}
	native_call(regs, &native, c->arg);
	return x32_call(c, nr) ? c->nr : CALLS;
#else
	c->nr = UNKNOWN_CALL;
	c->number = nr;
	return nr != NO_NUMBER ? c->nr : CALLS;
#endif
}

/* Leaves the call in the CPU's entry for the event's program; false if it cannot, which loses the event. */
static __always_inline bool leave_call(const struct call *c)
{
	u32 id;
	struct cpu *cpu = cpu_entry(&id);

	if (!cpu)
		return false;
	if (parted && !claim(&cpu->call_kind)) {
		struct filler f = {.cpu = cpu, .count = &cpu->events};

		quiet(perf_tp);
		COUNT(&f, seen);
		COUNT(&f, drop_scratch);
		quiet_end(perf_tp);
		return false;
	}
	for (int i = 0; i < 6; i++)
		cpu->arg[i] = c->arg[i];
	cpu->call_nr = c->nr;
	cpu->call_number = c->number;
	cpu->call_layout = c->layout;
	cpu->call_pid_tgid = bpf_get_current_pid_tgid();
	if (!parted)
		cpu->call_kind = CALL_FOREIGN;
	return true;
}

/*
 * A tail call to a constant index is a plain jump; to a variable index it is an
 * indirect jump, which costs some 15 ns with mitigations. So the most frequent calls
 * have constant indexes. Falls through if there is no program.
 */
#define HOT_CALL(number)                                            \
	case number:                                                \
		asm volatile("r1 = %[c]\n\t"                        \
			     "r2 = %[m]\n\t"                        \
			     "r3 = " #number "\n\t"                 \
			     "call 12"                              \
			     :                                      \
			     : [c] "r"(ctx), [m] "r"(&exit_progs)   \
			     : "r0", "r1", "r2", "r3", "r4", "r5"); \
		break;

static __always_inline void hot_call(u64 *ctx, u32 nr)
{
	switch (nr) {
#include "hot_gen.h"
	}
}

SEC("tp_btf/sys_exit") int sys_exit(u64 *ctx)
{
	u32 nr = exit_number(ctx);
	const struct pt_regs *regs;
	bool compat;
	u16 in = 0;
	s64 ret;

	/* Most calls end here, so this comes before it is known whose number it is. */
	if (likely(nr < SYSCALLS)) {
		in = interest[table_index(nr)];
		if (!in)
			return 0;
	}
	regs = call_regs(ctx);
	ret = call_ret(ctx);
	compat = is_compat();
	if (unlikely(compat || nr >= SYSCALLS)) {
		struct call c = {};

		nr = foreign_call(&c, regs, nr, ret, compat);
		if (nr >= CALLS)
			return 0;
		in = interest[BOUNDED(nr, CALLS)] & ~INTEREST_COMPAT;
		if (!in || silent(in, ret, c.arg) || (settings.slow && filtered_out(in, nr, ret, c.arg)) ||
		    !leave_call(&c))
			return 0;
		goto call;
	}
	if (!(in & ~INTEREST_COMPAT))
		return 0;
	if (unlikely(settings.slow || (in & (INTEREST_SILENT_ZERO | INTEREST_AFTER_EXEC)))) {
		u64 arg[6];

		native_call(regs, &nr, arg);
		if (silent(in, ret, arg) || (settings.slow && filtered_out(in, nr, ret, arg)))
			return 0;
	}
	hot_call(ctx, nr);
call:
	bpf_tail_call(ctx, &exit_progs, nr);
	no_program(ctx);
	return 0;
}

SEC("tp_btf/sys_enter") int sys_enter(u64 *ctx)
{
	u32 nr = ctx[1];
	bool compat;
	u16 in = 0;

	if (likely(nr < SYSCALLS)) {
		in = interest[table_index(nr)];
		if (!(in & (INTEREST_ENTER | INTEREST_COMPAT)))
			return 0;
	}
	compat = is_compat();
	if (unlikely(compat || nr >= SYSCALLS)) {
		struct call c = {};

		nr = foreign_call(&c, call_regs(ctx), nr, 1, compat);
		if (nr >= CALLS)
			return 0;
		in = interest[BOUNDED(nr, CALLS)];
		if (!(in & INTEREST_ENTER) || (settings.dropping && sampled_out(in)) || !leave_call(&c))
			return 0;
		goto call;
	}
	if (!(in & INTEREST_ENTER))
		return 0;
	if (unlikely(settings.dropping) && sampled_out(in))
		return 0;
call:
	bpf_tail_call(ctx, &enter_progs, nr);
	no_program(ctx);
	return 0;
}

#define THREAD_SIZE 16384 /* before 5.15; twice as much under KASAN, where the number is not found */

/* The number of the current task's system call, where the context does not have its registers. */
static __always_inline u32 current_number(void)
{
	struct task_struct *task = current_task();
	u64 regs;

	if (core_enum_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		regs = bpf_task_pt_regs(bpf_get_current_task_btf());
	else
		regs = (u64)READ(task, stack) + THREAD_SIZE - core_type_size(struct pt_regs);
	return probe_number((const struct pt_regs *)regs);
}

/* A clone3 makes a task: the flags are what the kernel took from the caller's struct. */
SEC("tp_btf/task_newtask") int keep_task_newtask(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0], *caller = current_task();
	u64 flags = ctx[1];
	u32 tid;

	if (READ(caller, flags) & PF_KTHREAD || (current_number() & ~X32_BIT) != NR_CLONE3)
		return 0;
	tid = READ(caller, pid);
	bpf_map_update_elem(&clone3_flags_kept, &tid, &flags, 0);
	tid = READ(task, pid);
	bpf_map_update_elem(&clone3_flags_kept, &tid, &flags, 0);
	return 0;
}

/* For the benchmark: the cost of attaching any program. */
SEC("tp_btf/sys_exit") int empty(u64 *ctx)
{
	return 0;
}
