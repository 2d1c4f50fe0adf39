// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/guest/object"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/session"
	"github.com/scaplab/scaplab/vmtest/wire"
)

// fakeGuest is the guest's end of a session. It gets its channel and its
// console; the guest ends when it returns.
type fakeGuest func(c *fakeConn, console io.Writer)

// testTID is the thread that calls.
const testTID = 1234

type fakeConn struct {
	*wire.Conn
	raw io.Writer // below the records
	req guest.RunRequest
}

// nextRun waits for a request and answers nothing else.
func (c *fakeConn) nextRun() bool {
	kind, body, err := c.Receive()
	return err == nil && kind == guest.KindRun && json.Unmarshal(body, &c.req) == nil
}

func (c *fakeConn) start(id string) { _ = c.Send(guest.KindStarted, guest.Started{Case: id}) }

func (c *fakeConn) result(id string, events ...[]byte) {
	_ = c.Send(guest.KindResult, guest.CaseResult{Case: id, Outcome: guest.Ran, Return: true, TID: testTID, Capture: guest.Capture{Events: events}})
}

// waitForEnd returns when the host has closed the channel.
func (c *fakeConn) waitForEnd() {
	for {
		if _, _, err := c.Receive(); err != nil {
			return
		}
	}
}

func (c *fakeConn) done() { _ = c.Send(guest.KindDone, guest.Done{}) }

// obedient runs each case. It calls extra before it sends a case's result.
func obedient(extra map[string]func(c *fakeConn, console io.Writer) (ends bool)) fakeGuest {
	return func(c *fakeConn, console io.Writer) {
		for c.nextRun() {
			for _, id := range c.req.Cases {
				fmt.Fprintf(console, "[    1.0] %s%s\n", wire.CaseLine, id)
				c.start(id)
				if f := extra[id]; f != nil && f(c, console) {
					return
				}
				c.result(id)
			}
			c.done()
		}
	}
}

// fakeLauncher starts its guests one after the other.
type fakeLauncher struct {
	t       *testing.T
	guests  []fakeGuest
	hello   guest.Hello
	errs    []error  // errors of launches, before the first guest
	killed  []string // the signal from outside that ended each guest
	started int
}

func (l *fakeLauncher) Launch(context.Context) (*session.Session, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	require.Less(l.t, l.started, len(l.guests), "more guests started than expected")
	g := l.guests[l.started]
	l.started++
	killed := ""
	if len(l.killed) >= l.started {
		killed = l.killed[l.started-1]
	}
	hostEnd, guestEnd := net.Pipe()
	consoleR, consoleW := io.Pipe()
	con := machine.ReadConsole(consoleR, nil)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer guestEnd.Close()
		defer consoleW.Close()
		g(&fakeConn{Conn: wire.NewConn(guestEnd), raw: guestEnd}, consoleW)
	}()
	conn := wire.NewConn(hostEnd)
	stop := make(chan struct{})
	var once sync.Once
	return &session.Session{
		Hello: l.hello, How: "made up", Messages: session.Pump(conn, stop), Send: conn.Send, Died: con.Died(), Console: con.Text, Complaint: con.Complaint, Stalls: con.Stalls,
		Killed: func() string { return killed },
		Finish: func() string {
			once.Do(func() {
				close(stop)
				hostEnd.Close()
				<-gone
				<-con.Finished()
			})
			return ""
		},
	}, nil
}

// verdicts collects what a lane emits.
type verdicts map[string]judge.Verdict

// fakeReferee lets every case pass, except those that it has verdicts for.
type fakeReferee struct {
	planned *judge.Plan // nil: every case is run
	judged  func(r *guest.CaseResult) []judge.Verdict
}

func (fakeReferee) welcome(*guest.Hello) error { return nil }

func (f fakeReferee) plan(ids []string) judge.Plan {
	if f.planned != nil {
		return *f.planned
	}
	return judge.Plan{Run: ids}
}

func (f fakeReferee) judge(r *guest.CaseResult) []judge.Verdict {
	if f.judged != nil {
		return f.judged(r)
	}
	return []judge.Verdict{{Status: judge.Pass}}
}

// collector collects what a lane reports.
type collector struct {
	t         *testing.T
	onStarted func(id string)
	verdicts  verdicts
	results   map[string]*guest.CaseResult
	notes     []string
	hows      []string
}

