// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
)

// blocksOf returns the offset of each block of a capture, and of its end.
func blocksOf(capture []byte) (at []int) {
	for i := 0; i < len(capture); i += int(binary.LittleEndian.Uint32(capture[i+4:])) {
		at = append(at, i)
	}
	return append(at, len(capture))
}

func smallCapture(tb testing.TB) []byte {
	state := someState()
	state.Threads[0].FDs = state.Threads[0].FDs[:5]
	return mustCapture(tb, WriterOptions{State: state}, someEvents(tb)...)
}

// oldCapture has events in blocks of all versions, in either byte order.
func oldCapture(tb testing.TB, o binary.AppendByteOrder) []byte {
	b := appendSectionHeader(nil, o)
	for _, code := range []uint32{eventV1, eventFlagsV1, eventV2, eventLarge} {
		b = appendRawEvent(b, o, code, 1, foreign(tb, o, mustEvent(tb, event.TypeUnlinkExit, 1, 1, 0, "/x"), code == eventV1 || code == eventFlagsV1))
	}
	return b
}

func TestEveryPrefixGivesAllCompleteEvents(t *testing.T) {
	capture := smallCapture(t)
	want := someEvents(t)
	ends := blocksOf(capture)
	firstEvent := len(ends) - 1 - len(want)
	for n := range capture {
		complete, boundary := 0, false
		for i, end := range ends {
			if end <= n && i > firstEvent {
				complete = i - firstEvent
			}
			boundary = boundary || end == n && n > 0
		}
		r, err := NewReader(bytes.NewReader(capture[:n]), Options{})
		if err == nil {
			var got []*event.Event
			got, err = delivered(t, r)
			require.Len(t, got, complete, "%d bytes", n)
			for i := range got {
				require.Equal(t, want[i], got[i], "%d bytes", n)
			}
		} else {
			require.Zero(t, complete, "%d bytes", n)
		}
		if boundary {
			require.NoError(t, err, "%d bytes", n)
			continue
		}
		require.ErrorIs(t, err, ErrTruncated, "%d bytes", n)
		var at *Error
		require.ErrorAs(t, err, &at)
		require.Contains(t, ends, int(at.Offset), "%d bytes: the offset is that of the block", n)
	}
}

func TestEveryPrefixOfACompressedCapture(t *testing.T) {
	capture := mustCapture(t, WriterOptions{State: someState(), Compress: true}, someEvents(t)...)
	for n := range capture {
		r, err := NewReader(bytes.NewReader(capture[:n]), Options{})
		if err == nil {
			var got []*event.Event
			got, err = delivered(t, r)
			for i := range got {
				require.Equal(t, someEvents(t)[i], got[i])
			}
		}
		require.ErrorIs(t, err, ErrTruncated, "%d bytes", n)
	}
}

// readable reads a capture. Any error must be one of this package's.
func readable(tb testing.TB, capture []byte, opts Options) (events int) {
	tb.Helper()
	r, err := NewReader(bytes.NewReader(capture), opts)
	if err == nil {
		var evs []*event.Event
		evs, err = delivered(tb, r)
		for _, ev := range evs {
			_ = ev.AppendArgs(nil)
		}
		events = len(evs)
		c := r.Counts()
		if c.Delivered != uint64(events) || c.Events != c.Delivered+c.Merged+c.Obsolete+c.Corrupt+c.Unconverted && c.Unconverted == 0 {
			tb.Fatalf("%d events came, counted were %+v", events, c)
		}
	}
	if err != nil && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotCapture) && !errors.Is(err, ErrVersion) {
		tb.Fatalf("unknown failure %v", err)
	}
	return events
}

func TestEveryFieldSetToLimits(t *testing.T) {
	captures := [][]byte{smallCapture(t)}
	for _, o := range bothOrders {
		captures = append(captures, oldCapture(t, o))
	}
	limits := [][]byte{
		{0}, {1}, {0xff}, {0x7f},
		{0, 0}, {1, 0}, {0xff, 0xff},
		{0, 0, 0, 0}, {1, 0, 0, 0}, {4, 0, 0, 0}, {12, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {0xfc, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0x7f},
	}
	for _, capture := range captures {
		for at := range capture {
			for _, v := range limits {
				if at+len(v) > len(capture) {
					continue
				}
				bad := bytes.Clone(capture)
				copy(bad[at:], v)
				readable(t, bad, Options{})
				slices.Reverse(bad[at : at+len(v)])
				readable(t, bad, Options{Raw: true})
			}
		}
	}
}

func TestABadEventCostsOnlyItself(t *testing.T) {
	capture := smallCapture(t)
	ends := blocksOf(capture)
	want := len(someEvents(t))
	for i := len(ends) - 1 - want; i < len(ends)-1; i++ {
		// Everything between the block's length and its end.
		for at := ends[i] + 8; at < ends[i+1]-4; at++ {
			for _, v := range []byte{0, 1, 0xff} {
				bad := bytes.Clone(capture)
				bad[at] = v
				require.GreaterOrEqual(t, readable(t, bad, Options{}), want-1, "byte %d", at)
			}
		}
	}
}

func TestPromisedLengthsDoNotCostMemory(t *testing.T) {
	o := binary.LittleEndian
	for _, code := range []uint32{eventLarge, procListV9, 0x999, sectionHeader} {
		capture := appendSectionHeader(nil, o)
		capture = append(capture, block(o, code, make([]byte, 2*readSize))...) // so that the buffer grows
		at := 28
		if code == sectionHeader {
			at = 0
		}
		o.PutUint32(capture[at+4:], 0xfffffff0)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		readable(t, capture, Options{})
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "%#x", code)
	}
}

func TestFewCompressedBytesDoNotCostMuchMemory(t *testing.T) {
	for _, code := range []uint32{eventLarge, procListV9} {
		var out bytes.Buffer
		gz := gzip.NewWriter(&out)
		head := binary.LittleEndian.AppendUint32(appendSectionHeader(nil, binary.LittleEndian), code)
		_, err := gz.Write(binary.LittleEndian.AppendUint32(head, 100<<20))
		require.NoError(t, err)
		for range 100 {
			_, err := gz.Write(make([]byte, 1<<20))
			require.NoError(t, err)
		}
		require.NoError(t, gz.Close())
		require.Less(t, out.Len(), 2<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := NewReader(&out, Options{})
		if err == nil {
			_, err = r.Next()
		}
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, ErrCorrupt)
		require.ErrorContains(t, err, "compressed ones")
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4*maxUnpacked))
	}
}

func TestTheBufferIsMovedOnlyToReadMore(t *testing.T) {
	in := newInput(bytes.NewReader(make([]byte, firstReadSize)))
	require.NoError(t, in.fill(8))
	in.r = 100
	for _, n := range []int{0, 8, firstReadSize - 100} {
		require.NoError(t, in.fill(n))
		require.Equal(t, 100, in.r, "%d bytes are there", n)
	}
	require.ErrorIs(t, in.fill(firstReadSize-99), io.ErrUnexpectedEOF)
	require.Zero(t, in.r)
	require.EqualValues(t, 100, in.offset())
}

func FuzzReadFile(f *testing.F) {
	f.Add(smallCapture(f))
	f.Add(mustCapture(f, WriterOptions{Compress: true}, someEvents(f)...))
	for _, o := range bothOrders {
		f.Add(oldCapture(f, o))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		raw := readable(t, in, Options{Raw: true})
		if n := readable(t, in, Options{}); n > raw {
			t.Fatalf("%d events converted from %d", n, raw)
		}
	})
}
