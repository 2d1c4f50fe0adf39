// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/guest/object"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/shard"
)

func TestCellsAreReadBack(t *testing.T) {
	for _, cell := range []string{"openat/creates-a-file@6.12/ebpf", "getppid/works@host/ebpf", "read/x@/boot/vmlinuz-6.1/kmod", "clone/a@b@newest/ebpf"} {
		id, kernel, drivers, err := ParseCell(cell)
		require.NoError(t, err)
		require.Equal(t, cell, id+"@"+kernel+"/"+drivers.String())
	}
	for _, bad := range []string{"", "openat", "openat/x", "openat@6.1/ebpf", "openat/x@6.1", "openat/x@/ebpf", "openat/x@6.1/"} {
		_, _, _, err := ParseCell(bad)
		require.ErrorContains(t, err, "want SYSCALL/CASE@KERNEL/DRIVER", bad)
	}
}

func TestALongPieceIsSplitForIdleMachines(t *testing.T) {
	o := Options{Kernels: []Kernel{{Kernel: kernels.Kernel{Name: "6.1"}}}, Drivers: []guest.Drivers{guest.OnlyEBPF}, Jobs: 2}
	for i := range 100 {
		o.Cases = append(o.Cases, fmt.Sprintf("s%d/x", i/3)+fmt.Sprint(i))
	}
	pieces := plan(o)
	require.Len(t, pieces, 2)
	require.Equal(t, o.Cases, append(append([]string{}, pieces[0].ids...), pieces[1].ids...))
	last, first := pieces[0].ids[len(pieces[0].ids)-1], pieces[1].ids[0]
	require.NotEqual(t, guest.SyscallOf(last), guest.SyscallOf(first), "a syscall's cases stay together")

	o.Cases = o.Cases[:20]
	require.Len(t, plan(o), 1, "not worth a second machine")
}

// foreignArch is another architecture than this machine's.
var foreignArch = map[bool]string{true: "arm64", false: "amd64"}[runtime.GOARCH == "amd64"]

// testReport returns a report with a pass, a failure of several lines, skips and a kernel that is gone.
func testReport(t *testing.T) *Report {
	t.Helper()
	sc := guest.FindSyscall("openat")
	require.NotNil(t, sc)
	first, second := sc.ID(&sc.Cases[0]), sc.ID(&sc.Cases[1])
	o := Options{Kernels: []Kernel{{Kernel: kernels.Kernel{Name: "6.1", Arch: runtime.GOARCH, Release: "6.1.9", Package: kernels.Package{Name: "linux-image-test", Version: "6.1.9-1"}}}, {Kernel: kernels.Kernel{Name: "/boot/my kernel", Arch: foreignArch}}}, Drivers: []guest.Drivers{guest.OnlyEBPF}, Cases: []string{first, second},
		Tool: "v1.2.3", Gone: []kernels.Unavailable{{Request: kernels.Request{Series: "5.10"}, Reason: errors.New("no package")}}}
	r := newReport(o)
	r.expect(plan(o))
	k := o.Kernels[0]
	r.started(k, &guest.Hello{Release: "6.1.9-test"}, "cold boot in 2.0s", 2*time.Second)
	r.setAccel(machine.Accel{Name: machine.TCG, Reason: "by a test"})
	r.welcome(k, guest.OnlyEBPF, &guest.Hello{Release: "6.1.9-test", Drivers: []guest.DriverState{{Name: "ebpf", Refused: []guest.Refusal{{Program: "x_bpf_exit", Reason: "too complex\nlog"}}}}}, "cold boot in 2.0s")
	// Out of order, as machines finish.
	r.add(o.Kernels[1], guest.OnlyEBPF, second, nil, judge.Verdict{Status: judge.Skip, Reason: "needs ipv6"})
	r.add(o.Kernels[1], guest.OnlyEBPF, first, nil, judge.Verdict{Status: judge.Fail, Class: judge.ClassHang, Reason: "no word"})
	r.add(k, guest.OnlyEBPF, second, nil, judge.Verdict{Status: judge.Fail, Class: judge.ClassCrash, Reason: "guest ended: <BUG> & more\nline two"})
	r.add(k, guest.OnlyEBPF, first, &guest.CaseResult{Outcome: guest.Ran, Return: true, Ret: 3, Took: 250 * time.Millisecond}, judge.Verdict{Status: judge.Pass, Params: []judge.Param{{Name: "fd", Want: "3", Got: "3", OK: true}}})
	r.add(k, guest.OnlyEBPF, "openat/"+kernelList, nil, judge.Verdict{Status: judge.Pass})
	r.finish()
	return r
}

