// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// compareDrivers judges a case that two drivers captured at once. Each param must be
// equal, byte by byte, except those that may differ according to the table.
// In Verdict.Params the value of the first driver is the wanted one.
func compareDrivers(sc *guest.Syscall, cs *guest.Case, res *guest.CaseResult, m *Machine) Verdict {
	if why := m.skipReason(sc, cs); why != "" {
		return Verdict{Status: Skip, Reason: why}
	}
	if v, done := judgeOutcome(cs, res); done {
		return v
	}
	if res.Second == nil || res.Driver != m.Drivers.A || res.Second.Driver != m.Drivers.B {
		return Failf(ClassHarness, "the guest did not capture with %s", m.Drivers)
	}
	if v, done := judgeCapture(res.Second); done {
		return v
	}
	for _, code := range []uint16{sc.Enter, sc.Exit, sc.ChildCode(m.Arch)} {
		if why, refused := m.Refused[Symbol(code)]; refused && code != 0 {
			return Verdict{Status: Skip, Reason: fmt.Sprintf("the kernel refused the eBPF program of %s: %s", Symbol(code), why)}
		}
	}
	c := comparison{sc: sc, cs: cs, res: res, m: m}
	c.compareDrivers()
	return c.verdict()
}

func (c *comparison) compareDrivers() {
	first, second := c.m.Drivers.A, c.m.Drivers.B
	a, b := c.byThread(first, c.res.Events), c.byThread(second, c.res.Second.Events)
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			c.fault(ClassDiffer, "only %s has %s", second, describe(&b[i]))
		case i >= len(b):
			c.fault(ClassDiffer, "only %s has %s", first, describe(&a[i]))
		case a[i].Type() != b[i].Type() || a[i].TID() != b[i].TID():
			c.fault(ClassDiffer, "event %d: %s has %s, %s %s", i+1, first, describe(&a[i]), second, describe(&b[i]))
			return // the rest is shifted
		default:
			c.compareParams(&a[i], &b[i], first, second)
		}
	}
}

// byThread returns a driver's events grouped by thread, in the order of each thread.
func (c *comparison) byThread(driver guest.Driver, raw [][]byte) []event.Event {
	events := make([]event.Event, 0, len(raw))
	for i, b := range raw {
		var ev event.Event
		if err := ev.Reset(b, 0); err != nil {
			c.fault(ClassGarbled, "%s: event %d of %d: %v (%d bytes: % x)", driver, i+1, len(raw), err, len(b), b[:min(len(b), 64)])
			continue
		}
		events = append(events, ev)
	}
	slices.SortStableFunc(events, func(x, y event.Event) int {
		switch a, b := x.TID(), y.TID(); {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	})
	return events
}

func describe(ev *event.Event) string {
	return fmt.Sprintf("%s of thread %d: %s", Symbol(uint16(ev.Type())), ev.TID(), Brief(string(ev.AppendArgs(nil)), briefEvent))
}

func (c *comparison) compareParams(a, b *event.Event, first, second guest.Driver) {
	if a.NumParams() != b.NumParams() {
		c.fault(ClassDiffer, "%s: %s has %d params, %s %d", Symbol(uint16(a.Type())), first, a.NumParams(), second, b.NumParams())
		return
	}
	info := a.Info()
	if info == nil {
		c.fault(ClassGarbled, "event of unknown code %d", a.Type())
		return
	}
	for i := range min(a.NumParams(), len(info.Params)) {
		p := &info.Params[i]
		x, y := a.Param(i), b.Param(i)
		name := p.Name
		if uint16(a.Type()) == c.sc.Enter {
			name = EnterPrefix + name
		}
		out := Param{Name: name, Want: string(p.AppendText(nil, x)), Got: string(p.AppendText(nil, y)), OK: bytes.Equal(x, y)}
		if !out.OK && out.Want == out.Got {
			out.Want, out.Got = fmt.Sprintf("% x", x), fmt.Sprintf("% x", y)
		}
		c.params = append(c.params, out)
		if !out.OK {
			c.fault(ClassDiffer, "%s: %s: %s says %s, %s %s", info.Symbol, name, first, Brief(out.Want, briefValue), second, Brief(out.Got, briefValue))
		}
	}
}
