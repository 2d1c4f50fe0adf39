// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/scaplab/scaplab/internal/abi"
)

const (
	dispatcherExit  = "sys_exit"
	dispatcherEnter = "sys_enter"
	genericProgram  = "x_generic_exit"
)

// Place returns the place of a call in the drivers' tables by call on this architecture: its
// number, or, on amd64, one from Syscalls on for a call that only 32-bit tasks have.
func Place(name string, nr NR) (int, bool) {
	if n, ok := nr.Number(runtime.GOARCH); ok {
		return n, n < Syscalls
	}
	if runtime.GOARCH == "amd64" {
		place, ok := ia32Only[name]
		return place, ok
	}
	return 0, false
}

// plan is what the driver loads, attaches and enables for a selection.
type plan struct {
	interest [Calls]uint16
	exit     map[int]string // place -> program
	enter    map[int]string
	attach   map[string]string // program -> tracepoint, dispatchers included
}

// interest returns the bits of a call that do not depend on its event.
func (c *Call) interest() (bits uint16) {
	if c.FiredOn(runtime.GOARCH) {
		bits |= abi.InterestSilentZero
	}
	if c.DropFailed {
		bits |= abi.InterestFailure
	}
	if c.DropUnless {
		bits |= abi.InterestUnless
	}
	return bits
}

func (d *Driver) plan(s Selection) (*plan, error) {
	p := &plan{exit: make(map[int]string), enter: make(map[int]string), attach: make(map[string]string)}
	wanted := make(map[string]bool, len(s.Syscalls))
	for _, name := range s.Syscalls {
		wanted[name] = true
	}
	known := p.addTyped(s, wanted)
	p.addGeneric(s, wanted, known)
	if runtime.GOARCH == "amd64" {
		p.markExecs()
	}
	p.markCompat()
	var errs []error
	for _, name := range s.Syscalls {
		if !known[name] {
			errs = append(errs, fmt.Errorf("unknown syscall %q", name))
		}
	}
	for _, name := range s.Tracepoints {
		if !p.addTracepoint(name) {
			errs = append(errs, fmt.Errorf("unknown tracepoint %q", name))
		}
	}
	return p, errors.Join(errs...)
}

// addTyped adds the wanted syscalls that have an event of their own. It returns the names
// of all such syscalls.
func (p *plan) addTyped(s Selection, wanted map[string]bool) (known map[string]bool) {
	known = make(map[string]bool)
	for i := range events {
		e := &events[i]
		if e.From != dispatcherExit && e.From != dispatcherEnter {
			continue
		}
		for j := range e.Calls {
			c := &e.Calls[j]
			known[c.Name] = true
			nr, ok := Place(c.Name, c.NR)
			switch {
			case !ok || !s.All && !wanted[c.Name]:
			case e.From == dispatcherExit:
				p.addExit(e, c, nr)
			case s.Enter:
				p.enter[nr] = e.Program
				p.interest[nr] |= abi.InterestEnter
				p.attach[dispatcherEnter] = dispatcherEnter
			}
		}
	}
	return known
}

func (p *plan) addExit(e *Event, c *Call, nr int) {
	p.exit[nr] = e.Program
	p.interest[nr] |= abi.InterestExit | c.interest()
	switch e.Drop {
	case DropNever:
		p.interest[nr] |= abi.InterestNever
	case DropAlways:
		p.interest[nr] |= abi.InterestAlways
	}
	p.attach[dispatcherExit] = dispatcherExit
	if c.Keeps != "" {
		p.attach["keep_"+c.Keeps] = c.Keeps
	}
	if c.FiredOn(runtime.GOARCH) {
		p.attach[c.Fires.Program] = c.Fires.Tracepoint
	}
}

// addGeneric adds the wanted syscalls without an event of their own: they make the generic
// event with their code. It adds their names to known.
func (p *plan) addGeneric(s Selection, wanted, known map[string]bool) {
	for i := range ids {
		id := &ids[i]
		if known[id.Name] {
			continue
		}
		known[id.Name] = true
		nr, ok := Place(id.Name, id.NR)
		if ok && p.interest[nr] == 0 && (s.All || wanted[id.Name]) {
			p.generic(nr)
		}
	}
	if !s.All {
		return
	}
	// Syscalls newer than ids.yaml, and numbers that are no syscall, make generic events with code 0, as in the module.
	for nr := range abi.UnknownCall + 1 {
		if p.interest[nr] == 0 {
			p.generic(nr)
		}
	}
}

func (p *plan) generic(nr int) {
	p.exit[nr] = genericProgram
	p.interest[nr] = abi.InterestExit | abi.InterestAlways
	p.attach[dispatcherExit] = dispatcherExit
}

// markExecs marks the 32-bit numbers of exec: a 32-bit task that executes a 64-bit program
// returns from exec with its 32-bit number.
func (p *plan) markExecs() {
	for i := range events {
		for j := range events[i].Calls {
			c := &events[i].Calls[j]
			nr := c.NR.on("386")
			if c.Fires != nil && c.Fires.Tracepoint == "sched_process_exec" && nr >= 0 && p.interest[nr] != 0 {
				p.interest[nr] |= abi.InterestAfterExec
			}
		}
	}
}

