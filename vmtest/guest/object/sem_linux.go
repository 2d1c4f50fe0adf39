// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// System V IPC constants, equal on all architectures.
const (
	ipcCreate = 0o1000
	semSetAll = 17
)

// newSemaphores makes a set. It is removed with the IPC namespace of the case.
func newSemaphores(_ *Maker, args []any) (any, error) {
	values := make([]uint16, len(args)+1) // one more, so that memory for the first one exists
	for i := range args {
		n, err := argInt(args, i)
		if err != nil {
			return nil, err
		}
		values[i] = uint16(n)
	}
	id, _, errno := unix.RawSyscall(unix.SYS_SEMGET, 0, uintptr(len(args)), ipcCreate|0o600)
	if errno != 0 {
		return nil, fmt.Errorf("semget: %w", errno)
	}
	_, _, errno = unix.RawSyscall6(unix.SYS_SEMCTL, id, 0, semSetAll, uintptr(unsafe.Pointer(&values[0])), 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("semctl: %w", errno)
	}
	return int64(id), nil
}
