// SPDX-License-Identifier: Apache-2.0

// Package scaptest has a source for tests that delivers given events.
package scaptest

import (
	"fmt"
	"io"
	"os"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
)

// Source delivers given events. The zero value is a source at its end; more
// events may be added while it is read.
type Source struct {
	steps  []step
	at     int
	ev     event.Event
	stats  scap.Stats
	closed bool
	// lent are the events of the last read. With Poison the next read overwrites
	// them, so that a reader that keeps views for too long fails its test.
	lent [][]byte
	// Poison overwrites events once they are no longer valid.
	Poison bool
}

type step struct {
	raw []byte
	cpu int
	err error
}

var _ scap.Source = (*Source)(nil)

// New returns a source of whole events, all of CPU 0.
func New(raw ...[]byte) *Source {
	s := &Source{}
	for _, b := range raw {
		s.Add(b, 0)
	}
	return s
}

// Add appends one event; raw is copied.
func (s *Source) Add(raw []byte, cpu int) {
	s.steps = append(s.steps, step{raw: append([]byte(nil), raw...), cpu: cpu})
}

// Forget forgets the events that were read, for sources without an end.
func (s *Source) Forget() { s.steps, s.at = append([]step(nil), s.steps[s.at:]...), 0 }

// AddError makes the source fail once, for instance with scap.ErrTimeout,
// before the events added later.
func (s *Source) AddError(err error) { s.steps = append(s.steps, step{err: err}) }

// AddDrops counts lost events.
func (s *Source) AddDrops(d scap.Drops) {
	s.stats.Drops = s.stats.Drops.Add(d)
	s.stats.Seen += d.Total()
}

func (s *Source) begin() error {
	for i, b := range s.lent {
		for j := range b {
			b[j] = 0xdb
		}
		s.lent[i] = nil
	}
	s.lent = s.lent[:0]
	if s.closed {
		return os.ErrClosed
	}
	return nil
}

func (s *Source) next(ev *event.Event) error {
	if s.at == len(s.steps) {
		return io.EOF
	}
	st := s.steps[s.at]
	s.at++
	if st.err != nil {
		return st.err
	}
	if err := ev.Reset(st.raw, st.cpu); err != nil {
		return fmt.Errorf("event %d: %w", s.at-1, err)
	}
	if s.Poison {
		s.lent = append(s.lent, st.raw)
	}
	s.stats.Seen++
	s.stats.Delivered++
	return nil
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
	if err := s.begin(); err != nil {
		return err
	}
	return s.next(ev)
}

// ReadBatch reads up to the next error that AddError added.
func (s *Source) ReadBatch(evs []event.Event) (int, error) {
	if err := s.begin(); err != nil {
		return 0, err
	}
	for i := range evs {
		if i > 0 && (s.at == len(s.steps) || s.steps[s.at].err != nil) {
			return i, nil
		}
		if err := s.next(&evs[i]); err != nil {
			return i, err
		}
	}
	return len(evs), nil
}

// Stats counts the delivered events and the drops of AddDrops.
func (s *Source) Stats() (scap.Stats, error) { return s.stats, nil }

// Close ends the source.
func (s *Source) Close() error {
	if err := s.begin(); err != nil {
		return err
	}
	s.closed = true
	return nil
}
