// SPDX-License-Identifier: Apache-2.0

// Package ebpf is the live source that reads the eBPF driver's rings.
//
// The rings are read where they are, in the memory that the kernel writes to:
// events are views into it, nothing is copied and nothing allocated. In turn
// the memory of an event goes back to the kernel with the next read, and a
// reader that is too slow loses events, which [Source.Stats] counts.
//
//	src, err := ebpf.Open(ebpf.Options{All: true})
//	if err != nil {
//		return err
//	}
//	defer src.Close()
//	for _, r := range src.Refused() {
//		fmt.Fprintln(os.Stderr, "not captured:", r)
//	}
//	evs := make([]event.Event, 256)
//	for {
//		n, err := src.ReadBatch(evs)
//		if errors.Is(err, scap.ErrTimeout) {
//			continue
//		}
//		...
//	}
package ebpf

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/scaplab/scaplab/driver"
)

// Options say what to capture and how. The zero value of each field but the
// selection (All, Syscalls, Tracepoints) is a sensible default.
type Options struct {
	All         bool     // every syscall
	Syscalls    []string // these, by name
	Tracepoints []string // these, see Tracepoints
	Enter       bool     // also the enter events that some of the syscalls have

	RingSize    int // bytes of each ring, a power of two of at least a page; 0: DefaultRingSize
	CPUsPerRing int // CPUs that share a ring; 0: DefaultCPUsPerRing, negative: all share one

	Snaplen        int       // bytes of payload an event has at most; 0: DefaultSnaplen
	DynamicSnaplen bool      // longer payloads where a known protocol is spoken
	FullPorts      [2]uint16 // with DynamicSnaplen: ports, first and last, with very long payloads
	DropFailed     bool      // no exit events of failed syscalls
	SamplingRatio  uint32    // keep 1/ratio of each second of most events; 0, 1: all

	Timeout time.Duration // how long reads wait for an event; 0: DefaultTimeout, negative: not at all

	// RawTracepoints uses raw tracepoints even where the kernel has typed ones.
	RawTracepoints bool
}

// Defaults of Options.
const (
	DefaultRingSize    = driver.RingSize
	DefaultCPUsPerRing = 2
	DefaultSnaplen     = driver.SnaplenDefault
	DefaultTimeout     = 100 * time.Millisecond
)

// Selection is what to capture, for [Source.Select].
type Selection = driver.Selection

// Refusal is a program that this kernel does not take, and why.
type Refusal = driver.Refusal

// Tracepoints are the names that Options.Tracepoints may have on this
// architecture.
func Tracepoints() []string { return driver.Tracepoints() }

// wakeBytes is after how many bytes a CPU wakes the reader before its next
// poll: an eighth of the CPU's part of the ring.
func (o *Options) wakeBytes() uint32 {
	cpus := o.CPUsPerRing
	if cpus == 0 {
		cpus = runtime.NumCPU()
	}
	return uint32(max(o.RingSize/8/cpus, 1))
}

// complete checks the options, all of them, and sets defaults.
func (o Options) complete() (Options, error) {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("options: "+format, args...)) }
	if !o.All && len(o.Syscalls) == 0 && len(o.Tracepoints) == 0 {
		wrong("nothing is selected (set All, Syscalls or Tracepoints)")
	}
	if o.All && len(o.Syscalls) > 0 {
		wrong("All and Syscalls exclude each other")
	}
	if o.RingSize == 0 {
		o.RingSize = DefaultRingSize
	}
	if page := os.Getpagesize(); o.RingSize < page || o.RingSize&(o.RingSize-1) != 0 {
		wrong("RingSize %d is not a power of two of at least a page (%d)", o.RingSize, page)
	} else if o.RingSize > 1<<30 {
		wrong("RingSize %d is above 1 GiB", o.RingSize)
	}
	switch {
	case o.CPUsPerRing == 0:
		o.CPUsPerRing = DefaultCPUsPerRing
	case o.CPUsPerRing < 0:
		o.CPUsPerRing = 0 // the driver's word for all
	}
	if o.Snaplen < 0 || o.Snaplen > driver.SnaplenMax {
		wrong("Snaplen %d is not within 0 and %d", o.Snaplen, driver.SnaplenMax)
	}
	if o.Snaplen == 0 {
		o.Snaplen = DefaultSnaplen
	}
	if o.FullPorts[0] > o.FullPorts[1] {
		wrong("FullPorts: the first port %d is above the last %d", o.FullPorts[0], o.FullPorts[1])
	}
	if o.FullPorts != [2]uint16{} && !o.DynamicSnaplen {
		wrong("FullPorts needs DynamicSnaplen")
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	return o, errors.Join(errs...)
}
