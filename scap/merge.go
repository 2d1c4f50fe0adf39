// SPDX-License-Identifier: Apache-2.0

package scap

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/internal/merge"
)

// mergeBatch is how many events a merge reads ahead from each source.
const mergeBatch = 64

// merged is several sources as one.
type merged struct {
	inputs []input
	order  merge.Heap
	ev     event.Event
	closed bool
}

type input struct {
	src  Source
	evs  []event.Event // storage
	at   int           // next to deliver
	n    int           // read
	done bool
}

// Merge returns a source of the events of several sources, lowest timestamp first.
// The events of each source keep their order. Merge owns the sources: Close closes
// them.
//
// An event of a live source that arrives after a newer one was returned comes out
// of order: Merge does not hold events back. If a source fails, the read fails with
// an error that has the source's index, and later reads go on without that source.
//
// Stats returns the sum over the sources. Events that Merge has read ahead, up to 64
// from each source, count as seen but not as delivered. [Events] can stop a merge
// that waits if it can stop its sources.
func Merge(sources ...Source) Source {
	m := &merged{inputs: make([]input, len(sources))}
	for i, src := range sources {
		m.inputs[i] = input{src: src, evs: make([]event.Event, mergeBatch)}
	}
	m.order = merge.New(len(sources))
	return m
}

// fill reads from every source whose events are used up. It returns [ErrTimeout] or
// [io.EOF] if there is no event at all.
func (m *merged) fill() error {
	if m.closed {
		return os.ErrClosed
	}
	idle := false
	for i := range m.inputs {
		in := &m.inputs[i]
		if in.done || in.at < in.n {
			continue
		}
		in.at, in.n = 0, 0
		n, err := in.src.ReadBatch(in.evs)
		switch {
		case err == nil && n > 0:
			in.n = n
			m.order.Push(i, in.evs[0].Timestamp())
		case err == nil, errors.Is(err, ErrTimeout):
			idle = true
		case errors.Is(err, io.EOF):
			in.done = true
		default:
			in.done = true
			return fmt.Errorf("source %d: %w", i, err)
		}
	}
	switch {
	case m.order.Len() > 0:
		return nil
	case idle:
		return ErrTimeout
	default:
		return io.EOF
	}
}

// take takes the event with the lowest timestamp. exhausted reports that its source
// must be read before the order of further events is known.
func (m *merged) take(ev *event.Event) (exhausted bool) {
	in := &m.inputs[m.order.Min()]
	*ev = in.evs[in.at]
	in.at++
	if in.at == in.n {
		m.order.Pop()
		return true
	}
	m.order.Fix(in.evs[in.at].Timestamp())
	return false
}

func (m *merged) Next() (*event.Event, error) {
	if err := m.NextInto(&m.ev); err != nil {
		return nil, err
	}
	return &m.ev, nil
}

func (m *merged) NextInto(ev *event.Event) error {
	if err := m.fill(); err != nil {
		return err
	}
	m.take(ev)
	return nil
}

func (m *merged) ReadBatch(evs []event.Event) (int, error) {
	if len(evs) == 0 {
		return 0, nil
	}
	if err := m.fill(); err != nil {
		return 0, err
	}
	for i := range evs {
		// A source that is used up cannot be read here: a read would invalidate
		// its events in evs.
		if m.take(&evs[i]) {
			return i + 1, nil
		}
	}
	return len(evs), nil
}

func (m *merged) Stats() (Stats, error) {
	var sum Stats
	for i := range m.inputs {
		s, err := m.inputs[i].src.Stats()
		if err != nil {
			return Stats{}, fmt.Errorf("source %d: %w", i, err)
		}
		sum = sum.Add(s)
		sum.Delivered -= uint64(m.inputs[i].n - m.inputs[i].at)
	}
	return sum, nil
}

// Interrupt interrupts the sources that have such a method.
func (m *merged) Interrupt() {
	for i := range m.inputs {
		if src, ok := m.inputs[i].src.(interrupter); ok {
			src.Interrupt()
		}
	}
}

func (m *merged) Close() error {
	if m.closed {
		return os.ErrClosed
	}
	m.closed = true
	var errs []error
	for i := range m.inputs {
		if err := m.inputs[i].src.Close(); err != nil {
			errs = append(errs, fmt.Errorf("source %d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}
