// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"slices"
	"strings"

	"github.com/scaplab/scaplab/vmtest/guest"
)

// FindCase returns a case and its syscall. If id is that of a call that should be absent,
// it returns the syscall alone.
func FindCase(id string) (*guest.Syscall, *guest.Case) {
	if sc, c := guest.Find(id); sc != nil {
		return sc, c
	}
	name, rest, _ := strings.Cut(id, "/")
	if sc := guest.FindSyscall(name); sc != nil && guest.AbsentID(name) == name+"/"+rest {
		return sc, nil
	}
	return nil, nil
}

// Result compares a result with the values that the table wants.
func Result(m *Machine, r *guest.CaseResult) Verdict {
	sc, c := FindCase(r.Case)
	switch {
	case sc == nil:
		return Failf(ClassHarness, "the table has no case %s", r.Case)
	case c == nil:
		return compareAbsent(sc, r, m)
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
	return compare(sc, c, own, m)
}

// Plan says which cases a guest's kernel can prove.
type Plan struct {
	Run    []string          // cases to run
	Skip   map[string]string // cases to skip, and why
	Absent []string          // syscalls that must fail with ENOSYS, instead of their cases
}

// NewPlan selects cases by what the kernel has. Each case gets several verdicts; it is
// run if one of them needs it.
func NewPlan(machines []*Machine, ids []string) Plan {
	p := Plan{Skip: map[string]string{}}
	absent := func(sc *guest.Syscall) {
		if !slices.Contains(p.Absent, sc.Name) {
			p.Absent = append(p.Absent, sc.Name)
		}
	}
	for _, id := range ids {
		sc, c := FindCase(id)
		switch {
		case sc == nil:
			p.Skip[id] = "the table has no such case"
			continue
		case c == nil:
			absent(sc)
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
			continue
		}
		p.Skip[id] = reason
		_, onArch := sc.Number(machines[0].Arch)
		if ok, _ := machines[0].Available(sc); !ok && onArch {
			absent(sc)
		}
	}
	return p
}
