// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

const (
	defaultSnaplen = abi.SnaplenDefault
	// endLimit is the time in which the event that ends a case must arrive.
	endLimit = time.Minute
)

// runner serves one connection.
type runner struct {
	conn     Conn
	init     bool
	mailbox  bool // requests may be in the mailbox
	warnings []string
	engines  map[Driver]engine // opened drivers; only those in use select anything
	inUse    []engine          // both of a pair
	drivers  Drivers           // their names
	selected selection         // what they select; zero if not known
	lacks    map[string]string
	number   uint32 // of the last case, for marks
	batch    []event.Event
	work     string
	forks    *forkServer
}

// selection is what the drivers select for a case.
type selection struct {
	calls   string // separated by blanks
	snaplen int
}

// groupLimit is the number of cases that one process may run: their order must fit into a request.
const groupLimit = 16

// together returns how many of the first cases one process runs, at least one. Generated cases
// of a call need no objects and leave nothing behind when the call fails; the process ends after a call
// that succeeds.
func together(ids []string, req *RunRequest) int {
	first, cs := Find(ids[0])
	if req.Alone || !joins(first, cs) {
		return 1
	}
	n := 1
	for n < min(len(ids), groupLimit) {
		if sc, cs := Find(ids[n]); sc != first || !joins(sc, cs) {
			break
		}
		n++
	}
	return n
}

// joins reports whether a case may run in the process of other cases of its call.
func joins(sc *Syscall, cs *Case) bool {
	return sc != nil && cs.Generated && !cs.Unsafe && len(cs.Needs) == 0 && len(cs.Given) == 0 && cs.Snaplen == 0
}

// firstPIDs reports whether this process is in the first pid namespace, whose number in /proc never changes.
func firstPIDs() bool {
	const name = "pid:[4026531836]"
	text, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && text == name
}

// log returns the path of the kernel's log, if this is a machine of its own.
func (r *runner) log() string {
	if r.init {
		return "/dev/kmsg"
	}
	return ""
}

// runCases runs cases that go together, and returns the results of the first ones, at least of one.
func (r *runner) runCases(ids []string, req *RunRequest) []CaseResult {
	results, sure := r.runGroup(ids, req)
	if sure || len(ids) == 1 {
		return results
	}
	// What went wrong may be of any of them: each runs alone.
	results = nil
	for _, id := range ids {
		one, _ := r.runGroup([]string{id}, req)
		results = append(results, one...)
	}
	return results
}

