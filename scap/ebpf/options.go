// SPDX-License-Identifier: Apache-2.0

// Package ebpf is the live source that reads the eBPF driver's rings.
//
// Events are views into the memory that the kernel writes to: nothing is copied
// and nothing is allocated. The next read returns an event's memory to the
// kernel, and a reader that is too slow loses events; [Source.Stats] counts them.
//
//	src, err := ebpf.Open(scap.Selection{All: true}, ebpf.Options{})
//	if err != nil {
//		return err
//	}
//	defer src.Close()
//	for _, r := range src.Refused() {
//		fmt.Fprintln(os.Stderr, "not captured:", r)
//	}
//	for ev, err := range scap.Events(ctx, src) {
//		...
//	}
package ebpf

import (
	"os"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/internal/live"
)

// Options say how to capture. The zero value of each field is a sensible default.
type Options struct {
	scap.Settings // RingSize: at least a page; 0: DefaultRingSize, or 4 MiB if each CPU has its own

	// CPUsPerRing is the number of CPUs that share a ring; negative: all share one; 0: each CPU has its own, in which events
	// are built in place; where the kernel cannot do that, or RingSize is below 4 MiB, DefaultCPUsPerRing share one.
	CPUsPerRing int

	// RawTracepoints uses raw tracepoints even where the kernel has typed ones.
	RawTracepoints bool
}

// Defaults of Options.
const (
	DefaultRingSize    = driver.RingSize
	DefaultCPUsPerRing = 2
)

// Refusal is a program that this kernel refuses, and the reason.
type Refusal = driver.Refusal

// Tracepoints returns the tracepoint names that a Selection may have on this
// architecture.
func Tracepoints() []string { return driver.Tracepoints() }

// complete checks all options and sets defaults.
func (o Options) complete(sel scap.Selection) (Options, error) {
	var p live.Problems
	live.Complete(sel, &o.Settings, &p)
	inPlace := o.CPUsPerRing == 0
	if o.RingSize == 0 && !inPlace {
		o.RingSize = DefaultRingSize
	}
	if page := os.Getpagesize(); o.RingSize == 0 {
		// The driver knows which kind of ring it makes.
	} else if o.RingSize < page || o.RingSize&(o.RingSize-1) != 0 {
		p.Add("RingSize %d is not a power of two of at least a page (%d)", o.RingSize, page)
	} else if o.RingSize > 1<<30 {
		p.Add("RingSize %d is above 1 GiB", o.RingSize)
	}
	return o, p.Err()
}
