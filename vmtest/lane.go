// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/session"
	"github.com/scaplab/scaplab/vmtest/wire"
)

// batchSize is the number of cases in a request. Their names must fit into the 64 kB that
// a kernel buffers for a terminal that is not read.
const batchSize = 400

const (
	// blameLimit is the number of consecutive cases that are blamed for the end of their guests
	// without having been seen to begin. With more of them, something else must be the cause.
	blameLimit = 3
)

// referee knows what the cases want.
type referee interface {
	// welcome reads a guest's description of itself; an error is about the guest.
	welcome(h *guest.Hello) error
	// plan selects from the requested cases those that the guest can run.
	plan(ids []string) judge.Plan
	// judge returns a result's verdicts, one for each of the drivers wanted.
	judge(r *guest.CaseResult) []judge.Verdict
}

// outlet receives what a lane reports.
type outlet interface {
	log(format string, args ...any)
	note(text string) // something for the report besides verdicts
	welcome(h *guest.Hello, how string, took time.Duration)
	doing(what string)                                             // a case, or starting
	emit(id string, r *guest.CaseResult, verdicts []judge.Verdict) // r is nil if there is none
}

// lane runs cases of one kernel one after the other, with as many guests as necessary.
type lane struct {
	capture  guest.Drivers
	wanted   int // verdicts of a case
	launcher session.Launcher
	referee  referee
	out      outlet

	caseLimit time.Duration // of one case, kept by the guest
	silence   time.Duration // time without a message from the guest after which it counts as hung
	grace     time.Duration // time for a machine to end after its kernel panicked
	unsafe    bool

	pending []string
	alone   map[string]bool // cases that must not share a process: their guest died while one of several ran
	hello   *guest.Hello
	held    []settled        // the last process's cases, whose verdicts are still to be emitted
	guest   *session.Session // the guest that runs now
}

// settled is a case with its verdicts.
type settled struct {
	id       string
	r        *guest.CaseResult
	verdicts []judge.Verdict
}

// fail returns a failure for each of the drivers wanted.
func (l *lane) fail(class, reason string) []judge.Verdict {
	return slices.Repeat([]judge.Verdict{{Status: judge.Fail, Class: class, Reason: reason}}, l.wanted)
}

// run runs the cases with these ids. It emits each of them exactly once, unless ctx ends.
func (l *lane) run(ctx context.Context, ids []string) error {
	l.pending = ids
	for stuck, blamed := 0, 0; len(l.pending) > 0 || l.hello == nil; {
		l.out.doing(starting)
		s, err := l.launcher.Launch(ctx)
		if err := ctx.Err(); err != nil {
			if s != nil {
				s.Finish()
			}
			return err
		}
		if session.IsKilled(err) {
			if stuck++; stuck >= session.BootTries {
				return env.Lacks(err.Error()+", twice", killedFix)
			}
			l.out.log("%v; starting it again", err)
			continue
		}
		if err != nil {
			var boot *session.BootError
			if stuck++; stuck < session.BootTries && errors.As(err, &boot) {
				l.out.log("guest did not become ready, trying again: %s", boot.Reason)
				continue
			}
			l.failAll(judge.ClassBoot, "guest did not become ready: "+err.Error())
			return nil
		}
		before := len(l.pending)
		if l.hello == nil {
			l.welcome(s)
			if len(l.pending) == 0 {
				_ = s.Send(guest.KindQuit, struct{}{})
				s.Finish()
				return nil
			}
		}
		end := l.drive(ctx, s)
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(l.pending) == 0 {
			return nil
		}
		if len(l.pending) < before {
			stuck, blamed = 0, 0
			continue
		}
		if end.killed != "" && stuck+1 >= session.BootTries {
			at := l.pending[0]
			return env.Lacks(fmt.Sprintf("QEMU was killed from outside, twice at %s: %s", at, end.killed), killedFix)
		}
		if stuck++; stuck >= session.BootTries {
			// Messages of a dying kernel may be lost, even the one that the case began.
			if stuck, blamed = 0, blamed+1; blamed > blameLimit || end.class != judge.ClassCrash {
				l.failAll(end.class, end.reason)
				return nil
			}
			l.settle(l.pending[0], nil, l.fail(end.class, end.reason))
			continue
		}
		l.out.log("%s; starting it again", firstLine(end.reason))
	}
	return nil
}

