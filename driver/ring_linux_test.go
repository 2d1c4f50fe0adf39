// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// testRing is a minimal reader of a BPF ring buffer.
type testRing struct {
	consumer, producer *uint64
	data               []byte // mapped twice in a row
	size               uint64
	pages              [2][]byte
}

func mapRing(r Ring) (*testRing, error) {
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
