// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newMQueue makes a POSIX message queue. It disappears with the IPC namespace of the case.
func newMQueue(_ *Maker, args []any) (any, error) {
	name, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	maxMsg, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	msgSize, err := argInt(args, 2)
	if err != nil {
		return nil, err
	}
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return nil, err
	}
	attr := [8]int64{1: maxMsg, 2: msgSize} // flags, maxmsg, msgsize, curmsgs, four reserved
	fd, _, errno := unix.RawSyscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(path)), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600,
		uintptr(unsafe.Pointer(&attr)), 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("mq_open %s: %w", name, errno)
	}
	return int64(fd), nil
}

func mqSend(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	data, err := argBytes(args, 1)
	if err != nil {
		return nil, err
	}
	priority, err := argInt(args, 2)
	if err != nil {
		return nil, err
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_MQ_TIMEDSEND, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)),
		uintptr(priority), 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("mq_timedsend: %w", errno)
	}
	return int64(len(data)), nil
}

// newMsgQueue makes a System V message queue. It is removed with the IPC namespace of the case.
func newMsgQueue(_ *Maker, args []any) (any, error) {
	id, _, errno := unix.RawSyscall(unix.SYS_MSGGET, 0, ipcCreate|0o600, 0)
	if errno != 0 {
		return nil, fmt.Errorf("msgget: %w", errno)
	}
	for i := range args {
		data, err := argBytes(args, i)
		if err != nil {
			return nil, err
		}
		msg := append([]byte{0: 1, 7: 0}, data...) // of type 1
		if _, _, errno := unix.RawSyscall6(unix.SYS_MSGSND, id, uintptr(unsafe.Pointer(&msg[0])), uintptr(len(data)), 0, 0, 0); errno != 0 {
			return nil, fmt.Errorf("msgsnd: %w", errno)
		}
	}
	return int64(id), nil
}
