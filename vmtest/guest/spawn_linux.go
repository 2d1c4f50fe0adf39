// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// ended says how a case's child ended.
type ended struct {
	reports  []report
	exit     int    // exit status; -1 if a signal ended it
	signal   string // name of that signal, or ""
	timedOut bool
	stderr   string
	err      error // it could not be started, or sent an unknown report
}

// report is a record that a case's child writes: one line of JSON.
type report struct {
	Nth     int          `json:"nth,omitempty"` // of the child's cases
	Step    string       `json:"step"`          // ready, returned, failed
	Facts   object.Facts `json:"facts,omitempty"`
	Args    []uint64     `json:"args,omitempty"`
	Ret     int64        `json:"ret,omitempty"`
	Child   uint64       `json:"child,omitempty"`
	Threads []uint64     `json:"threads,omitempty"` // of a scenario: those whose events it is about
	Reason  string       `json:"reason,omitempty"`
}

const (
	stepReady    = "ready"    // objects are made, the call is next
	stepReturned = "returned" // the call returned, traces are read next
	stepFailed   = "failed"   // an object could not be made, or a trace could not be read
)

// stderrLimit is the number of bytes that are kept of a child's standard error.
const stderrLimit = 4 << 10

// runChild runs cases in a process of their own and returns when that process and
// everything that it started has ended. It calls idle from time to time.
func (r *runner) runChild(o order, timeout time.Duration, idle func()) ended {
	child, err := r.fork(o)
	if err != nil {
		return ended{err: fmt.Errorf("start child: %w", err)}
	}
	done := make(chan struct{})
	var state *os.ProcessState
	go func() {
		state, err = child.Wait()
		close(done)
	}()

	var end ended
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
wait:
	for {
		select {
		case <-done:
			break wait
		case <-limit.C:
			end.timedOut = true
			_ = child.Kill()
		case <-tick.C:
			idle()
		}
	}
	r.reapDescendants()
	if err != nil {
		return ended{err: fmt.Errorf("wait for the child: %w", err)}
	}
	end.exit = state.ExitCode()
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		end.signal = unix.SignalName(ws.Signal())
		if end.signal == "" {
			end.signal = fmt.Sprintf("signal %d", ws.Signal())
		}
	}
	end.stderr = tail(r.forks.stderr)
	reports, err := io.ReadAll(io.NewSectionReader(r.forks.reports, 0, math.MaxInt64))
	if err != nil {
		return ended{err: fmt.Errorf("reports: %w", err)}
	}
	end.reports, end.err = parseReports(reports)
	return end
}

// fork starts a child. If the last case has ended the fork server, it starts a new one first.
func (r *runner) fork(o order) (*os.Process, error) {
	if child, err := r.forks.fork(o); err == nil {
		return child, nil
	}
	forks, err := startForkServer()
	if err != nil {
		return nil, err
	}
	r.forks.stop()
	r.forks = forks
	r.reapDescendants() // a child that the server could not report
	return forks.fork(o)
}

// tail returns the end of what was written to f.
func tail(f *os.File) string {
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(st.Size(), stderrLimit))
	n, _ := f.ReadAt(b, st.Size()-int64(len(b)))
	return strings.ToValidUTF8(string(b[:n]), "?")
}

// reapDescendants kills and reaps all processes that a case left. They have become
// children of this process.
func (r *runner) reapDescendants() {
	for range 100 {
		live := slices.DeleteFunc(r.children(), func(pid int) bool { return pid == r.forks.process.Pid })
		for _, pid := range live {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		for _, pid := range live {
			for {
				_, err := unix.Wait4(pid, nil, unix.WALL, nil)
				if !errors.Is(err, unix.EINTR) {
					break
				}
			}
		}
		if len(live) == 0 {
			return
		}
	}
}

// children returns the children of this process. They belong to two threads: the fork server
// and its children are those of the thread that started it; orphans are those of the first
// thread, which lives as long as the process.
func (r *runner) children() []int {
	self := os.Getpid()
	var pids []int
	for _, thread := range []int{self, r.forks.thread} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", thread))
		if err != nil {
			return childrenByParent(self)
		}
		for _, s := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(s); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// childrenByParent is children for a kernel without /proc/PID/task/TID/children.
func childrenByParent(parent int) []int {
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		if st, err := object.ReadStat(d + "/stat"); err == nil && st.PPID == parent {
			pid, _ := strconv.Atoi(filepath.Base(d))
			pids = append(pids, pid)
		}
	}
	return pids
}
