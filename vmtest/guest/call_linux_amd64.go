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
	socketcallWords = 6 // the kernel reads as many arguments as the sub-call has
)

// socketcallVector has the arguments of a sub-call. It is mapped before: between the marks of a case no memory is mapped.
var (
	socketcallVector  []byte
	socketcallAddress uint32
)

// prepareSocketcall maps socketcallVector.
func prepareSocketcall() error {
	r, err := object.NewRegion(4 * socketcallWords)
	socketcallVector, socketcallAddress = r.Bytes(), uint32(r.Addr())
	return err
}

// socketcall makes a sub-call like a 32-bit task.
//
//go:nosplit
func socketcall(which uintptr, args *[6]uintptr) int64 {
	for i := range socketcallWords {
		binary.NativeEndian.PutUint32(socketcallVector[4*i:], uint32(args[i]))
	}
	return int64(object.Int80(driver.IA32Socketcall, &[6]uint32{uint32(which), socketcallAddress}))
}
