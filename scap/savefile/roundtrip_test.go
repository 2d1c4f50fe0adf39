// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/synth"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/scaptest"
)

func mustHex(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	require.NoError(tb, err)
	return b
}

// A section header and one event, as bytes of the format.
const (
	headerHex = `0a0d0d0a 1c000000 4d3c2b1a 0100 0200 ffffffffffffffff 1c000000`
	eventHex  = `16020000 38000000 0300
		8877665544332211 0201000000000000 29000000 2d01 02000000 0800 0300 feffffffffffffff 2f7800 00 38000000`
	hiddenHex = `17020000 38000000 0300 01000000
		8877665544332211 0201000000000000 26000000 2d01 02000000 0800 0000 0000000000000000 38000000`
	largeHex = `21020000 3c000000 0000
		0100000000000000 0200000000000000 2d000000 9201 03000000 04000000 02000000 01000000 07000000 6e00 44 00 3c000000`
)

func TestKnownBytesAreReadAndWritten(t *testing.T) {
	capture := mustHex(t, headerHex+eventHex+hiddenHex+largeHex)
	r, evs := mustRead(t, capture, Options{})
	require.Len(t, evs, 3)
	require.Equal(t, event.TypeUnlinkExit, evs[0].Type())
	require.Equal(t, 3, evs[0].CPU())
	require.Equal(t, uint64(0x1122334455667788), evs[0].Timestamp())
	require.Equal(t, event.PID(0x102), evs[0].TID())
	require.Equal(t, "res=-2(ENOENT) path=/x", string(evs[0].AppendArgs(nil)))
	require.False(t, evs[0].Hidden())
	require.True(t, evs[1].Hidden())
	require.Equal(t, []byte{}, evs[1].Param(1))
	require.Equal(t, []byte("D"), evs[2].Param(2))
	require.Equal(t, Counts{Blocks: 4, Sections: 1, Events: 3, Delivered: 3, Hidden: 1, Minor: 2}, r.Counts())

	require.Equal(t, capture, mustCapture(t, WriterOptions{Compat: true}, evs...))
}

func TestStateAndEventsAreReadAsWritten(t *testing.T) {
	state, evs := someState(), someEvents(t)
	for _, compress := range []bool{false, true} {
		capture := mustCapture(t, WriterOptions{State: state, Compress: compress}, evs...)
		r, got := mustRead(t, capture, Options{})
		require.Equal(t, state, r.State())
		require.Equal(t, evs, got)
		require.Equal(t, compress, r.Counts().Compressed)
		require.Equal(t, uint64(1), r.Counts().Unknown)
		require.Equal(t, uint64(1), r.Counts().Hidden)
		st, err := r.Stats()
		require.NoError(t, err)
		require.Equal(t, scap.Stats{Seen: 7, Delivered: 7}, st)

		again := mustCapture(t, WriterOptions{State: r.State(), Compress: compress}, got...)
		require.Equal(t, capture, again)
	}
}

func TestReadsFromAPipeByteByByte(t *testing.T) {
	evs := someEvents(t)
	for _, compress := range []bool{false, true} {
		capture := mustCapture(t, WriterOptions{State: someState(), Compress: compress}, evs...)
		r, err := NewReader(iotest.OneByteReader(bytes.NewReader(capture)), Options{})
		require.NoError(t, err)
		got, err := delivered(t, r)
		require.NoError(t, err)
		require.Equal(t, evs, got)
	}
}

func TestEventsOfAPipeComeAsTheyAreWritten(t *testing.T) {
	pr, pw := io.Pipe()
	evs := someEvents(t)
	go func() {
		w, err := NewWriter(pw, WriterOptions{})
		for i := 0; err == nil && i < len(evs); i++ {
			if err = w.Write(evs[i]); err == nil {
				err = w.Flush()
			}
		}
		pw.CloseWithError(err)
	}()
	r, err := NewReader(pr, Options{})
	require.NoError(t, err)
	got, err := delivered(t, r)
	require.NoError(t, err)
	require.Equal(t, evs, got)
}

