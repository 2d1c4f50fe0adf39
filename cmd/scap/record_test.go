// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/scap/scaptest"
)

// ring is a live source with a ring that overflows: events come all the time while it is selected.
type ring struct {
	*scaptest.Source
	tb     testing.TB
	ts     uint64
	paused bool
	left   int // in the ring once it is paused
	read   chan struct{}
}

func (r *ring) Select(sel scap.Selection) error {
	r.paused = !sel.All && len(sel.Syscalls) == 0
	return nil
}
func (r *ring) SetSnaplen(int) error { return nil }
func (r *ring) Self() event.PID      { return 77 }
func (r *ring) Rings() int           { return 1 }
func (r *ring) Interrupt()           {}

func (r *ring) ReadBatch(evs []event.Event) (int, error) {
	if r.paused {
		if r.left == 0 {
			return 0, scap.ErrTimeout
		}
		r.left--
	}
	r.ts++
	evs[0] = *mustEvent(r.tb, event.TypeCloseExit, r.ts, 10, func(b *event.Builder) { b.AddInt64(0); b.AddInt64(3) }, 2)
	select {
	case r.read <- struct{}{}:
	default:
	}
	return 1, nil
}

func TestRingsAreReadWhileTheStateIs(t *testing.T) {
	src := &ring{Source: scaptest.New(), tb: t, read: make(chan struct{})}
	want := &proc.State{Machine: proc.Machine{Hostname: "scanned"}}
	events := 0
	h, state, err := readDuring(t.Context(), src, maxHeld, func(ctx context.Context) (*proc.State, error) {
		for range 1000 { // the scan lasts until that many were read
			<-src.read
			events++
		}
		require.NoError(t, ctx.Err())
		return want, nil
	})
	require.NoError(t, err)
	require.Same(t, want, state)
	evs := make([]event.Event, 300)
	for next := uint64(1); next <= 1200; { // those that were held, then the ring's
		n, err := h.ReadBatch(evs)
		require.NoError(t, err)
		for i := range evs[:n] {
			require.Equal(t, next, evs[i].Timestamp())
			next++
		}
	}
}

func TestAScanEndsWhenItsEventsTakeTooMuchMemoryOrTheCaptureEnds(t *testing.T) {
	untilDone := func(ctx context.Context) (*proc.State, error) {
		<-ctx.Done()
		return &proc.State{}, nil
	}
	src := &ring{Source: scaptest.New(), tb: t}
	h, _, err := readDuring(t.Context(), src, 3<<20, untilDone)
	require.NoError(t, err)
	require.Greater(t, len(h.first), 10_000)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, state, err := readDuring(ctx, src, maxHeld, untilDone)
	require.NoError(t, err)
	require.NotNil(t, state)

	bad := errors.New("bad")
	broken := scaptest.New()
	broken.AddError(bad)
	_, _, err = readDuring(t.Context(), struct {
		*scaptest.Source
		rest
	}{broken, rest{}}, maxHeld, untilDone)
	require.ErrorIs(t, err, bad)
	_, _, err = readDuring(t.Context(), src, maxHeld, func(context.Context) (*proc.State, error) { return nil, bad })
	require.ErrorIs(t, err, bad)
}

// rest has the methods of a live source that a scaptest.Source lacks.
type rest struct{}

func (rest) Select(scap.Selection) error { return nil }
func (rest) SetSnaplen(int) error        { return nil }
func (rest) Self() event.PID             { return 0 }
func (rest) Rings() int                  { return 1 }
func (rest) Interrupt()                  {}

func TestASignalDuringTheScanKeepsWhatWasCaptured(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	src := &ring{Source: scaptest.New(), tb: t, left: 5, read: make(chan struct{})}
	h, state, err := readDuring(ctx, src, maxHeld, func(context.Context) (*proc.State, error) {
		for range 100 {
			<-src.read
		}
		cancel()
		return &proc.State{}, nil
	})
	require.NoError(t, err)
	heldEvents := len(h.first)
	require.GreaterOrEqual(t, heldEvents, 100)
	path := filepath.Join(t.TempDir(), "x")
	file, err := savefile.Create(path, savefile.FileOptions{WriterOptions: savefile.WriterOptions{State: state}})
	require.NoError(t, err)
	rec := &recorder{file: file, err: io.Discard, start: time.Now()}
	require.NoError(t, rec.run(ctx, h))
	require.NoError(t, rec.close())
	require.True(t, src.paused, "no event comes after the end")
	require.EqualValues(t, heldEvents+5, rec.events, "what was held, and what the ring had")
	require.EqualValues(t, rec.events, bytes.Count([]byte(mustRun(t, "read", "-r", path)), []byte("\n")))
}