// runGroup runs cases in one process and returns the results of those that ran. It is not sure of
// them if an event was lost or came out of order, or if the process ended where no case explains it.
func (r *runner) runGroup(ids []string, req *RunRequest) (results []CaseResult, sure bool) {
	start := time.Now()
	res := CaseResult{Case: ids[0]}
	fail := func(o Outcome, format string, args ...any) ([]CaseResult, bool) {
		res.Outcome, res.Reason, res.Took = o, fmt.Sprintf(format, args...), time.Since(start)
		return []CaseResult{res}, true
	}

	sc, cs := Find(ids[0])
	if sc == nil {
		return fail(Failed, "unknown case (the guest has another table)")
	}
	if !sc.OnArch(runtime.GOARCH) {
		return fail(Skipped, "%s is not a system call of %s", sc.Name, runtime.GOARCH)
	}
	if sc.Suite && !r.init && !firstPIDs() {
		return fail(Skipped, "events have the numbers of the first pid namespace, in which this program does not run")
	}
	nr, _ := sc.Number(runtime.GOARCH)
	if why, lacking := r.lacks["ia32"]; nr >= socketcallBase && lacking {
		return fail(Skipped, "needs ia32: %s", why)
	}
	for _, need := range cs.Needs {
		if why, lacking := r.lacks[need]; lacking {
			return fail(Skipped, "needs %s: %s", need, why)
		}
	}
	if cs.Unsafe && !r.init && !req.Unsafe {
		return fail(Skipped, "unsafe: runs in a virtual machine only")
	}
	dir, err := os.MkdirTemp(r.work, "case")
	if err != nil {
		return fail(Failed, "directory: %v", err)
	}
	defer os.RemoveAll(dir)
	// The child reads its own paths from /proc, with links resolved.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return fail(Failed, "directory: %v", err)
	}

	first := r.number + 1
	r.number += uint32(len(ids))
	snaplen := cs.Snaplen
	if snaplen == 0 {
		snaplen = req.Snaplen
	}
	if snaplen == 0 {
		snaplen = defaultSnaplen
	}
	calls := []string{sc.Name}
	if sc.Suite {
		calls = cs.Select
	}
	if err := r.capture(selection{strings.Join(calls, " "), snaplen}); err != nil {
		return fail(Failed, "select %s: %v", sc.Name, err)
	}
	collectors := make([]*collector, len(r.inUse))
	for i, e := range r.inUse {
		collectors[i] = newCollector(e, r.batch, first, len(ids))
	}
	idle := func() {
		for _, c := range collectors {
			c.drain()
		}
	}
	timeout := cmp.Or(req.Timeout, CaseLimit)
	// The loss counters are read before the case: it may lose events itself.
	before := make([]scap.Drops, len(r.inUse))
	for i, e := range r.inUse {
		before[i] = dropped(e)
	}
	end := r.runChild(order{ids: ids, number: first, dir: dir, log: r.log()}, timeout, idle)
	mark(caseMark(first) | markEnd)
	results, sure = outcomes(ids, end)
	drivers := req.Drivers.All()
	for i, e := range r.inUse {
		whole := r.collect(e, collectors[i], before[i])
		sure = sure && whole.Lost == 0 && whole.Incomplete == "" && !collectors[i].mixed
		for n := range results {
			c := whole
			collectors[i].parts[n].fill(&c, &results[n], r.init)
			sure = sure && c.Incomplete == ""
			if c.Driver = drivers[i]; i == 0 {
				results[n].Capture = c
			} else {
				results[n].Second = &c
			}
		}
	}
	for n := range results {
		results[n].Took = time.Since(start) / time.Duration(len(results))
		results[n].Mark = (first + uint32(n)) & markNumbers
	}
	return results, sure
}

// outcomes returns the results of the cases of a process that ran, without their events. They are not
// sure if the process ended between two cases, or in one that was not the last to report.
func outcomes(ids []string, end ended) (results []CaseResult, sure bool) {
	var reports [][]report // of each case that ran
	for _, rep := range end.reports {
		if rep.Nth < 0 || rep.Nth >= len(ids) || rep.Nth < len(reports)-1 || rep.Nth > len(reports) {
			end.err = cmp.Or(end.err, fmt.Errorf("a report of case %d of %d follows one of case %d", rep.Nth, len(ids), len(reports)-1))
			break
		}
		if rep.Nth == len(reports) {
			reports = append(reports, nil)
		}
		reports[rep.Nth] = append(reports[rep.Nth], rep)
	}
	last := max(len(reports)-1, 0)
	for n, id := range ids[:last+1] {
		of := ended{} // all but the last ended well
		if n == last {
			of = end
		}
		if of.reports = nil; n < len(reports) {
			of.reports = reports[n]
		}
		res := CaseResult{Case: id}
		res.judge(of)
		results = append(results, res)
	}
	ended := results[last]
	return results, end.err == nil && (last == len(ids)-1 || !ended.Return || ended.Ret >= 0 || ended.Outcome != Ran)
}

// capture makes the drivers in use capture calls and the marks.
func (r *runner) capture(what selection) error {
	if what == r.selected {
		return nil
	}
	r.selected = selection{}
	for _, e := range r.inUse {
		if err := e.selectCalls(append(strings.Fields(what.calls), "close"), what.snaplen); err != nil {
			return err
		}
	}
	r.selected = what
	return nil
}