// welcome reads the first guest's description of itself.
func (l *lane) welcome(s *session.Session) {
	hello := s.Hello
	l.hello = &hello
	if err := l.referee.welcome(l.hello); err != nil {
		l.failAll(judge.ClassBoot, err.Error())
		return
	}
	l.out.welcome(l.hello, s.How, s.Took)
	plan := l.referee.plan(l.pending)
	for _, id := range l.pending {
		if reason, ok := plan.Skip[id]; ok {
			l.out.emit(id, nil, slices.Repeat([]judge.Verdict{{Status: judge.Skip, Reason: reason}}, l.wanted))
		}
	}
	l.pending = plan.Run
	// If one driver does not work, the other one is tested alone.
	var works, broken []guest.DriverState
	for _, d := range l.hello.Drivers {
		switch {
		case !l.capture.Has(d.Name):
		case d.Error != "":
			broken = append(broken, d)
		default:
			works = append(works, d)
		}
	}
	switch {
	case len(broken) == 0:
	case len(works) == 0:
		l.failAll(judge.ClassDriver, fmt.Sprintf("driver %s: %s", broken[0].Name, broken[0].Error))
	default:
		l.capture = guest.Drivers{A: works[0].Name}
	}
}

func (l *lane) failAll(class, reason string) {
	for _, id := range l.pending {
		l.out.emit(id, nil, l.fail(class, reason))
	}
	l.pending = nil
}

// settle removes a case from the list and emits its verdicts. It ignores a case that is
// not on the list.
func (l *lane) settle(id string, r *guest.CaseResult, verdicts []judge.Verdict) {
	i := slices.Index(l.pending, id)
	if i < 0 {
		l.out.log("the guest reported %s, which was not asked for", id)
		return
	}
	l.pending = slices.Delete(slices.Clone(l.pending), i, i+1)
	l.held = append(l.held, settled{id, r, verdicts})
}

// release emits the held verdicts. They are held back until those of the next process, because the
// kernel may complain about a case on its console after the case's result.
func (l *lane) release() {
	held := l.held
	l.held = nil
	console := "" // not yet read
	for _, s := range held {
		complained(s.verdicts, l.complaint(func(id string) bool { return id == s.id }))
		if s.r != nil && l.guest != nil && slices.ContainsFunc(s.verdicts, failed) {
			if console == "" {
				console = l.guest.Console()
			}
			quoteConsole(s.verdicts, machine.CaseExcerpt(console, s.id))
		}
		l.out.emit(s.id, s.r, s.verdicts)
	}
}

// holds reports whether the verdicts of a case are held.
func (l *lane) holds(id string) bool {
	return slices.ContainsFunc(l.held, func(s settled) bool { return s.id == id })
}

// complained turns verdicts of a case that provoked a kernel bug into failures.
func complained(verdicts []judge.Verdict, bug string) {
	for i := range verdicts {
		if v := &verdicts[i]; bug != "" && v.Status != judge.Fail {
			v.Status, v.Class, v.Reason = judge.Fail, judge.ClassKernel, "the kernel complained: "+bug
		}
	}
}

func failed(v judge.Verdict) bool { return v.Status == judge.Fail }

// quoteConsole adds to failures what the kernel said while their case ran.
func quoteConsole(verdicts []judge.Verdict, excerpt string) {
	for i := range verdicts {
		if failed(verdicts[i]) {
			verdicts[i].Console = excerpt
		}
	}
}

// complaint returns the kernel's complaints, or "". A stall is only noted: it may also
// come from a host that is too busy to run the guest.
func (l *lane) complaint(of func(id string) bool) string {
	if l.guest == nil || l.guest.Complaint == nil {
		return ""
	}
	for _, text := range l.guest.Stalls() {
		l.out.note("the kernel noticed a stall: " + text)
	}
	return l.guest.Complaint(of)
}

// ending is the reason why a guest ended before it was done.
type ending struct {
	class, reason string
	killed        string // the signal from outside that ended it; then no case is to blame
}

// killedFix is advice against the most frequent reason of a killed QEMU.
const killedFix = "when memory is short, run fewer machines at a time (--jobs), or smaller ones (--memory)"