func TestBatchesHoldUntilTheNextRead(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, WriterOptions{})
	require.NoError(t, err)
	require.NoError(t, synth.Write(w, 30_000))
	require.NoError(t, w.Close())
	one, err := NewReader(bytes.NewReader(out.Bytes()), Options{})
	require.NoError(t, err)
	many, err := NewReader(bytes.NewReader(out.Bytes()), Options{})
	require.NoError(t, err)
	evs := make([]event.Event, 1000)
	total := 0
	for {
		n, err := many.ReadBatch(evs)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		for i := range n {
			ev, err := one.Next()
			require.NoError(t, err)
			if !bytes.Equal(ev.Bytes(), evs[i].Bytes()) || ev.CPU() != evs[i].CPU() {
				t.Fatalf("event %d differs", total+i)
			}
		}
		total += n
	}
	require.Equal(t, 30_000, total)
	require.Equal(t, one.Counts(), many.Counts())
	n, err := many.ReadBatch(nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestReadingDoesNotAllocate(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, WriterOptions{})
	require.NoError(t, err)
	require.NoError(t, synth.Write(w, 10_000))
	require.NoError(t, w.Close())
	r, err := NewReader(bytes.NewReader(out.Bytes()), Options{})
	require.NoError(t, err)
	var ev event.Event
	require.Zero(t, testing.AllocsPerRun(2000, func() {
		if err := r.NextInto(&ev); err != nil {
			t.Error(err)
		}
	}))
	evs := make([]event.Event, 4)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, err := r.ReadBatch(evs); err != nil {
			t.Error(err)
		}
	}))
	w, err = NewWriter(io.Discard, WriterOptions{})
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(20_000, func() {
		if err := w.Write(&ev); err != nil {
			t.Error(err)
		}
	}))
}

func TestConvertingDoesNotAllocate(t *testing.T) {
	var capture []byte
	capture = append(capture, mustHex(t, headerHex)...)
	for i := range uint64(2000) {
		capture = appendRawEvent(capture, binary.LittleEndian, eventV2, 1, mustEvent(t, 4, i, 5, int(i)).Bytes())
		capture = appendRawEvent(capture, binary.LittleEndian, eventV2, 1, mustEvent(t, 5, i, 5, 0).Bytes())
	}
	r, err := NewReader(bytes.NewReader(capture), Options{})
	require.NoError(t, err)
	var ev event.Event
	require.Zero(t, testing.AllocsPerRun(1500, func() {
		if err := r.NextInto(&ev); err != nil || ev.NumParams() != 2 {
			t.Error(err, ev.NumParams())
		}
	}))
}

// appendRawEvent appends an event block around bytes as they are.
func appendRawEvent(b []byte, o binary.AppendByteOrder, t uint32, cpu uint16, raw []byte) []byte {
	b, at := beginBlock(b, o, t)
	b = o.AppendUint16(b, cpu)
	if t == eventFlagsV1 || t == eventFlagsV2 || t == eventFlgLarge {
		b = o.AppendUint32(b, flagHidden)
	}
	b = append(b, raw...)
	return endBlock(b, o, at)
}

func TestCapturesOneAfterTheOther(t *testing.T) {
	first, second := someState(), &proc.State{Machine: proc.Machine{Hostname: "other", NumCPUs: 1}}
	evs := someEvents(t)
	for _, compress := range []bool{false, true} {
		capture := mustCapture(t, WriterOptions{State: first, Compress: compress}, evs...)
		capture = append(capture, mustCapture(t, WriterOptions{State: second, Compress: compress}, evs...)...)
		r, err := NewReader(bytes.NewReader(capture), Options{})
		require.NoError(t, err)
		batch := make([]event.Event, 100)
		n, err := r.ReadBatch(batch)
		require.NoError(t, err)
		require.Equal(t, len(evs), n, "a batch does not reach into the next section")
		require.Equal(t, 1, r.Section())
		require.Equal(t, "host", r.State().Machine.Hostname)
		n, err = r.ReadBatch(batch)
		require.NoError(t, err)
		require.Equal(t, len(evs), n)
		require.Equal(t, 2, r.Section())
		require.Equal(t, second, r.State())
		_, err = r.ReadBatch(batch)
		require.ErrorIs(t, err, io.EOF)
	}
}

