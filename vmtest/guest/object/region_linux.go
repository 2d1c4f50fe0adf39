// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

var pageSize = os.Getpagesize()

// Region is memory before an unmapped page: reading past its end faults.
// It is mapped until the process ends.
type Region struct {
	b []byte
}

// Bytes returns the memory.
func (r Region) Bytes() []byte { return r.b }

// Addr returns the address.
func (r Region) Addr() uint64 { return addrOf(r.b) }

func addrOf(b []byte) uint64 {
	if len(b) == 0 {
		return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	}
	return uint64(uintptr(unsafe.Pointer(&b[0])))
}

// LowMemory makes NewRegion use addresses that fit into 32 bits.
var LowMemory bool

// NewRegion maps n zero bytes, resident because a driver cannot fault pages in.
// For n = 0 the address is that of the unmapped page.
func NewRegion(n int) (Region, error) {
	size := (n + pageSize - 1) / pageSize * pageSize
	flags := unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_POPULATE
	if LowMemory {
		flags |= mapLow
	}
	all, err := unix.Mmap(-1, 0, size+pageSize, unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return Region{}, fmt.Errorf("map %d bytes: %w", size+pageSize, err)
	}
	// PROT_NONE keeps the hole: a later mmap could fill one made by munmap.
	if err := unix.Mprotect(all[size:], unix.PROT_NONE); err != nil {
		return Region{}, fmt.Errorf("guard page: %w", err)
	}
	for i := 0; i < size; i += pageSize {
		all[i] = 0
	}
	return Region{all[size-n : size : size]}, nil
}

// newRegionOf maps a copy of b.
func newRegionOf(b []byte) (Region, error) {
	r, err := NewRegion(len(b))
	if err == nil {
		copy(r.b, b)
	}
	return r, err
}
