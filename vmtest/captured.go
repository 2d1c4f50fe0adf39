// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/subject"
)

// JudgeCapture judges a capture file that another program wrote while the cases with these facts
// ran. Errors are about the file.
func JudgeCapture(o Options, facts *Facts, file string) (*Report, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	r, err := savefile.Open(file, savefile.Options{Raw: true})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c := newCutter(facts)
	if err := c.read(r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	k := Kernel{Kernel: kernels.Kernel{Name: facts.Hello.Release, Release: facts.Hello.Release, Arch: facts.Hello.Arch},
		Subject: &subject.Subject{Name: filepath.Base(file), Origin: "a capture file", Capture: true}}
	o.Kernels, o.Drivers = []Kernel{k}, []guest.Drivers{guest.OnlyCaptured}
	m, err := judge.NewMachine(&facts.Hello, guest.OnlyCaptured)
	if err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	m.Subject = k.Subject
	return o.reported(func(rep *Report, pieces []piece) error {
		for _, id := range o.Cases {
			if i := slices.IndexFunc(facts.Results, func(r guest.CaseResult) bool { return r.Case == id }); i >= 0 {
				rep.add(k, guest.OnlyCaptured, id, &facts.Results[i], c.verdict(m, i))
			} else {
				rep.add(k, guest.OnlyCaptured, id, nil, judge.Verdict{Status: judge.Skip, Reason: "the case did not run on this kernel"})
			}
		}
		return nil
	})
}

// cutter gives each case its events of a capture of everything.
type cutter struct {
	facts  *Facts
	byMark map[uint32]int    // index of the result, by the number of its marks
	parts  []cut             // of each result
	open   map[event.PID]int // the case that a thread runs
	child  map[event.PID]int // the case that has made a thread
}

// cut is what a capture has of a case.
type cut struct {
	began, after bool
	codes        []uint16 // of events that may be of the call
	number       int      // native number of the call
}

func newCutter(facts *Facts) *cutter {
	c := &cutter{facts: facts, byMark: map[uint32]int{}, parts: make([]cut, len(facts.Results)), open: map[event.PID]int{}, child: map[event.PID]int{}}
	for i := range facts.Results {
		r := &facts.Results[i]
		sc, _ := guest.Find(r.Case)
		if sc == nil || r.Mark == 0 {
			continue
		}
		c.byMark[r.Mark] = i
		r.Capture = guest.Capture{Driver: guest.Captured}
		nr, _ := sc.Number(facts.Hello.Arch)
		c.parts[i] = cut{number: nr, codes: append([]uint16{sc.Exit, sc.Enter, sc.ChildCode(facts.Hello.Arch), uint16(event.TypeGenericExit)}, sc.Extra...)}
	}
	return c
}

// read reads the whole capture.
func (c *cutter) read(r *savefile.Reader) error {
	for {
		ev, err := r.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, savefile.ErrTruncated): // what there is, is judged
			return nil
		case err != nil:
			return err
		}
		c.take(ev)
	}
}

func (c *cutter) take(ev *event.Event) {
	if number, which, ok := guest.ReadMark(ev); ok {
		i, known := c.byMark[number]
		switch {
		case !known:
		case which == guest.MarkBefore:
			c.parts[i].began = true
			c.open[ev.TID()] = i
			r := &c.facts.Results[i]
			r.TID = uint64(ev.TID())
			if r.Child != 0 {
				c.child[event.PID(r.Child)] = i
			}
		case which == guest.MarkAfter:
			c.parts[i].after = true
			delete(c.open, ev.TID())
		}
		return
	}
	i, ok := c.open[ev.TID()]
	if !ok {
		if i, ok = c.child[ev.TID()]; !ok {
			return
		}
	}
	r := &c.facts.Results[i]
	if slices.Contains(c.parts[i].codes, uint16(ev.Type())) && (ev.Type() != event.TypeGenericExit || c.parts[i].number == nativeNumber(ev)) {
		r.Events = append(r.Events, slices.Clone(ev.Bytes()))
	} else {
		r.Others++
	}
}

// nativeNumber returns the number of the call that a generic event is of, -1 if it does not have one.
func nativeNumber(ev *event.Event) int {
	if ev.NumParams() < 2 || len(ev.Param(1)) != 2 {
		return -1
	}
	return int(binary.NativeEndian.Uint16(ev.Param(1)))
}

// verdict judges a case by its part of the capture.
func (c *cutter) verdict(m *judge.Machine, i int) judge.Verdict {
	r, part := &c.facts.Results[i], &c.parts[i]
	_, cs := guest.Find(r.Case)
	if cs == nil {
		return judge.Failf(judge.ClassHarness, "the table has no case %s", r.Case)
	}
	if cs.Snaplen != 0 && cs.Snaplen != abi.SnaplenDefault {
		return judge.Verdict{Status: judge.Skip, Reason: fmt.Sprintf("needs a snap length of %d, a capture has one of %d", cs.Snaplen, abi.SnaplenDefault)}
	}
	switch {
	case r.Mark == 0: // it did not get so far
	case !part.began:
		r.Incomplete = "the capture does not have the event that begins the case"
	case r.Return && !part.after:
		r.Incomplete = "the capture does not have the event after the call"
	}
	v := judge.Result(m, r)
	if sc, _ := guest.Find(r.Case); v.Class == judge.ClassMissing && r.Incomplete == "" && sc.Exit >= abi.FirstOwn {
		// Programs ask a driver for the calls that they know.
		return judge.Verdict{Status: judge.Skip, Reason: "the reference has no event of the call, and the program that recorded did not ask for the generic one"}
	}
	return v
}
