// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// clockNow returns a struct timespec with the present time.
func clockNow(c *Maker, _ []any) (any, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &t); err != nil {
		return nil, err
	}
	return pairOf("timespec")(c, []any{t.Sec, t.Nsec})
}

// startTimer starts an interval timer. Its time is far away: the signal never comes.
func startTimer(_ *Maker, args []any) (any, error) {
	which, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	interval, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	value, err := argInt(args, 2)
	if err != nil {
		return nil, err
	}
	timer := [2]unix.Timeval{{Sec: interval, Usec: 5}, {Sec: value, Usec: 5}}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETITIMER, uintptr(which), uintptr(unsafe.Pointer(&timer)), 0); errno != 0 {
		return nil, errno
	}
	return which, nil
}

// newTimer makes a POSIX timer without a signal. It ends with the process of the case.
func newTimer(_ *Maker, args []any) (any, error) {
	clock, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	const none = 1 // SIGEV_NONE
	var ev struct {
		value         uintptr
		signo, notify int32
		_             [12]int32
	}
	ev.notify = none
	var id int32
	if _, _, errno := unix.RawSyscall(unix.SYS_TIMER_CREATE, uintptr(clock), uintptr(unsafe.Pointer(&ev)), uintptr(unsafe.Pointer(&id))); errno != 0 {
		return nil, errno
	}
	return number("timer", int64(id), map[string]any{"set": int64(unix.SYS_TIMER_SETTIME)}), nil
}

func newTimerFD(_ *Maker, args []any) (any, error) {
	clock, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	fd, err := unix.TimerfdCreate(int(clock), unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return number("timer", int64(fd), map[string]any{"set": int64(unix.SYS_TIMERFD_SETTIME)}), nil
}

// armTimer starts a timer of newTimer or newTimerFD.
func armTimer(_ *Maker, args []any) (any, error) {
	timer, err := argObject(args, 0)
	if err != nil {
		return nil, err
	}
	interval, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	value, err := argInt(args, 2)
	if err != nil {
		return nil, err
	}
	id, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	spec := [2]unix.Timespec{{Sec: interval, Nsec: 5}, {Sec: value, Nsec: 5}}
	nr := timer.fields["set"].(int64)
	if _, _, errno := unix.RawSyscall6(uintptr(nr), uintptr(id), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0); errno != 0 {
		return nil, errno
	}
	return id, nil
}