func TestReportAsJSON(t *testing.T) {
	r := testReport(t)
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	var all map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &all))
	require.Len(t, all, 5)
	require.Equal(t, []any{"6.1", "/boot/my kernel", "5.10"}, all["kernels"])
	require.Equal(t, []any{"ebpf"}, all["drivers"])
	results := all["results"].([]any)
	require.Len(t, results, 7)
	require.Equal(t, kernelList, results[0].(map[string]any)["case"], "in order: kernel, driver, table")
	pass := results[1].(map[string]any)
	id := r.opts.Cases[0]
	require.Equal(t, map[string]any{
		"run": r.id, "seconds": 0.25, "kernel": "6.1", "arch": runtime.GOARCH, "driver": "ebpf", "syscall": "openat", "case": strings.TrimPrefix(id, "openat/"),
		"place":  guest.FindSyscall("openat").Place(&guest.FindSyscall("openat").Cases[0]),
		"status": "pass", "class": "", "reason": "", "repro": "scaplab repro " + id + "@6.1/ebpf", "ret": 3.0,
		"params": []any{map[string]any{"name": "fd", "want": "3", "got": "3", "ok": true}},
	}, pass)
	hang := results[3].(map[string]any)
	require.Equal(t, "scaplab repro '"+id+"@/boot/my kernel/ebpf' --arch "+foreignArch, hang["repro"])
	require.Equal(t, []any{}, hang["params"])

	r.opts.Shard = shard.Shard{Index: 2, Count: 3}
	var part bytes.Buffer
	require.NoError(t, r.WriteJSON(&part))
	joined, err := ReadJSON(&part)
	require.NoError(t, err)
	require.Equal(t, []shard.Shard{{Index: 1, Count: 3}, {Index: 3, Count: 3}}, joined.Missing)

	require.Equal(t, "amd64", results[5].(map[string]any)["arch"], "of a kernel that is gone, too")

	// A report that is joined with itself does not change.
	again, err := ReadJSON(bytes.NewReader(b.Bytes()), bytes.NewReader(b.Bytes()))
	require.NoError(t, err)
	require.Equal(t, r.Results, again.Results)
	require.Len(t, again.Failures(), 2)
	for _, bad := range []string{"", "{}x", `{"kernels":[],"drivers":[],"results":[],"more":1}`, `{"format":1,"results":[{"status":"good"}]}`} {
		_, err := ReadJSON(strings.NewReader(bad))
		if bad == "{}x" {
			continue // text after the object is ignored
		}
		require.ErrorContains(t, err, "read report 1", bad)
	}
}

func TestAReportThatIsReadBackKnowsWhichCallsFailed(t *testing.T) {
	o := Options{Kernels: []Kernel{{Kernel: kernels.Kernel{Name: "6.1"}}}, Drivers: []guest.Drivers{guest.OnlyEBPF}}
	r := newReport(o)
	// A failure whose first param is not the result of the call.
	r.add(o.Kernels[0], guest.OnlyEBPF, "openat/missing-file", &guest.CaseResult{Outcome: guest.Ran, Return: true, Ret: -2},
		judge.Verdict{Status: judge.Pass, Params: []judge.Param{{Name: "dirfd", Want: "4", Got: "4", OK: true}}})
	var js, before, after bytes.Buffer
	require.NoError(t, r.WriteJSON(&js))
	again, err := ReadJSON(&js)
	require.NoError(t, err)
	require.NoError(t, r.coverage.WriteTable(&before))
	require.NoError(t, again.coverage.WriteTable(&after))
	require.Contains(t, before.String(), "on success: dirfd")
	require.Equal(t, before.String(), after.String())
}

// The run may have used another kernel than the requested one.
func TestWarningsAreInEveryReport(t *testing.T) {
	r := testReport(t)
	r.Warnings = []Warning{{"6.1", "linux-image-6.1.0-9 6.1.9-1 is older than the newest listed: <gone> & more"}}
	var text, js, junit, again bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	require.Contains(t, text.String(), "\nWarnings:\n  6.1: linux-image-6.1.0-9 6.1.9-1 is older than the newest listed: <gone> & more\n")
	require.NoError(t, r.WriteJSON(&js))
	joined, err := ReadJSON(bytes.NewReader(js.Bytes()), bytes.NewReader(js.Bytes()))
	require.NoError(t, err)
	require.Equal(t, r.Warnings, joined.Warnings)
	require.NoError(t, joined.WriteText(&again))
	require.Contains(t, again.String(), "\nWarnings:\n  6.1: ")
	require.NoError(t, r.WriteJUnit(&junit))
	var got junitSuites
	require.NoError(t, xml.Unmarshal(junit.Bytes(), &got))
	warning := junitProperty{"warning", r.Warnings[0].Text}
	require.Contains(t, got.Suites[0].Properties.List, warning)
	require.NotContains(t, got.Suites[1].Properties.List, warning)
	require.Equal(t, 1, strings.Count(junit.String(), `"warning"`))
}

