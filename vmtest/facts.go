// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/session"
)

// Facts are what cases did on a machine where no driver of this project captured, to judge what
// another program recorded meanwhile.
type Facts struct {
	Format  int                `json:"format"` // factsFormat
	Tool    string             `json:"tool"`   // version of this program
	Hello   guest.Hello        `json:"hello"`
	Results []guest.CaseResult `json:"results"` // in the order in which the cases ran
}

const factsFormat = 1

// RecordFacts makes the calls of the cases on the running kernel, in a child process, and returns
// what they did. It skips cases that would change the machine.
func RecordFacts(ctx context.Context, o Options) (*Facts, error) {
	if runtime.GOOS != "linux" {
		return nil, env.Lacks("this is not a Linux kernel: "+runtime.GOOS, "run the cases where the recording program runs")
	}
	o.Cache = cmp.Or(o.Cache, os.TempDir()) // no state is kept
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	l := &factsLane{say: o.Log, facts: &Facts{Format: factsFormat, Tool: o.Tool}}
	ln := &lane{
		wanted: 1, launcher: &session.Process{Program: o.Guest, Env: guest.BareEnviron(), Limit: o.BootLimit, Log: o.Console}, referee: l, out: factsOutlet{l},
		caseLimit: o.CaseLimit, silence: o.Silence, grace: 5 * time.Second,
	}
	if err := ln.run(ctx, o.Cases); err != nil {
		return nil, err
	}
	return l.facts, l.err
}

// Write writes facts for ReadFacts.
func (f *Facts) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(f)
}

// ReadFacts reads what Write wrote.
func ReadFacts(r io.Reader) (*Facts, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	f := new(Facts)
	switch err := d.Decode(f); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("it is empty (facts as scaplab cases --facts writes them are expected)")
	case err != nil:
		return nil, err
	case f.Format != factsFormat:
		return nil, fmt.Errorf("format %d (%d is expected)", f.Format, factsFormat)
	}
	return f, nil
}

// factsLane collects what a lane's cases did. It is the lane's referee.
type factsLane struct {
	facts *Facts
	say   func(format string, args ...any)
	err   error // of a case that was not carried through
}

func (l *factsLane) welcome(h *guest.Hello) error {
	l.facts.Hello = *h
	return nil
}

func (l *factsLane) plan(ids []string) judge.Plan {
	m, err := judge.NewMachine(&l.facts.Hello, guest.OnlyCaptured)
	if err != nil {
		l.err = err
		return judge.Plan{}
	}
	return judge.NewPlan([]*judge.Machine{m}, ids)
}

func (l *factsLane) judge(r *guest.CaseResult) []judge.Verdict {
	l.facts.Results = append(l.facts.Results, *r)
	return []judge.Verdict{{Status: judge.Pass}}
}

// factsOutlet is what a lane tells; its method welcome is another one than the referee's.
type factsOutlet struct{ *factsLane }

func (l factsOutlet) log(format string, args ...any)              { l.say(format, args...) }
func (l factsOutlet) note(text string)                            { l.say("%s", text) }
func (l factsOutlet) doing(string)                                {}
func (l factsOutlet) welcome(*guest.Hello, string, time.Duration) {}

// emit notes the cases without facts: those that ended their process.
func (l factsOutlet) emit(id string, r *guest.CaseResult, verdicts []judge.Verdict) {
	if v := verdicts[0]; r == nil && v.Status == judge.Fail {
		l.facts.Results = append(l.facts.Results, guest.CaseResult{Case: id, Outcome: guest.Failed, Reason: v.Reason})
	}
}
