// SPDX-License-Identifier: Apache-2.0

// Package abi holds the numbers that Go and the drivers' C share: limits of
// events and settings, the bits of the eBPF dispatchers, the interface of the
// kernel module. gen writes them to driver/abi/limits_gen.h and module_gen.h.
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
	ParamMax  = 65000 // of a param: the limit of the reference's module, kept by both drivers
	StringMax = 4096  // of a string with its NUL; longer ones are cut
)

// MaxParams is the most params of an event: the bits of a consumer's mask.
const MaxParams = 32

// Event codes. The older reference is the second version in schema.lock, the
// interface that old clients speak; released readers of captures know its codes.
const (
	ReferenceCodes = 454    // the reference's schema has codes below it
	FirstOwn       = 0x8000 // the first code of events that the reference does not have
	OldCodes       = 430    // the older reference knows codes below it
	OldIDs         = 451    // and syscall codes below it
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
	Syscalls    = 512 // by native syscall number
	Socketcalls = 32  // by the number of a sub-call of socketcall
)

// NoNumber stands for a call without a native number in the tables of the eBPF driver.
const NoNumber = 0xffff

// What the eBPF dispatchers do with a syscall; 0: nothing.
const (
	InterestExit       = 1 << iota // it has an exit event
	InterestEnter                  // it has an enter event
	InterestNever                  // dropping mode never loses it
	InterestAlways                 // dropping mode always loses it
	InterestFailure                // dropping mode loses its failures
	InterestUnless                 // dropping mode loses it unless dropping_keeps_call()
	InterestSilentZero             // 0 makes no event: another tracepoint reports it
	InterestAfterExec              // shares its number with the other ABI's exec, which returns with it
)

// Address families as events carry them (Linux's numbers).
const (
	FamilyUnix = 1
	FamilyIPv4 = 2
	FamilyIPv6 = 10
)

// AtFDCWD stands for the working directory in events, whatever the native value is.
const AtFDCWD = -100

// EncodeDev packs a device number as events carry it, which is how the first
// stat(2) had it: 12 bits of major around which lie 20 of minor.
func EncodeDev(major, minor uint32) uint32 {
	return minor&0xff | major<<8 | minor&^0xff<<12
}