func newCollector(t *testing.T) *collector {
	return &collector{t: t, verdicts: verdicts{}, results: map[string]*guest.CaseResult{}}
}

func (c *collector) log(format string, args ...any) { c.t.Logf(format, args...) }
func (c *collector) note(text string)               { c.notes = append(c.notes, text) }
func (c *collector) welcome(_ *guest.Hello, how string, _ time.Duration) {
	c.hows = append(c.hows, how)
}
func (c *collector) doing(id string) {
	if c.onStarted != nil {
		c.onStarted(id)
	}
}
func (c *collector) emit(id string, r *guest.CaseResult, v []judge.Verdict) {
	require.NotContains(c.t, c.verdicts, id, "a case is reported once")
	require.Len(c.t, v, 1)
	c.verdicts[id], c.results[id] = v[0], r
}

// runLane runs ids over the guests.
func runLane(t *testing.T, l *fakeLauncher, ids []string, change ...func(*lane)) verdicts {
	t.Helper()
	l.t = t
	out := newCollector(t)
	ln := &lane{
		capture: guest.OnlyEBPF, wanted: 1, launcher: l, referee: fakeReferee{}, out: out,
		silence: time.Minute, grace: 2 * time.Second,
	}
	for _, f := range change {
		f(ln)
	}
	require.NoError(t, ln.run(t.Context(), ids))
	require.Equal(t, len(l.guests), l.started, "guests started")
	return out.verdicts
}

// requireVerdicts compares statuses and classes, and checks that each reason contains a text.
func requireVerdicts(t *testing.T, want map[string][2]string, got verdicts) {
	t.Helper()
	for id, w := range want {
		v, ok := got[id]
		require.True(t, ok, "%s has no verdict", id)
		require.Equal(t, w[0], strings.TrimSpace(string(v.Status)+" "+v.Class), "%s: %s", id, v.Reason)
		require.Contains(t, v.Reason, w[1], id)
	}
	require.Len(t, got, len(want))
}

func TestGoodCasesPass(t *testing.T) {
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{obedient(nil)}}, []string{"a/x", "b/x"})
	requireVerdicts(t, map[string][2]string{"a/x": {"pass"}, "b/x": {"pass"}}, got)
}

func TestAPanicNamesItsCaseAndTheRestGoesOn(t *testing.T) {
	panics := obedient(map[string]func(*fakeConn, io.Writer) bool{"b/x": func(_ *fakeConn, console io.Writer) bool {
		fmt.Fprint(console, "[    3.1] sysrq: Trigger a crash\r\n[    3.2] Kernel panic - not syncing: sysrq triggered crash\r\n[    3.2] CPU: 0 PID: 77\r\n")
		return true
	}})
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{panics, obedient(nil)}}, []string{"a/x", "b/x", "c/x"})
	requireVerdicts(t, map[string][2]string{
		"a/x": {"pass"},
		"b/x": {"fail crash", "Kernel panic - not syncing: sysrq triggered crash\n[    3.2] Kernel panic"},
		"c/x": {"pass"},
	}, got)
	require.Contains(t, got["b/x"].Reason, "CPU: 0 PID: 77", "the console goes with it")
}

func TestAPanicThatLeavesTheMachineUp(t *testing.T) {
	wedged := obedient(map[string]func(*fakeConn, io.Writer) bool{"a/x": func(c *fakeConn, console io.Writer) bool {
		fmt.Fprint(console, "Kernel panic - not syncing: Fatal exception\r\n")
		c.waitForEnd()
		return true
	}})
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{wedged, obedient(nil)}}, []string{"a/x", "b/x"})
	requireVerdicts(t, map[string][2]string{
		"a/x": {"fail crash", "guest kernel died: Kernel panic - not syncing: Fatal exception"}, "b/x": {"pass"},
	}, got)
}

func TestAHangNamesItsCaseAndTheRestGoesOn(t *testing.T) {
	hangs := obedient(map[string]func(*fakeConn, io.Writer) bool{"a/x": func(c *fakeConn, console io.Writer) bool {
		fmt.Fprint(console, "rcu: INFO: rcu_sched detected stalls on CPUs/tasks\r\n")
		c.waitForEnd()
		return true
	}})
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{hangs, obedient(nil)}}, []string{"a/x", "b/x"}, func(l *lane) { l.silence = 2 * time.Second })
	requireVerdicts(t, map[string][2]string{
		"a/x": {"fail hang", "no word from the guest for 2s; its console ends with\nrcu: INFO: rcu_sched detected stalls"},
		"b/x": {"pass"},
	}, got)
}

