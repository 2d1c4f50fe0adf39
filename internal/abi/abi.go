// SPDX-License-Identifier: Apache-2.0

// Package abi has the numbers that Go and the drivers' C share: limits of events and
// settings, the bits of the eBPF dispatchers, the interface of the kernel module. gen
// writes them to driver/abi/limits_gen.h and module_gen.h.
package abi

// The header of an event: offsets of its fields, and its size. Lengths of the
// params follow it, two bytes each.
const (
	EventTime       = 0  // u64: ns since the epoch
	EventTID        = 8  // u64: thread id in the initial pid namespace
	EventLen        = 16 // u32: bytes of the whole event
	EventType       = 20 // u16: its code
	EventNumParams  = 22 // u32
	EventHeaderSize = 26
)

// Sizes in bytes.
const (
	EventMax  = 65536 // a longer event is dropped and counted
	ParamMax  = 65000 // of a param: the limit of the reference's module, which both drivers keep
	StringMax = 4096  // of a string with its NUL; longer ones are cut
)

// MaxParams is the largest number of params of an event: the bits of a consumer's mask.
const MaxParams = 32

// Event codes.
const (
	ReferenceCodes = 454    // the reference's event codes are below it
	FirstOwn       = 0x8000 // the first event code that the reference does not have
	OwnCodes       = 1024   // how many codes from there on are ours
)

// Settings.
const (
	SnaplenDefault   = 80 // bytes of I/O payload that an event carries
	SnaplenMax       = ParamMax
	SamplingRatioMax = 128
	StatsdPort       = 8125
	RingBytes        = 8 << 20
)

// Sizes of tables.
const (
	Syscalls    = 512  // by native syscall number
	Calls       = 1024 // by call: native numbers, then Syscalls plus the code of calls that only 32-bit tasks have
	Socketcalls = 32   // by sub-call number of socketcall
)

// FirstCommon is the number from which on calls have the same number on every architecture.
const FirstCommon = 424

// UnknownCall is the place in the tables by call of numbers that are no known call.
const UnknownCall = Syscalls

// What the eBPF dispatchers do with a syscall; 0: nothing.
const (
	InterestExit       = 1 << iota // it has an exit event
	InterestEnter                  // it has an enter event
	InterestNever                  // dropping mode never drops it
	InterestAlways                 // dropping mode always drops it
	InterestFailure                // dropping mode drops its failures
	InterestUnless                 // dropping mode drops it unless dropping_keeps_call()
	InterestSilentZero             // 0 makes no event: another tracepoint reports it
	InterestAfterExec              // has the number of the other ABI's exec, which returns with it
	InterestCompat                 // as a number of 32-bit tasks it may have an event
)

// Address families as events carry them (Linux's numbers).
const (
	FamilyUnix = 1
	FamilyIPv4 = 2
	FamilyIPv6 = 10
)

// AtFDCWD is the working directory in events, whatever the native value is.
const AtFDCWD = -100

// EncodeDev packs a device number as events have it: the low 8 bits of minor, 12 of major,
// then the high 12 of minor.
func EncodeDev(major, minor uint32) uint32 {
	return minor&0xff | major<<8 | minor&^0xff<<12
}
