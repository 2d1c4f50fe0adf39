// SPDX-License-Identifier: Apache-2.0

// Package kmod is the live source that reads a kernel module's rings: this
// project's, or any that speaks the same interface.
//
// The module must be loaded; its devices are for root only. Events are views
// into the rings, which the kernel writes to: nothing is copied and nothing
// allocated. The memory of an event goes back to the kernel with the next read.
//
//	src, err := kmod.Open(kmod.Options{All: true})
//	if err != nil {
//		return err
//	}
//	defer src.Close()
//	for ev, err := range scap.Events(src) {
//		...
//	}
package kmod

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/scaplab/scaplab/driver"
)

// Options say what to capture and how. The zero value of each field but the
// selection (All, Syscalls, Tracepoints) is a sensible default.
type Options struct {
	All         bool     // every syscall, those the table has no entry for included
	Syscalls    []string // these, by name
	Tracepoints []string // these, see Tracepoints
	Enter       bool     // also the enter events that some of the syscalls have

	Name     string // the module's name, which its devices share; "": DefaultName
	RingSize int    // bytes of each CPU's ring, a power of two above two pages; 0: as the module has it set

	Snaplen        int       // bytes of payload an event has at most; 0: DefaultSnaplen
	DynamicSnaplen bool      // longer payloads where a known protocol is spoken
	FullPorts      [2]uint16 // with DynamicSnaplen: ports, first and last, with very long payloads
	StatsdPort     uint16    // 0: 8125
	DropFailed     bool      // no exit events of failed syscalls
	SamplingRatio  uint32    // keep 1/ratio of each second of most events, ratio a power of two to 128; 0, 1: all

	Timeout time.Duration // how long reads wait for an event; 0: DefaultTimeout, negative: not at all

	// Reference asks for the events of the reference schema only: syscalls
	// that it knows no event for come as generic ones.
	Reference bool
}

// Defaults of Options.
const (
	DefaultName    = "scap"
	DefaultSnaplen = driver.SnaplenDefault
	DefaultTimeout = 100 * time.Millisecond
)

// Selection is what to capture, for [Source.Select].
type Selection = driver.Selection

// Tracepoints are the names that Options.Tracepoints may have on this
// architecture.
func Tracepoints() []string { return driver.Tracepoints() }

func (o *Options) selection() Selection {
	return Selection{All: o.All, Syscalls: o.Syscalls, Tracepoints: o.Tracepoints, Enter: o.Enter}
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
	if o.Name == "" {
		o.Name = DefaultName
	}
	if strings.ContainsAny(o.Name, "/\x00") {
		wrong("Name %q is not the name of a module", o.Name)
	}
	if n := o.RingSize; n != 0 && (n <= 2*os.Getpagesize() || n&(n-1) != 0 || int64(n) > 1<<31) {
		wrong("RingSize %d is not a power of two above two pages (%d) and up to 2 GiB", n, 2*os.Getpagesize())
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
	if r := o.SamplingRatio; r > 128 || r&(r-1) != 0 {
		wrong("SamplingRatio %d is not a power of two up to 128", r)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	return o, errors.Join(errs...)
}

// Version is a number of the module's interface.
type Version struct{ Major, Minor, Patch int }

func parseVersion(v uint64) Version {
	return Version{int(v >> 44 & 0x7ffff), int(v >> 24 & 0xfffff), int(v & 0xffffff)}
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// checkVersions says whether this package understands a module's interface.
// Between the two majors of the API nothing of it changed.
func checkVersions(api, schema Version) error {
	if api.Major != 8 && api.Major != 10 {
		return fmt.Errorf("the module's API is %v (want 8 or 10)", api)
	}
	if schema.Major != 4 {
		return fmt.Errorf("the module's schema is %v (want 4)", schema)
	}
	return nil
}

// Counters are what the module counts, over all CPUs since Open.
type Counters struct {
	Events      uint64 // that reached a ring, lost or not
	DropsBuffer uint64 // no room in the ring
	DropsFault  uint64 // unreadable user memory (of other modules: ours sends the event without the param)
	Preemptions uint64 // hits inside another hit; not among Events
	Switches    uint64 // context switches and ends of processes
	ByCategory  DropsByCategory
	CPUs        int // rings
}

// DropsByCategory are those of DropsBuffer whose params did not fit, of the calls that clients most want to know of.
type DropsByCategory struct {
	CloneFork, Execve, ConnectEnter, Connect, OpenEnter, Open, DirFile, OtherInterest, Close, ProcExit uint64
}