// drive asks one guest for everything that is left, until it is done or the
// guest ends.
func (l *lane) drive(ctx context.Context, s *session.Session) (end ending) {
	l.guest = s
	early := l.complaint(func(id string) bool { return id == "" })
	defer func() {
		s.Finish()
		// Complaints about the start, and about cases whose verdict is already out, are noted.
		rest := l.complaint(func(id string) bool { return !l.holds(id) })
		if text := strings.TrimSpace(early + "\n" + rest); len(l.held) > 0 {
			complained(l.held[len(l.held)-1].verdicts, text)
		} else if text != "" {
			l.out.note("the kernel complained: " + text)
		}
		l.release()
		l.guest = nil
	}()
	for len(l.pending) > 0 {
		alone := l.alone[l.pending[0]]
		n := 1
		for n < min(batchSize, len(l.pending)) && l.alone[l.pending[n]] == alone {
			n++
		}
		req := guest.RunRequest{Cases: l.pending[:n], Drivers: l.capture, Timeout: l.caseLimit, Unsafe: l.unsafe, Alone: alone}
		end, ok := l.batch(ctx, s, req)
		if !ok {
			return end
		}
	}
	// Finish ends a guest that does not quit.
	_ = s.Send(guest.KindQuit, struct{}{})
	return ending{}
}

// batch runs one request. If ok, the guest can be asked again.
func (l *lane) batch(ctx context.Context, s *session.Session, req guest.RunRequest) (end ending, ok bool) {
	sent := make(chan error, 1)
	go func() { sent <- s.Send(guest.KindRun, req) }() // blocks while the guest does not read
	var (
		inFlight []string // the cases that the guest runs, in one process
		damage   []string // damaged messages since it began
		began    bool     // a case has begun
		grouped  bool     // they are, or were, several
		fresh    bool     // no result of them has come
		died     = s.Died
		dead     bool
	)
	limit := time.NewTimer(l.silence)
	defer limit.Stop()
	fail := func(class, reason string) (ending, bool) {
		l.release() // what follows is not to be blamed on cases that are done
		culprit := ""
		switch {
		case grouped && len(inFlight) > 0: // which of them it was is seen when they run again
			if l.alone == nil {
				l.alone = make(map[string]bool)
			}
			for _, id := range inFlight {
				l.alone[id] = true
			}
			return ending{class: class, reason: reason}, false
		case len(inFlight) > 0:
			culprit = inFlight[0]
		case began:
			// Cases run in the requested order, and the last messages of a dying kernel are
			// lost: it was running the next case, or was between the two.
			if culprit = l.nextOf(req.Cases); culprit != "" {
				reason = "before it began, or as it did: " + reason
			}
		}
		if culprit != "" {
			l.settle(culprit, nil, l.fail(class, reason))
		}
		return ending{class: class, reason: reason}, false
	}
	for {
		select {
		case <-ctx.Done():
			return ending{class: judge.ClassHarness, reason: ctx.Err().Error()}, false
		case err := <-sent:
			if err != nil {
				l.out.log("ask the guest: %v", err) // the channel reports its end
			}
			sent = nil
		case <-died:
			// Messages that it sent before may still arrive.
			died, dead = nil, true
			limit.Reset(l.grace)
		case <-limit.C:
			if dead {
				return fail(judge.ClassCrash, l.obituary(s, "guest kernel died"))
			}
			l.release() // the interrupt is not to be blamed on the last case
			return fail(judge.ClassHang, l.silenceReport(s))
		case m, open := <-s.Messages:
			if !dead {
				limit.Reset(l.silence)
			}
			var garbled *wire.GarbledError
			switch {
			case !open || m.Err != nil && !errors.As(m.Err, &garbled):
				reason := l.obituary(s, "guest ended")
				if s.Killed != nil && s.Killed() != "" {
					return ending{judge.ClassHarness, "QEMU was killed from outside: " + s.Killed(), s.Killed()}, false
				}
				return fail(judge.ClassCrash, reason)
			case m.Err != nil:
				damage = append(damage, m.Err.Error())
				continue
			}
			switch m.Kind {
			case guest.KindStarted:
				var st guest.Started
				if err := m.Decode(&st); err != nil {
					damage = append(damage, err.Error())
					continue
				}
				cases := append([]string{st.Case}, st.And...)
				left := slices.DeleteFunc(inFlight, func(id string) bool { return slices.Contains(cases, id) })
				if grouped || len(left) > 0 {
					l.missed(left, damage)
					damage = nil
				}
				inFlight = cases
				began, grouped, fresh = true, len(cases) > 1, true
				l.out.doing(st.Case)
			case guest.KindResult:
				var r guest.CaseResult
				if err := m.Decode(&r); err != nil {
					damage = append(damage, err.Error())
					continue
				}
				verdicts := l.referee.judge(&r)
				if len(damage) > 0 && !grouped {
					verdicts, damage = l.fail(judge.ClassChannel, strings.Join(damage, "; ")), nil
				}
				if fresh {
					l.release()
					fresh = false
				}
				l.settle(r.Case, &r, verdicts)
				inFlight = slices.DeleteFunc(inFlight, func(id string) bool { return id == r.Case })
			case guest.KindError:
				var e guest.Error
				if err := m.Decode(&e); err != nil {
					e.Text = err.Error()
				}
				return fail(judge.ClassChannel, "the guest could not read the request: "+e.Text)
			case guest.KindDone:
				var d guest.Done
				if err := m.Decode(&d); err != nil {
					damage = append(damage, err.Error())
				}
				if l.leftOut(req.Cases, inFlight, d, damage) == 0 {
					l.missed(nil, damage)
				}
				if n := len(l.held); d.Left != "" && n > 0 {
					l.held[n-1].verdicts = l.fail(judge.ClassHarness, "it, or a case before it, left something behind: "+d.Left)
				}
				return ending{}, true
			}
		}
	}
}

