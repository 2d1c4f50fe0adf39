// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package kerneltest

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

// selection is every call, and the tracepoints but page faults, which would be most of
// the events.
func selection(tracepoints []string) scap.Selection {
	sel := scap.Selection{All: true}
	for _, tp := range tracepoints {
		if !strings.HasPrefix(tp, "page_fault") {
			sel.Tracepoints = append(sel.Tracepoints, tp)
		}
	}
	return sel
}

// compare runs the workload while it keeps the state from the events of src, and
// compares the state of the workload's processes with a scan made then.
func compare(t *testing.T, src scap.Live) {
	defer src.Close()
	state, err := proc.Scan(t.Context(), proc.Options{})
	require.NoError(t, err)
	in := sinsp.New(src, sinsp.Options{
		State:  state,
		Lookup: func(tid event.PID) (*proc.Thread, error) { return proc.ScanThread(proc.Options{}, tid) },
	})
	worker := exec.Command("/proc/self/exe")
	worker.Env = append(os.Environ(), roleVariable+"="+roleMain, "TMPDIR="+t.TempDir())
	worker.Stderr = os.Stderr
	stdin, err := worker.StdinPipe()
	require.NoError(t, err)
	stdout, err := worker.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, worker.Start())
	pid := event.PID(worker.Process.Pid)
	defer func() {
		stdin.Close()
		for _, p := range descendants(in, pid) {
			_ = unix.Kill(int(p), unix.SIGKILL) // it may have ended
		}
		_ = worker.Wait() // it was killed
	}()

	ready := make(chan error, 1)
	go func() {
		line, err := bufio.NewReader(stdout).ReadString('\n')
		if err == nil && line != readyLine {
			err = errors.New(line)
		}
		ready <- err
	}()
	readUntil(t, in, func(*sinsp.Event) bool {
		select {
		case err := <-ready:
			require.NoError(t, err)
			return true
		default:
			return false
		}
	})
	// The workload waits now, but the threads of its language may still come and go: what
	// is a fault of the state stays one.
	var problems []string
	for range 10 {
		marker := -10 - time.Now().UnixNano()&0xffff
		_ = unix.Close(int(marker)) // it is none
		readUntil(t, in, func(ev *sinsp.Event) bool { return isMarker(ev, event.FD(marker)) })
		problems = differences(t, in, pid)
		if problems == nil {
			break
		}
	}
	stats, err := src.Stats()
	require.NoError(t, err)
	stats.Drops.Other = 0 // runs of programs that the kernel skipped, of which most would have made no event
	require.Zero(t, stats.Drops.Total(), "lost events: %+v", stats.Drops)
	t.Logf("%d events; %d processes compared; %+v", stats.Delivered, len(descendants(in, pid)), in.Stats())
	require.Zero(t, len(problems), "a scan of /proc, then the state from events:\n%s", strings.Join(problems, "\n"))
}

// differences compares the processes below pid with a scan.
func differences(t *testing.T, in *sinsp.Inspector, pid event.PID) (problems []string) {
	scan, err := proc.Scan(t.Context(), proc.Options{})
	require.NoError(t, err)
	want := sinsp.New(scaptest.New(), sinsp.Options{State: scan})
	pids := append(descendants(want, pid), descendants(in, pid)...)
	peers := slices.ContainsFunc(scan.Threads, func(th proc.Thread) bool {
		return slices.ContainsFunc(th.FDs, func(fd proc.FD) bool { return fd.UnixDst != 0 })
	})
	for _, change := range proc.Diff(only(want, pids, peers), only(in, pids, peers), "VMSize", "VMRSS", "VMSwap", "PFMajor", "PFMinor", "Flags", "CloneTime",
		"PidnsInitStart", // a scan tells it in ticks
		"ExeWritable") {  // a scan judges by the ids of now, execve by those of then
		problems = append(problems, change.String())
	}
	return problems
}

// readUntil reads events until found returns true, which it also calls when there are
// none.
func readUntil(t *testing.T, in *sinsp.Inspector, found func(*sinsp.Event) bool) {
	for {
		ev, err := in.Next()
		if !errors.Is(err, scap.ErrTimeout) {
			require.NoError(t, err)
		}
		if found(ev) {
			return
		}
	}
}

// isMarker reports whether ev is a call of close for that descriptor.
func isMarker(ev *sinsp.Event, fd event.FD) bool {
	var d event.CloseExit
	return ev != nil && ev.Type() == event.TypeCloseExit && d.Decode(ev.Event) == nil && d.FD == fd
}

// descendants returns pid and the processes that it made.
func descendants(in *sinsp.Inspector, pid event.PID) (pids []event.PID) {
	for th := range in.Threads() {
		if !th.Main() || th.Exited {
			continue
		}
		if th.PID == pid {
			pids = append(pids, pid)
		}
		for a := range th.Ancestors() {
			if a.PID == pid {
				pids = append(pids, th.PID)
			}
		}
	}
	slices.Sort(pids)
	return pids
}

// lasting are the flags of an open file that both events and scans tell.
var lasting = event.MustValue("open_flags", "O_RDWR", "O_APPEND", "O_NONBLOCK", "O_DIRECT", "O_CLOEXEC")

// cgroups are those that both events and scans tell.
func cgroups(list string) string {
	items := slices.DeleteFunc(proc.Items(list), func(item string) bool {
		name, _, _ := strings.Cut(item, "=")
		return !slices.Contains([]string{"cpuset", "cpu", "cpuacct", "io", "memory"}, name)
	})
	return strings.Join(items, "\n")
}

// only returns the state of some processes, with what both events and scans tell.
// A scan has the names of unix clients only if it has their peers: the kernel may lack unix_diag.
func only(in *sinsp.Inspector, pids []event.PID, peers bool) *proc.State {
	state := in.Snapshot()
	state.Machine, state.Interfaces, state.Users, state.Groups = proc.Machine{}, nil, nil, nil
	state.Threads = slices.DeleteFunc(state.Threads, func(th proc.Thread) bool { return !slices.Contains(pids, th.PID) })
	for i := range state.Threads {
		th := &state.Threads[i]
		th.Cgroups = cgroups(th.Cgroups)
		if th.Root != "/" { // events tell paths inside the root directory
			if !strings.HasPrefix(th.CWD, th.Root) {
				th.CWD = strings.TrimSuffix(th.Root+th.CWD, "/")
			}
		}
		for j := range th.FDs {
			fd := &th.FDs[j]
			if fd.UnixDst != 0 && !peers {
				fd.Name = ""
			}
			fd.UnixSrc, fd.UnixDst = 0, 0
			fd.OpenFlags &= lasting
			switch fd.Type {
			case proc.FDRegular, proc.FDDirectory:
			case proc.FDPipe:
				fd.Name = ""
			case proc.FDMemfd, proc.FDPidfd, proc.FDUnix:
				fd.Ino = 0
			default:
				fd.Ino, fd.Name = 0, ""
			}
			if fd.Type == proc.FDDirectory {
				fd.OpenFlags, fd.Dev, fd.Ino = 0, 0, 0
			}
		}
	}
	return state
}
