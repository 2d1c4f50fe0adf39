// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct io_uring_params, and of a ring's parts in its file.
const (
	ringParamsSize  = 120
	ringSQEntries   = 0
	ringSQTail      = 44
	ringSQArray     = 64
	ringOffsetSQ    = 0
	ringOffsetSQEs  = 0x10000000
	ringRequestSize = 64
	ringUserData    = 32 // in a request
)

// newIOURing makes a ring. A request of zeros does nothing.
func newIOURing(_ *Maker, args []any) (any, error) {
	entries, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	nops, err := argIntOr(args, 1, 0)
	if err != nil {
		return nil, err
	}
	params := make([]byte, ringParamsSize)
	r, _, errno := unix.RawSyscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&params[0])), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	at := func(off int) int { return int(binary.NativeEndian.Uint32(params[off:])) }
	fd, slots := int(r), at(ringSQEntries)
	if nops < 0 || int(nops) > slots {
		return nil, fmt.Errorf("%d requests do not fit a ring of %d", nops, slots)
	}
	array, tail := at(ringSQArray), at(ringSQTail)
	queue, err := unix.Mmap(fd, ringOffsetSQ, array+4*slots, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map the submission queue: %w", err)
	}
	requests, err := unix.Mmap(fd, ringOffsetSQEs, ringRequestSize*slots, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map the requests: %w", err)
	}
	for i := range int(nops) {
		binary.NativeEndian.PutUint64(requests[ringRequestSize*i+ringUserData:], uint64(i)+1)
		binary.NativeEndian.PutUint32(queue[array+4*i:], uint32(i))
	}
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&queue[tail])), uint32(nops))
	return number("io_uring", int64(fd), map[string]any{"fd": int64(fd)}), nil
}
