// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
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
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(3*maxWholeBlock))
	}
}

// stream is a capture that nobody holds in memory: a head, blocks that a function makes, and zeros to the end of the last.
type stream struct {
	buf  []byte
	more func() []byte // nil at the end
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.buf) == 0 {
		if s.buf = s.more(); s.buf == nil {
			return 0, io.EOF
		}
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

// hugeBlock is a capture with one block of size bytes, repeating what fill returns.
func hugeBlock(code, size uint32, fill func() []byte) *stream {
	o := binary.LittleEndian
	left := int64(size) - 12
	head := o.AppendUint32(o.AppendUint32(appendSectionHeader(nil, o), code), size)
	return &stream{head, func() []byte {
		if left == -1 {
			return nil
		}
		b := fill()
		if int64(len(b)) < left {
			left -= int64(len(b))
			return b
		}
		b = o.AppendUint32(make([]byte, left), size)
		left = -1
		return b
	}}
}

// peakOf returns the memory that f takes while it runs, about.
func peakOf(f func()) (peak uint64) {
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	for {
		runtime.ReadMemStats(&now)
		if now.HeapInuse > before.HeapInuse {
			peak = max(peak, now.HeapInuse-before.HeapInuse)
		}
		select {
		case <-done:
			return peak
		default:
			runtime.Gosched()
		}
	}
}

func TestAHugeBlockTakesLittleMemory(t *testing.T) {
	zeros := make([]byte, 1<<20)
	for _, code := range []uint32{procListV9, procListV1, fdListV2, fdListV1, usersV2, usersV1, interfacesV2, interfacesV1, machineInfo, eventLarge, eventV2, 0x999} {
		var r *Reader
		var err error
		peak := peakOf(func() {
			if r, err = NewReader(hugeBlock(code, 512<<20, func() []byte { return zeros }), Options{}); err == nil {
				_, err = r.Next()
			}
		})
		if code == 0x999 {
			require.ErrorIs(t, err, ErrNotCapture)
			continue
		}
		require.ErrorIs(t, err, io.EOF, "%#x", code)
		c := r.Counts()
		require.NotZero(t, c.BadRecords+c.Corrupt+c.SkippedBlocks+c.StateCut, "%#x: it is reported", code)
		require.Less(t, peak, uint64(10*maxWholeBlock), "%#x", code)
	}
}

func TestAHostileStateTakesBoundedMemory(t *testing.T) {
	tid := event.PID(0)
	records := func() (b []byte) {
		for range 100 {
			tid++
			b = appendThread(b, binary.LittleEndian, &proc.Thread{TID: tid, PID: tid, Env: strings.Repeat("A=bcdefghijklmno\x00", 240)})
		}
		return b
	}
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	_, err := io.Copy(gz, hugeBlock(procListV9, 160<<20, records))
	require.NoError(t, err)
	require.NoError(t, gz.Close())
	packed := out.Len()
	require.Less(t, packed, 4<<20)
	r, err := NewReader(&out, Options{})
	require.NoError(t, err)
	require.NotZero(t, r.Counts().StateCut, "it is reported")
	require.NotEmpty(t, r.State().Threads)
	require.LessOrEqual(t, r.stateSize, int64(minPackedState+packedStateRatio*(packed+1<<20)))

	r = &Reader{in: newInput(nil)} // not compressed
	require.True(t, r.admit(maxState-10))
	require.False(t, r.admit(11))
	require.True(t, r.admit(10), "a smaller one")
	require.EqualValues(t, 1, r.Counts().StateCut)
}

func TestALongRecordCostsOnlyItself(t *testing.T) {
	o := binary.LittleEndian
	good := appendThread(nil, o, &proc.Thread{TID: 5, PID: 5, Comm: "good"})
	long := make([]byte, 3*maxRecord)
	o.PutUint32(long, uint32(len(long)))
	capture := appendSectionHeader(nil, o)
	capture = append(capture, block(o, procListV9, slices.Concat(good, long, appendThread(nil, o, &proc.Thread{TID: 6, PID: 6})))...)
	r, err := NewReader(bytes.NewReader(capture), Options{})
	require.NoError(t, err)
	require.Len(t, r.State().Threads, 2)
	require.EqualValues(t, 1, r.Counts().BadRecords)
}

func TestAWrongLengthAtTheEndOfABlockCostsNothing(t *testing.T) {
	capture := smallCapture(t)
	ends := blocksOf(capture)
	want := len(someEvents(t))
	for i := range ends[:len(ends)-1] {
		bad := bytes.Clone(capture)
		bad[ends[i+1]-4] ^= 1
		r, err := NewReader(bytes.NewReader(bad), Options{})
		require.NoError(t, err, "block %d", i)
		got, err := delivered(t, r)
		require.NoError(t, err)
		require.Len(t, got, want)
		require.NotEmpty(t, r.State().Threads)
		if i < len(ends)-1-want {
			require.EqualValues(t, 1, r.Counts().BadEnds, "block %d: it is reported", i)
		}
	}
	// But what follows must be a block.
	bad := bytes.Clone(capture)
	bad[4] += 4
	_, err := NewReader(bytes.NewReader(bad), Options{})
	require.ErrorIs(t, err, ErrCorrupt)
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
