// SPDX-License-Identifier: Apache-2.0

// Package tables reads the description of every syscall, event, flag and case:
// the YAML files beside it. Load gives a Table with everything resolved, or
// all errors at once, each with its place. Nothing that runs imports it; gen
// turns a Table into source text.
//
// # Files
//
// Each file is one mapping that starts with `schema: 1`:
//
//	types.yaml     types: ...        wire types, categories, event flags, errors (left out: the project's own)
//	flags.yaml     flags:            named values, and conversions from native ones
//	helpers.yaml   helpers:          what expressions may call
//	structs.yaml   structs:          structs of user memory, by field (may be left out)
//	events.yaml    groups: events:   runs of params; events no syscall entry describes
//	syscalls.yaml  include:          the parts, syscalls/CLASS.yaml, each with a list syscalls: of the entries of one class
//	ids.yaml       ids:              syscall codes of the file format (may be left out)
//
// schema.lock has what must not change: a line for each event code with its
// params, for each flag value, wire type and syscall code. What disagrees with it
// is an error; what it does not have yet is Table.Unlocked. Codes that no file
// describes have their layout from there.
//
// Unknown and repeated keys, anchors, aliases and tags are refused. Values are
// text with a place, never what YAML makes of them: 0640 is octal, 0x10 hex.
// Kernel versions are quoted, since 5.10 unquoted is 5.1 to other tools. Calls
// with commas need quotes inside {}.
//
// # syscalls/CLASS.yaml
//
//	syscall   the C signature, without return type: openat(int dirfd, const char *path, int flags, umode_t mode)
//	like      an entry before it in the same file: what this one does not write (but nr, event, name, hot and socketcall) is that one's,
//	          in its cases with the call's own name
//	class     file, net, ipc, memory, process, sleep, system, signal, user, time, io_read, io_write, io_other, wait, other
//	nr, drop  only of a call that ids.yaml does not have, and as there
//	since     "5.6", or by architecture (all, generic, ...): first kernel that has it
//	until     first kernel that no longer has it (calls are removed now and then)
//	event     code of the exit event, odd; the enter event's is one less. Codes to 453 are the reference's, ours start at 0x8000
//	name      of the event when it is not the syscall's
//	flags     event flags. Left out: for a code of the reference those of schema.lock; for ours creates_fd (ret is typed
//	          fd), uses_fd (a later param is), modifies_state (there is a state)
//	first     res, fd or pid: first param of an inferred exit list
//	exit      params of the exit event. Left out: inferred, see below
//	variants  the sources of params by the value of another, see below
//	enter     params of the TOCTOU enter event. Left out: there is none
//	filler    manual: the exit body is C by hand, fill_<name>_exit; params need no from then
//	state     what the event does to the state of package sinsp, see helpers.yaml: a reducer, manual, or {none: why}
//	fd        name of the param that is "the fd". Left out: param fd, else the first of type fd, if a flag speaks of descriptors
//	differs   a deliberate difference from the reference, in words
//	cases     the proofs: at least one that works and one that fails; just one, if the event has no params
//	never_fails, never_succeeds   why there is no case of that kind: getppid takes nothing, restart_syscall only fails
//
// and what the drivers and the harness must know besides the event:
//
//	hot          true, or [amd64, arm64]: the eBPF dispatcher jumps to the program directly, which saves the commonest calls an
//	             indirect jump
//	socketcall   its number among the sub-calls of socketcall, by which 32-bit tasks on amd64 may make it
//	fires        {tracepoint: sched_process_exec, event: execve, on: [generic, s390x]}: a return of 0 makes no event; the
//	             tracepoint, sched_process_exec or sched_process_fork, makes that of the named entry. on: architectures, left out: all
//	drop_failed  true: dropping mode loses its failures, whatever drop says
//	drop_unless  {cmd: [F_DUPFD, F_SETFD]}: dropping mode loses it unless the argument has one of the values
//	lost         the module counts its lost events apart: clone_fork, execve, connect, open, dir_file, other_interest, close, proc_exit
//	probe        restricts the cases that are made from the signature: {skip: why} makes none; {no_zeros: why} none with zeros for
//	             everything; {zero: timeout} keeps that argument 0; {unsafe: true} runs them in guests only
//
// Without exit the event has the return value as `first` says (res: errno, fd:
// fd, pid: pid), then one param per argument, typed by C type and name:
//
//	const char *          fspath if the name has path, name, file, dir, old, new, target, link or root in it, else charbuf;
//	                      fsrelpath right behind an int ...dfd or ...dirfd, which is its base
//	other pointers        uint64, show: hex
//	int fd, ...fd, fd_... fd
//	pid_t uid_t gid_t     pid, uid, gid
//	umode_t mode_t        uint32, show: oct
//	integers              by width: int is int32, unsigned uint32, long int64, size_t and unsigned long uint64
//
// # Params
//
// A list of one-key mappings in wire order, or one mapping. `- use: task_common`
// stands for a group. The value is a type, or a mapping:
//
//	type      wire type; may be left out when from is a plain argument or ret
//	from      the source. Left out: the argument of the same name; ret for res
//	base      fsrelpath: the param with the directory's descriptor
//	names     flag set of the values; flagsN, enumflagsN and mode need one
//	show      how tools print it: na dec hex oct id dir 10_padded_dec. Left out: the type's usual one
//	len       bytebuf, sockaddr: bytes at from
//	snaplen   true: cut at the snap length (bytebuf)
//	newer     true: the older reference (the second version of schema.lock) does not have the param, nor those behind it
//	when      {ret: 0}, {ret: [0, -EINPROGRESS]}, {ret: ">= 0"}; all must hold, else `else` is sent, or the empty param
//	dyn       type dyn: the table of variants: sockopt ptrace bpf keyctl
//	differs   a deliberate difference from the reference
//
// Params that mean another thing with each command have their sources in variants,
// one line per command:
//
//	variants:
//	  on: operation                         the param that selects: a number that is sent always
//	  KEYCTL_LINK:   {arg2: int64, arg3: int64}
//	  KEYCTL_SEARCH: {arg2: int64, arg3: charbuf, arg4: charbuf, arg5: int64}
//	  A|0x7:         {text: arg}
//	  default:       {arg2: int64(0)}
//
// A param that a command leaves out has the value of default, else it is empty. The
// value is a source; of a dyn param a type of its table, for the argument of the
// param's name, or type(source). Each param costs one C switch; commands with the
// same source share an arm. when and else of the param hold for all commands.
//
// Types: int8 to int64, uint8 to uint64, bool, errno, fd, fd32, pid, pid32, uid,
// gid, sigtype, sigset, syscallid, flags8 flags16 flags32, enumflags8
// enumflags16 enumflags32, mode, sockfamily, port, l4proto, reltime, abstime,
// double, ipv4addr (numbers); charbuf, fspath, fsrelpath (text); bytebuf,
// sockaddr (bytes, need len or a param helper); socktuple, fdlist, dyn,
// charbufarray, charbuf_pair_array, ipaddr, ipnet, ipv6addr (need a param
// helper or, dyn, variants).
//
// What an argument points to is read C-like: how->flags where the signature says
// struct open_how *how, fds[1] and *len of numbers, tsops[1].sem_op, o->in.c of a
// struct in a struct, msg->msg_iov->iov_len through a pointer in memory, and
// if_dqblk(addr)->dqb_valid where the signature says void *. Each costs one read of
// user memory with the layout of the calling task, 0 when it cannot be read; reads
// of fields whose offsets differ for 32-bit tasks one test more, those of extensible
// structs one comparison with the size.
//
// A source is ret, an argument, a number, a constant of flags.yaml (its native
// value) or AT_FDCWD, a conversion or value helper of sources, operators on
// those; and as a whole: a param helper, empty (zero length), '""' (the empty
// string, one NUL byte). Enter events have no ret.
//
// # Cases
//
//	name      unique in the entry; a single case may do without
//	needs     words of Needs; what is lacking skips the case. What a function of helpers.yaml needs is said there
//	unsafe    true: changes the machine, run in guests only
//	snaplen   instead of 80
//	since, until   quoted kernel versions
//	given     {variable: value} in order, before the call
//	call      the syscall with a value per argument
//	after     {variable: value} in order, after the call
//	want      {param: value} for each exit param but those that hold what the call passes; use: NAME (or a list) stands
//	          for the values of that group, of which those written beside it take the place
//	child     as want, for the event of the process the call made; only some params
//	no_event  why no exit event is expected; no want then: exit does not come back
//
// Values are expressions of package internal/expr: numbers, constants, strings
// "in $quotes", /paths, $variables with .field [index] [from:to], calls, [lists]
// and {structs} (also as YAML collections). open_how{flags: O_RDWR} is a struct of
// structs.yaml in memory, the fields left out 0; $how.flags is a field of it as it
// is then, after the call what the kernel made of it. given and call use functions
// declared given, after those and the ones declared after; bytes(...) everywhere.
// Every case has the variables of expr.Vars; $ret and $child only after the call.
//
// A param that want leaves out is compared as well: with what the call passes.
// That is known of a param that is a bare argument, or one conversion of one
// (at_fdcwd included), without when and variants. A number is cut to the bits that
// the C type and the wire type keep; a converted one must be a name of the flag
// set, several of them joined by | (not of an enum), 0 (bits, mask) or any number
// (identity). Of a string the text counts; NULL and what is declared with
// `reads: nothing` give the empty param, what is declared with `reads: text` its
// text. The first param, buffers and everything else must be named, and so must
// a param that the kernel changes. Enter params have the value of the exit param
// of the same name.
//
// In want a text param is taken as it stands, unless it is empty, any, a
// variable with its accessors, a bytes(...) or starts with a double quote; a
// variable in the middle of text is put in, $$ is a dollar sign. Names are those
// of the param's flag set. Beside plain values: >= 1 and other comparisons,
// between(low, high), $from -> $to (tuples), empty (zero length; of a dyn param
// behind the variant), any (not looked at). A case whose first wanted value is a
// negative errno, or < 0, is a failure case. Each param is something else than any
// in one that works and in one that fails, if there are such.
//
// A group of wanted values is described before its use, in syscalls.yaml for all
// parts or in the part that uses it:
//
//	wants:
//	- want: clone_failed
//	  values: {use: clone, exe: empty, args: empty}
//
// # events.yaml
//
//	groups:
//	- group: task_common
//	  params: [...]
//	events:
//	- event: 152
//	  name: switch
//	  class: scheduler
//	  from: sched_switch
//	  params:
//	    - next: {type: pid, from: next_pid()}
//	- {event: 324, name: container, state: container}
//
// Keys: event (code), name, class (as above, and internal, scheduler, unknown),
// source (syscall, tracepoint, metaevent, plugin, iter, unknown; left out:
// tracepoint if from is one, else syscall), from (sys_exit, or tracepoints
// joined by |; left out: no driver makes it, and params need no from), filler,
// flags, fd, differs, params, state, symbol, and drop (left out: always) and lost
// as in an entry. The symbol is <name>_<dir>, and
// <name>_<dir>_<code> for flags old_version and unused. Codes without use have flags: [unused]. For a code of
// schema.lock class, source, flags and symbol are those of its line, and so are
// the params when no driver makes the event.
//
// # flags.yaml
//
//   - set: mmap_flags
//     header: sys/mman.h
//     kind: bits
//     values:
//     MAP_SHARED: 1                                                 # events and kernel agree
//     MAP_FIXED:  {value: 4, native: 0x10}
//     MAP_RENAME: {value: 0x20, native: none}                       # no kernel has it
//     MAP_32BIT:  {value: 0x10, native: {amd64: 0x40}}              # only there
//     MAP_LOCKED: {value: 0x4000, native: {all: 0x2000, ppc64le: 0x80}}
//
// Order is the order of printing. kind makes a conversion of the set, a C
// function of its name: bits (each bit tested alone), mask (all bits of a native
// value must be set), enum (with default, 0 if left out), identity; or manual,
// a C function by hand. enum and identity have a width in bits, 32 if left out.
// Scalars are native values too, save in sets without kind and manual ones.
//
// # helpers.yaml
//
//   - value: file_bits(fd)            C function of both drivers: numbers in, number out
//     filler: true                    it takes struct filler * first
//     doc: one line
//   - param: sock_tuple(fd, dir, addr?)   C function push_<name>(f, ...): sends a whole param
//   - given: tempfile(bytes?)         guest function that makes an object
//     reads: text                     what a driver reads where it is passed as a string: text (its own), nothing
//   - after: fstat(fd)                guest function that looks; after only
//
// An argument with ? may be left out, one with ... repeats. Conversions of
// flags.yaml are value helpers of one argument; a manual one with more is
// declared here too.
//
//	reducers:
//	- reducer: dup(fd ret, fd oldfd, open_flags flags = 0)   a Go method of package sinsp, for state
//	  doc: one line
//	  on: any                               runs after a failure too
//
// `state: dup` passes each argument the param of its name, ret the first param
// whatever its name, and the constant behind = where there is no such param.
// `state: dup(ret, fd, O_CLOEXEC)` writes them where the names differ: params,
// numbers, names of the argument's flag set, AT_FDCWD, empty. A reducer runs when
// the syscall has not failed: when the first param, if it is signed, is not
// negative. Events that are no syscall's always run theirs. A call costs one
// decode of the event and one call through an interface. With `state: manual`
// the method has the event's own name and gets the whole struct.
//
// Types of arguments, with the wire types that fit: fd (fd, fd32; errno as ret),
// pid (pid, pid32, int64), uid and gid (theirs, uint32), u8, u32, u64 (unsigned
// numbers that are not wider), s64 (signed numbers), path (text), text (charbuf),
// bytes (bytebuf), tuple, addr, dyn, a flag set (numbers with its names, or
// without names), fd_type (constants only: the words of proc.FDType).
//
// # structs.yaml
//
//   - struct: open_how
//     header: linux/openat2.h             a test compares the layout with it
//     extensible: size                    the argument, or field, that says how many bytes count; the rest is 0
//     packed: true                        no gaps
//     fields: {flags: u64, mode: u64, resolve: "u64[2]", next: struct open_how *}
//
// Types are C's integer types, pointers, structs described before and arrays of
// these; rlim_t is a long in which all ones mean no limit, aligned_u64 stands at
// multiples of 8 for 32-bit tasks, too.
//
// # ids.yaml
//
//   - {id: 5, syscall: open, drop: never, nr: {amd64: 2, s390x: 5, ppc64le: 5, 386: 5}}
//
// drop is what dropping mode does: never (kept), always (lost), sampled. nr is a
// number for all architectures, or by amd64, arm64, riscv64, loong64, s390x,
// ppc64le, generic (the three of asm-generic) and 386 (32-bit tasks on amd64); one
// that is not named lacks the call. ia32 tells which amd64 call a number only
// 32-bit tasks have stands for, or none. A call without entry may have hot and
// probe here; they move to its entry once it has one.
package tables
