// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// ended is how a case's child ended.
type ended struct {
	reports  []report
	exit     int    // status; -1 when a signal ended it
	signal   string // name of that signal
	timedOut bool
	stderr   string
	err      error // it could not be started, or sent something strange
}

// report is a record a case's child writes on its pipe, one line of JSON each.
type report struct {
	Step   string       `json:"step"` // ready, returned, failed
	Facts  object.Facts `json:"facts,omitempty"`
	Args   []uint64     `json:"args,omitempty"`
	Ret    int64        `json:"ret,omitempty"`
	Child  uint64       `json:"child,omitempty"`
	Reason string       `json:"reason,omitempty"`
}

const (
	stepReady    = "ready"    // objects are made, the call comes next
	stepReturned = "returned" // the call came back, traces are looked up
	stepFailed   = "failed"   // an object could not be made, or a trace not be read
)

const (
	envCase   = "SCAPLAB_GUEST_CASE"
	envMarker = "SCAPLAB_GUEST_MARKER"
	envParent = "SCAPLAB_GUEST_PARENT" // thread that starts the child

	stderrLimit = 4 << 10 // what is kept of a child's standard error, in bytes
)

// runChild runs a case in a process of its own and returns when that process,
// and whatever it started, is gone. idle is called from time to time.
func runChild(id string, marker uint32, dir string, timeout time.Duration, idle func()) ended {
	// Its first argument is the path of the program, as its events call it.
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return ended{err: fmt.Errorf("own program: %w", err)}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return ended{err: fmt.Errorf("report pipe: %w", err)}
	}
	defer r.Close()
	// A file, not a pipe: a process left over would hold that open.
	fd, err := unix.MemfdCreate("stderr", unix.MFD_CLOEXEC)
	if err != nil {
		w.Close()
		return ended{err: fmt.Errorf("standard error: %w", err)}
	}
	stderr := os.NewFile(uintptr(fd), "stderr")
	defer stderr.Close()
	cmd := &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{exe},
		Env:        childEnv(id, marker, dir),
		Dir:        dir,
		Stderr:     stderr,
		ExtraFiles: []*os.File{w},
		// What a case does to mounts, names and System V objects ends with it.
		SysProcAttr: &syscall.SysProcAttr{Unshareflags: object.Isolation()},
	}
	// Events name the thread that made a process: it must be known, and stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.Env = append(cmd.Env, envParent+"="+strconv.Itoa(unix.Gettid()))
	if err := cmd.Start(); err != nil {
		w.Close()
		return ended{err: fmt.Errorf("start child: %w", err)}
	}
	w.Close()

	data := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(r)
		data <- b
	}()
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
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
			_ = cmd.Process.Kill()
		case <-tick.C:
			idle()
		}
	}
	reapDescendants()
	// Everyone who could hold the pipe is dead: the reader comes to the end.
	lines := <-data
	end.exit = cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		end.signal = unix.SignalName(ws.Signal())
		if end.signal == "" {
			end.signal = fmt.Sprintf("signal %d", ws.Signal())
		}
	}
	end.stderr = tail(stderr)
	end.reports, end.err = parseReports(lines)
	return end
}

func childEnv(id string, marker uint32, dir string) []string {
	return []string{
		envMode + "=" + modeCase, envCase + "=" + id, envMarker + "=" + strconv.FormatUint(uint64(marker), 10),
		"HOME=/", "PATH=/bin:/usr/bin", "TMPDIR=" + dir,
		// No signal and no collection in the middle of a call. Blocking calls would end with EINTR.
		"GODEBUG=asyncpreemptoff=1", "GOGC=off", "GOTRACEBACK=single",
	}
}

// tail is the last of what was written to f.
func tail(f *os.File) string {
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(st.Size(), stderrLimit))
	n, _ := f.ReadAt(b, st.Size()-int64(len(b)))
	return strings.ToValidUTF8(string(b[:n]), "?")
}

// reapDescendants kills and collects every process left of a case: they have
// become children of this one.
func reapDescendants() {
	for range 100 {
		var live []int
		for _, pid := range children() {
			_ = unix.Kill(pid, unix.SIGKILL)
			live = append(live, pid)
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

// children lists this process's children.
func children() []int {
	var pids []int
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread ended
		}
		for _, s := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(s); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	if len(files) > 0 {
		return pids
	}
	// A kernel without /proc/PID/task/TID/children.
	self := os.Getpid()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		if st, err := object.ReadStat(d + "/stat"); err == nil && st.PPID == self {
			pid, _ := strconv.Atoi(filepath.Base(d))
			pids = append(pids, pid)
		}
	}
	return pids
}