func TestAFileThatGrowsIsReadOn(t *testing.T) {
	capture := mustCapture(t, WriterOptions{}, someEvents(t)...)
	cut := len(capture) - 20
	grown := &growing{data: capture[:cut]}
	r, err := NewReader(grown, Options{})
	require.NoError(t, err)
	got, err := delivered(t, r)
	require.ErrorIs(t, err, ErrTruncated)
	grown.data = capture[cut:]
	more, err := delivered(t, r)
	require.NoError(t, err)
	require.Equal(t, someEvents(t), append(got, more...))
}

type growing struct{ data []byte }

func (g *growing) Read(p []byte) (int, error) {
	if len(g.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, g.data)
	g.data = g.data[n:]
	return n, nil
}

func TestClosedReadersSaySo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.scap")
	require.NoError(t, os.WriteFile(path, mustCapture(t, WriterOptions{}, someEvents(t)...), 0o600))
	r, err := Open(path, Options{})
	require.NoError(t, err)
	require.NoError(t, r.Close())
	scaptest.RequireClosed(t, r)
	_, err = Open(path+".none", Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestWhatIsNoCapture(t *testing.T) {
	newer := mustHex(t, headerHex)
	newer[12] = 2
	order := mustHex(t, headerHex)
	order[8] = 0
	for name, test := range map[string]struct {
		in   []byte
		want error
		text string
	}{
		"empty":           {nil, ErrTruncated, "at byte 0: read section header block: the file is empty: capture is truncated"},
		"text":            {[]byte("hello, this is text"), ErrNotCapture, "at byte 0: the file begins with 68 65 6c 6c: not a capture"},
		"two letters":     {[]byte("hi"), ErrNotCapture, "at byte 0: read section header block: not a capture"},
		"half a magic":    {mustHex(t, headerHex)[:2], ErrTruncated, "at byte 0: read section header block: 12 bytes expected, 2 there: capture is truncated"},
		"short text":      {[]byte("hello"), ErrNotCapture, "at byte 0: read section header block: not a capture"},
		"newer version":   {newer, ErrVersion, "at byte 0: read section header block: version 2.2: capture is of a newer version of the format"},
		"no byte order":   {order, ErrNotCapture, "at byte 0: read section header block: byte order is 00 3c 2b 1a: not a capture"},
		"half a header":   {mustHex(t, headerHex)[:20], ErrTruncated, "at byte 0: read section header block: 28 bytes expected, 20 there: capture is truncated"},
		"half of a state": {mustCapture(t, WriterOptions{State: someState(), Compat: true})[:100], ErrTruncated, "at byte 28: read machine info block: 192 bytes expected, 72 there: capture is truncated"},
	} {
		_, err := NewReader(bytes.NewReader(test.in), Options{})
		require.ErrorIs(t, err, test.want, name)
		require.EqualError(t, err, test.text, name)
		var at *Error
		require.ErrorAs(t, err, &at, name)
	}
	path := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(path, newer, 0o600))
	_, err := Open(path, Options{})
	require.EqualError(t, err, path+":0: read section header block: version 2.2: capture is of a newer version of the format")
	_, err = NewReader(iotest.ErrReader(syscall.EIO), Options{})
	require.ErrorIs(t, err, syscall.EIO)
}

func TestNewerMinorVersionAndOptionsAreRead(t *testing.T) {
	header := mustHex(t, `0a0d0d0a 2c000000 4d3c2b1a 0100 0900 ffffffffffffffff
		0100 0500 68656c6c 6f000000 00000000 2c000000`)
	// A comment after the event, inside its block.
	ev := mustHex(t, `16020000 44000000 0300
		8877665544332211 0201000000000000 29000000 2d01 02000000 0800 0300 feffffffffffffff 2f7800 00
		0100 0400 61626364 00000000 44000000`)
	r, evs := mustRead(t, append(header, ev...), Options{})
	require.Len(t, evs, 1)
	require.Equal(t, uint16(9), r.Counts().Minor)
	require.Equal(t, 41, len(evs[0].Bytes()))
}

