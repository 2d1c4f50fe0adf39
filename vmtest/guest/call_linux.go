// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloneCall makes a system call that may return twice. The new task exits at
// once, with status 0, by exit and not exit_group: it may be a thread.
//
//go:noescape
func cloneCall(nr uintptr, args *[6]uintptr) uintptr

// cloneProgram does clone3 with args; the new task runs program.
//
//go:noescape
func cloneProgram(args *cloneArgs, size uintptr, program *op) uintptr

// cloneArgs is the kernel's struct clone_args, first version.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls uint64
}

// op is one system call of a program for a task without a Go runtime: ret
// takes the result. An nr of opJump goes to the op at address arg[0].
// A program ends with an exit or a jump.
type op struct {
	nr  uintptr
	arg [6]uintptr
	ret uintptr
}

const opJump = ^uintptr(0)

func sys(nr uintptr, args ...uintptr) op {
	o := op{nr: nr}
	copy(o.arg[:], args)
	return o
}

// rawCall makes a system call on this thread, without telling the Go
// scheduler. Results from -4095 to -1 are negated errnos.
//
//go:nosplit
func rawCall(nr uintptr, args *[6]uintptr) int64 {
	switch {
	case mayFork(nr):
		return int64(cloneCall(nr, args))
	case nr >= socketcallBase:
		return socketcall(nr-socketcallBase, args)
	}
	r, _, errno := unix.RawSyscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5])
	if errno != 0 {
		return -int64(errno)
	}
	return int64(r)
}

// startProgram forks a task that runs the program, in a copy of this
// process's memory, with default signal handlers. Its results are seen only
// when the ops lie in memory shared by mmap.
func startProgram(ops []op, flags uint64) (pid int, err error) {
	if len(ops) == 0 {
		return 0, errors.New("start program: no ops")
	}
	args := &cloneArgs{flags: flags | unix.CLONE_CLEAR_SIGHAND, exitSignal: uint64(unix.SIGCHLD)}
	ret := int64(cloneProgram(args, unsafe.Sizeof(*args), &ops[0]))
	runtime.KeepAlive(ops)
	if ret < 0 {
		return 0, fmt.Errorf("clone3: %w", unix.Errno(-ret))
	}
	return int(ret), nil
}
