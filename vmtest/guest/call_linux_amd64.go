// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/vmtest/guest/object"
)

func mayFork(nr uintptr) bool {
	switch nr {
	case unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_FORK, unix.SYS_VFORK:
		return true
	}
	return false
}

const (
	socketcallWords = 6 // the kernel reads as many as the sub-call has
)

// int80 makes a 32-bit system call, as the kernel sees it; kernels without them kill the caller.
//
//go:noescape
func int80(nr, bx, cx uint32) int32

// socketcallVector is where the arguments of a sub-call stand: no memory is mapped between the marks of a case.
var (
	socketcallVector  []byte
	socketcallAddress uint32
)

// prepareSocketcall makes room for the arguments.
func prepareSocketcall() error {
	r, err := object.NewRegion(4 * socketcallWords)
	socketcallVector, socketcallAddress = r.Bytes(), uint32(r.Addr())
	return err
}

// socketcall makes a sub-call as a 32-bit task does.
//
//go:nosplit
func socketcall(which uintptr, args *[6]uintptr) int64 {
	for i := range socketcallWords {
		binary.NativeEndian.PutUint32(socketcallVector[4*i:], uint32(args[i]))
	}
	return int64(int80(driver.IA32Socketcall, uint32(which), socketcallAddress))
}