func TestEventsThatContradictThemselvesArePassedOver(t *testing.T) {
	good := mustHex(t, eventHex)
	var capture []byte
	capture = append(capture, mustHex(t, headerHex)...)
	for _, at := range []struct {
		off int
		v   uint32
	}{{26, 20}, {26, 4000}, {32, 33}, {32, 1 << 31}, {36, 0xffffffff}} {
		bad := bytes.Clone(good)
		binary.LittleEndian.PutUint32(bad[at.off:], at.v)
		capture = append(append(capture, bad...), good...)
	}
	capture = append(capture, mustHex(t, "aa0a0000 10000000 01020304 10000000")...) // a block of unknown type
	capture = append(capture, good...)
	r, evs := mustRead(t, capture, Options{})
	require.Len(t, evs, 6)
	require.Equal(t, uint64(5), r.Counts().Corrupt)
	require.Equal(t, uint64(1), r.Counts().SkippedBlocks)
	st, err := r.Stats()
	require.NoError(t, err)
	require.Equal(t, scap.Stats{Seen: 11, Delivered: 6, Drops: scap.Drops{Other: 5}}, st)
}

func TestTooLongBlocksArePassedOver(t *testing.T) {
	b := mustHex(t, headerHex)
	b, at := beginBlock(b, binary.LittleEndian, eventV2)
	b = append(b, make([]byte, 100_000)...)
	b = endBlock(b, binary.LittleEndian, at)
	b, at = beginBlock(b, binary.LittleEndian, eventFlagsV1)
	b = append(b, make([]byte, 4)...)
	b = endBlock(b, binary.LittleEndian, at)
	b = append(b, mustHex(t, eventHex)...)
	r, evs := mustRead(t, b, Options{})
	require.Len(t, evs, 1)
	require.Equal(t, uint64(2), r.Counts().Corrupt)
}

func TestLimitsOfWriters(t *testing.T) {
	w, err := NewWriter(io.Discard, WriterOptions{})
	require.NoError(t, err)
	// 65536 bytes are the largest block, without type and length.
	fits := mustEvent(t, event.TypeReadExit, 1, 1, 0, make([]byte, 65476), 0, uint32(0))
	require.NoError(t, w.Write(fits))
	require.ErrorIs(t, w.Write(mustEvent(t, event.TypeReadExit, 1, 1, 0, make([]byte, 65478), 0, uint32(0))), event.ErrTooLarge)
	require.NoError(t, w.Write(fits), "an event that does not fit does not end the capture")
	require.ErrorIs(t, w.Write(&event.Event{}), event.ErrTruncated)
	big := mustEvent(t, event.TypeAsynceventEnter, 1, 1, uint32(1), "x", make([]byte, 1<<20))
	_, evs := mustRead(t, mustCapture(t, WriterOptions{}, fits, big), Options{})
	require.Equal(t, []*event.Event{fits, big}, evs)
}

func TestAFullDiskIsToldAtOnceAndEveryTime(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this system")
	}
	for _, compress := range []bool{false, true} {
		f, err := Create("/dev/full", FileOptions{WriterOptions: WriterOptions{Compress: compress}})
		if !compress {
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.EqualError(t, err, "/dev/full: write capture: write /dev/full: no space left on device")
			continue
		}
		require.NoError(t, err)
		require.NoError(t, f.Write(someEvents(t)[0]))
		require.ErrorIs(t, f.Close(), syscall.ENOSPC)
	}
}

// failing accepts a limited number of bytes, like a full disk.
type failing struct {
	bytes.Buffer
	room int
}

func (f *failing) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	f.Buffer.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func TestWhatWasWrittenBeforeAFailureCanBeRead(t *testing.T) {
	out := &failing{room: 1 << 20}
	w, err := NewWriter(out, WriterOptions{State: someState()})
	require.NoError(t, err)
	err = synth.Write(w, 100_000)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorIs(t, w.Write(someEvents(t)[0]), syscall.ENOSPC)
	require.ErrorIs(t, w.Close(), syscall.ENOSPC)
	r, err := NewReader(&out.Buffer, Options{})
	require.NoError(t, err)
	evs, err := delivered(t, r)
	require.ErrorIs(t, err, ErrTruncated)
	require.Greater(t, len(evs), 10_000)
}

