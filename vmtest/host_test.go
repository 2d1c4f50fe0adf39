// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vmtest

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kver"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/session"
)

func TestMain(m *testing.M) {
	guest.Hook()
	os.Exit(m.Run())
}

// hostSyscalls are calls of each kind: files, sockets, enter events, calls that
// do not return or return twice, payloads.
var hostSyscalls = []string{"openat", "close", "write", "connect", "getppid", "clone", "execve", "poll", "recvmsg", "prctl"}

type hostRun struct {
	results []*guest.CaseResult
	machine *judge.Machine
}

func mustRunHost(t *testing.T, calls ...string) hostRun {
	t.Helper()
	testutil.SkipUnlessRoot(t)
	testutil.SkipUnlessKernel(t, "5.8", "ring buffers")
	testutil.SkipUnlessBTF(t)
	var run hostRun
	_, err := RunHost(t.Context(), Options{
		Drivers: []guest.Drivers{guest.OnlyEBPF}, Cases: guest.IDs(calls...), Cache: t.TempDir(),
		OnResult: func(r *guest.CaseResult) { run.results = append(run.results, r) },
	})
	require.NoError(t, err)
	require.NotEmpty(t, run.results, "no case came back")
	release, err := kver.Running()
	require.NoError(t, err)
	run.machine = &judge.Machine{Release: release, Arch: runtime.GOARCH, Drivers: guest.OnlyEBPF}
	return run
}

// Each param of each event of a real kernel is changed in turn: the comparison must
// find each change.
func TestAWrongValueInARealEventIsNoticed(t *testing.T) {
	run := mustRunHost(t, hostSyscalls...)
	mutants := 0
	for _, r := range run.results {
		sc, cs := guest.Find(r.Case)
		require.NotNil(t, sc, r.Case)
		v := judge.Result(run.machine, r)
		if v.Status == judge.Skip {
			continue
		}
		require.Equal(t, judge.Pass, v.Status, "%s: %s", r.Case, v.Reason)
		exact := exactParams(cs)
		for i, raw := range r.Events {
			var ev event.Event
			require.NoError(t, ev.Reset(raw, 0))
			if uint16(ev.Type()) != sc.Exit || uint64(ev.TID()) != r.TID {
				continue
			}
			info := ev.Info()
			at := event.HeaderSize + 2*ev.NumParams()
			for p, value := range ev.Params() {
				if len(value) > 0 && slices.Contains(exact, info.Params[p].Name) {
					changed := *r
					changed.Events = slices.Clone(r.Events)
					changed.Events[i] = bytes.Clone(raw)
					changed.Events[i][at+len(value)-1] ^= 0x40
					got := judge.Result(run.machine, &changed)
					require.Equal(t, judge.ClassParam, got.Class, "%s: a change of %s passes", r.Case, info.Params[p].Name)
					mutants++
				}
				at += len(value)
			}
			gone := *r
			gone.Events = slices.Delete(slices.Clone(r.Events), i, i+1)
			require.Equal(t, judge.ClassMissing, judge.Result(run.machine, &gone).Class, r.Case)
			twice := *r
			twice.Events = slices.Insert(slices.Clone(r.Events), i, raw)
			require.Equal(t, judge.ClassExtra, judge.Result(run.machine, &twice).Class, r.Case)
		}
	}
	require.Greater(t, mutants, 200)
}

// The truth suites hold on a real kernel, and what they want is really looked at: without its events, a
// scenario that is shown is not.
func TestTheTruthSuitesOnTheRunningKernel(t *testing.T) {
	var names []string
	for _, s := range guest.Suites() {
		names = append(names, s.Name)
	}
	run := mustRunHost(t, names...)
	shown := 0
	for _, r := range run.results {
		v := judge.Result(run.machine, r)
		if v.Status == judge.Skip {
			require.NotEmpty(t, v.Reason, r.Case)
			continue
		}
		require.Equal(t, judge.Pass, v.Status, "%s: %s", r.Case, v.Reason)
		_, cs := guest.Find(r.Case)
		if v.Missed != "" || cs.Items[0].Never {
			continue
		}
		gone := *r
		gone.Events = nil
		require.Equal(t, judge.ClassMissing, judge.Result(run.machine, &gone).Class, r.Case)
		shown++
	}
	require.Positive(t, shown)
}

// exactParams returns the params for which only one value is correct. The kernel's
// addresses in a unix tuple may have any value.
func exactParams(cs *guest.Case) []string {
	var names []string
	for _, w := range cs.Want {
		if w.Expr != "any" && !strings.HasPrefix(w.Expr, "between(") && !strings.ContainsAny(w.Expr[:1], "<>!=") {
			names = append(names, w.Name)
		}
	}
	return names
}

// Drivers capture the whole system: each guest also sees what the other one does.
func TestGuestsOnTheSameKernelAreToldApart(t *testing.T) {
	testutil.SkipUnlessRoot(t)
	testutil.SkipUnlessKernel(t, "5.8", "ring buffers")
	testutil.SkipUnlessBTF(t)
	var failed [4][]Result
	var runs errgroup.Group
	for i := range failed {
		runs.Go(func() error {
			rep, err := RunHost(t.Context(), Options{Drivers: []guest.Drivers{guest.OnlyEBPF}, Cases: guest.IDs("getppid", "openat", "write"), Cache: t.TempDir()})
			if err == nil {
				failed[i] = rep.Failures()
			}
			return err
		})
	}
	require.NoError(t, runs.Wait())
	for i := range failed {
		for _, r := range failed[i] {
			t.Errorf("guest %d: %s: %s", i+1, r.Cell(), r.Reason)
		}
	}
}

func TestAHostWithoutRightsIsTheEnvironments(t *testing.T) {
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with these credentials
		var none [2]unix.CapUserData
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			errs <- err
			return
		}
		_, err := RunHost(t.Context(), Options{Drivers: []guest.Drivers{guest.OnlyEBPF}, Cases: guest.IDs("getppid")})
		errs <- err
	}()
	err := <-errs
	var lack *env.Error
	require.ErrorAs(t, err, &lack)
	require.ErrorContains(t, err, "no eBPF programs can be loaded here: user ")
	require.ErrorContains(t, err, "sudo")
}

func TestAGuestProcessThatIsKilledLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	exe, err := os.Executable()
	require.NoError(t, err)
	l := &session.Process{Program: exe, Env: guest.Environ(), Limit: time.Minute}
	s, err := l.Launch(t.Context())
	require.NoError(t, err)
	made, err := os.ReadDir(tmp)
	require.NoError(t, err)
	require.NotEmpty(t, made, "it has its files there")
	s.Finish() // nobody told it to quit
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	require.Empty(t, left)
}