func TestGarbledDataIsReportedForItsCase(t *testing.T) {
	noise := obedient(map[string]func(*fakeConn, io.Writer) bool{"b/x": func(c *fakeConn, _ io.Writer) bool {
		_, _ = c.raw.Write([]byte("[   12.3] printk on the wrong port\n"))
		return false
	}})
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{noise}}, []string{"a/x", "b/x", "c/x"})
	requireVerdicts(t, map[string][2]string{
		"a/x": {"pass"},
		"b/x": {"fail channel", `garbled data: no record header, 35 bytes skipped: "[   12.3] printk on the wrong port\n"`},
		"c/x": {"pass"},
	}, got)
}

func TestALostResultIsReportedForItsCase(t *testing.T) {
	for _, row := range []struct {
		name string
		ids  []string
	}{{"and another case follows", []string{"a/x", "b/x"}}, {"of the last case", []string{"a/x"}}} {
		t.Run(row.name, func(t *testing.T) {
			damaged := func(c *fakeConn, _ io.Writer) {
				if !c.nextRun() {
					return
				}
				c.start("a/x")
				// One byte of the result is changed on its way.
				var b bytes.Buffer
				w := wire.NewWriter(&b)
				_ = w.Write([]byte("skipped: the sequence number of Started"))
				b.Reset()
				_ = w.Write([]byte("\x06result{}"))
				r := b.Bytes()
				r[len(r)-1] ^= 1
				_, _ = c.raw.Write(r)
				if len(row.ids) > 1 {
					c.start("b/x")
					c.result("b/x")
				}
				c.done()
				c.nextRun()
			}
			got := runLane(t, &fakeLauncher{guests: []fakeGuest{damaged}}, row.ids)
			want := map[string][2]string{"a/x": {"fail channel", "its result did not arrive: garbled data: wrong checksum of record 2"}}
			if len(row.ids) > 1 {
				want["b/x"] = [2]string{"pass"}
			}
			requireVerdicts(t, want, got)
		})
	}
}

func TestWhatTheGuestLeavesOutIsAFailure(t *testing.T) {
	lazy := func(c *fakeConn, _ io.Writer) {
		for c.nextRun() {
			c.start(c.req.Cases[0])
			c.result(c.req.Cases[0])
			c.result("z/unknown")
			c.done()
		}
	}
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{lazy}}, []string{"a/x", "b/x"})
	requireVerdicts(t, map[string][2]string{"a/x": {"pass"}, "b/x": {"fail harness", "finished without reporting it"}}, got)
}

func TestADriverThatDoesNotWorkFailsEveryCase(t *testing.T) {
	ids := []string{"a/x", "b/x"}
	want := map[string][2]string{"a/x": {"fail driver", "no BTF"}, "b/x": {"fail driver", "no BTF"}}

	l := &fakeLauncher{guests: []fakeGuest{func(c *fakeConn, _ io.Writer) { c.nextRun() }}}
	l.hello.Drivers = []guest.DriverState{{Name: "ebpf", Error: "no BTF"}, {Name: "kmod"}}
	requireVerdicts(t, want, runLane(t, l, ids))

	refuses := func(c *fakeConn, _ io.Writer) {
		if c.nextRun() {
			_ = c.Send(guest.KindDone, guest.Done{Error: "open ebpf: no BTF"})
			c.nextRun()
		}
	}
	requireVerdicts(t, want, runLane(t, &fakeLauncher{guests: []fakeGuest{refuses}}, ids))
}

