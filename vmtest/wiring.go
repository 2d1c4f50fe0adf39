// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

// runPiece runs a piece's cases and, one driver at a time, those with which a
// guest ended that had both: whose doing that was cannot be told else.
func (o *Options) runPiece(ctx context.Context, rep *Report, k kernels.Kernel, p piece, l launcher, unsafe bool) error {
	w := &wiring{o: o, rep: rep, kernel: k, drivers: p.drivers, judges: map[string]*judge.Machine{}, broken: map[string]string{}}
	if err := w.lane(l, unsafe).run(ctx, p.ids); err != nil {
		return err
	}
	if len(w.fatal) == 0 {
		return nil
	}
	for _, d := range p.drivers {
		if guest.IsPair(d) {
			for _, f := range w.fatal {
				rep.add(k, d, f.id, nil, f.verdict)
			}
			continue
		}
		alone := &wiring{o: o, rep: rep, kernel: k, drivers: []string{d}, judges: map[string]*judge.Machine{}, broken: map[string]string{}}
		var ids []string
		for _, f := range w.fatal {
			ids = append(ids, f.id)
		}
		if err := alone.lane(l, unsafe).run(ctx, ids); err != nil {
			return err
		}
	}
	return nil
}

// wiring connects a lane to the report: each of its results is a verdict for
// every driver, and one for their comparison.
type wiring struct {
	o       *Options
	rep     *Report
	kernel  kernels.Kernel
	drivers []string                  // verdicts wanted
	judges  map[string]*judge.Machine // by driver or pair
	broken  map[string]string         // driver -> why it does not work on this kernel
	fatal   []fatality
}

// fatality is a case with which the guest ended while two drivers captured.
type fatality struct {
	id      string
	verdict judge.Verdict
}

func (w *wiring) lane(l launcher, unsafe bool) *lane {
	o, capture := w.o, captureOf(w.drivers)
	ln := &lane{
		driver: capture, launcher: l, caseLimit: o.CaseLimit, silence: o.Silence, grace: 5 * time.Second, unsafe: unsafe,
		log:     func(f string, a ...any) { o.Log("kernel %s, %s: %s", w.kernel.Name, capture, fmt.Sprintf(f, a...)) },
		plan:    w.plan,
		judge:   w.judge,
		note:    func(text string) { w.rep.note(w.kernel, capture, text) },
		started: func(id string) { w.rep.started(w.kernel, capture, id) },
		emit:    w.emit,
	}
	ln.onHello = func(h *guest.Hello, how string) error {
		if err := w.welcome(h, how); err != nil {
			return err
		}
		// A driver that does not work leaves the other to be proven alone.
		if left := slices.DeleteFunc(guest.Drivers(capture), func(d string) bool { return w.broken[d] != "" }); len(left) == 1 {
			ln.driver = left[0]
		}
		return nil
	}
	return ln
}

func (w *wiring) welcome(h *guest.Hello, how string) error {
	for _, s := range h.Drivers {
		if s.Error != "" {
			w.broken[s.Name] = s.Error
		}
	}
	for _, d := range w.drivers {
		m, err := judge.NewMachine(h, d)
		if err != nil {
			return err
		}
		w.judges[d] = m
		w.rep.welcome(w.kernel, d, h, how)
	}
	return nil
}

// plan asks for what any of the verdicts needs.
func (w *wiring) plan(ids []string) (run []string, skip map[string]string, absent []string) {
	var all []*judge.Machine
	for _, d := range w.drivers {
		all = append(all, w.judges[d])
	}
	return judge.Plan(all, ids)
}

// verdict is what one driver's events, or the comparison of two, say of a case.
func (w *wiring) verdict(driver string, r *guest.CaseResult) judge.Verdict {
	for _, d := range guest.Drivers(driver) {
		if why := w.broken[d]; why != "" {
			return judge.Failf(judge.ClassDriver, "driver %s: %s", d, why)
		}
	}
	return judge.Result(w.judges[driver], r)
}

// judge gives the first of the drivers' verdicts that is no pass, that of the
// comparison last: when a driver is wrong they differ because of that.
func (w *wiring) judge(r *guest.CaseResult) judge.Verdict {
	var v judge.Verdict
	for _, d := range w.drivers {
		if !guest.IsPair(d) {
			if v = w.verdict(d, r); v.Status == judge.Fail {
				return v
			}
		}
	}
	if i := slices.IndexFunc(w.drivers, guest.IsPair); i >= 0 {
		return w.verdict(w.drivers[i], r)
	}
	return v
}

// emit reports a case for each of the drivers.
func (w *wiring) emit(id string, r *guest.CaseResult, v judge.Verdict) {
	if r == nil && (v.Class == judge.ClassCrash || v.Class == judge.ClassHang) && len(w.drivers) > 1 {
		w.fatal = append(w.fatal, fatality{id, v})
		return
	}
	for _, d := range w.drivers {
		own := v
		if r != nil && v.Class != judge.ClassChannel && v.Class != judge.ClassKernel {
			own = w.verdict(d, r)
		}
		w.rep.add(w.kernel, d, id, r, own)
		if w.rep.captures != nil && r != nil && !guest.IsPair(d) {
			w.rep.captures.add(w.kernel, d, r)
		}
	}
	if r != nil && w.o.OnResult != nil {
		w.o.OnResult(w.kernel, captureOf(w.drivers), r)
	}
}
