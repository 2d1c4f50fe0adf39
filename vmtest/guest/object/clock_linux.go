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
