// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/scaptest"
)

// fakeRing holds records; a nil record is busy until complete is set.
type fakeRing struct {
	cpu       int
	records   [][]byte
	at        int // of the head
	seen      int // by Look
	given     int // back by Publish
	err       error
	complete  bool
	published int
}

func (r *fakeRing) Look() { r.seen = len(r.records) }

func (r *fakeRing) Head() ([]byte, error) {
	if err := r.err; err != nil {
		r.err = nil
		return nil, err
	}
	if r.at == r.seen {
		return nil, nil
	}
	if r.records[r.at] == nil && !r.complete {
		return nil, ErrBusy
	}
	return r.records[r.at], nil
}

func (r *fakeRing) Advance() ([]byte, error) {
	r.at++
	return r.Head()
}

func (r *fakeRing) Publish() {
	r.published++
	r.given = r.at
}
func (r *fakeRing) Size() int { return 1 << 20 }
func (r *fakeRing) CPU() int  { return r.cpu }

// fakeEngine calls wait where a driver would sleep.
type fakeEngine struct {
	wait     func() error
	stats    scap.Stats
	selected []scap.Selection
	snaplen  int
	closed   bool
}

func (e *fakeEngine) Wait(time.Duration) error {
	if e.wait == nil {
		return nil
	}
	return e.wait()
}
func (e *fakeEngine) Stats() scap.Stats { return e.stats }
func (e *fakeEngine) Select(sel scap.Selection) error {
	e.selected = append(e.selected, sel)
	return nil
}
func (e *fakeEngine) SetSnaplen(n int) error { e.snaplen = n; return nil }
func (e *fakeEngine) Self() event.PID        { return 4711 }
func (e *fakeEngine) Close() (scap.Stats, error) {
	e.closed = true
	return e.stats, nil
}

func mustRecord(tb testing.TB, ts uint64) []byte {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeCloseExit, ts, 1, 0)
	raw, err := b.End()
	require.NoError(tb, err)
	return slices.Clone(raw)
}

// growing is an engine that gets a ring.
type growing struct {
	fakeEngine
	more []Ring
}

func (g *growing) Grow() (rings []Ring, err error) {
	rings, g.more = g.more, nil
	return rings, nil
}

func TestRingsThatComeLaterAreRead(t *testing.T) {
	a := &fakeRing{cpu: 3, records: [][]byte{mustRecord(t, 1)}}
	b := &fakeRing{cpu: 5, records: [][]byte{mustRecord(t, 2)}}
	e := &growing{}
	s := New(e, []Ring{a}, time.Second, nil)
	_, err := s.Next()
	require.NoError(t, err)
	e.more = []Ring{b}
	ev, err := s.Next()
	require.NoError(t, err)
	require.Equal(t, 5, ev.CPU())
	require.Equal(t, 2, s.Rings())
}

func TestEventsOfAllRingsComeInOrder(t *testing.T) {
	a := &fakeRing{cpu: 3, records: [][]byte{mustRecord(t, 1), mustRecord(t, 4)}}
	b := &fakeRing{cpu: 5, records: [][]byte{mustRecord(t, 2), mustRecord(t, 3)}}
	s := New(&fakeEngine{}, []Ring{a, b}, -1, nil)
	require.Equal(t, 2, s.Rings())
	ev, err := s.Next()
	require.NoError(t, err)
	require.EqualValues(t, 1, ev.Timestamp())
	require.Equal(t, 3, ev.CPU())
	evs := make([]event.Event, 10)
	n, err := s.ReadBatch(evs)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, []int{5, 5, 3}, []int{evs[0].CPU(), evs[1].CPU(), evs[2].CPU()})
	require.Equal(t, 1, a.given, "what the batch holds is not given back")
	require.Zero(t, b.given)
	_, err = s.ReadBatch(evs)
	require.ErrorIs(t, err, scap.ErrTimeout)
	require.Equal(t, []int{2, 2}, []int{a.given, b.given})
	n, err = s.ReadBatch(nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestARingInTroubleIsReportedOnce(t *testing.T) {
	bad := errors.New("ring 0: bad")
	a := &fakeRing{err: bad}
	b := &fakeRing{records: [][]byte{mustRecord(t, 1), []byte("no event")}}
	s := New(&fakeEngine{}, []Ring{a, b}, -1, nil)
	_, err := s.Next()
	require.ErrorIs(t, err, bad)
	ev, err := s.Next()
	require.NoError(t, err)
	require.EqualValues(t, 1, ev.Timestamp())
	_, err = s.Next()
	require.ErrorIs(t, err, event.ErrTruncated)
	require.ErrorContains(t, err, "record of 8 bytes in ring 1")
	_, err = s.Next()
	require.ErrorIs(t, err, scap.ErrTimeout)
}

func TestAReadWaitsForEvents(t *testing.T) {
	r := &fakeRing{}
	waits := 0
	e := &fakeEngine{wait: func() error {
		if waits++; waits == 3 {
			r.records = append(r.records, mustRecord(t, 7))
		}
		return nil
	}}
	s := New(e, []Ring{r}, time.Hour, nil)
	ev, err := s.Next()
	require.NoError(t, err)
	require.EqualValues(t, 7, ev.Timestamp())
	require.Equal(t, 3, waits)

	e.wait = func() error { return os.ErrPermission }
	_, err = s.Next()
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, "wait for events")
}

