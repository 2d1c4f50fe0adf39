// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ebpf

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap/internal/live"
)

// memory is the kernel's side of a ring buffer.
type memory struct {
	consumer, producer, data []byte
	pos                      uint64
}

func newMemory(size int) *memory {
	return &memory{consumer: make([]byte, 8), producer: make([]byte, 8), data: make([]byte, 2*size)}
}

func (m *memory) ring(index int) *ring { return newRing(m.consumer, m.producer, m.data, index) }

// put writes into both mappings.
func (m *memory) put(at uint64, b []byte) {
	size := uint64(len(m.data) / 2)
	for i, c := range b {
		j := (at + uint64(i)) % size
		m.data[j], m.data[j+size] = c, c
	}
}

// reserve does what bpf_ringbuf_reserve does: ok is false when the ring is full.
func (m *memory) reserve(n int) (at uint64, ok bool) {
	room := (uint64(n) + recordHeader + 7) &^ 7
	if m.pos+room-binary.NativeEndian.Uint64(m.consumer) > uint64(len(m.data)/2) {
		return 0, false
	}
	at = m.pos
	m.put(at, binary.NativeEndian.AppendUint32(nil, uint32(n)|recordBusy))
	m.pos += room
	binary.NativeEndian.PutUint64(m.producer, m.pos)
	return at, true
}

func (m *memory) submit(at uint64, record []byte, flags uint32) {
	m.put(at+recordHeader, record)
	m.put(at, binary.NativeEndian.AppendUint32(nil, uint32(len(record))|flags))
}

func (m *memory) write(record []byte) bool {
	at, ok := m.reserve(len(record))
	if ok {
		m.submit(at, record, 0)
	}
	return ok
}

// record returns a record of at least n bytes that begins with ts.
func record(ts uint64, n int) []byte {
	b := make([]byte, max(8, n))
	binary.NativeEndian.PutUint64(b, ts)
	for i := 8; i < len(b); i++ {
		b[i] = byte(ts)
	}
	return b
}

func newReader(rings ...*ring) *live.Reader {
	var all []live.Ring
	for _, r := range rings {
		all = append(all, r)
	}
	return live.NewReader(all, nil)
}

func step(tb testing.TB, rd *live.Reader, keep bool) (record []byte, ring int) {
	tb.Helper()
	record, ring, err := rd.Step(keep)
	require.NoError(tb, err)
	return record, ring
}

func timestamp(record []byte) uint64 { return binary.NativeEndian.Uint64(record) }

func TestRingReadsAcrossItsEnd(t *testing.T) {
	m := newMemory(256)
	r := m.ring(0)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range uint64(1000) {
		want := record(i, random.IntN(100))
		require.True(t, m.write(want))
		r.Look()
		got, err := r.Head()
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = r.Advance()
		require.NoError(t, err)
		require.Nil(t, got)
		r.Publish()
	}
}

func TestRingHoldsMemoryUntilItIsPublished(t *testing.T) {
	m := newMemory(64)
	r := m.ring(0)
	for m.write(record(7, 8)) {
	}
	r.Look()
	n := 0
	for head, err := r.Head(); head != nil; head, err = r.Advance() {
		require.NoError(t, err)
		n++
		require.False(t, m.write(record(8, 8)), "nothing is free before Publish")
	}
	require.Equal(t, 4, n)
	r.Publish()
	require.True(t, m.write(record(8, 8)))
}

func TestRingStopsAtBusyAndPassesOverDiscarded(t *testing.T) {
	m := newMemory(256)
	r := m.ring(0)
	first, _ := m.reserve(8)
	gone, _ := m.reserve(16)
	m.submit(gone, record(0, 16), recordDiscard)
	require.True(t, m.write(record(3, 8)))
	r.Look()
	head, err := r.Head()
	require.Nil(t, head)
	require.ErrorIs(t, err, live.ErrBusy)
	m.submit(first, record(1, 8), 0)
	head, err = r.Head()
	require.NoError(t, err)
	require.Equal(t, record(1, 8), head)
	head, err = r.Advance()
	require.NoError(t, err)
	require.Equal(t, record(3, 8), head)
	require.EqualValues(t, 16+24, r.pos)
}

func TestRingTakesUpWhereTheConsumerLeft(t *testing.T) {
	m := newMemory(64)
	r := m.ring(0)
	require.True(t, m.write(record(1, 8)))
	r.Look()
	_, err := r.Head()
	require.NoError(t, err)
	_, err = r.Advance()
	require.NoError(t, err)
	r.Publish()
	require.True(t, m.write(record(2, 8)))
	again := m.ring(0)
	again.Look()
	head, err := again.Head()
	require.NoError(t, err)
	require.Equal(t, record(2, 8), head)
}

func TestRingSizesAreChecked(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 12288, -4096} {
		_, err := mapRing(-1, size, 2)
		require.EqualError(t, err, fmt.Sprintf("ring 2: size %d is not a power of two of at least a page (%d)", size, os.Getpagesize()))
	}
	_, err := mapRing(-1, os.Getpagesize(), 2)
	require.ErrorIs(t, err, unix.EBADF)
	require.ErrorContains(t, err, "ring 2: map consumer page")
}