func TestWhatIsWholeAfterAFailureIsKnown(t *testing.T) {
	for _, compress := range []bool{false, true} {
		out := &failing{room: 1_000_001}
		w, err := NewWriter(out, WriterOptions{Compress: compress})
		require.NoError(t, err)
		_, ok := w.whole()
		require.Equal(t, !compress, ok)
		require.ErrorIs(t, synth.Write(w, 100_000), syscall.ENOSPC)
		n, ok := w.whole() // before Close: nothing is written after this
		require.True(t, ok)
		require.ErrorIs(t, w.Close(), syscall.ENOSPC)
		require.Less(t, n, int64(out.Len()), "a part of a block or member was written")
		_, evs := mustRead(t, out.Bytes()[:n], Options{})
		require.Greater(t, len(evs), 5_000)
	}
}

func TestCompressedCapturesAreManyMembers(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, WriterOptions{Compress: true, Level: 1})
	require.NoError(t, err)
	require.NoError(t, synth.Write(w, 50_000))
	require.NoError(t, w.Close())
	members := 0
	in := bytes.NewReader(out.Bytes())
	z, err := gzip.NewReader(in)
	for ; err == nil; err = z.Reset(in) {
		z.Multistream(false)
		_, err := io.Copy(io.Discard, z)
		require.NoError(t, err)
		members++
	}
	require.ErrorIs(t, err, io.EOF)
	require.Greater(t, members, 2)
	_, evs := mustRead(t, out.Bytes(), Options{})
	require.Len(t, evs, 50_000)

	_, err = NewWriter(io.Discard, WriterOptions{Compress: true, Level: 99})
	require.Error(t, err)
}

func TestFlushedCompressedEventsReachTheOutput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.scap.gz")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	w, err := NewWriter(f, WriterOptions{Compress: true})
	require.NoError(t, err)
	require.NoError(t, w.Write(someEvents(t)[0]))
	require.NoError(t, w.Flush())
	require.Eventually(t, func() bool { return w.Written() > 0 }, 10*time.Minute, time.Millisecond)
	raw, err := os.ReadFile(path) // as after a crash: no Close
	require.NoError(t, err)
	_, evs := mustRead(t, raw, Options{})
	require.Equal(t, someEvents(t)[:1], evs)
	require.NoError(t, w.Close())
}

func TestCompatWritesOnlyWhatAllReadersKnow(t *testing.T) {
	own := mustEvent(t, event.TypeGetppidExit, 700, 15, 1)
	enter := mustEvent(t, 0x8000, 701, 15)
	socket := mustEvent(t, event.TypeSocketExit, 800, 15, 3, uint32(2), uint32(1), uint32(0), uint32(4))
	fcntl := mustEvent(t, event.TypeFcntlExit, 900, 15, 0, 3, uint8(3), uint64(9))
	closeRange := mustEvent(t, event.TypeCloseRangeExit, 1000, 15, 0, uint32(3), uint32(4), uint32(0))
	task := mustEvent(t, 432, 1001, 15, nil, nil, nil)
	unknown := mustEvent(t, 9999, 1100, 15)
	ids := map[event.Type][2]uint16{event.TypeGetppidExit: {50, 110}, event.TypeCloseRangeExit: {392, 436}}
	capture := mustCapture(t, WriterOptions{Compat: true, Generic: func(tt event.Type) (uint16, uint16) {
		return ids[tt][0], ids[tt][1]
	}}, own, enter, socket, fcntl, closeRange, task, unknown)
	_, evs := mustRead(t, capture, Options{Raw: true})
	require.Equal(t, []*event.Event{
		mustEvent(t, 1, 700, 15, uint16(50), uint16(110)),
		mustEvent(t, event.TypeSocketExit, 800, 15, 3, uint32(2), uint32(1), uint32(0)),
		mustEvent(t, event.TypeFcntlExit, 900, 15, 0, 3, uint8(3)),
		mustEvent(t, 1, 1000, 15, uint16(392), uint16(436)),
		unknown,
	}, evs)
	for _, ev := range evs {
		require.Equal(t, Supported, SupportOf(ev))
	}
}