func TestInterruptEndsOneWait(t *testing.T) {
	r := &fakeRing{records: [][]byte{mustRecord(t, 1)}}
	e := &fakeEngine{}
	s := New(e, []Ring{r}, time.Hour, nil)
	s.Interrupt()
	_, err := s.Next()
	require.NoError(t, err, "a read that need not wait is not interrupted")
	_, err = s.Next()
	require.ErrorIs(t, err, scap.ErrTimeout)
	e.wait = func() error {
		r.records = append(r.records, mustRecord(t, 2))
		return nil
	}
	_, err = s.Next()
	require.NoError(t, err, "the next one waits")

	e.wait = nil
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	for _, err := range scap.Events(ctx, scap.Merge(s)) {
		require.NoError(t, err)
	}
	require.Error(t, ctx.Err(), "a merge passes it on")
}

func TestCloseIsForGood(t *testing.T) {
	r := &fakeRing{records: [][]byte{mustRecord(t, 1), mustRecord(t, 2)}}
	e := &fakeEngine{stats: scap.Stats{Seen: 2}}
	waiting := make(chan struct{})
	s := New(e, []Ring{r}, time.Hour, nil)
	require.NoError(t, s.Select(scap.Selection{All: true}))
	require.NoError(t, s.SetSnaplen(10))
	require.Equal(t, []scap.Selection{{All: true}}, e.selected)
	require.Equal(t, 10, e.snaplen)
	require.EqualValues(t, 4711, s.Self())
	for range 2 {
		_, err := s.Next()
		require.NoError(t, err)
	}
	first := true
	e.wait = func() error {
		if first {
			first = false
			close(waiting)
		}
		return nil
	}
	ended := make(chan error)
	go func() {
		_, err := s.Next()
		ended <- err
	}()
	<-waiting
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-ended, os.ErrClosed)
	require.True(t, e.closed)
	scaptest.RequireClosed(t, s)
	require.ErrorIs(t, s.Select(scap.Selection{}), os.ErrClosed)
	require.ErrorIs(t, s.SetSnaplen(1), os.ErrClosed)
	require.Zero(t, s.Self())
	stats, err := s.Stats()
	require.NoError(t, err)
	require.Equal(t, scap.Stats{Seen: 2, Delivered: 2}, stats)
}

func TestABusyRecordIsTakenWhenItIsComplete(t *testing.T) {
	busy := &fakeRing{records: [][]byte{nil, mustRecord(t, 5)}}
	other := &fakeRing{records: [][]byte{mustRecord(t, 1), mustRecord(t, 9)}}
	rd := NewReader([]Ring{busy, other}, nil)
	step := func() uint64 {
		rec, _, err := rd.Step(false)
		require.NoError(t, err)
		return timestamp(rec)
	}
	require.EqualValues(t, 1, step(), "a busy record is not waited for")
	busy.records[0] = mustRecord(t, 4)
	busy.complete = true
	require.EqualValues(t, 4, step(), "nor is it left to the next pass")
	require.EqualValues(t, 5, step())
	require.EqualValues(t, 9, step())
}

func TestReadingDoesNotAllocate(t *testing.T) {
	r := &fakeRing{}
	for ts := range uint64(3000) {
		r.records = append(r.records, mustRecord(t, ts))
	}
	s := New(&fakeEngine{}, []Ring{r}, -1, nil)
	evs := make([]event.Event, 8)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := s.Next(); err != nil {
			t.Error(err)
		}
		if _, err := s.ReadBatch(evs); err != nil {
			t.Error(err)
		}
	}))
}
