// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

func mayFork(nr uintptr) bool {
	switch nr {
	case unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_FORK, unix.SYS_VFORK:
		return true
	}
	return false
}

// opPause waits for a signal.
var opPause = sys(unix.SYS_PAUSE)

// exitCode is exit_group(0).
const (
	elfMachine = 62
	exitCode   = "\xb8\xe7\x00\x00\x00\x31\xff\x0f\x05" // mov eax, 231; xor edi, edi; syscall
)

const (
	mapLow          = unix.MAP_32BIT
	ia32Socketcall  = 102
	socketcallWords = 4 // that send and recv have
)

// int80 makes a 32-bit system call, as the kernel sees it; kernels without them kill the caller.
//
//go:noescape
func int80(nr, bx, cx uint32) int32

// socketcallVector is where the arguments of a sub-call stand: no memory is mapped between the marks of a case.
var socketcallVector region

// prepareSocketcall makes room for the arguments.
func prepareSocketcall() (err error) {
	socketcallVector, err = newRegion(4 * socketcallWords)
	return err
}

// socketcall makes a sub-call as a 32-bit task does.
//
//go:nosplit
func socketcall(which uintptr, args *[6]uintptr) int64 {
	b := socketcallVector.b
	for i := range socketcallWords {
		binary.NativeEndian.PutUint32(b[4*i:], uint32(args[i]))
	}
	return int64(int80(ia32Socketcall, uint32(which), uint32(socketcallVector.addr())))
}