// judge returns the outcome, from the child's end and from the steps that it reported.
func (res *CaseResult) judge(end ended) {
	res.Signal, res.Stderr = end.signal, end.stderr
	ready := false
	for _, rep := range end.reports {
		if rep.Facts != nil {
			res.Facts = rep.Facts
		}
		switch rep.Step {
		case stepReady:
			ready, res.Args = true, rep.Args
			if v, ok := rep.Facts["tid"]; ok {
				res.TID = v.Int
			}
		case stepReturned:
			res.Outcome, res.Return, res.Ret, res.Child = Ran, true, rep.Ret, rep.Child
			res.Threads = rep.Threads
		case stepFailed:
			if ready { // the call returned, but some of its traces could not be read
				res.Return, res.Ret, res.Child = true, rep.Ret, rep.Child
			}
			res.Outcome, res.Reason = Failed, rep.Reason
		}
	}
	switch {
	case end.timedOut:
		res.Outcome, res.Reason = Timeout, "the time limit killed it"
	case res.Outcome != "":
	case end.err != nil:
		res.Outcome, res.Reason = Failed, end.err.Error()
	case end.signal != "":
		res.Outcome, res.Reason = Crashed, "killed by "+end.signal
		if !ready {
			res.Reason += " before the call"
		}
	case !ready:
		res.Outcome, res.Reason = Crashed, fmt.Sprintf("exit status %d before the call", end.exit)
	default: // exit, or exec of a program that ended well
		res.Outcome = Ran
	}
}

// dropped returns what the engine has lost so far.
func dropped(e engine) scap.Drops {
	s, err := e.Stats()
	if err != nil {
		return scap.Drops{}
	}
	return s.Drops
}

// collect reads what the engine delivered of a process's cases, and returns what is said of all of them. before is
// the engine's loss counter before them.
func (r *runner) collect(e engine, col *collector, before scap.Drops) (c Capture) {
	err := col.finish(endLimit)
	after := dropped(e)
	c.Lost = after.Total() - min(before.Total(), after.Total())
	c.LeftOut = after.Messages - min(before.Messages, after.Messages)
	if err != nil {
		c.Incomplete = err.Error()
	}
	return c
}

// noMailbox is the warning of a machine whose messages all pass through its serial port.
func noMailbox(err error) string {
	return fmt.Sprintf("mailbox: %v (messages are slow without it)", err)
}

// serve answers requests until the other side closes the channel.
func serve(rw io.ReadWriter, init bool, warnings []string) error {
	conn := newConn(rw)
	mailbox := false
	if init {
		if err := openMailboxes(conn); err != nil {
			warnings = append(warnings, noMailbox(err))
		} else {
			mailbox = true
		}
	}
	r := &runner{conn: conn, init: init, mailbox: mailbox, warnings: warnings, number: firstNumber(), batch: make([]event.Event, batchSize)}
	defer r.detach()
	work, err := os.MkdirTemp("", "scaplab-guest")
	if err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil { // cases may become another user
		return fmt.Errorf("working directory: %w", err)
	}
	r.work = work
	r.lacks = probeNeeds()
	// The server is started now, so that a saved machine has it.
	if r.forks, err = startForkServer(); err != nil {
		return fmt.Errorf("fork server: %w", err)
	}
	defer func() { r.forks.stop() }()
	if err := r.conn.Send(KindHello, r.hello()); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	for {
		kind, value, err := r.conn.Receive()
		if errors.Is(err, io.EOF) && !init {
			return nil
		}
		if err != nil {
			if isGarbled(err) {
				err = r.conn.Send(KindError, Error{Text: err.Error()})
			}
			if err != nil {
				return fmt.Errorf("receive: %w", err)
			}
			continue
		}
		done, err := r.answer(kind, value)
		if err != nil {
			return fmt.Errorf("answer %s: %w", kind, err)
		}
		if done {
			return nil
		}
	}
}

