// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/synth"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/scaptest"
)

// benchCapture writes a capture of n events, about 80 bytes each in the file, of
// the mix that a busy machine makes.
func benchCapture(tb testing.TB, n int) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "bench.scap")
	f, err := os.Create(path)
	require.NoError(tb, err)
	defer f.Close()
	w, err := NewWriter(f, WriterOptions{State: someState()})
	require.NoError(tb, err)
	require.NoError(tb, synth.Write(w, n))
	require.NoError(tb, w.Close())
	return path
}

func benchEvents(tb testing.TB) int {
	if testing.Short() {
		return 100_000
	}
	return 2_000_000
}

func BenchmarkRead(b *testing.B) {
	path := benchCapture(b, benchEvents(b))
	for _, mode := range []string{"Next", "ReadBatch"} {
		b.Run(mode, func(b *testing.B) {
			b.ReportAllocs()
			meter := scaptest.Measure(b)
			var events uint64
			var size int64
			for b.Loop() {
				r, err := Open(path, Options{})
				require.NoError(b, err)
				if mode == "Next" {
					var ev event.Event
					for err = r.NextInto(&ev); err == nil; err = r.NextInto(&ev) {
						events++
					}
				} else {
					evs := make([]event.Event, 256)
					var n int
					for n, err = r.ReadBatch(evs); err == nil; n, err = r.ReadBatch(evs) {
						events += uint64(n)
					}
				}
				require.ErrorIs(b, err, io.EOF)
				size += r.Offset()
				r.Close()
			}
			meter.Report(events, size)
		})
	}
}

func BenchmarkRewrite(b *testing.B) {
	path := benchCapture(b, benchEvents(b))
	for _, compress := range []bool{false, true} {
		b.Run(map[bool]string{false: "bare", true: "gzip"}[compress], func(b *testing.B) {
			b.ReportAllocs()
			meter := scaptest.Measure(b)
			var events uint64
			var size int64
			for b.Loop() {
				r, err := Open(path, Options{})
				require.NoError(b, err)
				f, err := os.Create(path + ".out")
				require.NoError(b, err)
				w, err := NewWriter(f, WriterOptions{Compress: compress})
				require.NoError(b, err)
				evs := make([]event.Event, 256)
				for {
					n, err := r.ReadBatch(evs)
					if err != nil {
						break
					}
					require.NoError(b, w.WriteBatch(evs[:n]))
				}
				require.NoError(b, w.Close())
				events += w.Events()
				size += w.Size()
				f.Close()
				r.Close()
			}
			meter.Report(events, size)
		})
	}
}

func BenchmarkReadGzip(b *testing.B) {
	path := benchCapture(b, benchEvents(b))
	raw, err := os.ReadFile(path)
	require.NoError(b, err)
	r, err := NewReader(bytes.NewReader(raw), Options{})
	require.NoError(b, err)
	var zip bytes.Buffer
	w, err := NewWriter(&zip, WriterOptions{Compress: true})
	require.NoError(b, err)
	for ev, err := r.Next(); err == nil; ev, err = r.Next() {
		require.NoError(b, w.Write(ev))
	}
	require.NoError(b, w.Close())
	b.ReportAllocs()
	meter := scaptest.Measure(b)
	var events uint64
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(zip.Bytes()), Options{})
		require.NoError(b, err)
		var ev event.Event
		for err = r.NextInto(&ev); err == nil; err = r.NextInto(&ev) {
			events++
		}
		require.ErrorIs(b, err, io.EOF)
	}
	meter.Report(events, int64(b.N)*w.Size())
}

func BenchmarkText(b *testing.B) {
	path := benchCapture(b, benchEvents(b)/4)
	b.ReportAllocs()
	meter := scaptest.Measure(b)
	var events uint64
	var line []byte
	for b.Loop() {
		r, err := Open(path, Options{})
		require.NoError(b, err)
		var ev event.Event
		for err = r.NextInto(&ev); err == nil; err = r.NextInto(&ev) {
			line = ev.AppendArgs(line[:0])
			events++
		}
		r.Close()
	}
	meter.Report(events, 0)
}

// BenchmarkConvertOld reads a capture of the first versions, whose calls are pairs of events.
func BenchmarkConvertOld(b *testing.B) {
	path := filepath.Join(b.TempDir(), "old.scap")
	f, err := os.Create(path)
	require.NoError(b, err)
	w, err := NewWriter(f, WriterOptions{})
	require.NoError(b, err)
	require.NoError(b, synth.WriteOld(w, benchEvents(b)))
	require.NoError(b, w.Close())
	require.NoError(b, f.Close())
	b.ReportAllocs()
	meter := scaptest.Measure(b)
	var read uint64
	evs := make([]event.Event, 256)
	for b.Loop() {
		r, err := Open(path, Options{})
		require.NoError(b, err)
		for err == nil {
			_, err = r.ReadBatch(evs)
		}
		require.ErrorIs(b, err, io.EOF)
		require.NotZero(b, r.Counts().Converted)
		read += r.Counts().Blocks
		require.NoError(b, r.Close())
	}
	meter.Report(read, 0)
}
