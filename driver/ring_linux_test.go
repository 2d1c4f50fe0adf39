// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/abi"
)

// testRing is a minimal reader of a ring. Its positions are those of a BPF ring buffer, whose fields it uses for both kinds.
type testRing struct {
	inPlace            bool
	consumer, producer *uint64
	data               []byte // of a BPF ring buffer mapped twice in a row
	size               uint64
	pages              [2][]byte
}

func mapRing(d *Driver, r Ring) (*testRing, error) {
	if d.InPlace() {
		return mapInPlace(r, d.Positions(r.CPUs[0]))
	}
	page := os.Getpagesize()
	cons, err := unix.Mmap(r.Map.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map consumer page: %w", err)
	}
	prod, err := unix.Mmap(r.Map.FD(), int64(page), page+2*r.Size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map ring: %w", err)
	}
	return &testRing{
		consumer: (*uint64)(unsafe.Pointer(&cons[0])),
		producer: (*uint64)(unsafe.Pointer(&prod[0])),
		data:     prod[page:],
		size:     uint64(r.Size),
		pages:    [2][]byte{cons, prod},
	}, nil
}

func mapInPlace(r Ring, at Positions) (*testRing, error) {
	positions, err := unix.Mmap(at.Map.FD(), 0, at.Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map positions: %w", err)
	}
	data, err := unix.Mmap(r.Map.FD(), 0, r.Size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map ring: %w", err)
	}
	return &testRing{
		inPlace:  true,
		consumer: (*uint64)(unsafe.Pointer(&positions[at.Tail])),
		producer: (*uint64)(unsafe.Pointer(&positions[at.Head])),
		data:     data,
		size:     uint64(r.Size),
		pages:    [2][]byte{positions, data},
	}, nil
}

func (r *testRing) close() {
	for _, p := range r.pages {
		_ = unix.Munmap(p)
	}
}

// read calls f with every finished record and then frees them all.
func (r *testRing) read(f func(event []byte)) {
	const busy, discard = 1 << 31, 1 << 30
	pos := atomic.LoadUint64(r.consumer)
	end := atomic.LoadUint64(r.producer)
	for r.inPlace && pos < end {
		if place := pos % SegmentSize; place > SegmentEnd {
			pos += SegmentSize - place
			continue
		}
		off := pos & (r.size - 1)
		n := uint64(binary.NativeEndian.Uint32(r.data[off+abi.EventLen:]))
		f(r.data[off : off+n])
		pos += (n + 7) &^ 7
	}
	for pos < end {
		off := pos & (r.size - 1)
		length := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[off])))
		if length&busy != 0 {
			break
		}
		n := uint64(length &^ discard)
		if length&discard == 0 {
			f(r.data[off+8 : off+8+n])
		}
		pos += (n + 8 + 7) &^ 7
	}
	atomic.StoreUint64(r.consumer, pos)
}