func TestAGuestThatNeverGetsAnywhereIsGivenUp(t *testing.T) {
	dies := func(c *fakeConn, console io.Writer) {
		c.nextRun()
		fmt.Fprint(console, "guest: open port: no such device\n")
	}
	ids := []string{"a/x", "b/x"}
	many := []string{"a/x", "b/x", "c/x", "d/x", "e/x", "f/x"}
	var guests []fakeGuest
	for range session.BootTries * (blameLimit + 1) {
		guests = append(guests, dies)
	}
	want := map[string][2]string{}
	for _, id := range many {
		want[id] = [2]string{"fail crash", "guest ended\nguest: open port: no such device"}
	}
	got := runLane(t, &fakeLauncher{guests: guests}, many)
	requireVerdicts(t, want, got)

	// Two consecutive cases end the guest before it can report that they began.
	got = runLane(t, &fakeLauncher{guests: []fakeGuest{dies, dies, dies, dies, obedient(nil)}}, many[:3])
	requireVerdicts(t, map[string][2]string{"a/x": want["a/x"], "b/x": want["b/x"], "c/x": {"pass"}}, got)

	failing := &session.BootError{Reason: "no hello from the guest within 90s", Console: "VFS: Unable to mount root fs"}
	got = runLane(t, &fakeLauncher{errs: []error{failing, failing}}, ids)
	requireVerdicts(t, map[string][2]string{
		"a/x": {"fail boot", "guest did not become ready: no hello from the guest within 90s\nVFS: Unable"}, "b/x": {"fail boot", "no hello"},
	}, got)

	got = runLane(t, &fakeLauncher{errs: []error{failing}, guests: []fakeGuest{obedient(nil)}}, ids)
	requireVerdicts(t, map[string][2]string{"a/x": {"pass"}, "b/x": {"pass"}}, got)

	got = runLane(t, &fakeLauncher{errs: []error{errors.New("qemu: exec format error")}}, ids[:1])
	requireVerdicts(t, map[string][2]string{"a/x": {"fail boot", "exec format error"}}, got)
}

// Another process, or a system without memory, may end a QEMU at any time.
func TestAMachineKilledFromOutsideIsNoCrashOfItsCase(t *testing.T) {
	killedAt := func(id string) fakeGuest {
		return obedient(map[string]func(*fakeConn, io.Writer) bool{id: func(*fakeConn, io.Writer) bool { return true }})
	}
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{killedAt("b/x"), obedient(nil)}, killed: []string{"signal: killed"}}, []string{"a/x", "b/x", "c/x"})
	requireVerdicts(t, map[string][2]string{"a/x": {"pass"}, "b/x": {"pass"}, "c/x": {"pass"}}, got)

	for name, l := range map[string]*fakeLauncher{
		"in a case":    {guests: []fakeGuest{killedAt("b/x"), killedAt("b/x"), killedAt("b/x")}, killed: []string{"signal: killed", "signal: killed", "signal: killed"}},
		"as it starts": {errs: []error{&session.KilledError{By: "signal: killed"}, &session.KilledError{By: "signal: killed"}}},
	} {
		l.t = t
		out := newCollector(t)
		ln := &lane{capture: guest.OnlyEBPF, wanted: 1, launcher: l, referee: fakeReferee{}, out: out, silence: 10 * time.Second}
		err := ln.run(t.Context(), []string{"a/x", "b/x", "c/x"})
		var lack *env.Error
		require.ErrorAs(t, err, &lack, name)
		require.ErrorContains(t, err, "signal: killed", name)
		require.NotContains(t, out.verdicts, "b/x", "%s: no verdict is better than a wrong one", name)
	}
}

func TestACrashBetweenCasesIsTheNextOnes(t *testing.T) {
	late := func(c *fakeConn, console io.Writer) {
		if c.nextRun() {
			c.start("a/x")
			c.result("a/x")
			fmt.Fprint(console, "BUG: unable to handle page fault for address: ffff\n")
		}
	}
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{late, obedient(nil)}}, []string{"a/x", "b/x", "c/x"})
	requireVerdicts(t, map[string][2]string{
		"a/x": {"pass"}, "b/x": {"fail crash", "before it began, or as it did: guest ended: BUG: unable to handle page fault"}, "c/x": {"pass"},
	}, got)
}

func TestARequestTheGuestCannotReadIsGivenUp(t *testing.T) {
	deaf := func(c *fakeConn, _ io.Writer) {
		if c.nextRun() {
			_ = c.Send(guest.KindError, guest.Error{Text: "garbled data: wrong checksum of record 1"})
			c.nextRun()
		}
	}
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{deaf, deaf}}, []string{"a/x"})
	requireVerdicts(t, map[string][2]string{"a/x": {"fail channel", "could not read the request: garbled data: wrong checksum of record 1"}}, got)
}

const warning = "[    9.9] WARNING: CPU: 0 PID: 9 at kernel/bpf/verifier.c:1 check+0x1/0x2\r\n[    9.9] Call Trace:\r\n"

