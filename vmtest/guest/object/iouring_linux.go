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
	ringParamsSize   = 120
	ringSQEntries    = 0
	ringCQEntries    = 4
	ringFlags        = 8
	ringIdle         = 16 // ms after which a polling thread sleeps
	ringSQTail       = 44
	ringSQFlags      = 56
	ringSQArray      = 64
	ringCQHead       = 80
	ringCQTail       = 84
	ringCQMask       = 88
	ringCompletions  = 100
	ringOffsetQueues = 0
	ringOffsetSQEs   = 0x10000000
	ringRequestSize  = 64
	ringUserData     = 32 // in a request
	ringResult       = 8  // in a completion, of 16 bytes
)

// ring is an io_uring, with both queues in one mapping (kernels from 5.4 on).
type ring struct {
	fd       int
	slots    int
	params   []byte
	queues   []byte
	requests []byte
}

// newRing makes a ring; idle is for one whose queue the kernel polls, in ms.
func newRing(entries int64, flags, idle uint32) (*ring, error) {
	r := &ring{params: make([]byte, ringParamsSize)}
	binary.NativeEndian.PutUint32(r.params[ringFlags:], flags)
	binary.NativeEndian.PutUint32(r.params[ringIdle:], idle)
	fd, _, errno := unix.RawSyscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&r.params[0])), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	r.fd, r.slots = int(fd), r.param(ringSQEntries)
	size := max(r.param(ringSQArray)+4*r.slots, r.param(ringCompletions)+16*r.param(ringCQEntries))
	var err error
	if r.queues, err = unix.Mmap(r.fd, ringOffsetQueues, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return nil, fmt.Errorf("map the queues: %w", err)
	}
	if r.requests, err = unix.Mmap(r.fd, ringOffsetSQEs, ringRequestSize*r.slots, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return nil, fmt.Errorf("map the requests: %w", err)
	}
	return r, nil
}

// param returns a number of the kernel's answer.
func (r *ring) param(offset int) int { return int(binary.NativeEndian.Uint32(r.params[offset:])) }

// word returns the word of the queues whose place the kernel told.
func (r *ring) word(offset int) *uint32 {
	return (*uint32)(unsafe.Pointer(&r.queues[r.param(offset)]))
}

// queue puts requests of zeros, which do nothing, into the submission queue.
func (r *ring) queue(n int) {
	for i := range n {
		binary.NativeEndian.PutUint64(r.requests[ringRequestSize*i+ringUserData:], uint64(i)+1)
		binary.NativeEndian.PutUint32(r.queues[r.param(ringSQArray)+4*i:], uint32(i))
	}
	atomic.StoreUint32(r.word(ringSQTail), uint32(n))
}

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
	r, err := newRing(entries, 0, 0)
	if err != nil {
		return nil, err
	}
	if nops < 0 || int(nops) > r.slots {
		return nil, fmt.Errorf("%d requests do not fit a ring of %d", nops, r.slots)
	}
	r.queue(int(nops))
	return number("io_uring", int64(r.fd), map[string]any{"fd": int64(r.fd)}), nil
}
