// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"slices"
	"strings"

	"github.com/scaplab/scaplab/vmtest/guest"
)

// FindCase looks up a case, or the syscall alone when id is that of a call
// that should be absent.
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

// judge compares a result with what the table wants.
func Result(m *Machine, r *guest.CaseResult) Verdict {
	sc, c := FindCase(r.Case)
	switch {
	case sc == nil:
		return Failf(ClassHarness, "the table has no case %s", r.Case)
	case c == nil:
		return compareAbsent(sc, r, m)
	case guest.IsPair(m.Driver):
		return compareDrivers(sc, c, r, m)
	}
	own := r.By(m.Driver)
	if own == nil {
		if v, done := judgeOutcome(c, r); done {
			return v // it ended before anything was captured
		}
		return Failf(ClassHarness, "the guest did not capture with %s", m.Driver)
	}
	return compare(sc, c, own, m)
}

// Plan splits cases by what a guest's kernel has, for several verdicts of
// it. Of a syscall it should not have, the cases are skipped and the call
// itself must fail with ENOSYS.
func Plan(machines []*Machine, ids []string) (run []string, skip map[string]string, absent []string) {
	skip = map[string]string{}
	for _, id := range ids {
		sc, c := FindCase(id)
		if c == nil {
			skip[id] = "the table has no such case"
			continue
		}
		reason := ""
		for _, m := range machines {
			if reason = m.SkipReason(sc, c); reason == "" {
				break
			}
		}
		if reason == "" {
			run = append(run, id)
			continue
		}
		skip[id] = reason
		m := machines[0]
		_, onArch := sc.Number(m.Arch)
		if ok, _ := m.Available(sc); !ok && onArch && !slices.Contains(absent, sc.Name) {
			absent = append(absent, sc.Name)
		}
	}
	return run, skip, absent
}
