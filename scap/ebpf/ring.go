// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ebpf

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap/internal/live"
)

// Bits of the first word of a record in a BPF ring buffer; the rest of the word
// is the record's length.
const (
	recordBusy    = 1 << 31 // reserved, not yet submitted
	recordDiscard = 1 << 30
	recordHeader  = 8 // length word and a page offset, which only the kernel uses
)

// ring reads one BPF ring buffer in place: it maps the map's own pages.
//
// A ring buffer's memory is one page with the consumer's position, one with the
// producer's, then the data, which is mapped twice in a row so that no record
// is split. Positions only grow. A producer reserves a record under a lock
// (busy), then fills and submits it. Records are in the order of reservation,
// and a record may be complete later than one that follows it.
type ring struct {
	consumer *uint64 // ours; the kernel reads it to know what is free
	producer *uint64
	data     []byte // twice
	mask     uint64

	pos       uint64 // of the next record to look at
	next      uint64 // of the one after it, once it was the head
	end       uint64 // what the producer had reserved when last looked
	published uint64 // the value of *consumer

	index    int
	fd       int
	mappings [2][]byte
}

// mapRing maps the ring buffer map fd, whose data is size bytes.
func mapRing(fd, size, index int) (*ring, error) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		return nil, fmt.Errorf("ring %d: positions are 64 bits wide on 64-bit systems only", index)
	}
	page := os.Getpagesize()
	if size < page || size&(size-1) != 0 {
		return nil, fmt.Errorf("ring %d: size %d is not a power of two of at least a page (%d)", index, size, page)
	}
	own, err := unix.Mmap(fd, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("ring %d: map consumer page: %w", index, err)
	}
	theirs, err := unix.Mmap(fd, int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		unix.Munmap(own)
		return nil, fmt.Errorf("ring %d: map producer page and %d bytes of data: %w", index, size, err)
	}
	r := newRing(own, theirs[:page], theirs[page:], index)
	r.fd = fd
	r.mappings = [2][]byte{own, theirs}
	return r, nil
}

// newRing returns a ring over memory with the kernel's layout.
func newRing(consumer, producer, data []byte, index int) *ring {
	r := &ring{
		consumer: (*uint64)(unsafe.Pointer(&consumer[0])),
		producer: (*uint64)(unsafe.Pointer(&producer[0])),
		data:     data,
		mask:     uint64(len(data)/2 - 1),
		index:    index,
	}
	r.pos = atomic.LoadUint64(r.consumer)
	r.end, r.next, r.published = r.pos, r.pos, r.pos
	return r
}

func (r *ring) close() error {
	for i, m := range r.mappings {
		if m == nil {
			continue
		}
		if err := unix.Munmap(m); err != nil {
			return fmt.Errorf("ring %d: unmap: %w", r.index, err)
		}
		r.mappings[i] = nil
	}
	r.data = nil
	return nil
}

// Look loads the producer's position.
func (r *ring) Look() { r.end = atomic.LoadUint64(r.producer) }

// Head returns the record at the ring's position if Look has seen it, else nil.
func (r *ring) Head() ([]byte, error) {
	for r.pos < r.end {
		at := r.pos & r.mask
		// The producer writes the record's bytes before this word, so the
		// atomic load makes them visible.
		word := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
		if word&recordBusy != 0 {
			return nil, live.ErrBusy
		}
		n := uint64(word &^ (recordBusy | recordDiscard))
		r.next = r.pos + (n+recordHeader+7)&^7
		if word&recordDiscard == 0 {
			return r.data[at+recordHeader : at+recordHeader+n : at+recordHeader+n], nil
		}
		r.pos = r.next
	}
	return nil, nil
}

// Advance moves past the head and returns the next record. The head's memory
// stays unchanged until Publish.
func (r *ring) Advance() ([]byte, error) {
	r.pos = r.next
	at := r.pos & r.mask
	if r.pos < r.end { // Head's usual case, inlined
		if word := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at]))); word&(recordBusy|recordDiscard) == 0 {
			n := uint64(word)
			r.next = r.pos + (n+recordHeader+7)&^7
			return r.data[at+recordHeader : at+recordHeader+n : at+recordHeader+n], nil
		}
	}
	return r.Head()
}

// Publish returns all memory before the ring's position to the producer.
func (r *ring) Publish() {
	if r.pos != r.published {
		r.published = r.pos
		atomic.StoreUint64(r.consumer, r.pos)
	}
}

func (r *ring) Size() int { return int(r.mask + 1) }

// CPU returns the ring's number, since several CPUs may write to one ring.
func (r *ring) CPU() int { return r.index }
