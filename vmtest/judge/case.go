// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"github.com/scaplab/scaplab/vmtest/guest"
)

// Result compares a result with the values that the table wants.
func Result(m *Machine, r *guest.CaseResult) Verdict {
	sc, c := guest.Find(r.Case)
	switch {
	case sc == nil:
		return Failf(ClassHarness, "the table has no case %s", r.Case)
	case m.Drivers.Pair():
		return compareDrivers(sc, c, r, m)
	}
	own := r.By(m.Drivers.A)
	if own == nil {
		if v, done := judgeOutcome(c, r); done {
			return v // the guest ended before anything was captured
		}
		return Failf(ClassHarness, "the guest did not capture with %s", m.Drivers)
	}
	if sc.Suite {
		return compareScenario(sc, c, own, m)
	}
	return compare(sc, c, own, m)
}

// Plan says which cases a guest's kernel can prove.
type Plan struct {
	Run  []string          // cases to run
	Skip map[string]string // cases to skip, and why
}

// NewPlan selects cases by what the kernel has. Each case gets several verdicts; it is
// run if one of them needs it.
func NewPlan(machines []*Machine, ids []string) Plan {
	p := Plan{Skip: map[string]string{}}
	for _, id := range ids {
		sc, c := guest.Find(id)
		if sc == nil {
			p.Skip[id] = "the table has no such case"
			continue
		}
		reason := ""
		for _, m := range machines {
			if reason = m.skipReason(sc, c); reason == "" {
				break
			}
		}
		if reason == "" {
			p.Run = append(p.Run, id)
		} else {
			p.Skip[id] = reason
		}
	}
	return p
}
