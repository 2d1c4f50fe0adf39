// SPDX-License-Identifier: Apache-2.0

package scap

import "time"

// Live is a source that captures the running kernel, whichever the driver: those
// of packages ebpf and kmod. Its methods may be called from several goroutines, but
// events are valid for the one that reads them only, until its next read: while one
// is in use, no other goroutine may read or close.
type Live interface {
	Source
	// Select changes what is captured, from now on. Events of the former
	// selection may still be in the rings. The empty selection pauses the capture.
	Select(sel Selection) error
	// SetSnaplen changes Settings.Snaplen.
	SetSnaplen(n int) error
	// Rings is the number of rings that events come from.
	Rings() int
	// Interrupt makes a read that waits, or else the next one that would,
	// return ErrTimeout at once.
	Interrupt()
}

// Selection is what a live source captures.
type Selection struct {
	All         bool     // every syscall, those the table has no entry for included
	Syscalls    []string // these, by name
	Tracepoints []string // these: ebpf.Tracepoints and kmod.Tracepoints list them
	Enter       bool     // also the enter events that some of the syscalls have
}

// Settings say how a live source captures. The zero value of each is a sensible
// default.
type Settings struct {
	RingSize int // bytes of each ring, a power of two of some pages; 0: the driver's default

	Snaplen        int       // bytes of payload an event has at most, up to 65000; 0: 80
	DynamicSnaplen bool      // longer payloads where a known protocol is spoken
	FullPorts      [2]uint16 // with DynamicSnaplen: ports, first and last, with very long payloads
	StatsdPort     uint16    // with DynamicSnaplen: 0 is 8125
	DropFailed     bool      // no exit events of failed syscalls
	SamplingRatio  uint32    // keep 1/ratio of each second of most events; 0, 1: all

	Timeout time.Duration // how long reads wait for an event; 0: DefaultTimeout, negative: not at all
}

// DefaultTimeout is that of Settings.
const DefaultTimeout = 100 * time.Millisecond
