// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kmod

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap/internal/live"
)

const testSize = 256

// producer writes a ring as the module does.
type producer struct {
	*ring
	memory []byte // twice the ring
	at     uint32
}

func newProducer(tb testing.TB, index int, start uint32) *producer {
	tb.Helper()
	info, data := make([]byte, abi.RingInfoSize), make([]byte, 2*testSize)
	binary.NativeEndian.PutUint32(info[abi.RingHead:], start)
	binary.NativeEndian.PutUint32(info[abi.RingTail:], start)
	return &producer{newRing(info, data, index), data, start}
}

// put writes n bytes that begin like an event, in both mappings.
func (p *producer) put(ts uint64, n, length uint32) {
	record := make([]byte, n)
	binary.NativeEndian.PutUint64(record, ts)
	binary.NativeEndian.PutUint32(record[abi.EventLen:], length)
	for i, b := range record {
		at := (p.at + uint32(i)) % testSize
		p.memory[at], p.memory[at+testSize] = b, b
	}
	p.at = (p.at + n) % testSize
	*p.head = p.at
}

func (p *producer) event(ts uint64, n uint32) { p.put(ts, n, n) }

func TestRingGoesRoundWithoutCuttingEvents(t *testing.T) {
	p := newProducer(t, 0, 0)
	ts := uint64(0)
	for range 100 { // 100 * (30 + 50) bytes wrap 31 times, each time at another place
		p.event(ts+1, 30)
		p.event(ts+2, 50)
		p.Look()
		for _, want := range []int{30, 50} {
			ev, err := p.Head()
			require.NoError(t, err)
			require.Len(t, ev, want)
			ts++
			require.Equal(t, ts, timestamp(ev))
			ev, err = p.Advance()
			require.NoError(t, err)
			require.Equal(t, want == 50, ev == nil)
		}
		ev, err := p.Head()
		require.NoError(t, err)
		require.Nil(t, ev)
		require.NotEqual(t, p.at, *p.tail, "the memory is ours until it is given back")
		p.Publish()
		require.Equal(t, p.at, *p.tail)
	}
}

func TestRingStartsWhereItsTailIs(t *testing.T) {
	p := newProducer(t, 0, 200)
	p.event(7, 100)
	p.Look()
	ev, err := p.Head()
	require.NoError(t, err)
	require.Equal(t, uint64(7), timestamp(ev))
	require.Len(t, ev, 100)
}

func TestRingWithLengthsThatCannotBe(t *testing.T) {
	for _, length := range []uint32{0, abi.EventHeaderSize - 1, 61, 1 << 31, ^uint32(0)} {
		p := newProducer(t, 3, 0)
		p.put(1, 60, length)
		p.Look()
		_, err := p.Head()
		require.ErrorContains(t, err, "ring 3: position 0: ", "%d", length)
		ev, err := p.Head()
		require.NoError(t, err, "what cannot be understood is given up once")
		require.Nil(t, ev)
		p.event(2, 40)
		p.Look()
		ev, err = p.Head()
		require.NoError(t, err)
		require.Equal(t, uint64(2), timestamp(ev), "what comes later can be read")
	}
	p := newProducer(t, 3, 0)
	*p.head = abi.EventHeaderSize - 1
	p.Look()
	_, err := p.Head()
	require.ErrorContains(t, err, "25 bytes are left")
}

func timestamp(record []byte) uint64 { return binary.NativeEndian.Uint64(record) }

// testReader reads rings with the clock at *now.
func testReader(now *int64, ps ...*producer) *live.Reader {
	var rings []live.Ring
	for _, p := range ps {
		rings = append(rings, p.ring)
	}
	return live.NewReader(rings, func() uint64 { return uint64(*now) })
}

func steps(t *testing.T, r *live.Reader, keep bool) (got []uint64) {
	t.Helper()
	for {
		ev, _, err := r.Step(keep)
		require.NoError(t, err)
		if ev == nil {
			return got
		}
		got = append(got, timestamp(ev))
	}
}

func TestReaderMergesByTime(t *testing.T) {
	now := int64(100)
	a, b, c := newProducer(t, 0, 0), newProducer(t, 1, 250), newProducer(t, 2, 0)
	for _, ts := range []uint64{1, 4, 5, 9} {
		a.event(ts, 30)
	}
	for _, ts := range []uint64{2, 3, 8} {
		b.event(ts, 40)
	}
	r := testReader(&now, a, b, c)
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 8, 9}, steps(t, r, false))
	require.Equal(t, a.at, *a.tail)
	require.Equal(t, b.at, *b.tail)

	// An event newer than the start of the pass waits: another ring may get an older one.
	a.event(150, 30)
	require.Empty(t, steps(t, r, false))
	b.event(120, 30)
	c.event(130, 30)
	now = 140
	require.Equal(t, []uint64{120, 130}, steps(t, r, false))
	now = 160
	require.Equal(t, []uint64{150}, steps(t, r, false))

	// It does not wait for ever if the clock was set back far.
	a.event(uint64(10*time.Second), 30)
	require.Equal(t, []uint64{uint64(10 * time.Second)}, steps(t, r, false))
}

func TestReaderKeepsWhatABatchHolds(t *testing.T) {
	now := int64(100)
	p := newProducer(t, 0, 0)
	for ts := range uint64(6) {
		p.event(ts+1, 40)
	}
	r := testReader(&now, p)
	ev, _, err := r.Step(false)
	require.NoError(t, err)
	require.Equal(t, uint64(1), timestamp(ev))
	require.Equal(t, []uint64{2, 3, 4, 5, 6}, steps(t, r, true))
	require.Zero(t, *p.tail, "all of the batch is still in use")
	require.Equal(t, uint64(1), timestamp(ev))
	require.NoError(t, r.Release())
	require.Equal(t, p.at, *p.tail)

	// Reads of one event return memory from time to time.
	for ts := range uint64(6) {
		p.event(ts+10, 40)
	}
	tail := *p.tail
	for range 3 {
		_, _, err := r.Step(false)
		require.NoError(t, err)
	}
	require.NotEqual(t, tail, *p.tail)
}

func TestReaderGoesOnBehindACorruptRing(t *testing.T) {
	now := int64(100)
	a, b := newProducer(t, 0, 0), newProducer(t, 1, 0)
	a.put(1, 40, 5)
	b.event(2, 40)
	r := testReader(&now, a, b)
	_, _, err := r.Step(false)
	require.ErrorContains(t, err, "ring 0")
	require.Equal(t, []uint64{2}, steps(t, r, false))
}
