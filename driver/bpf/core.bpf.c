/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
//go:build ignore

/*
 * The object that is always loaded: sys_exit and sys_enter run for every syscall and
 * tail-call the program of its event, which is in the object of its class. The core
 * also has the programs of events without a syscall.
 */
#define OBJECT_CORE
#include "object.h"
#include "../abi/calls_gen.h"
#include "../fillers/core_gen.h"

/* Keep the types in the object's BTF, where Go tests compare them with package event and with package driver. */
const struct event_header *event_header_type __attribute__((unused));
const struct segment *segment_type __attribute__((unused));

/* By native syscall number. */
const volatile u16 syscall_code[SYSCALLS] = {};	  /* its code in generic events */
const volatile u16 ia32_to_native[SYSCALLS] = {}; /* by ia32 number; NO_NUMBER: makes no event */
const volatile u16 socketcall_to_native[SOCKETCALLS] = {}; /* by number of a socketcall */
u16 interest[SYSCALLS];				  /* INTEREST_ bits */

u8 in_gap; /* dropping mode: inside the part of the second that is dropped */

struct {
	map_uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	map_uint(max_entries, SYSCALLS);
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
static __always_inline void no_program(void)
{
	u32 id;
	struct cpu *cpu = cpu_entry(&id);
	struct filler f = {.cpu = cpu};

	if (!cpu)
		return;
	f.count = &cpu->events;
	cpu->call_kind = CALL_NATIVE;
	COUNT(&f, seen);
	COUNT(&f, drop_no_program);
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
		cpu = cpu_entry(&id);
		if (cpu && gap)
			send_drop_enter(cpu, id);
		else if (cpu)
			send_drop_exit(cpu, id);
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

#if defined(SCAP_ARCH_AMD64)

static const u8 socketcall_args[SOCKETCALLS] = SOCKETCALL_ARGS;

/*
 * Returns the native number of a 32-bit task's call, or NO_NUMBER. Leaves the
 * arguments in the CPU's entry for the event's program.
 */
static __always_inline u32 ia32_call(const struct pt_regs *regs, u32 nr, s64 ret, struct cpu *cpu)
{
	struct ia32_regs r = ia32_args(regs);
	u32 kind = CALL_IA32;
	u32 vector[6] = {};

	/* A 64-bit task that executes a 32-bit program returns from exec with its 64-bit number. */
	if (is_exec(nr) && !ret && !(r.bx | r.cx | r.dx | r.si | r.di | r.bp))
		return NO_NUMBER;
	if (nr >= SYSCALLS)
		return NO_NUMBER;
	if (nr == IA32_NR_SOCKETCALL) {
		u32 size;

		if (r.bx >= SOCKETCALLS)
			return NO_NUMBER;
		nr = socketcall_to_native[r.bx & (SOCKETCALLS - 1)];
		size = 4 * socketcall_args[r.bx & (SOCKETCALLS - 1)];
		if (size > sizeof(vector))
			return NO_NUMBER;
		opaque(size);
		if (size <= sizeof(vector))
			bpf_probe_read_user(vector, size, (void *)(u64)r.cx);
		kind |= CALL_SOCKETCALL;
		for (int i = 0; i < 6; i++)
			cpu->arg[i] = vector[i];
	} else {
		nr = ia32_to_native[table_index(nr)];
		cpu->arg[0] = r.bx;
		cpu->arg[1] = r.cx;
		cpu->arg[2] = r.dx;
		cpu->arg[3] = r.si;
		cpu->arg[4] = r.di;
		cpu->arg[5] = r.bp;
	}
	if (nr >= SYSCALLS)
		return NO_NUMBER;
	cpu->call_nr = nr;
	cpu->call_pid_tgid = bpf_get_current_pid_tgid();
	cpu->call_kind = kind;
	return nr;
}

#endif

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
	s64 ret;
	u16 in;

	/* Most calls end here, so this comes before it is known whose number it is. */
	if (nr >= SYSCALLS)
		return 0;
	in = interest[table_index(nr)];
	if (!in)
		return 0;
	regs = call_regs(ctx);
	ret = call_ret(ctx);
	if (unlikely(is_compat())) {
#if defined(SCAP_ARCH_AMD64)
		u32 id;
		struct cpu *cpu = cpu_entry(&id);

		if (!cpu)
			return 0;
		nr = ia32_call(regs, nr, ret, cpu);
		if (nr >= SYSCALLS)
			return 0;
		in = interest[table_index(nr)];
		if (!(in & ~INTEREST_COMPAT) || silent(in, ret, cpu->arg) ||
		    (settings.slow && filtered_out(in, nr, ret, cpu->arg))) {
			cpu->call_kind = CALL_NATIVE;
			return 0;
		}
		goto call;
#else
		return 0;
#endif
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
#if defined(SCAP_ARCH_AMD64)
call:
#endif
	bpf_tail_call(ctx, &exit_progs, nr);
	no_program();
	return 0;
}

SEC("tp_btf/sys_enter") int sys_enter(u64 *ctx)
{
	u32 nr = ctx[1];
	u16 in;

	if (nr >= SYSCALLS)
		return 0;
	in = interest[table_index(nr)];
	if (!(in & (INTEREST_ENTER | INTEREST_COMPAT)))
		return 0;
	if (unlikely(is_compat())) {
#if defined(SCAP_ARCH_AMD64)
		u32 id;
		struct cpu *cpu = cpu_entry(&id);

		if (!cpu)
			return 0;
		nr = ia32_call(call_regs(ctx), nr, 1, cpu);
		if (nr >= SYSCALLS)
			return 0;
		in = interest[table_index(nr)];
		if (!(in & INTEREST_ENTER) || (settings.dropping && sampled_out(in))) {
			cpu->call_kind = CALL_NATIVE;
			return 0;
		}
		goto call;
#else
		return 0;
#endif
	}
	if (!(in & INTEREST_ENTER))
		return 0;
	if (unlikely(settings.dropping) && sampled_out(in))
		return 0;
#if defined(SCAP_ARCH_AMD64)
call:
#endif
	bpf_tail_call(ctx, &enter_progs, nr);
	no_program();
	return 0;
}

/* For the benchmark: the cost of attaching any program. */
SEC("tp_btf/sys_exit") int empty(u64 *ctx)
{
	return 0;
}
