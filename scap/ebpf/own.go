// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ebpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/abi"
)

// ownRing reads a CPU's ring of our own in place; struct segment of driver/bpf/maps.h has the
// layout. Events become visible when they are complete.
type ownRing struct {
	head, tail *uint64
	data       []byte // mapped for reading
	mask       uint64

	pos       uint64 // of the next event to look at
	next      uint64 // of the one after it, once it was the head
	end       uint64 // the driver's position when last looked
	published uint64 // the value of *tail

	cpu       int
	positions []byte
}

// mapOwnRing maps the ring of a CPU and its positions.
func mapOwnRing(r driver.Ring, at driver.Positions) (*ownRing, error) {
	cpu := r.CPUs[0]
	positions, err := unix.Mmap(at.Map.FD(), 0, at.Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("ring of CPU %d: map positions: %w", cpu, err)
	}
	data, err := unix.Mmap(r.Map.FD(), 0, r.Size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ring of CPU %d: map %d bytes: %w", cpu, r.Size, err), unix.Munmap(positions))
	}
	own := newOwnRing(positions[at.Head:], positions[at.Tail:], data, cpu)
	own.positions = positions
	return own, nil
}

// newOwnRing returns a ring over memory with the driver's layout.
func newOwnRing(head, tail, data []byte, cpu int) *ownRing {
	r := &ownRing{
		head: (*uint64)(unsafe.Pointer(&head[0])),
		tail: (*uint64)(unsafe.Pointer(&tail[0])),
		data: data,
		mask: uint64(len(data) - 1),
		cpu:  cpu,
	}
	r.pos = atomic.LoadUint64(r.tail)
	r.end, r.next, r.published = r.pos, r.pos, r.pos
	return r
}

func (r *ownRing) close() error {
	var errs []error
	for _, m := range [][]byte{r.data, r.positions} {
		if err := unix.Munmap(m); err != nil {
			errs = append(errs, fmt.Errorf("ring of CPU %d: unmap: %w", r.cpu, os.NewSyscallError("munmap", err)))
		}
	}
	r.data, r.positions = nil, nil
	return errors.Join(errs...)
}

// Look loads the driver's position. The atomic load makes the events before it visible.
func (r *ownRing) Look() { r.end = atomic.LoadUint64(r.head) }

// Head returns the event at the ring's position if Look has seen it, else nil.
func (r *ownRing) Head() ([]byte, error) {
	if r.pos >= r.end {
		return nil, nil
	}
	place := r.pos % driver.SegmentSize
	if place > driver.SegmentEnd { // the next segment's start is meant
		r.pos += driver.SegmentSize - place
		place = 0
		if r.pos >= r.end {
			return nil, nil
		}
	}
	at := r.pos & r.mask
	n := uint64(binary.NativeEndian.Uint32(r.data[at+abi.EventLen:]))
	r.next = r.pos + (n+7)&^7
	if n < abi.EventHeaderSize || n > driver.EventMax || r.next > r.end {
		err := fmt.Errorf("ring of CPU %d: position %d: an event of %d bytes where %d are left", r.cpu, r.pos, n, r.end-r.pos)
		r.pos, r.next = r.end, r.end // the start of the next event is not known
		return nil, err
	}
	return r.data[at : at+n : at+n], nil
}

// Advance moves past the head and returns the next event. The head's memory stays
// unchanged until Publish.
func (r *ownRing) Advance() ([]byte, error) {
	r.pos = r.next
	return r.Head()
}

// Publish returns all memory before the ring's position to the driver.
func (r *ownRing) Publish() {
	if r.pos != r.published {
		r.published = r.pos
		atomic.StoreUint64(r.tail, r.pos)
	}
}

func (r *ownRing) Size() int { return len(r.data) }

func (r *ownRing) CPU() int { return r.cpu }
