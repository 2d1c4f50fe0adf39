// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"time"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/session"
)

// runPiece runs a piece's cases. If a guest with two drivers ends in a case, that case
// is run again with each driver alone to find the culprit.
func (o *Options) runPiece(ctx context.Context, rep *Report, k Kernel, p piece, l session.Launcher) error {
	fatal, err := o.runLane(ctx, rep, k, p.drivers, p.ids, l)
	if err != nil || len(fatal) == 0 {
		return err
	}
	for _, d := range p.drivers {
		if d.Pair() {
			continue
		}
		if _, err := o.runLane(ctx, rep, k, []guest.Drivers{d}, fatal, l); err != nil {
			return err
		}
	}
	return nil
}

// runLane runs cases for the drivers wanted. It returns the cases in which a guest
// ended while two drivers captured; they have a verdict for the pair only.
func (o *Options) runLane(ctx context.Context, rep *Report, k Kernel, wanted []guest.Drivers, ids []string, l session.Launcher) (fatal []string, err error) {
	out := &laneReport{o: o, rep: rep, kernel: k, wanted: wanted, capture: captureOf(wanted)}
	ln := &lane{
		capture: out.capture, wanted: len(wanted), launcher: l, referee: newBench(wanted, k.Subject), out: out,
		caseLimit: o.CaseLimit, silence: o.Silence, grace: 5 * time.Second, unsafe: k.Name != HostKernel,
	}
	defer rep.idle(out)
	err = ln.run(ctx, ids)
	return out.fatal, err
}

// laneReport adds the results of a lane to the report.
type laneReport struct {
	o       *Options
	rep     *Report
	kernel  Kernel
	wanted  []guest.Drivers
	capture guest.Drivers
	fatal   []string
}

func (s *laneReport) log(format string, args ...any) {
	s.o.Log("kernel %s, %s: %s", s.kernel.Name, s.capture, fmt.Sprintf(format, args...))
}

func (s *laneReport) note(text string) { s.rep.note(s.kernel, s.capture, text) }

func (s *laneReport) welcome(h *guest.Hello, how string, took time.Duration) {
	s.rep.started(s.kernel, h, how, took)
	for _, d := range s.wanted {
		s.rep.welcome(s.kernel, d, h, how)
	}
}

func (s *laneReport) doing(what string) { s.rep.doing(s, &s.kernel, s.capture, what) }

func (s *laneReport) emit(id string, r *guest.CaseResult, verdicts []judge.Verdict) {
	class := verdicts[0].Class
	unclear := r == nil && len(s.wanted) > 1 && (class == judge.ClassCrash || class == judge.ClassHang)
	if unclear {
		s.fatal = append(s.fatal, id)
	}
	for i, d := range s.wanted {
		if unclear && !d.Pair() {
			continue
		}
		s.rep.add(s.kernel, d, id, r, verdicts[i])
	}
	if r != nil && s.o.OnResult != nil {
		s.o.OnResult(r)
	}
}