// says returns a case whose kernel writes to its console before the case has a result.
func says(text string) func(*fakeConn, io.Writer) bool {
	return func(_ *fakeConn, console io.Writer) bool {
		fmt.Fprint(console, text)
		return false
	}
}

func TestACaseOfWhichTheKernelComplainsFails(t *testing.T) {
	for text, want := range map[string]string{
		warning: "the kernel complained: WARNING: CPU: 0 PID: 9 at kernel/bpf/verifier.c:1 check+0x1/0x2\nCall Trace:",
		"WARNING: kernel/fork.c:1 at f+0x1/0x2, CPU#0: guest/9\n":     "WARNING: kernel/fork.c:1",
		"WARNING: suspicious RCU usage\n":                             "suspicious RCU usage",
		"WARNING: possible circular locking dependency detected\n":    "circular locking",
		"[ 1.0] BUG: sleeping function called from invalid context\n": "BUG: sleeping function",
		"BUG kmalloc-64 (Tainted: G): Poison overwritten\n":           "Poison overwritten",
		"list_add corruption. prev->next should be next\n":            "list_add corruption",
		"Out of memory: Killed process 70 (guest) total-vm:1234kB\n":  "Out of memory: Killed process 70",
		"refcount_t: underflow; use-after-free.\n":                    "refcount_t: underflow",
	} {
		got := runLane(t, &fakeLauncher{guests: []fakeGuest{obedient(map[string]func(*fakeConn, io.Writer) bool{"b/x": says(text)})}}, []string{"a/x", "b/x", "c/x"})
		requireVerdicts(t, map[string][2]string{"a/x": {"pass"}, "b/x": {"fail kernel", want}, "c/x": {"pass"}}, got)
	}
}

func TestAComplaintAfterTheLastResultIsNotLost(t *testing.T) {
	for _, said := range []string{"", wire.CaseLine + "a/x\n"} { // of the last case, and of one whose verdict is out
		atTheEnd := func(c *fakeConn, console io.Writer) {
			if c.nextRun() {
				for _, id := range c.req.Cases {
					fmt.Fprintf(console, "%s%s\n", wire.CaseLine, id)
					c.start(id)
					c.result(id)
				}
				c.done()
				fmt.Fprint(console, said+"BUG: Bad page state in process guest\n")
			}
		}
		got := runLane(t, &fakeLauncher{guests: []fakeGuest{atTheEnd}}, []string{"a/x", "b/x"})
		failed := "b/x"
		if said != "" && got["a/x"].Status == judge.Fail { // its verdict was not out
			failed = "a/x"
		}
		want := map[string][2]string{"a/x": {"pass"}, "b/x": {"pass"}}
		want[failed] = [2]string{"fail kernel", "Bad page state"}
		requireVerdicts(t, want, got)
	}
}

func TestAComplaintBeforeTheFirstCaseFailsOne(t *testing.T) {
	driver := func(c *fakeConn, console io.Writer) {
		fmt.Fprint(console, warning)
		obedient(nil)(c, console)
	}
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{driver}}, []string{"a/x", "b/x"})
	requireVerdicts(t, map[string][2]string{"a/x": {"pass"}, "b/x": {"fail kernel", "verifier.c:1"}}, got)
}

func TestAFailureHasWhatTheKernelSaidMeanwhile(t *testing.T) {
	guests := []fakeGuest{obedient(map[string]func(*fakeConn, io.Writer) bool{"a/x": says("scap: of a\n"), "b/x": says("BUG: scheduling while atomic\n"), "c/x": says("scap: of c\n")})}
	got := runLane(t, &fakeLauncher{guests: guests}, []string{"a/x", "b/x", "c/x"})
	requireVerdicts(t, map[string][2]string{"a/x": {"pass"}, "b/x": {"fail kernel"}, "c/x": {"pass"}}, got)
	require.Equal(t, "BUG: scheduling while atomic", got["b/x"].Console)
	require.Empty(t, got["a/x"].Console+got["c/x"].Console, "they passed")
}

func TestAStallIsOnlyNoted(t *testing.T) {
	var out *collector
	stalls := obedient(map[string]func(*fakeConn, io.Writer) bool{"a/x": says("watchdog: BUG: soft lockup - CPU#0 stuck for 23s!\n")})
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{stalls}}, []string{"a/x", "b/x"}, func(l *lane) { out = l.out.(*collector) })
	requireVerdicts(t, map[string][2]string{"a/x": {"pass"}, "b/x": {"pass"}}, got)
	require.Equal(t, []string{"the kernel noticed a stall: watchdog: BUG: soft lockup - CPU#0 stuck for 23s!"}, out.notes)
}

