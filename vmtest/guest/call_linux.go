// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"golang.org/x/sys/unix"
)

// childWrite is an address, and what the task that cloneCall starts writes there; 0: nothing.
//
//lint:ignore U1000 assembly reads it
var childWrite [2]uintptr

// caught is a signal that has a handler, whose end makes the rt_sigreturn of the case; 0: the case makes it.
var caught uintptr

// cloneCall makes a system call that may return twice. The new task ends at
// once with status 0, by exit rather than exit_group: it may be a thread.
//
//go:noescape
func cloneCall(nr uintptr, args *[6]uintptr) uintptr

// rawCall makes a system call on this thread without informing the Go
// scheduler. Results from -4095 to -1 are negated errnos.
//
//go:nosplit
func rawCall(nr uintptr, args *[6]uintptr) int64 {
	switch {
	case mayFork(nr):
		return int64(cloneCall(nr, args))
	case nr == unix.SYS_RT_SIGRETURN && caught != 0:
		tid, _, _ := unix.RawSyscall(unix.SYS_GETTID, 0, 0, 0)
		_, _, errno := unix.RawSyscall(unix.SYS_TKILL, tid, caught, 0)
		return -int64(errno)
	case nr >= socketcallBase:
		return socketcall(nr-socketcallBase, args)
	}
	r, _, errno := unix.RawSyscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5])
	if errno != 0 {
		return -int64(errno)
	}
	return int64(r)
}
