// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// newShm makes a segment of shared memory. It is removed with the IPC namespace of the case.
func newShm(_ *Maker, args []any) (any, error) {
	size, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	id, err := unix.SysvShmGet(0, int(size), ipcCreate|0o600)
	if err != nil {
		return nil, fmt.Errorf("shmget: %w", err)
	}
	return int64(id), nil
}

// attachShm attaches a segment for as long as the process of the case lives.
func attachShm(_ *Maker, args []any) (any, error) {
	id, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	addr, _, errno := unix.RawSyscall(unix.SYS_SHMAT, uintptr(id), 0, 0)
	if errno != 0 {
		return nil, errno
	}
	return int64(addr), nil
}