func TestReproIsToldWhatTheModuleWasBuiltAgainst(t *testing.T) {
	k := Kernel{Kernel: kernels.Kernel{Name: "/boot/bzImage", Arch: runtime.GOARCH}, Module: "/m.ko", Headers: []string{"/src/my linux"}}
	r := newReport(Options{Kernels: []Kernel{k}})
	for _, d := range []guest.Drivers{guest.OnlyEBPF, guest.OnlyKmod} {
		r.add(k, d, "getppid/works", nil, judge.Verdict{Status: judge.Fail})
	}
	require.Equal(t, "scaplab repro getppid/works@/boot/bzImage/ebpf", r.Results[0].Repro)
	require.Equal(t, "scaplab repro getppid/works@/boot/bzImage/kmod --headers '/src/my linux'", r.Results[1].Repro)
}

func TestReproIsTheProgramThatRanWithItsFlags(t *testing.T) {
	k := Kernel{Kernel: kernels.Kernel{Name: "6.1", Arch: runtime.GOARCH}}
	r := newReport(Options{Kernels: []Kernel{k}, Command: "go run ./cmd/scaplab", ReproFlags: []string{"--mirror", "file:///my mirror"}})
	r.add(k, guest.OnlyEBPF, "getppid/works", nil, judge.Verdict{Status: judge.Fail})
	require.Equal(t, "go run ./cmd/scaplab repro getppid/works@6.1/ebpf --mirror 'file:///my mirror'", r.Results[0].Repro)
}

func TestReportAsJUnit(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, testReport(t).WriteJUnit(&b))
	var got junitSuites
	require.NoError(t, xml.Unmarshal(b.Bytes(), &got))
	require.Len(t, got.Suites, 3)
	s := got.Suites[0]
	require.Equal(t, []any{"6.1 ebpf", 3, 0, 1, 0}, []any{s.Name, s.Tests, s.Failures, s.Errors, s.Skipped})
	require.Equal(t, []junitProperty{{"tool", "v1.2.3"}, {"schema", event.SchemaVersion}, {"accelerator", "tcg"},
		{"kernel.release", "6.1.9-test"}, {"kernel.package", "linux-image-test"}, {"kernel.version", "6.1.9-1"}}, s.Properties.List)
	require.InDelta(t, 0.25, float64(s.Cases[1].Time), 1e-9)
	require.Equal(t, s.Cases[1].Time, s.Time)
	f := s.Cases[2].Error
	require.Equal(t, []string{"crash", "guest ended: <BUG> & more"}, []string{f.Type, f.Message})
	require.Contains(t, f.Text, "\nscaplab repro openat/")
	require.Equal(t, "this kernel is not available: no package", got.Suites[2].Cases[0].Skipped.Message)
}

func TestReportAsText(t *testing.T) {
	r := testReport(t)
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b))
	text := b.String()
	sc, c := guest.Find(r.opts.Cases[1])
	place := sc.Place(c)
	require.Regexp(t, `^tables/syscalls/file\.yaml:[1-9][0-9]*$`, place)
	for _, want := range []string{
		"FAIL 1/2",
		"\nSkipped:\n",
		"  /boot/my kernel ebpf: needs ipv6 (" + r.opts.Cases[1] + ")\n",
		"  5.10 ebpf: this kernel is not available: no package (",
		"\nNotes:\n  6.1: ebpf: x_bpf_exit refused: too complex\n",
		"\nFailures:\n  " + r.opts.Cases[1] + "@6.1/ebpf: crash: guest ended: <BUG> & more\n      line two\n    " + place + "\n    scaplab repro " + r.opts.Cases[1] + "@6.1/ebpf\n",
		"\n6.1 ebpf: 2 passed, 1 failed, 0 skipped (6.1.9-test, cold boot in 2.0s)\n",
		"\ntotal: 2 passed, 2 failed, 3 skipped in ",
	} {
		require.Contains(t, text, want)
	}
}

func TestALongCaseIsNoHang(t *testing.T) {
	for _, limit := range []time.Duration{0, time.Second, 3 * guest.CaseLimit} {
		o := Options{CaseLimit: limit, Cache: t.TempDir()}
		require.NoError(t, o.setDefaults())
		require.Equal(t, cmp.Or(limit, guest.CaseLimit), o.CaseLimit)
		require.Greater(t, o.Silence, o.CaseLimit+time.Minute, "and the events of a case may come late")
	}
}

func TestThereIsAMachineForEachProcessor(t *testing.T) {
	o := Options{Cache: t.TempDir()}
	require.NoError(t, o.setDefaults())
	require.Equal(t, min(runtime.GOMAXPROCS(0), 8), o.Jobs)
}