// nextOf returns the first of ids that has no verdict yet.
func (l *lane) nextOf(ids []string) string {
	for _, id := range ids {
		if slices.Contains(l.pending, id) {
			return id
		}
	}
	return ""
}

// missed fails cases whose results never came. Damage without a missing result fails the last case.
func (l *lane) missed(ids, damage []string) {
	for _, id := range ids {
		l.settle(id, nil, l.fail(judge.ClassChannel, lost(damage)))
	}
	if n := len(l.held); len(ids) == 0 && len(damage) > 0 && n > 0 {
		l.held[n-1].verdicts = l.fail(judge.ClassChannel, strings.Join(damage, "; "))
	}
}

// leftOut gives a verdict to cases that a finished request did not report, and returns their number.
func (l *lane) leftOut(asked, inFlight []string, d guest.Done, damage []string) (n int) {
	for _, id := range asked {
		if !slices.Contains(l.pending, id) {
			continue
		}
		class, reason := judge.ClassHarness, "the guest finished without reporting it"
		switch {
		case d.Error != "":
			class, reason = judge.ClassDriver, d.Error
		case slices.Contains(inFlight, id) || len(damage) > 0:
			class, reason = judge.ClassChannel, lost(damage)
		}
		l.settle(id, nil, l.fail(class, reason))
		n++
	}
	return n
}

func lost(damage []string) string {
	if len(damage) == 0 {
		return "its result did not arrive"
	}
	return "its result did not arrive: " + strings.Join(damage, "; ")
}

// obituary ends the guest and returns how it died.
func (l *lane) obituary(s *session.Session, what string) string {
	how := s.Finish()
	text := s.Console()
	reason := what
	if head := machine.Headline(text); head != "" {
		reason += ": " + head
	} else if how != "" {
		reason += ": " + firstLine(how)
	}
	if excerpt := machine.Excerpt(text); excerpt != "" {
		reason += "\n" + excerpt
	}
	return reason
}

func (l *lane) silenceReport(s *session.Session) string {
	said := s.Console()
	if s.Provoke != nil {
		s.Provoke()
	}
	s.Finish()
	reason := fmt.Sprintf("no word from the guest for %v", l.silence)
	if excerpt := machine.Excerpt(said); excerpt != "" {
		reason += "; its console ends with\n" + excerpt
	}
	if more, ok := strings.CutPrefix(s.Console(), said); ok && strings.TrimSpace(more) != "" {
		reason += "\nand after a non-maskable interrupt\n" + machine.Excerpt(more)
	}
	return reason
}