func (r *runner) answer(kind string, value json.RawMessage) (done bool, err error) {
	decode := func(v any) error {
		dec := json.NewDecoder(bytes.NewReader(value))
		dec.DisallowUnknownFields()
		return dec.Decode(v)
	}
	switch kind {
	case KindPing:
		var p Ping
		if err := decode(&p); err != nil {
			return false, r.conn.Send(KindError, Error{Text: "ping: " + err.Error()})
		}
		if p.Clock != 0 && r.init {
			err := setClock(p.Clock)
			for _, e := range r.engines {
				err = errors.Join(err, e.retime())
			}
			if err != nil {
				return false, r.conn.Send(KindError, Error{Text: "ping: " + err.Error()})
			}
		}
		return false, r.conn.Send(KindPong, p)
	case KindRun:
		var req RunRequest
		if err := decode(&req); err != nil {
			return false, r.conn.Send(KindError, Error{Text: "run: " + err.Error()})
		}
		return false, r.run(&req)
	case KindState:
		var s State
		state, err := proc.Scan(context.Background(), proc.Options{})
		if s.State = state; err != nil {
			s.Error = err.Error()
		}
		return false, r.conn.Send(KindState, s)
	case KindQuit:
		return true, nil
	}
	return false, r.conn.Send(KindError, Error{Text: "unknown request " + strconv.Quote(kind)})
}

func (r *runner) run(req *RunRequest) error {
	start := time.Now()
	done := Done{}
	if err := r.attach(req.Drivers); err != nil {
		done.Error = err.Error()
		return r.conn.Send(KindDone, done)
	}
	before := sharedState()
	for rest := req.Cases; len(rest) > 0; {
		group := rest[:together(rest, req)]
		if log := r.log(); log != "" { // without it, only the case that the kernel complained about is not known
			sayCase(log, group[0])
		}
		if err := r.conn.Send(KindStarted, Started{Case: group[0], And: group[1:]}); err != nil {
			return err
		}
		results := r.runCases(group, req)
		for _, res := range results {
			if err := r.conn.Send(KindResult, res); err != nil {
				return err
			}
		}
		rest = rest[len(results):]
		done.Cases += len(results)
	}
	if after := sharedState(); after != before {
		done.Left = fmt.Sprintf("before the cases:\n%safter them:\n%s", before, after)
	}
	done.Took = time.Since(start)
	if len(r.inUse) > 0 {
		if s, err := r.inUse[0].Stats(); err == nil {
			done.Stats = map[string]uint64{
				"seen": s.Seen, "delivered": s.Delivered, "drop_buffer_full": s.Drops.BufferFull,
				"drop_too_large": s.Drops.TooLarge, "drop_scratch": s.Drops.Scratch,
				"drop_tail_call": s.Drops.TailCall, "drop_no_ring": s.Drops.NoRing, "drop_messages": s.Drops.Messages, "drop_other": s.Drops.Other,
			}
		}
	}
	return r.conn.Send(KindDone, done)
}

// attach puts drivers into use. Those that are taken out of use stay open, because
// loading them again takes long.
func (r *runner) attach(drivers Drivers) error {
	if drivers == r.drivers {
		return nil
	}
	for _, e := range r.inUse {
		if err := e.pause(); err != nil {
			return fmt.Errorf("pause %s: %w", r.drivers, err)
		}
	}
	r.inUse, r.drivers, r.selected = nil, Drivers{}, selection{}
	var all []engine
	for _, d := range drivers.All() {
		e, err := r.open(d)
		if err != nil {
			return err
		}
		all = append(all, e)
	}
	r.inUse, r.drivers = all, drivers
	return nil
}

// open returns the driver, and opens it if necessary.
func (r *runner) open(driver Driver) (engine, error) {
	e, ok := r.engines[driver]
	if !ok {
		open, known := engines[driver]
		if !known {
			return nil, fmt.Errorf("unknown driver %q", driver)
		}
		var err error
		if e, err = open(); err != nil {
			return nil, fmt.Errorf("open %s: %w", driver, err)
		}
		if r.engines == nil {
			r.engines = make(map[Driver]engine)
		}
		r.engines[driver] = e
	}
	return e, nil
}

// detach closes all drivers.
func (r *runner) detach() {
	for _, e := range r.engines {
		_ = e.Close()
	}
	r.engines, r.inUse, r.drivers, r.selected = nil, nil, Drivers{}, selection{}
}

func parseReports(data []byte) ([]report, error) {
	var reports []report
	for line := range bytes.Lines(data) {
		var rep report
		if err := json.Unmarshal(line, &rep); err != nil {
			return reports, fmt.Errorf("report of the child: %w", err)
		}
		reports = append(reports, rep)
	}
	return reports, nil
}
