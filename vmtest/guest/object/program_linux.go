// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloneProgram calls clone3 with args; the new task runs program.
//
//go:noescape
func cloneProgram(args *cloneArgs, size uintptr, program *op) uintptr

// cloneArgs is the kernel's struct clone_args, first version.
type cloneArgs struct {
	flags      uint64
	_          [2]uint64 // pidfd, child_tid
	parentTID  uint64    // where CLONE_PARENT_SETTID writes the task's number, before the task runs
	exitSignal uint64
	_          [3]uint64 // stack, stack_size, tls
}

// op is one system call of a program for a task without a Go runtime: ret
// receives the result. opJump as nr jumps to the op at address arg[0].
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

// startProgram forks a task that runs the program in a copy of this
// process's memory, with default signal handlers. Its results are visible only
// if the ops are in shared memory.
func startProgram(ops []op, flags uint64) (pid int, err error) {
	return startTask(ops, cloneArgs{flags: flags | unix.CLONE_CLEAR_SIGHAND, exitSignal: uint64(unix.SIGCHLD)})
}

// startTask makes a task as args say that runs the program.
func startTask(ops []op, args cloneArgs) (tid int, err error) {
	if len(ops) == 0 {
		return 0, errors.New("start program: no ops")
	}
	ret := int64(cloneProgram(&args, unsafe.Sizeof(args), &ops[0]))
	runtime.KeepAlive(ops)
	if ret < 0 {
		return 0, fmt.Errorf("clone3: %w", unix.Errno(-ret))
	}
	return int(ret), nil
}