func TestReaderMergesByTimestamp(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, k := range []int{1, 2, 5, 16} {
		memories := make([]*memory, k)
		rings := make([]*ring, k)
		for i := range memories {
			memories[i] = newMemory(4096)
			rings[i] = memories[i].ring(i)
		}
		rd := newReader(rings...)
		var ts uint64
		var want, got []uint64
		for range 200 {
			// Records written between two passes are in order, and one
			// pass reads all of them.
			for range random.IntN(50) {
				ts += random.Uint64N(3)
				i := random.IntN(k)
				if memories[i].write(record(ts, random.IntN(60))) {
					want = append(want, ts)
				}
			}
			for {
				rec, ring := step(t, rd, false)
				if rec == nil {
					break
				}
				require.Equal(t, record(timestamp(rec), len(rec)), rec, "ring %d", ring)
				got = append(got, timestamp(rec))
			}
		}
		require.Equal(t, want, got, "%d rings", k)
		for i, m := range memories {
			require.Equal(t, m.pos, binary.NativeEndian.Uint64(m.consumer), "ring %d is given back", i)
		}
	}
}

func TestReaderLooksAgainAtBusyRings(t *testing.T) {
	a, b := newMemory(4096), newMemory(4096)
	rd := newReader(a.ring(0), b.ring(1))
	late, _ := a.reserve(8)
	require.True(t, a.write(record(30, 8)))
	for ts := range uint64(3) {
		require.True(t, b.write(record(10+10*ts, 8)))
	}
	take := func() uint64 { rec, _ := step(t, rd, false); return timestamp(rec) }
	require.EqualValues(t, 10, take(), "the busy record is not waited for")
	a.submit(late, record(15, 8), 0)
	require.EqualValues(t, 15, take(), "but it is not left to the next pass")
	require.EqualValues(t, 20, take())
	require.EqualValues(t, 30, take(), "equal timestamps come by ring")
	require.EqualValues(t, 30, take())
	rec, _ := step(t, rd, false)
	require.Nil(t, rec)
}

func TestReaderKeepsWhatABatchHolds(t *testing.T) {
	m := newMemory(256)
	rd := newReader(m.ring(0))
	for ts := uint64(0); m.write(record(ts, 8)); ts++ {
	}
	require.EqualValues(t, 256, m.pos)
	require.NoError(t, rd.Release())
	var kept [][]byte
	for {
		rec, _ := step(t, rd, true)
		if rec == nil {
			break
		}
		kept = append(kept, rec)
	}
	require.Empty(t, kept, "a batch begins with a step that may look")
	rec, _ := step(t, rd, false)
	for rec != nil {
		kept = append(kept, rec)
		rec, _ = step(t, rd, true)
	}
	require.Len(t, kept, 16)
	require.False(t, m.write(record(99, 8)), "the batch is in use")
	for i, rec := range kept {
		require.Equal(t, record(uint64(i), 8), rec)
	}
	require.NoError(t, rd.Release())
	require.True(t, m.write(record(99, 8)))
}

func TestReaderGivesBackWithinAPass(t *testing.T) {
	m := newMemory(4096)
	rd := newReader(m.ring(0))
	for m.write(record(1, 8)) {
	}
	for range 17 { // a sixteenth of the ring, and one to step over the last
		rec, _ := step(t, rd, false)
		require.NotNil(t, rec)
	}
	require.EqualValues(t, 256, binary.NativeEndian.Uint64(m.consumer))
}

// The producer runs in another goroutine, for the race detector.
func TestReaderBesideAProducer(t *testing.T) {
	m := newMemory(1 << 12)
	rd := newReader(m.ring(0))
	for pass := range 50 {
		done := make(chan []uint64)
		go func() {
			var wrote []uint64
			for ts := uint64(pass * 1000); m.write(record(ts, 24)); ts++ {
				wrote = append(wrote, ts)
			}
			done <- wrote
		}()
		want := <-done
		var got []uint64
		for {
			rec, _ := step(t, rd, false)
			if rec == nil {
				break
			}
			got = append(got, timestamp(rec))
		}
		require.Equal(t, want, got)
	}
}

func TestSleepEndsInTime(t *testing.T) {
	var pipe [2]int
	require.NoError(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	e := &engine{polls: []unix.PollFd{{Fd: int32(pipe[0]), Events: unix.POLLIN}}}

	start := time.Now()
	require.NoError(t, e.Wait(5*time.Millisecond))
	require.GreaterOrEqual(t, time.Since(start), 4*time.Millisecond)

	_, err := unix.Write(pipe[1], []byte{1})
	require.NoError(t, err)
	require.NoError(t, e.Wait(24*time.Hour), "a wake-up ends the sleep")

	// The ring is still readable and the reader found no record: it must not spin.
	start = time.Now()
	require.NoError(t, e.Wait(5*time.Millisecond))
	require.GreaterOrEqual(t, time.Since(start), 4*time.Millisecond)
}

func BenchmarkReader(b *testing.B) {
	for _, k := range []int{1, 4, 32} {
		b.Run(fmt.Sprintf("rings=%d", k), func(b *testing.B) {
			memories := make([]*memory, k)
			rings := make([]*ring, k)
			for i := range memories {
				memories[i] = newMemory(1 << 16)
				rings[i] = memories[i].ring(i)
				for ts := uint64(i); memories[i].write(record(ts, 48)); ts += uint64(k) {
				}
			}
			rd := newReader(rings...)
			events := 0
			b.ReportAllocs()
			for b.Loop() {
				for {
					rec, _, err := rd.Step(false)
					if err != nil {
						b.Fatal(err)
					}
					if rec == nil {
						break
					}
					events++
				}
				for i, r := range rings { // replay the same bytes
					r.pos, r.next, r.published = 0, 0, 0
					binary.NativeEndian.PutUint64(memories[i].consumer, 0)
				}
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
