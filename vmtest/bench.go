// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/subject"
)

// bench judges the results of one kernel's guests, for each of the drivers that are wanted.
type bench struct {
	wanted   []guest.Drivers
	subject  *subject.Subject        // that is judged, if the driver is somebody else's
	machines []*judge.Machine        // of wanted; known once a guest has said hello
	broken   map[guest.Driver]string // why a driver does not work on this kernel
}

func newBench(wanted []guest.Drivers, s *subject.Subject) *bench {
	return &bench{wanted: wanted, subject: s, broken: map[guest.Driver]string{}}
}

func (b *bench) welcome(h *guest.Hello) error {
	for _, s := range h.Drivers {
		if s.Error != "" {
			b.broken[s.Name] = s.Error
		}
	}
	b.machines = nil
	for _, d := range b.wanted {
		m, err := judge.NewMachine(h, d)
		if err != nil {
			return err
		}
		m.Subject = b.subject
		b.machines = append(b.machines, m)
	}
	return nil
}

func (b *bench) plan(ids []string) judge.Plan { return judge.NewPlan(b.machines, ids) }

// judge returns a verdict for each of the drivers wanted.
func (b *bench) judge(r *guest.CaseResult) []judge.Verdict {
	verdicts := make([]judge.Verdict, len(b.wanted))
	for i, d := range b.wanted {
		verdicts[i] = b.verdict(d, b.machines[i], r)
	}
	return verdicts
}

func (b *bench) verdict(drivers guest.Drivers, m *judge.Machine, r *guest.CaseResult) judge.Verdict {
	for _, d := range drivers.All() {
		if why := b.broken[d]; why != "" {
			return judge.Failf(judge.ClassDriver, "driver %s: %s", d, why)
		}
	}
	return judge.Result(m, r)
}
