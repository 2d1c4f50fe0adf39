// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"slices"
	"strings"

	"github.com/scaplab/scaplab/driver/bpf"
	"github.com/scaplab/scaplab/internal/abi"
)

// Syscalls is the size of the tables by native syscall number; Calls that of the tables by call,
// see Place.
const (
	Syscalls = abi.Syscalls
	Calls    = abi.Calls
)

// Events returns a copy of the list of events that the drivers make, in the order
// of their codes.
func Events() []Event {
	list := slices.Clone(events[:])
	for i := range list {
		list[i].Calls = slices.Clone(list[i].Calls)
	}
	return list
}

// Event is one event that the drivers make; table_gen.go lists them.
type Event struct {
	Code    uint16
	Symbol  string // stem of its generated names: fill_openat_exit, event.OpenatExit
	Program string // its eBPF program
	Object  string // the eBPF object that has the program
	From    string // sys_exit, sys_enter or the tracepoint that fires it
	Params  uint8
	Fixed   uint16 // bytes of its params if their size never varies, else 0
	Drop    Drop
	Calls   []Call // the syscalls that make it; none for a tracepoint's event
}

// objectOf returns the name of the eBPF object that has a program. A program is
// named by a letter for the tracepoint and the symbol of its event (x_openat_exit).
// Programs without an event are in the core.
func objectOf(program string) string {
	_, symbol, _ := strings.Cut(program, "_")
	for i := range events {
		if events[i].Symbol == symbol {
			return events[i].Object
		}
	}
	return bpf.Core
}

// Drop is what dropping mode does with an event.
type Drop uint8

const (
	DropSampled Drop = iota // kept in the first part of each second
	DropAlways              // lost while the mode is on
	DropNever               // always kept
)

// Call is a syscall by its name and its number on each architecture.
type Call struct {
	Name       string
	NR         NR
	Socketcall uint8  // its sub-call number of socketcall; 0: none
	Keeps      string // tracepoint whose program keeps what the filler tells, or ""
	DropFailed bool   // dropping mode drops its failures
	DropUnless bool   // dropping mode drops it, depending on an argument
	Fires      *Fires // another tracepoint reports its success, or nil
}

// Fires is the tracepoint that reports the success of a call instead of sys_exit.
type Fires struct {
	Tracepoint string
	Program    string   // the eBPF program that makes the event there
	On         []string // architectures, by GOARCH
}

// FiredOn reports whether another tracepoint reports the call's success on arch (a GOARCH).
func (c *Call) FiredOn(arch string) bool {
	return c.Fires != nil && slices.Contains(c.Fires.On, arch)
}

// NR is a call's number on each architecture, in the order of arches; -1 where the
// architecture does not have the call.
type NR [len(arches)]int16

func (nr *NR) on(arch string) int16 {
	i := slices.Index(arches[:], arch)
	if i < 0 {
		return -1
	}
	return nr[i]
}

// Number returns the call's number on arch (a GOARCH), and whether arch has the call.
func (nr *NR) Number(arch string) (int, bool) {
	n := nr.on(arch)
	return int(n), n >= 0
}