// markCompat marks the numbers with which 32-bit tasks make calls that have an event here.
func (p *plan) markCompat() {
	wanted := func(places ...int) bool {
		return slices.ContainsFunc(places, func(place int) bool { return p.interest[place]&^abi.InterestCompat != 0 })
	}
	for nr := range Syscalls {
		places := []int{ia32Place(nr)}
		if runtime.GOARCH == "amd64" && nr == IA32Socketcall {
			places = append(places, socketcallPlaces[:]...)
		}
		if wanted(places...) {
			p.interest[nr] |= abi.InterestCompat
		}
	}
}

// ia32Place returns the place in the tables by call of a number of 32-bit tasks.
func ia32Place(nr int) int {
	place, ok := ia32Places[nr]
	switch {
	case runtime.GOARCH != "amd64":
		return abi.UnknownCall
	case ok:
		return place
	case nr >= abi.FirstCommon:
		return nr
	}
	return abi.UnknownCall
}

// addTracepoint reports whether it knows the tracepoint.
func (p *plan) addTracepoint(name string) bool {
	if !slices.Contains(Tracepoints(), name) {
		return false
	}
	if name == "page_fault_kernel" {
		p.attach["k_page_fault_enter"] = name
		return true
	}
	for i := range events {
		if events[i].From == name {
			p.attach[events[i].Program] = name
		}
	}
	return true
}

// Select changes what is captured. It loads missing programs, and attaches them if
// the driver is attached. Programs no longer needed stay loaded but do not run.
func (d *Driver) Select(s Selection) error {
	p, err := d.plan(s)
	if err != nil {
		return err
	}
	names := slices.Collect(maps.Keys(p.attach))
	names = slices.AppendSeq(names, maps.Values(p.exit))
	names = slices.AppendSeq(names, maps.Values(p.enter))
	d.ensure(names)
	for _, name := range []string{dispatcherExit, dispatcherEnter} {
		if r := d.refused[name]; r != nil && p.attach[name] != "" {
			return r
		}
	}
	if err := d.dispatch(p.exit, "exit_progs", genericProgram); err != nil {
		return err
	}
	if err := d.dispatch(p.enter, "enter_progs", ""); err != nil {
		return err
	}
	// Set interest last: an event of an interesting number without a program is lost.
	if err := d.coll.Variables["interest"].Set(p.interest); err != nil {
		return fmt.Errorf("set interest: %w", err)
	}
	d.selected, d.wanted = s, p.attach
	if d.attached {
		return d.Attach()
	}
	return nil
}

// dispatch fills a program array. The program named instead replaces a refused one.
// If that is refused as well, the number has no program and its events count as lost.
func (d *Driver) dispatch(programs map[int]string, array, instead string) error {
	m := d.coll.Maps[array]
	for _, nr := range slices.Sorted(maps.Keys(programs)) {
		prog := d.programs[programs[nr]]
		if prog == nil && instead != "" {
			d.ensure([]string{instead})
			prog = d.programs[instead]
		}
		if prog == nil {
			continue
		}
		if err := m.Put(uint32(nr), prog); err != nil {
			return fmt.Errorf("put %s into %s: %w", programs[nr], array, err)
		}
	}
	return nil
}

// Selected returns the selection in force.
func (d *Driver) Selected() Selection { return d.selected }

// Attach attaches the programs: events come from now on. It attaches the dispatchers
// last, so that a process whose start is captured has its exec and end captured, too.
// A program that cannot be attached is refused (see Refused); Attach fails only if a
// dispatcher cannot be attached.
func (d *Driver) Attach() error {
	var errs []error
	for name, l := range d.links {
		if d.wanted[name] == "" {
			errs = append(errs, l.Close())
			delete(d.links, name)
		}
	}
	names := slices.Collect(maps.Keys(d.wanted))
	slices.SortFunc(names, func(a, b string) int { return attachOrder(a) - attachOrder(b) })
	for _, name := range names {
		prog := d.programs[name]
		if d.links[name] != nil || prog == nil {
			continue
		}
		l, err := attach(prog, d.wanted[name])
		if err != nil {
			err = fmt.Errorf("attach to %s: %w", d.wanted[name], err)
			if attachOrder(name) > 0 { // without a dispatcher no syscall makes events
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			} else {
				d.refused[name] = &Refusal{name, err}
			}
			continue
		}
		d.links[name], d.fired[name] = l, true
	}
	d.attached = true
	return errors.Join(errs...)
}

func attachOrder(name string) int {
	switch name {
	case dispatcherExit:
		return 1
	case dispatcherEnter:
		return 2
	}
	return 0
}

// Detach stops the programs; the rings keep what is in them.
func (d *Driver) Detach() error {
	var errs []error
	for name, l := range d.links {
		errs = append(errs, l.Close())
		delete(d.links, name)
	}
	d.attached = false
	return errors.Join(errs...)
}
