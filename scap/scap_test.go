// SPDX-License-Identifier: Apache-2.0

package scap_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/scaptest"
)

// closeEvent returns an exit event of close, identified by its fd.
func closeEvent(tb testing.TB, ts uint64, fd int64) []byte {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeCloseExit, ts, 1, 2)
	b.AddInt64(0)
	b.AddInt64(fd)
	raw, err := b.End()
	require.NoError(tb, err)
	return slices.Clone(raw)
}

func timestamps(tb testing.TB, src scap.Source) (out []uint64) {
	tb.Helper()
	for ev, err := range scap.Events(context.Background(), src) {
		require.NoError(tb, err)
		out = append(out, ev.Timestamp())
	}
	return out
}

func TestEventsRangesToTheEnd(t *testing.T) {
	src := scaptest.New(closeEvent(t, 1, 0))
	src.AddError(scap.ErrTimeout)
	src.Add(closeEvent(t, 2, 0), 3)
	require.Equal(t, []uint64{1, 2}, timestamps(t, src))
}

func TestEventsEndsWithTheFirstFailure(t *testing.T) {
	src := scaptest.New(closeEvent(t, 1, 0))
	src.AddError(io.ErrUnexpectedEOF)
	src.Add(closeEvent(t, 2, 0), 0)
	var got []error
	for ev, err := range scap.Events(context.Background(), src) {
		require.Equal(t, err == nil, ev != nil)
		got = append(got, err)
	}
	require.Equal(t, []error{nil, io.ErrUnexpectedEOF}, got)
}

func TestEventsCanBeLeft(t *testing.T) {
	src := scaptest.New(closeEvent(t, 1, 0), closeEvent(t, 2, 0))
	for range scap.Events(context.Background(), src) {
		break
	}
	ev, err := src.Next()
	require.NoError(t, err)
	require.EqualValues(t, 2, ev.Timestamp())
}

func TestEventsStopsWithItsContext(t *testing.T) {
	src := scaptest.New(closeEvent(t, 1, 0), closeEvent(t, 2, 0), closeEvent(t, 3, 0))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range scap.Events(ctx, src) {
		require.NoError(t, err)
		if n++; n == 2 {
			cancel()
		}
	}
	require.Equal(t, 2, n, "no event after ctx is done")
	ev, err := src.Next()
	require.NoError(t, err)
	require.EqualValues(t, 3, ev.Timestamp(), "and none is lost")
	for range scap.Events(ctx, src) {
		t.Error("a context that is done before the loop")
	}
}

func TestStatsAddUp(t *testing.T) {
	d := scap.Drops{BufferFull: 1, TooLarge: 2, Scratch: 3, TailCall: 4, NoRing: 5, Messages: 6, Other: 7}
	require.EqualValues(t, 28, d.Total())
	require.Equal(t, scap.Drops{2, 4, 6, 8, 10, 12, 14}, d.Add(d))
	s := scap.Stats{Seen: 37, Delivered: 9, Drops: d}
	require.Equal(t, s.Seen, s.Delivered+s.Drops.Total())
	require.Equal(t, scap.Stats{74, 18, d.Add(d)}, s.Add(s))
}

func TestMergeIsInTimestampOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, k := range []int{0, 1, 2, 3, 7, 20} {
		var all []uint64
		sources := make([]scap.Source, k)
		for i := range sources {
			src := &scaptest.Source{Poison: true}
			ts := uint64(0)
			for range r.IntN(400) {
				ts += r.Uint64N(5)
				src.Add(closeEvent(t, ts, int64(i)), i)
				all = append(all, ts)
			}
			sources[i] = src
		}
		slices.Sort(all)
		require.Equal(t, all, timestamps(t, scap.Merge(sources...)), "%d sources", k)
	}
}

