// SPDX-License-Identifier: Apache-2.0

package scaptest

import (
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
)

func mustEvent(tb testing.TB, ts uint64) []byte {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeCloseExit, ts, 1, 0)
	raw, err := b.End()
	require.NoError(tb, err)
	return slices.Clone(raw)
}

func TestSourceDeliversWhatItWasGiven(t *testing.T) {
	s := New(mustEvent(t, 1))
	s.AddError(scap.ErrTimeout)
	s.Add(mustEvent(t, 2), 7)
	s.Add(mustEvent(t, 3), 7)
	s.AddDrops(scap.Drops{TooLarge: 2})

	ev, err := s.Next()
	require.NoError(t, err)
	require.EqualValues(t, 1, ev.Timestamp())
	ev, err = s.Next()
	require.ErrorIs(t, err, scap.ErrTimeout)
	require.Nil(t, ev)
	evs := make([]event.Event, 5)
	n, err := s.ReadBatch(evs)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.EqualValues(t, 2, evs[0].Timestamp())
	require.EqualValues(t, 3, evs[1].Timestamp())
	require.Equal(t, 7, evs[1].CPU())
	n, err = s.ReadBatch(evs)
	require.ErrorIs(t, err, io.EOF)
	require.Zero(t, n)

	s.Add(mustEvent(t, 4), 0)
	require.NoError(t, s.NextInto(&evs[0]))
	stats, err := s.Stats()
	require.NoError(t, err)
	require.Equal(t, scap.Stats{Seen: 6, Delivered: 4, Drops: scap.Drops{TooLarge: 2}}, stats)

	require.NoError(t, s.Close())
	RequireClosed(t, s)
}

func TestABatchEndsBeforeAFailure(t *testing.T) {
	s := New(mustEvent(t, 1))
	s.AddError(io.ErrUnexpectedEOF)
	evs := make([]event.Event, 5)
	n, err := s.ReadBatch(evs)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = s.ReadBatch(evs)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestPoisonShowsViewsKeptForTooLong(t *testing.T) {
	s := New(mustEvent(t, 1), mustEvent(t, 2))
	s.Poison = true
	ev, err := s.Next()
	require.NoError(t, err)
	first := *ev
	require.EqualValues(t, 1, first.Timestamp())
	_, err = s.Next()
	require.NoError(t, err)
	require.Equal(t, uint64(0xdbdbdbdbdbdbdbdb), first.Timestamp())
}

func TestWhatIsNotAnEventIsReported(t *testing.T) {
	s := New([]byte("short"))
	_, err := s.Next()
	require.ErrorIs(t, err, event.ErrTruncated)
	require.ErrorContains(t, err, "event 0")
}