func TestAnInterruptedRunKeepsItsVerdicts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var said []string
	var saved []*Report
	o := Options{
		Drivers: []guest.Drivers{guest.OnlyEBPF}, Cases: []string{"getppid/works", "openat/missing-file"}, Cache: t.TempDir(),
		Kernels: []Kernel{{Kernel: kernels.Kernel{Name: "6.12", Arch: "amd64"}}},
		Log:     func(f string, a ...any) { said = append(said, fmt.Sprintf(f, a...)) },
		Save:    func(r *Report) { saved = append(saved, r) },
	}
	require.NoError(t, o.setDefaults())
	l := &fakeLauncher{t: t, hello: guest.Hello{Release: "6.12.1", Arch: "amd64"}, guests: []fakeGuest{func(c *fakeConn, _ io.Writer) {
		if c.nextRun() {
			c.start("getppid/works") // and reports that it made another event
			_ = c.Send(guest.KindResult, guest.CaseResult{Case: "getppid/works", Outcome: guest.Ran, Return: true, Ret: 42, TID: testTID,
				Facts: object.Facts{"ppid": object.IntFact(42)}, Capture: guest.Capture{Driver: "ebpf", Events: [][]byte{getppidExit(t, 43)}}})
			c.start("openat/missing-file")
			c.nextRun() // until the host closes the channel
		}
	}}}
	o.Progress = func(p Progress) {
		if p.Done == 1 || slices.ContainsFunc(p.Machines, func(m Activity) bool { return m.Doing == "openat/missing-file" }) {
			cancel()
		}
	}
	rep, err := o.reported(func(rep *Report, pieces []piece) error {
		return o.runPiece(ctx, rep, o.Kernels[0], pieces[0], l)
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "interrupted after 1 of 2 verdicts", rep.Partial)
	require.Len(t, rep.Failures(), 1)
	require.Contains(t, said, "FAIL getppid/works@6.12/ebpf: param: getppid_exit: res: want 42, got 43", "told as it happens")
	require.Len(t, saved, 1, "at the start")
	require.True(t, saved[0].Running())

	var js, text bytes.Buffer
	require.NoError(t, rep.WriteJSON(&js))
	require.NoError(t, rep.WriteText(&text))
	require.Contains(t, text.String(), "PARTIAL: interrupted after 1 of 2 verdicts\n")
	again, err := ReadJSON(&js)
	require.NoError(t, err)
	require.Equal(t, "report 1 is partial: interrupted after 1 of 2 verdicts", again.Partial)
}

func TestWhatManyCasesShareIsToldOnce(t *testing.T) {
	var said []string
	r := newReport(Options{Log: func(f string, a ...any) { said = append(said, fmt.Sprintf(f, a...)) }})
	k := Kernel{Kernel: kernels.Kernel{Name: "6.12"}}
	for i := range 1000 {
		r.add(k, guest.OnlyEBPF, fmt.Sprintf("openat/x%d", i), nil, judge.Failf(judge.ClassDriver, "no BTF"))
	}
	require.Equal(t, []string{"FAIL openat/x0@6.12/ebpf: driver: no BTF"}, said)
	for i := range 1000 {
		r.add(k, guest.OnlyEBPF, fmt.Sprintf("openat/x%d", i), nil, judge.Failf(judge.ClassParam, "value %d", i))
	}
	require.Len(t, said, 101)
	require.Equal(t, "more failures are in the report", said[100])
}

func TestTheTimeOfARunHasThatOfItsModules(t *testing.T) {
	r := newReport(Options{Begun: time.Now().Add(-2 * time.Hour)})
	require.GreaterOrEqual(t, r.RunInfos()[0].Seconds, 7200.0)
	require.WithinDuration(t, time.Now().Add(-2*time.Hour), r.RunInfos()[0].Started, time.Hour)
	var text bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	require.Contains(t, text.String(), "total: 0 passed, 0 failed, 0 skipped in 2h0m")
	for range 10 {
		r.add(Kernel{}, guest.OnlyEBPF, "getppid/works", nil, judge.Verdict{Status: judge.Pass})
	}
	r.total = 20
	var left time.Duration
	r.opts.Progress = func(p Progress) { left = p.Left }
	r.progress()
	require.Less(t, left, time.Hour, "what is left are cases")
}

func TestTheTimeLeftIsEstimated(t *testing.T) {
	require.Zero(t, estimate(time.Minute, 3, 100), "too early")
	require.Equal(t, 9*time.Minute, estimate(time.Minute, 10, 100))
	require.Zero(t, estimate(time.Minute, 100, 100))
	require.Zero(t, estimate(time.Minute, 101, 100))
}
