// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Acts are what a scenario of a truth suite does. They return what truly happened, as an object whose
// fields are facts. An act makes its calls on the case's only thread, in processes that it forks, or
// in tasks without a Go runtime (startTask).

// acted returns the facts of an act.
func acted(fields map[string]any) *Object { return &Object{what: "act", fields: fields} }

// forked runs f in a new process, a copy of this one, and returns its number. The process ends with f; its
// error is on standard error.
func forked(f func() error) (pid int, err error) { return cloned(0, f) }

// cloned is forked with flags for clone, which must not share memory.
func cloned(flags uintptr, f func() error) (pid int, err error) {
	r, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return 0, fmt.Errorf("clone: %w", errno)
	}
	if r != 0 {
		return int(r), nil
	}
	status := uintptr(0)
	if err := f(); err != nil {
		fmt.Fprintln(os.Stderr, "child of the act:", err)
		status = 1
	}
	_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, status, 0, 0)
	panic("unreachable: exit_group does not return")
}

// ran runs f in a new process and waits until it has ended well.
func ran(f func() error) (pid int, err error) {
	if pid, err = forked(f); err != nil {
		return 0, err
	}
	return pid, endedWell(pid)
}

// endedWell waits for a child's end.
func endedWell(pid int) error {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("wait for %d: %w", pid, err)
		case status != 0:
			return fmt.Errorf("process %d ended with status %#x", pid, uint32(status))
		}
		return nil
	}
}

// untilAsleep waits until a thread sleeps in a system call; it has read its arguments then.
func untilAsleep(pid, tid int, call uintptr) error {
	dir := fmt.Sprintf("/proc/%d/task/%d/", pid, tid)
	for {
		st, err := ReadStat(dir + "stat")
		if err != nil {
			return err
		}
		if st.State == 'Z' || st.State == 'X' {
			return fmt.Errorf("thread %d ended before it slept in call %d", tid, call)
		}
		b, err := os.ReadFile(dir + "syscall") // "running", or the number of the call first
		if err != nil {
			return err
		}
		var nr uintptr
		if n, _ := fmt.Sscan(string(b), &nr); n == 1 && nr == call && st.State == 'S' {
			return nil
		}
		nap()
	}
}

// untilGone waits until a thread of this process has ended.
func untilGone(tid int) {
	for {
		st, err := ReadStat(fmt.Sprintf("/proc/self/task/%d/stat", tid))
		if err != nil || st.State == 'X' || st.State == 'Z' {
			return
		}
		nap()
	}
}

func nap() { time.Sleep(time.Millisecond) }

// threadFlags make a second thread of this process.
const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM

// startThread starts a thread of this process that makes a call and ends. The result is in the call when
// it is gone.
func startThread(call *[2]op) (tid int, err error) {
	call[1] = sys(unix.SYS_EXIT)
	return startTask(call[:], cloneArgs{flags: threadFlags})
}

// result returns what a task's call returned, an error if it failed.
func (o *op) result() (int64, error) {
	if r := int64(o.ret); r < 0 && r > -4096 {
		return r, unix.Errno(-r)
	}
	return int64(o.ret), nil
}

// vector is a list of strings as exec takes it.
type vector []*byte

func newVector(text ...string) (vector, error) {
	var v vector
	for _, s := range text {
		p, err := unix.BytePtrFromString(s)
		if err != nil {
			return v, err
		}
		v = append(v, p)
	}
	return append(v, nil), nil
}

func (v vector) addr() uintptr { return uintptr(unsafe.Pointer(&v[0])) }

// sysCall makes a system call of which only the error matters.
func sysCall(nr uintptr, args ...uintptr) error {
	_, err := sysValue(nr, args...)
	return err
}

// sysValue makes a system call without informing the scheduler, as calls of acts are.
func sysValue(nr uintptr, args ...uintptr) (int64, error) {
	var a [6]uintptr
	copy(a[:], args)
	r, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return -int64(errno), errno
	}
	return int64(r), nil
}

// textAddr returns the address of a string with a NUL, in memory that stays where it is.
func textAddr(s string) (uintptr, error) {
	r, err := newRegionOf(cText(s))
	return uintptr(r.Addr()), err
}

// cText returns a string as C has it, and some bytes after its NUL. What drivers do with strings that end near
// an unmapped page is for the cases of calls to show; a scenario is about something else.
func cText(s string) []byte { return append([]byte(s), make([]byte, 16)...) }

// shared returns memory that forked processes share with this one, for n numbers.
func shared(n int) ([]uint64, error) {
	b, err := unix.Mmap(-1, 0, 8*n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map shared memory: %w", err)
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(&b[0])), n), nil
}

// kept keeps values alive up to here, of which calls have the addresses.
func kept(values ...any) {
	for _, v := range values {
		runtime.KeepAlive(v)
	}
}
