// SPDX-License-Identifier: Apache-2.0

// Package live has what the live sources, ebpf and kmod, share: reading several rings
// as one source, waiting, closing, and checking options. A driver adds its [Engine]
// and its rings.
package live

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
)

// The time to sleep when the rings are empty. It doubles from firstSleep up to
// lastSleep while no event comes.
const (
	firstSleep = 500 * time.Microsecond
	lastSleep  = 30 * time.Millisecond
)

// Engine is a running driver. Source calls its methods one at a time, and not after
// Close.
type Engine interface {
	// Wait sleeps for at most d. A driver that wakes its readers ends the sleep
	// when there is something to read.
	Wait(d time.Duration) error
	// Stats returns the driver's counts; Source ignores Delivered.
	Stats() scap.Stats
	Select(sel scap.Selection) error
	SetSnaplen(n int) error
	// Self returns what scap.Live.Self does.
	Self() event.PID
	// Close stops the driver, then takes the last counts, then frees the rings'
	// memory.
	Close() (scap.Stats, error)
}

// Grower is an Engine that may get more rings while it runs.
type Grower interface {
	// Grow returns the rings that came since it was last called.
	Grow() ([]Ring, error)
}

// Source reads the rings of an engine. It has all methods of a [scap.Live].
type Source struct {
	engine  Engine
	timeout time.Duration

	closing     atomic.Bool // set before mu is taken, so that a waiting read ends
	interrupted atomic.Bool
	rings       atomic.Int32

	mu     sync.Mutex
	reader *Reader
	cpus   []int // of the rings
	ev     event.Event
	handed uint64     // events handed out
	grown  uint64     // of them, when it was last looked for new rings
	last   scap.Stats // as of Close
	closed bool
}

var _ scap.Live = (*Source)(nil)

// New returns a source of an engine and its rings. now is the clock of the events'
// timestamps, for rings that do not show incomplete events; nil for others.
func New(engine Engine, rings []Ring, timeout time.Duration, now func() uint64) *Source {
	s := &Source{engine: engine, timeout: timeout, reader: NewReader(rings, now)}
	for _, r := range rings {
		s.cpus = append(s.cpus, r.CPU())
	}
	s.rings.Store(int32(len(rings)))
	return s
}

// Next returns the next event.
func (s *Source) Next() (*event.Event, error) {
	if err := s.NextInto(&s.ev); err != nil {
		return nil, err
	}
	return &s.ev, nil
}

// NextInto is Next into the caller's Event.
func (s *Source) NextInto(ev *event.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	if err := s.growSometimes(); err != nil {
		return err
	}
	record, ring, err := s.reader.Step(false)
	if record == nil && err == nil {
		record, ring, err = s.await()
	}
	if err != nil {
		return err
	}
	return s.hand(ev, record, ring)
}

// ReadBatch fills evs with the events that are ready. It waits for the first one
// only.
func (s *Source) ReadBatch(evs []event.Event) (int, error) {
	if len(evs) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, os.ErrClosed
	}
	if err := s.reader.Release(); err != nil {
		return 0, err
	}
	if err := s.growSometimes(); err != nil {
		return 0, err
	}
	record, ring, err := s.reader.Step(false)
	if record == nil && err == nil {
		record, ring, err = s.await()
	}
	for i := range evs {
		if i > 0 {
			record, ring, err = s.reader.Step(true)
		}
		if err != nil || record == nil {
			return i, err
		}
		if err := s.hand(&evs[i], record, ring); err != nil {
			return i, err
		}
	}
	return len(evs), nil
}

// hand makes ev a view of record. A record that is not an event means that the
// driver does not match this package; reading can go on after it.
func (s *Source) hand(ev *event.Event, record []byte, ring int) error {
	if err := ev.Reset(record, s.cpus[ring]); err != nil {
		return fmt.Errorf("record of %d bytes in ring %d: %w", len(record), ring, err)
	}
	s.handed++
	return nil
}

// await polls until there is an event or the timeout has passed.
func (s *Source) await() (record []byte, ring int, err error) {
	deadline := time.Now().Add(s.timeout)
	for delay := firstSleep; ; delay = min(2*delay, lastSleep) {
		if err := s.grow(); err != nil {
			return nil, 0, err
		}
		if s.closing.Load() {
			return nil, 0, os.ErrClosed
		}
		left := time.Until(deadline)
		if left <= 0 || s.interrupted.Swap(false) {
			return nil, 0, scap.ErrTimeout
		}
		if err := s.engine.Wait(min(delay, left)); err != nil {
			return nil, 0, fmt.Errorf("wait for events: %w", err)
		}
		if record, ring, err = s.reader.Step(false); record != nil || err != nil {
			return record, ring, err
		}
	}
}

// growBetween is how many events are read between two looks for new rings, if no read has to wait.
const growBetween = 1 << 16

// growSometimes looks for new rings while events never end.
func (s *Source) growSometimes() error {
	if s.handed-s.grown < growBetween {
		return nil
	}
	return s.grow()
}

func (s *Source) grow() error {
	s.grown = s.handed
	g, ok := s.engine.(Grower)
	if !ok {
		return nil
	}
	rings, err := g.Grow()
	for _, r := range rings {
		s.reader.add(r)
		s.cpus = append(s.cpus, r.CPU())
		s.rings.Add(1)
	}
	if err != nil {
		return fmt.Errorf("add a CPU: %w", err)
	}
	return nil
}

// Interrupt makes the read that waits now, or the next one that would wait, return
// ErrTimeout within lastSleep.
func (s *Source) Interrupt() { s.interrupted.Store(true) }

// Select changes what is captured.
func (s *Source) Select(sel scap.Selection) error {
	return s.Do(func() error { return s.engine.Select(sel) })
}

// SetSnaplen changes the limit on payload bytes per event.
func (s *Source) SetSnaplen(n int) error {
	return s.Do(func() error { return s.engine.SetSnaplen(n) })
}

// Do calls f while nothing else uses the engine. The error is os.ErrClosed after
// Close.
func (s *Source) Do(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	return f()
}

// Self returns the pid of this process as events have it; 0: not known.
func (s *Source) Self() (pid event.PID) {
	_ = s.Do(func() error { pid = s.engine.Self(); return nil }) // closed: not known
	return pid
}

// Rings returns the number of rings.
func (s *Source) Rings() int { return int(s.rings.Load()) }

// Stats counts events since the start. Events that are still in the rings count as
// seen, but neither as delivered nor as dropped.
func (s *Source) Stats() (scap.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.last, nil
	}
	return s.count(s.engine.Stats()), nil
}

func (s *Source) count(stats scap.Stats) scap.Stats {
	stats.Delivered = s.handed
	return stats
}

// Close ends the capture. A read that waits in another goroutine ends with
// os.ErrClosed.
func (s *Source) Close() error {
	s.closing.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	s.closed = true
	stats, err := s.engine.Close()
	s.last = s.count(stats)
	return err
}
