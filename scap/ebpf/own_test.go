// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ebpf

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/abi"
)

// producer is the driver's side of a ring of our own.
type producer struct {
	head, tail, data []byte
}

func newProducer(segments int) *producer {
	return &producer{head: make([]byte, 8), tail: make([]byte, 8), data: make([]byte, segments*driver.SegmentSize)}
}

func (p *producer) ring() *ownRing { return newOwnRing(p.head, p.tail, p.data, 3) }

func (p *producer) position() uint64 { return binary.NativeEndian.Uint64(p.head) }

// write writes an event of n bytes that are b, except for the length; false: there is no room.
func (p *producer) write(n int, b byte) bool {
	pos := p.position()
	if place := pos % driver.SegmentSize; place > driver.SegmentEnd {
		pos += driver.SegmentSize - place
	}
	if pos+driver.SegmentSize-driver.SegmentEnd-binary.NativeEndian.Uint64(p.tail) > uint64(len(p.data)) {
		return false
	}
	event := p.data[pos%uint64(len(p.data)):][:n]
	for i := range event {
		event[i] = b
	}
	binary.NativeEndian.PutUint32(event[abi.EventLen:], uint32(n))
	binary.NativeEndian.PutUint64(p.head, pos+uint64(n+7)&^7)
	return true
}

func TestOwnRingIsReadInOrder(t *testing.T) {
	type record struct {
		n int
		b byte
	}
	for _, segments := range []int{1, 2, 8} {
		p := newProducer(segments)
		r := p.ring()
		rng := rand.New(rand.NewPCG(1, uint64(segments)))
		var want []record
		full := 0
		for i := range 1000 * segments {
			rec := record{abi.EventHeaderSize + rng.IntN(driver.EventMax-abi.EventHeaderSize+1), byte(i)}
			if p.write(rec.n, rec.b) {
				want = append(want, rec)
			} else {
				full++
			}
			if rng.IntN(100*segments) > 0 {
				continue
			}
			r.Look()
			got, err := r.Head()
			for ; got != nil; got, err = r.Advance() {
				require.NoError(t, err)
				require.Len(t, got, want[0].n)
				require.Equal(t, want[0].b, got[len(got)-1])
				want = want[1:]
			}
			require.NoError(t, err)
			require.Empty(t, want)
			r.Publish()
			require.Equal(t, p.position(), binary.NativeEndian.Uint64(p.tail))
		}
		require.Positive(t, full, "%d segments", segments)
	}
}

// The memory of an event is the driver's again only after Publish.
func TestOwnRingReturnsMemoryWhenPublished(t *testing.T) {
	p := newProducer(1)
	r := p.ring()
	require.True(t, p.write(100, 1))
	require.True(t, p.write(100, 2))
	r.Look()
	first, err := r.Head()
	require.NoError(t, err)
	require.Len(t, first, 100)
	second, err := r.Advance()
	require.NoError(t, err)
	require.Equal(t, byte(2), second[99])
	require.Zero(t, binary.NativeEndian.Uint64(p.tail))
	r.Publish()
	require.EqualValues(t, 104, binary.NativeEndian.Uint64(p.tail))
	require.Equal(t, 3, r.CPU())
	require.Equal(t, driver.SegmentSize, r.Size())
}

// Damage is reported once, and reading goes on behind it.
func TestDamagedOwnRingIsReportedOnce(t *testing.T) {
	for name, n := range map[string]uint32{"nothing": 0, "no header": 25, "too long": driver.EventMax + 1, "beyond the end": 2000} {
		p := newProducer(1)
		r := p.ring()
		require.True(t, p.write(100, 1))
		binary.NativeEndian.PutUint32(p.data[abi.EventLen:], n)
		r.Look()
		got, err := r.Head()
		require.Nil(t, got, name)
		require.ErrorContains(t, err, "ring of CPU 3: position 0: an event of ", name)
		require.True(t, p.write(200, 2))
		r.Look()
		got, err = r.Advance()
		require.NoError(t, err, name)
		require.Len(t, got, 200, name)
	}
}
