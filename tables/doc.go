// SPDX-License-Identifier: Apache-2.0

// Package tables reads the description of every syscall, event, flag and case from
// the YAML files in this folder. Load returns a Table with all names resolved, or all
// errors at once, each with its place. Package gen turns a Table into source text;
// drivers, captures and the guest do not import this package.
//
// # Files
//
// Each file is one mapping that starts with `schema: 1`:
//
//	types.yaml     types: ...        wire types, categories, event flags, errors (left out: the project's own)
//	flags.yaml     flags:            named values, and conversions from native ones
//	helpers.yaml   helpers:          what expressions may call
//	structs.yaml   structs:          structs of user memory, by field (optional)
//	events.yaml    groups: events:   groups of params; events that no syscall entry describes
//	syscalls.yaml  include:          the parts, syscalls/CLASS.yaml, each with the list syscalls: of the entries of one class
//	ids.yaml       ids:              syscall codes of the file format (optional)
//	suites.yaml    suites:           truth suites: acts, and what a driver must show of them (optional)
//
// schema.lock has the facts that must not change: a line for each event code with its
// params, for each flag value, wire type and syscall code. A disagreement with it is
// an error; Table.Unlocked lists the facts that it does not have yet. A code that no
// file describes has the layout of its line. unix.txt has the constants that cases may
// name beside those of flags.yaml.
//
// Unknown and repeated keys, anchors, aliases and tags are errors. A value is the text
// in the file, not YAML's reading of it: 0640 is octal, 0x10 hexadecimal. Kernel
// versions are quoted, because other tools read an unquoted 5.10 as 5.1. Calls with
// commas need quotes inside {}.
//
// # syscalls/CLASS.yaml
//
//	syscall   the C signature, without return type: openat(int dirfd, const char *path, int flags, umode_t mode)
//	like      an earlier entry of the same file: this entry inherits every key that it does not write, except nr, event, name,
//	          hot and socketcall; inherited cases make this entry's call
//	class     file, net, ipc, memory, process, sleep, system, signal, user, time, io_read, io_write, io_other, wait, other
//	nr, drop  as in ids.yaml, only for a call that ids.yaml does not have
//	since     "5.6", or by architecture (all, generic, ...): first kernel that has it; on others the
//	          generated cases must answer ENOSYS
//	until     first kernel that no longer has it
//	event     code of the exit event, odd; the enter event's is one less. Codes to 453 are the reference's, ours start at 0x8000
//	name      of the event, if it differs from the syscall's
//	flags     event flags. Left out: for a code of the reference those of schema.lock; for ours creates_fd (ret is typed
//	          fd), uses_fd (a later param is), modifies_state (there is a state)
//	first     res, fd or pid: first param of an inferred exit list
//	exit      params of the exit event. Left out: inferred, see below
//	variants  the sources of params by the value of another param, see below
//	secret    [payload]: arguments that point to what an event must not have; params tell its size
//	enter     params of the enter event: those that another thread may change before the call returns (TOCTOU), or all
//	          of a call that does not return. Left out: there is none; drivers make it for consumers that ask for it
//	filler    manual: the exit body is hand-written C, fill_<name>_exit; params then need no from
//	state     how the event changes the state of package sinsp, see helpers.yaml: a reducer, manual, or {none: why}
//	fd        name of the param that is "the fd". Left out: param fd, else the first of type fd, if a flag is about descriptors
//	user      true: a hand-written filler reads it from the caller's memory
//	differs   a deliberate difference of the event from the reference, in words: an event that is lost there, or comes twice.
//	          It excuses a driver of the reference that is judged, so what is about params belongs to these
//	differs_of   ebpf, newer, unmade: only the reference's eBPF driver differs, only versions after that of the module that
//	          was judged, or in calls that no case can make. Without it, the judged module is seen to differ (tables/seen.yaml)
//	cases     the tests: at least one that works and one that fails; one is enough if the event has no params
//	never_fails, never_succeeds   why there is no such case: getppid takes nothing, restart_syscall only fails
//
// and the facts that the drivers and the harness need besides the event:
//
//	hot          true, or [amd64, arm64]: the eBPF dispatcher jumps to the program directly, which saves the most frequent
//	             calls an indirect jump
//	socketcall   its sub-call number of socketcall, by which 32-bit tasks on amd64 may make it
//	fires        {tracepoint: sched_process_exec, event: execve, on: [generic, s390x]}: a return of 0 makes no event; instead the
//	             tracepoint, sched_process_exec or sched_process_fork, makes the event of the named entry. on: architectures, left out: all
//	keeps        task_newtask: a tracepoint inside the call tells what the kernel acts on, where user memory may be changed
//	             before the call returns. The drivers keep it for the filler, as keep_<tracepoint>
//	grown        {"7.2": 5}: the number of arguments from that kernel on; the signature has those of all kernels
//	drop_failed  true: dropping mode drops its failures, whatever drop says
//	drop_unless  {cmd: [F_DUPFD, F_SETFD]}: dropping mode drops it unless the argument has one of the values
//	lost         the module counts its lost events separately: clone_fork, execve, connect, open, dir_file, other_interest, close,
//	             proc_exit
//	probe        restricts the cases that are derived from the signature: {skip: why} derives none; {no_zeros: why} none with all
//	             arguments 0; {zero: timeout} keeps that argument 0; {unsafe: true} runs them in guests only
//
// Without exit the event has the return value, typed by `first` (res: errno, fd: fd,
// pid: pid), then one param per argument, typed by C type and name:
//
//	const char *          fspath if the name has path, name, file, dir, old, new, target, link or root in it, else charbuf;
//	                      fsrelpath right after an int ...dfd or ...dirfd, which is its base
//	other pointers        uint64, show: hex
//	int fd, ...fd, fd_... fd
//	pid_t uid_t gid_t     pid, uid, gid
//	umode_t mode_t        uint32, show: oct
//	integers              by width: int is int32, unsigned uint32, long int64, size_t and unsigned long uint64
//
// # Params
//
// A list of one-key mappings in wire order, or one mapping. `- use: task_common`
// inserts a group. The value is a type, or a mapping:
//
//	type      wire type; optional if from is a plain argument or ret
//	from      the source. Left out: the argument of the same name; ret for res
//	base      fsrelpath: the param with the directory's descriptor
//	names     flag set of the values; flagsN, enumflagsN and mode need one
//	show      how tools print it: na dec hex oct id dir 10_padded_dec. Left out: the type's default
//	len       bytebuf, sockaddr, charbufarray (strings, each with its NUL): number of bytes at from
//	snaplen   true: cut at the snap length (bytebuf)
//	newer     true: the older reference (the second version of schema.lock) does not have this param and those after it
//	when      {ret: 0}, {ret: [0, -EINPROGRESS]}, {flags: 0}, {ret: ">= 0"}, {readable: act}: all must hold, else `else` is
//	          sent, or the empty param. readable: what the argument points to can be read, which tells 0 from no value
//	dyn       type dyn: the table of variants: sockopt ptrace bpf keyctl
//	differs, differs_of   as in an entry, of this param
//
// Params whose meaning depends on a command have their sources in variants, one line
// per command:
//
//	variants:
//	  on: operation                         the selecting param: a number that is always sent
//	  KEYCTL_LINK:   {arg2: int64, arg3: int64}
//	  KEYCTL_SEARCH: {arg2: int64, arg3: charbuf, arg4: charbuf, arg5: int64}
//	  A|0x7:         {text: arg}
//	  default:       {arg2: int64(0)}
//
// A param that a command leaves out has the value of default; without default it is
// empty. The value is a source. For a dyn param it is a type of its table, which sends
// the argument of the param's name, or type(source). Each param costs one C switch;
// commands with the same source share an arm. when and else of the param apply to all
// commands.
//
// Types: int8 to int64, uint8 to uint64, bool, errno, fd, fd32, pid, pid32, uid,
// gid, sigtype, sigset, syscallid, flags8 flags16 flags32 flags64, enumflags8
// enumflags16 enumflags32, mode, sockfamily, port, l4proto, reltime, abstime,
// double, ipv4addr (numbers); charbuf, fspath, fsrelpath (text); bytebuf,
// sockaddr (bytes, need len or a param helper); numbers (of each element of an array,
// see below); socktuple, fdlist, dyn,
// charbufarray, charbuf_pair_array, ipaddr, ipnet, ipv6addr (need a param
// helper or, dyn, variants).
//
// User memory is read as in C: how->flags if the signature has struct open_how *how,
// fds[1] and *len of numbers, tsops[1].sem_op, o->in.c of a struct in a struct,
// msg->msg_iov->iov_len through a pointer in memory, and if_dqblk(addr)->dqb_valid if
// the signature has void *. Each costs one read of user memory with the layout of the
// calling task, and gives 0 if the memory is unreadable. A field whose offset differs
// for 32-bit tasks costs one more test, a field of an extensible struct a comparison
// with its size. What several params read is read once. An array of bytes in a struct,
// msgp->mtext, is the place of its bytes as the source of a bytebuf or of text.
//
// each(waiters, n).val is val of each of n structs at waiters, and each(iocbpp, n)->aio_fildes
// that of what each of n pointers points to; each(ids, n) is each of n numbers, or pointers,
// at ids. All are of the first 16 elements, up to one that is unreadable: sources of numbers.
//
// What each form costs in the driver, in instructions that the verifier of kernel 6.18
// went through for the whole program (getppid, with one param, has 145):
//
//	a param that is an argument               some 10
//	a field of a struct                       some 40: one helper call
//	a field of an extensible struct           some 100: the sum of a value and of none
//	readable                                  two helper calls of one byte
//	text                                      some 190: the length is unknown from there on
//	numbers                                   19,000 once in a program, however many lists there are (a
//	                                          function of its own, verified by itself), then 60 a list
//
// Named values keep all bits of their source: a source of 64 bits, such as a field u64
// or an unsigned long, needs flags64 and a set of width 64. Types of the reference's
// events are what they are, and some keep 32 of 64 bits.
//
// A source is ret, an argument, a number, a constant of flags.yaml (its native value)
// or AT_FDCWD, a conversion or value helper of sources, or an operator on sources. A
// whole source may also be a param helper, empty (zero length) or '""' (the empty
// string, one NUL byte). Enter events have no ret.
//
// # Cases
//
//	name      unique in the entry; optional for a single case
//	needs     words of Needs: a machine without one skips the case. The needs of functions are in helpers.yaml
//	unsafe    true: changes the machine, and runs in guests only
//	snaplen   the snap length, if not 80
//	left_out  how many messages of the call get no event, which the drivers must count
//	since, until   quoted kernel versions
//	given     {variable: value} in order, before the call
//	call      the syscall with a value per argument
//	after     {variable: value} in order, after the call
//	want      {param: value} for each exit param except those whose value follows from the call; use: NAME (or a list)
//	          inserts the values of that group, which values written beside it override
//	child     as want, for some params of the event of the process that the call made
//	no_event  why there is no exit event (exit does not return); want then has the params of the enter event, if there is one
//	no_enter  why there is no enter event, in an entry that has one
//
// Values are expressions of package internal/expr: numbers, constants, strings
// "in $quotes", /paths, $variables with .field [index] [from:to], calls, [lists]
// and {structs} (also as YAML collections). open_how{flags: O_RDWR} is a struct of
// structs.yaml in memory, whose other fields are 0; $how.flags is the present value of
// its field: after the call, as the kernel left it. given and call use functions
// declared given; after uses those and functions declared after; bytes(...) is allowed
// everywhere. Every case has the variables of expr.Vars; $ret and $child only after the
// call.
//
// A param that want leaves out is compared as well: with the value that the call
// passes. That value is known if the param is a bare argument or one conversion of an
// argument (at_fdcwd included), without when and variants. A number is cut to the bits
// that the C type and the wire type keep; a converted argument must be a name of the
// flag set, several names joined by | (not for an enum), 0 (bits, mask) or any number
// (identity). A string is compared by its text; NULL and objects declared with `reads:
// nothing` give the empty param, objects declared with `reads: text` their text. The
// first param, buffers and all other params must be named, and so must a param that the
// kernel changes. Enter params have the value of the exit param of the same name.
//
// In want a text param is literal, unless it is empty, any, a variable with its
// accessors, bytes(...), or starts with a double quote; a variable inside text is
// replaced by its value, and $$ is a dollar sign. Names are those of the param's flag
// set. Beside plain values: >= 1 and other comparisons, between(low, high), $from -> $to
// (tuples), empty (zero length; of a dyn param after the variant), any (not compared). A
// case whose first wanted value is a negative errno, or < 0, is a failure case. If there
// are successes, each param has a value other than any in at least one of them, and
// likewise for failures.
//
// A group of wanted values is described before its use, in syscalls.yaml for all parts
// or in the part that uses it:
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
// tracepoint if from is one, else syscall), from (sys_exit, or tracepoints joined by
// |; left out: no driver makes it, and params need no from), filler, flags, fd,
// differs, params, state, symbol, and drop (left out: always) and lost as in an entry.
// The symbol is <name>_<dir>, and <name>_<dir>_<code> with the flags old_version and
// unused. Unused codes have flags: [unused]. A code of schema.lock has the class,
// source, flags and symbol of its line, and its params if no driver makes the event.
//
// # flags.yaml
//
//   - set: mmap_flags
//     kernel: {in: linux/mman.h asm-generic/mman.h, names: 'MAP_\w+', but: MAP_TYPE}
//     kind: bits
//     values:
//     MAP_SHARED: 1                                                 # the same in events and in the kernel
//     MAP_FIXED:  {value: 4, native: 0x10}
//     MAP_RENAME: {value: 0x20, native: none}                       # not in any kernel
//     MAP_32BIT:  {value: 0x10, native: {amd64: 0x40}}              # on amd64 only
//     MAP_LOCKED: {value: 0x4000, native: {all: 0x2000, ppc64le: 0x80}}
//
// kernel says which names the newest kernel's headers have for the set, in files below
// include/uapi; {none: why} if no header has them. Names that the set lacks fail a test.
//
// Values are printed in this order. A set with a kind is a conversion as well, a C
// function of its name: bits (each bit is tested by itself), mask (all bits of a native
// value must be set), enum (with default, 0 if left out), identity; or manual, a
// hand-written C function. enum and identity have a width in bits, 8, 16 or 32 (the default); identity 64 too. A
// plain number is also the native value, except in manual sets and sets without a kind.
//
// # helpers.yaml
//
//   - value: file_bits(fd)            C function of both drivers, from numbers to a number
//     filler: true                    it takes struct filler * first
//     user: true                      it reads the caller's memory; zero: memory says so as well
//     looks: true                     it looks at the open file of its first argument; zero: descriptor says so as well
//     zero: descriptor                what makes it 0, as the first argument: descriptor (below 0), memory (unreadable)
//     doc: one line
//
//   - param: sock_tuple(fd, dir, addr?)   C function push_<name>(f, ...): sends a whole param
//     max: 128                        bytes that it sends at most, if its type does not say so; rest: all that the event has left.
//     What follows takes is then the function's last argument
//     first: 16                       of a list that the caller may make longer, how many elements it sends
//
//   - given: tempfile(bytes?)         guest function that makes an object
//     reads: text                     what a driver reads if it is passed as a string: text (its own), nothing
//
//   - after: fstat(fd)                guest function that examines something; only in after
//
//   - act: race_open(call)            guest function that is the act of a scenario, see suites.yaml
//
// An argument with ? is optional, one with ... repeats. Conversions of flags.yaml are
// value helpers with one argument; a manual one with more is declared here as well.
//
//	reducers:
//	- reducer: dup(fd ret, fd oldfd, open_flags flags = 0)   a Go method of package sinsp, for state
//	  doc: one line
//	  on: any                               runs after a failure too
//
// `state: dup` passes the param of each argument's name; for ret, the first param
// whatever its name; and the constant after = if there is no such param. If the names
// differ, `state: dup(ret, fd, O_CLOEXEC)` writes the arguments: params, numbers, names
// of the argument's flag set, AT_FDCWD, empty. A reducer runs if the syscall has not
// failed: unless the first param is signed and negative. Reducers of other events
// always run. A call costs one decode of the event and one call through an interface.
// With `state: manual` the method has the event's own name and gets the whole struct.
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
//     extensible: size                    the argument, or field, with the size in use; fields after that are 0
//     smallest: 24                        the size in use if that is given as 0
//     packed: true                        no gaps
//     fields: {flags: u64, mode: u64, resolve: "u64[2]", next: struct open_how *}
//
// Types are C's integer types, pointers, structs described before, and arrays of these;
// rlim_t is a long in which all ones mean no limit, aligned_u64 is at multiples of 8
// also for 32-bit tasks.
//
// # suites.yaml
//
//	suite      its name, not that of a syscall: a scenario's ID is SUITE/SCENARIO as a case's is SYSCALL/CASE
//	about      what an attacker does, and why it matters
//	scenarios  in order
//
// and of a scenario:
//
//	name, about          unique in the suite; what happens, and what a driver must show
//	needs, unsafe, since, until, given   as of a case
//	arch                 the only architecture that has its calls
//	act                  a call of an act of helpers.yaml, which does a real thing; its value, with the facts as fields, is $act
//	shows                events that a driver must show, in any order, each another one
//	never                events that a driver must never show: a lie
//
// An item of shows and never is
//
//	event    the event with its direction, of a syscall's entry: openat_exit
//	by       the thread, as the first pid namespace numbers it: $act.tid. Left out: the scenario's own, $tid
//	with     {param: value}, as in want; other params are not compared
//	missed   why drivers of this project do not do so: text, or {ebpf: why, kmod: why}
//
// A scenario is shown if all of its items are as they must be. An item that is missed must be missed: one that is shown
// in spite of `missed` fails the scenario, so that the score stays true. The guest captures the calls that make the
// events of all items, and keeps the events of the threads that they name.
//
// # ids.yaml
//
//   - {id: 5, syscall: open, drop: never, nr: {amd64: 2, s390x: 5, ppc64le: 5, 386: 5}}
//
// drop says whether dropping mode drops its events: never, always, sampled. nr is a
// number for all architectures, or by amd64, arm64, riscv64, loong64, s390x, ppc64le,
// generic (the three of asm-generic) and 386 (32-bit tasks on amd64); an architecture
// that is not named does not have the call. absent lists those that have a number but, on kernels
// 5.10 to 7.3, not the call: it returns ENOSYS. symbol is the kernel's name of the call's
// function, if it is another: the running kernel lists its calls by it. A call without an
// entry may have hot and probe here; they move to its entry once it has one.
//
//   - {syscall: truncate64, nr: 193, as: "truncate(bx, pair(cx, dx))"}
//   - {syscall: ppoll_time64, nr: 414, as: ppoll, layout: time64}
//
// The list ia32 has the calls of 32-bit tasks that are another call of 64-bit tasks, or
// take their arguments otherwise, as IA32Call says. The other calls of 32-bit tasks are
// the calls of their name: a 64-bit number that is no long takes two registers, a signed
// long is signed in 32 bits, and structs in memory have the 32-bit layout. A call that
// 64-bit tasks do not have makes its own event, or the generic one. The list x32 has the
// numbers of x32 tasks for calls with structs of the 32-bit layout.
package tables
