// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kmod

import (
	"errors"
	"fmt"
	"slices"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap"
)

var tracepointNumbers = map[string]int{
	"sched_process_exit": abi.TPProcessExit, "sched_switch": abi.TPSwitch, "page_fault_user": abi.TPPageFaultUser,
	"page_fault_kernel": abi.TPPageFaultKernel, "signal_deliver": abi.TPSignal,
	"sched_process_fork": abi.TPFork, "sched_process_exec": abi.TPExec,
}

// tracepointOrder is the order in which tracepoints are switched on: fork, exec and
// exit as a process meets them.
var tracepointOrder = [abi.TPCount]int{abi.TPSysEnter, abi.TPSysExit, abi.TPFork, abi.TPExec, abi.TPProcessExit, abi.TPSwitch, abi.TPPageFaultUser, abi.TPPageFaultKernel, abi.TPSignal}

// interest is what a selection means for the module.
type interest struct {
	syscalls    [driver.Calls]bool // by place, see driver.Place
	tracepoints [abi.TPCount]bool
}

// plan translates a selection. Each name must be known on some architecture.
func plan(sel scap.Selection) (*interest, error) {
	in := new(interest)
	var errs []error
	want := make(map[string]bool, len(sel.Syscalls))
	for _, name := range sel.Syscalls {
		want[name] = true
	}
	known := make(map[string]bool)
	choose := func(call *driver.Call) {
		name := call.Name
		nr, ok := driver.Place(name, call.NR)
		known[name] = true
		if !sel.All && !want[name] {
			return
		}
		if !ok {
			return
		}
		in.syscalls[nr] = true
		in.tracepoints[abi.TPSysExit] = true
		in.tracepoints[abi.TPSysEnter] = sel.Enter
		if call.Fires != nil { // the module decides whether its architecture needs it
			in.tracepoints[tracepointNumbers[call.Fires.Tracepoint]] = true
		}
	}
	for _, id := range driver.IDs() {
		choose(&driver.Call{Name: id.Name, NR: id.NR})
	}
	for _, e := range driver.Events() {
		for i := range e.Calls {
			choose(&e.Calls[i])
		}
	}
	if sel.All {
		for nr := range abi.UnknownCall + 1 {
			in.syscalls[nr] = true
		}
	}
	for _, name := range sel.Syscalls {
		if !known[name] {
			errs = append(errs, fmt.Errorf("unknown syscall %q", name))
		}
	}
	for _, name := range sel.Tracepoints {
		tp, ok := tracepointNumbers[name]
		if !ok || !slices.Contains(Tracepoints(), name) {
			errs = append(errs, fmt.Errorf("unknown tracepoint %q", name))
			continue
		}
		in.tracepoints[tp] = true
	}
	return in, errors.Join(errs...)
}

// Select sends the module the differences from the selection in force.
func (e *engine) Select(sel scap.Selection) error {
	in, err := plan(sel)
	if err != nil {
		return err
	}
	for nr, on := range in.syscalls {
		// Only our module has places beyond the native numbers.
		if on == e.inForce.syscalls[nr] || nr >= driver.Syscalls && !e.info.own {
			continue
		}
		request := uint(abi.SyscallOff)
		if on {
			request = abi.SyscallOn
		}
		if err := e.set(fmt.Sprintf("select syscall %d", nr), request, nr); err != nil {
			return err
		}
		e.inForce.syscalls[nr] = on
	}
	for _, tp := range tracepointOrder {
		on := in.tracepoints[tp]
		if on == e.inForce.tracepoints[tp] {
			continue
		}
		request := uint(abi.TPOff)
		if on {
			request = abi.TPOn
		}
		if err := e.set(fmt.Sprintf("select tracepoint %d", tp), request, tp); err != nil {
			return err
		}
		e.inForce.tracepoints[tp] = on
	}
	return nil
}
