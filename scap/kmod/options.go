// SPDX-License-Identifier: Apache-2.0

// Package kmod is the live source that reads the rings of a kernel module: this
// project's, or any other with the same interface.
//
// The module must be loaded, and only root can open its devices. Events are
// views into the rings that the kernel writes to: nothing is copied and nothing
// is allocated. The next read returns an event's memory to the kernel.
//
//	src, err := kmod.Open(scap.Selection{All: true}, kmod.Options{})
//	if err != nil {
//		return err
//	}
//	defer src.Close()
//	for ev, err := range scap.Events(ctx, src) {
//		...
//	}
package kmod

import (
	"os"
	"strings"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/internal/live"
)

// Options say how to capture. The zero value of each field is a sensible default.
type Options struct {
	// RingSize is the size of each CPU's ring, above two pages; 0: the module's
	// current setting. SamplingRatio is a power of two up to 128.
	scap.Settings

	Name string // the module's name, which its devices share; "": DefaultName

	// Demand has the lowest versions that the module may have; zero: any that this package supports.
	Demand Demand

	// Reference limits the capture to events of the reference schema: other
	// syscalls come as generic events.
	Reference bool
}

// DefaultName is the default of Options.Name.
const DefaultName = "scap"

// Tracepoints returns the tracepoint names that a Selection may have on this
// architecture.
func Tracepoints() []string { return driver.Tracepoints() }

// complete checks all options and sets defaults.
func (o Options) complete(sel scap.Selection) (Options, error) {
	var p live.Problems
	live.Complete(sel, &o.Settings, &p)
	if o.Name == "" {
		o.Name = DefaultName
	}
	if strings.ContainsAny(o.Name, "/\x00") {
		p.Add("Name %q is not the name of a module", o.Name)
	}
	if n := o.RingSize; n != 0 && (n <= 2*os.Getpagesize() || n&(n-1) != 0 || int64(n) > 1<<31) {
		p.Add("RingSize %d is not a power of two above two pages (%d) and up to 2 GiB", n, 2*os.Getpagesize())
	}
	if r := o.SamplingRatio; r > abi.SamplingRatioMax || r&(r-1) != 0 {
		p.Add("SamplingRatio %d is not a power of two up to %d", r, abi.SamplingRatioMax)
	}
	return o, p.Err()
}

// Counters are the module's counters, summed over all CPUs since Open.
type Counters struct {
	Events      uint64 // events that reached a ring, lost ones included
	DropsBuffer uint64 // no room in the ring
	DropsFault  uint64 // unreadable user memory (other modules only: ours sends the event without the param)
	Preemptions uint64 // hits inside another hit; not among Events
	Switches    uint64 // context switches and ends of processes
	// DropsMessages counts messages of sendmmsg and recvmmsg after those that have an event; 0 with other modules.
	DropsMessages uint64
	ByCategory    DropsByCategory
	CPUs          int // rings
}

// DropsByCategory splits, by kind of call, the part of DropsBuffer that was lost
// because a param did not fit.
type DropsByCategory struct {
	CloneFork, Execve, ConnectEnter, Connect, OpenEnter, Open, DirFile, OtherInterest, Close, ProcExit uint64
}