func TestMergeInBatchesIsTheSame(t *testing.T) {
	for _, size := range []int{1, 2, 63, 64, 65, 1000} {
		r := rand.New(rand.NewPCG(9, 10))
		type key struct{ ts, fd, cpu uint64 }
		var want, got []key
		var sources []scap.Source
		for i := range 5 {
			src := &scaptest.Source{Poison: true}
			ts := uint64(0)
			for j := range 300 {
				ts += r.Uint64N(3)
				src.Add(closeEvent(t, ts, int64(j)), i)
				want = append(want, key{ts, uint64(j), uint64(i)})
			}
			sources = append(sources, src)
		}
		slices.SortStableFunc(want, func(a, b key) int {
			return cmp.Or(cmp.Compare(a.ts, b.ts), cmp.Compare(a.cpu, b.cpu), cmp.Compare(a.fd, b.fd))
		})
		m := scap.Merge(sources...)
		evs := make([]event.Event, size)
		for {
			n, err := m.ReadBatch(evs)
			if err == io.EOF {
				require.Zero(t, n)
				break
			}
			require.NoError(t, err)
			require.Positive(t, n)
			for i := range evs[:n] {
				ev := &evs[i]
				require.EqualValues(t, 5, ev.Type(), "an event overwritten within its life")
				got = append(got, key{ev.Timestamp(), uint64(ev.Param(1)[0]) | uint64(ev.Param(1)[1])<<8, uint64(ev.CPU())})
			}
		}
		require.Equal(t, want, got, "batches of %d", size)
		stats, err := m.Stats()
		require.NoError(t, err)
		require.Equal(t, scap.Stats{Seen: 1500, Delivered: 1500}, stats)
	}
}

func TestMergeOfLiveSources(t *testing.T) {
	a, b := &scaptest.Source{}, &scaptest.Source{}
	a.AddError(scap.ErrTimeout)
	b.AddError(scap.ErrTimeout)
	a.Add(closeEvent(t, 10, 0), 0)
	b.AddError(scap.ErrTimeout)
	b.Add(closeEvent(t, 5, 0), 0) // arrived too late to be first
	m := scap.Merge(a, b)
	_, err := m.Next()
	require.ErrorIs(t, err, scap.ErrTimeout)
	require.Equal(t, []uint64{10, 5}, timestamps(t, m))
}

func TestMergeNamesTheSourceThatFailsAndGoesOn(t *testing.T) {
	a, b := &scaptest.Source{}, scaptest.New(closeEvent(t, 1, 0), closeEvent(t, 2, 0))
	a.AddError(errors.New("disk on fire"))
	m := scap.Merge(b, a)
	_, err := m.Next()
	require.EqualError(t, err, "source 1: disk on fire")
	require.Equal(t, []uint64{1, 2}, timestamps(t, m))
}

func TestMergeStatsDoNotCountWhatIsHeldBack(t *testing.T) {
	a := scaptest.New(closeEvent(t, 1, 0), closeEvent(t, 2, 0), closeEvent(t, 3, 0))
	a.AddDrops(scap.Drops{BufferFull: 4})
	m := scap.Merge(a)
	_, err := m.Next()
	require.NoError(t, err)
	stats, err := m.Stats()
	require.NoError(t, err)
	require.Equal(t, scap.Stats{Seen: 7, Delivered: 1, Drops: scap.Drops{BufferFull: 4}}, stats)
}

func TestMergeClosesItsSources(t *testing.T) {
	a, b := &scaptest.Source{}, &scaptest.Source{}
	m := scap.Merge(a, b)
	require.NoError(t, m.Close())
	for _, src := range []scap.Source{a, b, m} {
		scaptest.RequireClosed(t, src)
	}
	require.ErrorIs(t, scap.Merge(a).Close(), os.ErrClosed)
}

func TestAnEmptyBatchReadsNothing(t *testing.T) {
	for _, src := range []scap.Source{scaptest.New(closeEvent(t, 1, 0)), scap.Merge(scaptest.New(closeEvent(t, 1, 0)))} {
		n, err := src.ReadBatch(nil)
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, []uint64{1}, timestamps(t, src))
	}
}

func TestMergeDoesNotAllocate(t *testing.T) {
	a, b := &scaptest.Source{}, &scaptest.Source{}
	for i := range uint64(1000) {
		a.Add(closeEvent(t, 2*i, 0), 0)
		b.Add(closeEvent(t, 3*i, 0), 1)
	}
	m := scap.Merge(a, b)
	require.Zero(t, testing.AllocsPerRun(1500, func() {
		if _, err := m.Next(); err != nil {
			t.Error(err)
		}
	}))
}

func BenchmarkMerge(b *testing.B) {
	raw := closeEvent(b, 1, 0)
	sources := make([]scap.Source, 8)
	for i := range sources {
		sources[i] = &endless{raw: raw}
	}
	m := scap.Merge(sources...)
	evs := make([]event.Event, 256)
	events := 0
	b.ReportAllocs()
	for b.Loop() {
		n, err := m.ReadBatch(evs)
		require.NoError(b, err)
		events += n
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

// endless delivers one event again and again.
type endless struct {
	scaptest.Source
	raw []byte
}

func (s *endless) ReadBatch(evs []event.Event) (int, error) {
	for i := range evs {
		evs[i].ResetUnchecked(s.raw, 0)
	}
	return len(evs), nil
}
