// SPDX-License-Identifier: Apache-2.0

package scap

import (
	"time"

	"github.com/scaplab/scaplab/scap/event"
)

// Live is a source that captures the running kernel; packages ebpf and kmod have one
// each. Several goroutines may call its methods. An event, however, is valid only
// until the next read or Close by any goroutine: while one goroutine uses an event,
// no other may read or close.
type Live interface {
	Source
	// Select changes what is captured from now on. Events of the former
	// selection may still be in the rings. The empty selection pauses the capture.
	Select(sel Selection) error
	// SetSnaplen changes Settings.Snaplen.
	SetSnaplen(n int) error
	// Self returns the pid of this process as events have it, which in a pid namespace
	// is not that of os.Getpid; 0: not known.
	Self() event.PID
	// Rings returns the number of rings that events come from.
	Rings() int
	// Interrupt makes the read that waits now, or the next one that would wait,
	// return ErrTimeout at once.
	Interrupt()
}

// Selection is what a live source captures.
type Selection struct {
	All         bool     // every syscall, including those without an entry in the table
	Syscalls    []string // names of syscalls
	Tracepoints []string // names of tracepoints: ebpf.Tracepoints and kmod.Tracepoints list them
	Enter       bool     // also the enter events that some of the syscalls have
}

// Settings say how a live source captures. The zero value of each field is a
// sensible default.
type Settings struct {
	RingSize int // bytes of each ring, a power of two of some pages; 0: the driver's default

	Snaplen        int       // limit on payload bytes per event, up to 65000; 0: 80
	DynamicSnaplen bool      // longer payloads where a known protocol is spoken
	FullPorts      [2]uint16 // with DynamicSnaplen: ports, first and last, with very long payloads
	StatsdPort     uint16    // with DynamicSnaplen: 0 is 8125
	DropFailed     bool      // no exit events of failed syscalls
	SamplingRatio  uint32    // keep 1/ratio of each second of most events; 0, 1: all

	Timeout time.Duration // how long reads wait for an event; 0: DefaultTimeout, negative: not at all
}

// DefaultTimeout is the default of Settings.Timeout.
const DefaultTimeout = 100 * time.Millisecond
