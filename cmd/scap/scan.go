// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/hold"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// scanFlags say how the state of the machine is read.
type scanFlags struct {
	root string
	time time.Duration
	fds  int
}

func (s *scanFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.root, "root", "", "the machine's root directory as seen from a container; the state is read there")
	f.DurationVar(&s.time, "scan-time", 30*time.Second, "limit on the time for reading the state")
	f.IntVar(&s.fds, "scan-fds", 0, "limit on open files that are read of one process; 0: 65536")
}

// scan reads the state of the machine, within the limits. self is the pid of this process in events.
func (s *scanFlags) scan(ctx context.Context, self event.PID) (*proc.State, error) {
	ctx, cancel := context.WithTimeout(ctx, s.time)
	defer cancel()
	return proc.Scan(ctx, proc.Options{Root: s.root, MaxFDs: s.fds, Self: self})
}

// maxHeld limits the memory for events that come while the state is read: the scan ends when they have more.
const maxHeld = 256 << 20

// held is a live source whose first events were read before they could be used.
type held struct {
	scap.Live
	first []event.Event
}

// ReadBatch returns the first events, then those of the source.
func (h *held) ReadBatch(evs []event.Event) (int, error) {
	if n := copy(evs, h.first); n > 0 {
		if h.first = h.first[n:]; len(h.first) == 0 {
			h.first = nil
		}
		return n, nil
	}
	return h.Live.ReadBatch(evs)
}

// readDuring reads src while scan runs, which anyone can make last: the rings would overflow. The state comes before the
// events in a file, and before their names in text, so the events are held in memory, at most max bytes.
func readDuring(ctx context.Context, src scap.Live, max int, scan func(context.Context) (*proc.State, error)) (*held, *proc.State, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var state *proc.State
	var scanErr error
	done := make(chan struct{})
	go func() {
		state, scanErr = scan(ctx)
		close(done)
		src.Interrupt()
	}()
	var first hold.Events
	evs := make([]event.Event, batchSize)
	for {
		n, err := src.ReadBatch(evs)
		if err != nil && !errors.Is(err, scap.ErrTimeout) {
			cancel()
			<-done
			return nil, nil, fmt.Errorf("read events during the scan: %w", err)
		}
		for i := range evs[:n] {
			first.Add(&evs[i])
		}
		if first.Size() > max {
			cancel()
		}
		select {
		case <-done:
			return &held{src, first.All()}, state, scanErr
		default:
		}
	}
}
