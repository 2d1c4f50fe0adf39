// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newMessages makes a System V message queue with messages. It is removed with the IPC
// namespace of the case.
func newMessages(_ *Maker, args []any) (any, error) {
	id, _, errno := unix.RawSyscall(unix.SYS_MSGGET, 0, ipcCreate|0o600, 0)
	if errno != 0 {
		return nil, fmt.Errorf("msgget: %w", errno)
	}
	for i, a := range args {
		pair, ok := a.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("argument %d must be [type, bytes]", i+1)
		}
		typ, err := argInt(pair, 0)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		text, err := argBytes(pair, 1)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		var w words
		w.u64(uint64(typ))
		w.b = append(w.b, text...)
		if _, _, errno := unix.RawSyscall6(unix.SYS_MSGSND, id, uintptr(unsafe.Pointer(&w.b[0])), uintptr(len(text)), 0, 0, 0); errno != 0 {
			return nil, fmt.Errorf("msgsnd: %w", errno)
		}
	}
	return int64(id), nil
}

// newLandlock makes a ruleset of a struct in memory. Fields that the kernel does not know must be 0.
func newLandlock(_ *Maker, args []any) (any, error) {
	attr, err := argObject(args, 0)
	if err != nil {
		return nil, err
	}
	b, ok := attr.plain.([]byte)
	if !ok || attr.what != "landlock_ruleset_attr" {
		return nil, fmt.Errorf("argument 1 is a %s (want a landlock_ruleset_attr)", attr.what)
	}
	fd, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(attr.addr), uintptr(len(b)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	return number("landlock", int64(fd), nil), nil
}

// newAIO makes a context for asynchronous requests.
func newAIO(_ *Maker, args []any) (any, error) {
	n, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	var id uint64
	if _, _, errno := unix.RawSyscall(unix.SYS_IO_SETUP, uintptr(n), uintptr(unsafe.Pointer(&id)), 0); errno != 0 {
		return nil, fmt.Errorf("io_setup: %w", errno)
	}
	return int64(id), nil
}

// submitAIO submits requests. Those of files in memory are done when it returns.
func submitAIO(_ *Maker, args []any) (any, error) {
	id, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	requests := make([]uint64, len(args)-1)
	for i := range requests {
		o, err := argObject(args, i+1)
		if err != nil {
			return nil, err
		}
		requests[i] = o.addr
	}
	n, _, errno := unix.RawSyscall(unix.SYS_IO_SUBMIT, uintptr(id), uintptr(len(requests)), uintptr(unsafe.Pointer(unsafe.SliceData(requests))))
	if errno != 0 {
		return nil, fmt.Errorf("io_submit: %w", errno)
	}
	return int64(n), nil
}
