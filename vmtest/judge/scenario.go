// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// compareScenario judges what a driver showed of a scenario: each event that it must show, in any
// order, and none that it must never show. What the table says it misses is no failure, as long as it
// is missed.
func compareScenario(sc *guest.Syscall, cs *guest.Case, res *guest.CaseResult, m *Machine) Verdict {
	if why := m.skipReason(sc, cs); why != "" {
		return Verdict{Status: Skip, Reason: why}
	}
	if v, done := judgeOutcome(cs, res); done {
		return v
	}
	c := comparison{sc: sc, cs: cs, res: res, m: m}
	events, used := c.events()
	var missed []string
	for i := range cs.Items {
		item := &cs.Items[i]
		if m.Subject != nil {
			if why := c.notShown(*item, events, used); why != "" {
				missed = append(missed, why)
			}
			continue
		}
		ok, params, fault := c.shown(item, events, used)
		why, known := item.Missed[m.Drivers.A]
		switch {
		case fault != nil:
			c.faults = append(c.faults, *fault)
		case known && ok:
			c.fault(ClassTable, "%s: shown, but the table says it is missed: %s", c.itemName(item), why)
		case known:
			missed = append(missed, c.itemName(item)+": "+why)
			continue // its values are not wanted
		}
		c.params = append(c.params, params...)
	}
	if m.Subject != nil { // what others miss is a score, no failure
		for _, f := range c.faults {
			missed = append(missed, f.Reason)
		}
		return Verdict{Status: Pass, Params: c.params, Missed: strings.Join(missed, "; ")}
	}
	v := c.verdict()
	v.Missed = strings.Join(missed, "; ")
	return v
}

// notShown says what somebody else's driver does not show of an item, whatever ours miss; "" if it shows it.
func (c *comparison) notShown(item guest.Shown, events []event.Event, used []bool) string {
	item.Missed = nil
	_, params, fault := c.shown(&item, events, used)
	c.params = append(c.params, params...)
	if fault == nil {
		return ""
	}
	if fault.Class == ClassMissing {
		return c.itemName(&item) + ": no event"
	}
	reason, _, _ := strings.Cut(fault.Reason, "\n")
	return c.itemName(&item) + ": " + reason
}

func (c *comparison) itemName(item *guest.Shown) string {
	if item.Never {
		return "never " + Symbol(item.Code)
	}
	return Symbol(item.Code)
}

// shown reports whether an item is met. If it is not, and the table does not say that it is missed, fault
// says how. params are those of the event that fits best.
func (c *comparison) shown(item *guest.Shown, events []event.Event, used []bool) (ok bool, params []Param, fault *Verdict) {
	tid, err := c.thread(item.By)
	if err != nil {
		v := Failf(ClassTable, "by: %v", err)
		return false, nil, &v
	}
	best, bestWrong := -1, 0
	for i := range events {
		if used[i] && !item.Never || uint16(events[i].Type()) != item.Code || uint64(events[i].TID()) != tid {
			continue
		}
		list, err := c.with(item, &events[i])
		if err != nil {
			v := Failf(ClassTable, "%s: %v", Symbol(item.Code), err)
			return false, nil, &v
		}
		wrong := 0
		for _, p := range list {
			if !p.OK {
				wrong++
			}
		}
		if best < 0 || wrong < bestWrong {
			best, bestWrong, params = i, wrong, list
		}
	}
	found := best >= 0 && bestWrong == 0
	_, missed := item.Missed[c.m.Drivers.A]
	switch {
	case item.Never && found && !missed:
		v := Failf(ClassExtra, "%s of thread %d must never be shown: %s", Symbol(item.Code), tid, Brief(string(events[best].AppendArgs(nil)), briefEvent))
		return false, nil, &v
	case item.Never:
		return !found, nil, nil
	case found:
		used[best] = true
		return true, params, nil
	case missed:
		return false, nil, nil
	case best < 0:
		v := c.absent(item.Code, tid)
		return false, nil, &v
	}
	var wrong []string
	for _, p := range params {
		if !p.OK {
			wrong = append(wrong, fmt.Sprintf("%s: want %s, got %s", p.Name, Brief(p.Want, briefValue), Brief(p.Got, briefValue)))
		}
	}
	v := Failf(ClassParam, "%s", strings.Join(wrong, "\n"))
	return false, params, &v
}

// absent is the failure of an event that did not come.
func (c *comparison) absent(code uint16, tid uint64) Verdict {
	symbol := Symbol(code)
	if why, ok := c.m.Refused[symbol]; ok {
		return Failf(ClassRefused, "%s: the kernel refused its program: %s", symbol, why)
	}
	return Failf(ClassMissing, "no %s event of thread %d%s", symbol, tid, lostText(&c.res.Capture))
}

// thread evaluates whose events an item is about.
func (c *comparison) thread(by string) (uint64, error) {
	v, err := evalWant(by, &wantEnv{facts: c.res.Facts})
	if err != nil {
		return 0, err
	}
	tid, err := expr.ToInt(v)
	return uint64(tid), err
}

// with compares an event with an item's wanted values.
func (c *comparison) with(item *guest.Shown, ev *event.Event) ([]Param, error) {
	info := ev.Info()
	params := make([]Param, 0, len(item.With))
	for _, w := range item.With {
		i := info.ParamIndex(w.Name)
		if i < 0 || i >= ev.NumParams() {
			return nil, fmt.Errorf("no param %s", w.Name)
		}
		p := &info.Params[i]
		v, err := evalWant(w.Expr, &wantEnv{facts: c.res.Facts, set: p.Names})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.Name, err)
		}
		r, err := match(p, v, ev.Param(i), info.Enter)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.Name, err)
		}
		params = append(params, paramOf(info.Symbol+"."+p.Name, p, r, ev.Param(i)))
	}
	return params, nil
}