func TestSkipsAreEmitted(t *testing.T) {
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{obedient(nil)}}, []string{"a/x", "b/x"}, func(l *lane) {
		l.referee = fakeReferee{planned: &judge.Plan{Run: []string{"a/x"}, Skip: map[string]string{"b/x": "b since 6.1"}}}
	})
	requireVerdicts(t, map[string][2]string{"a/x": {"pass"}, "b/x": {"skip", "b since 6.1"}}, got)
}

func TestManyCasesAreAskedForInBatches(t *testing.T) {
	var ids []string
	for i := range 2*batchSize + 1 {
		ids = append(ids, fmt.Sprintf("s%d/x", i))
	}
	largest := 0
	g := func(c *fakeConn, _ io.Writer) {
		for c.nextRun() {
			largest = max(largest, len(c.req.Cases))
			for _, id := range c.req.Cases {
				c.start(id)
				c.result(id)
			}
			c.done()
		}
	}
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{g}}, ids)
	require.Len(t, got, len(ids))
	require.Equal(t, batchSize, largest)
}

// group announces the cases, and sends the results of the first ones.
func (c *fakeConn) group(ids []string, results int) {
	_ = c.Send(guest.KindStarted, guest.Started{Case: ids[0], And: ids[1:]})
	for _, id := range ids[:results] {
		c.result(id)
	}
}

func TestCasesOfOneProcessAreReportedTogether(t *testing.T) {
	ids := []string{"a/1", "a/2", "a/3", "a/4"}
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{func(c *fakeConn, console io.Writer) {
		c.nextRun()
		c.group(ids, 2) // the second one succeeded, which ended the process
		fmt.Fprintf(console, "[    1.0] %sa/1\n[    1.1] WARNING: possible recursive locking detected\n[    1.2] %sa/2\n", wire.CaseLine, wire.CaseLine)
		c.group(ids[2:], 2)
		c.done()
		c.nextRun()
	}}}, ids)
	requireVerdicts(t, map[string][2]string{"a/1": {"fail kernel", "recursive"}, "a/2": {"pass"}, "a/3": {"pass"}, "a/4": {"pass"}}, got)
}

func TestACaseWhoseResultIsMissingFromAGroupIsNamed(t *testing.T) {
	ids := []string{"a/1", "a/2", "b/x"}
	for name, damage := range map[string]func(c *fakeConn){
		"in the middle": func(c *fakeConn) {
			c.group(ids[:2], 0)
			_, _ = io.WriteString(c.raw, "@garbled\n")
			c.result("a/2")
		},
		"at the end": func(c *fakeConn) {
			c.group([]string{"a/2", "a/1"}, 1)
			_, _ = io.WriteString(c.raw, "@garbled\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := runLane(t, &fakeLauncher{guests: []fakeGuest{func(c *fakeConn, _ io.Writer) {
				c.nextRun()
				damage(c)
				c.start("b/x")
				c.result("b/x")
				c.done()
				c.nextRun()
			}}}, ids)
			requireVerdicts(t, map[string][2]string{"a/1": {"fail channel", "its result did not arrive: "}, "a/2": {"pass"}, "b/x": {"pass"}}, got)
		})
	}
}

func TestNoiseAmongTheResultsOfAGroupFailsOne(t *testing.T) {
	ids := []string{"a/1", "a/2"}
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{func(c *fakeConn, _ io.Writer) {
		c.nextRun()
		c.group(ids, 1)
		_, _ = io.WriteString(c.raw, "@garbled\n")
		c.result("a/2")
		c.done()
		c.nextRun()
	}}}, ids)
	requireVerdicts(t, map[string][2]string{"a/1": {"pass"}, "a/2": {"fail channel", "garbled"}}, got)
}

