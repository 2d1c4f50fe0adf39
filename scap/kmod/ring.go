// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kmod

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/abi"
)

// ring reads one CPU's ring in place. Its memory is mapped twice in a row, so
// that no event is split. head and tail are offsets into it; when they are equal
// the ring is empty.
type ring struct {
	head *uint32
	tail *uint32
	info []byte
	data []byte // twice
	size uint32

	pos   uint32 // of the head
	first uint32 // its length in bytes; 0: no head
	left  uint32 // bytes from pos on that Look has seen
	owed  uint32 // bytes before pos that Publish has not returned yet

	index int
	fd    int
}

// mapRing maps the ring of the device fd, size bytes long.
func mapRing(fd, size, index int) (*ring, error) {
	data, err := unix.Mmap(fd, 0, 2*size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("ring %d: map %d bytes twice: %w", index, size, err)
	}
	info, err := unix.Mmap(fd, 0, abi.RingInfoSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Munmap(data)
		return nil, fmt.Errorf("ring %d: map info page: %w", index, err)
	}
	r := newRing(info, data, index)
	r.fd = fd
	return r, nil
}

// newRing returns a ring over memory with the module's layout.
func newRing(info, data []byte, index int) *ring {
	r := &ring{
		head:  (*uint32)(unsafe.Pointer(&info[abi.RingHead])),
		tail:  (*uint32)(unsafe.Pointer(&info[abi.RingTail])),
		info:  info,
		data:  data,
		size:  uint32(len(data) / 2),
		index: index,
	}
	r.pos = atomic.LoadUint32(r.tail)
	return r
}

func (r *ring) close() error {
	var first error
	for _, m := range [][]byte{r.data, r.info} {
		if err := unix.Munmap(m); err != nil && first == nil {
			first = fmt.Errorf("ring %d: unmap: %w", r.index, err)
		}
	}
	if err := unix.Close(r.fd); err != nil && first == nil {
		first = fmt.Errorf("ring %d: close: %w", r.index, os.NewSyscallError("close", err))
	}
	r.data, r.info = nil, nil
	return first
}

// counter returns a counter of the info page by its index.
func (r *ring) counter(i int) uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.info[abi.RingCounters+8*i])))
}

// Look loads the module's position. The atomic load makes the events before it
// visible.
func (r *ring) Look() {
	head := atomic.LoadUint32(r.head)
	if head < r.pos {
		head += r.size
	}
	r.left = head - r.pos
}

// Head returns the event at the ring's position if Look has seen it, else nil.
func (r *ring) Head() ([]byte, error) {
	r.first = 0
	if r.left == 0 {
		return nil, nil
	}
	if r.left < abi.EventHeaderSize {
		return nil, r.corrupt(fmt.Sprintf("%d bytes are left", r.left))
	}
	n := binary.NativeEndian.Uint32(r.data[r.pos+abi.EventLen:])
	if n < abi.EventHeaderSize || n > r.left {
		return nil, r.corrupt(fmt.Sprintf("an event of %d bytes where %d are left", n, r.left))
	}
	r.first = n
	return r.data[r.pos : r.pos+n : r.pos+n], nil
}

// corrupt skips everything in the ring, since the start of the next event is not
// known.
func (r *ring) corrupt(what string) error {
	err := fmt.Errorf("ring %d: position %d: %s", r.index, r.pos, what)
	r.skip(r.left)
	return err
}

// Advance moves past the head and returns the next event. The head's memory stays
// unchanged until Publish.
func (r *ring) Advance() ([]byte, error) {
	r.skip(r.first)
	return r.Head()
}

func (r *ring) skip(n uint32) {
	r.pos += n
	if r.pos >= r.size {
		r.pos -= r.size
	}
	r.left -= n
	r.owed += n
}

// Publish returns all memory before the ring's position to the module.
func (r *ring) Publish() {
	if r.owed > 0 {
		r.owed = 0
		atomic.StoreUint32(r.tail, r.pos)
	}
}

func (r *ring) Size() int { return int(r.size) }

func (r *ring) CPU() int { return r.index }
