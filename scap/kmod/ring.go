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

// ring reads one CPU's ring where it is. Its memory is mapped twice in a row,
// so that no event is cut. head and tail are offsets into it; when they are
// equal it is empty.
type ring struct {
	head *uint32
	tail *uint32
	info []byte
	data []byte // twice
	size uint32

	pos   uint32 // of the head
	first uint32 // its bytes; 0: there is none
	left  uint32 // bytes from pos on that Look has seen
	owed  uint32 // bytes before pos that were not given back yet

	index int
	fd    int
}

// mapRing maps the ring behind fd, of size bytes.
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

// newRing is a ring over memory laid out as the module does.
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

// counter is one of the counters of the info page, by its place among them.
func (r *ring) counter(i int) uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.info[abi.RingCounters+8*i])))
}

// Look takes note of what the module has written up to now. The load of its
// position makes the events before it visible.
func (r *ring) Look() {
	head := atomic.LoadUint32(r.head)
	if head < r.pos {
		head += r.size
	}
	r.left = head - r.pos
}

// Head is the event at the ring's position, among those seen by Look.
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

// corrupt gives up what is in the ring: where the next event starts is not known.
func (r *ring) corrupt(what string) error {
	err := fmt.Errorf("ring %d: position %d: %s", r.index, r.pos, what)
	r.skip(r.left)
	return err
}

// Advance steps over the head, whose memory stays as it is until Publish, to the next.
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

// Publish gives the memory of everything before the ring's position back to the module.
func (r *ring) Publish() {
	if r.owed > 0 {
		r.owed = 0
		atomic.StoreUint32(r.tail, r.pos)
	}
}

func (r *ring) Size() int { return int(r.size) }

func (r *ring) CPU() int { return r.index }