func TestADeathInAGroupIsNotBlamedOnTheGroupBefore(t *testing.T) {
	ids := []string{"a/1", "a/2", "b/1", "b/2"}
	dies := func(c *fakeConn, console io.Writer) {
		c.nextRun()
		c.group(ids[:2], 2)
		c.group(ids[2:], 0)
		fmt.Fprintf(console, "[    1.0] %sb/1\n[    1.1] BUG: unable to handle page fault\n", wire.CaseLine)
		fmt.Fprint(console, "Kernel panic - not syncing: b/1\n")
	}
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{dies, obedient(nil)}}, ids, func(l *lane) { l.grace = time.Second })
	requireVerdicts(t, map[string][2]string{"a/1": {"pass"}, "a/2": {"pass"}, "b/1": {"pass"}, "b/2": {"pass"}}, got)
}

func TestTheCaseThatKillsAGuestIsFoundInItsGroup(t *testing.T) {
	ids := []string{"a/1", "a/2", "a/3", "b/x"}
	together := func(c *fakeConn, console io.Writer) {
		c.nextRun()
		if c.req.Alone {
			t.Error("the first request")
		}
		c.group(ids[:3], 0)
		fmt.Fprint(console, "Kernel panic - not syncing: a/2\n")
	}
	alone := obedient(map[string]func(*fakeConn, io.Writer) bool{"a/2": func(c *fakeConn, console io.Writer) bool {
		if !c.req.Alone || len(c.req.Cases) != 3 {
			t.Errorf("asked for %v, alone: %v", c.req.Cases, c.req.Alone)
		}
		fmt.Fprint(console, "Kernel panic - not syncing: a/2\n")
		return true
	}})
	got := runLane(t, &fakeLauncher{guests: []fakeGuest{together, alone, obedient(nil)}}, ids, func(l *lane) { l.grace = time.Second })
	requireVerdicts(t, map[string][2]string{"a/1": {"pass"}, "a/2": {"fail crash", "Kernel panic"}, "a/3": {"pass"}, "b/x": {"pass"}}, got)
}

func TestCancellingEndsTheGuest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	l := &fakeLauncher{t: t, guests: []fakeGuest{func(c *fakeConn, _ io.Writer) {
		defer close(ended)
		c.nextRun()
		cancel()
		c.nextRun() // fails when the host closes the channel
	}}}
	out := newCollector(t)
	ln := &lane{capture: guest.OnlyEBPF, wanted: 1, launcher: l, referee: fakeReferee{}, out: out, silence: time.Minute}
	require.ErrorIs(t, ln.run(ctx, []string{"a/x"}), context.Canceled)
	<-ended
	require.Empty(t, out.verdicts)
}

func getppidExit(t *testing.T, res int64) []byte {
	t.Helper()
	var b event.Builder
	b.Begin(event.TypeGetppidExit, 1, testTID, 1)
	b.AddInt64(res)
	raw, err := b.End()
	require.NoError(t, err)
	return bytes.Clone(raw)
}

// From a guest's bytes to a verdict, for each kind of wrong driver.
func TestADriversFaultsAreToldApart(t *testing.T) {
	const id = "getppid/works"
	sc, _ := guest.Find(id)
	require.NotNil(t, sc, "the table has lost %s", id)
	good := getppidExit(t, 42)
	for _, row := range []struct {
		name   string
		events [][]byte
		want   [2]string
	}{
		{"right event", [][]byte{good}, [2]string{"pass"}},
		{"wrong value", [][]byte{getppidExit(t, 43)}, [2]string{"fail param", "res: want 42, got 43"}},
		{"missing event", nil, [2]string{"fail missing-event", "no getppid_exit event"}},
		{"extra event", [][]byte{good, good}, [2]string{"fail extra-event", "extra event getppid_exit"}},
		{"cut event", [][]byte{good[:len(good)-3]}, [2]string{"fail garbled", "event 1 of 1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := &fakeLauncher{guests: []fakeGuest{func(c *fakeConn, _ io.Writer) {
				for c.nextRun() {
					c.start(id)
					_ = c.Send(guest.KindResult, guest.CaseResult{
						Case: id, Outcome: guest.Ran, Return: true, Ret: 42, TID: testTID,
						Facts: object.Facts{"ppid": object.IntFact(42)}, Capture: guest.Capture{Driver: "ebpf", Events: row.events},
					})
					c.done()
				}
			}}}
			l.hello = guest.Hello{Release: "6.12.1", Arch: "amd64"}
			got := runLane(t, l, []string{id}, func(ln *lane) { ln.referee = newBench([]guest.Drivers{guest.OnlyEBPF}, nil) })
			requireVerdicts(t, map[string][2]string{id: row.want}, got)
		})
	}
}
