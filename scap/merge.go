// SPDX-License-Identifier: Apache-2.0

package scap

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/scaplab/scaplab/scap/event"
)

// Order keeps numbered heads (of sources, of rings) by timestamp: a binary
// heap. Heads of equal timestamps come by number, so that a merge of the same
// input is always the same. The zero value is empty.
type Order struct {
	heap []head
}

type head struct {
	ts  uint64
	num int
}

func (a head) before(b head) bool { return a.ts < b.ts || a.ts == b.ts && a.num < b.num }

// Len is the number of heads.
func (o *Order) Len() int { return len(o.heap) }

// Reset takes all heads out.
func (o *Order) Reset() { o.heap = o.heap[:0] }

// Min is the number of the head with the lowest timestamp; there must be one.
func (o *Order) Min() int { return o.heap[0].num }

// Push puts head num in.
func (o *Order) Push(num int, ts uint64) {
	o.heap = append(o.heap, head{ts, num})
	i := len(o.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !o.heap[i].before(o.heap[up]) {
			break
		}
		o.heap[i], o.heap[up] = o.heap[up], o.heap[i]
		i = up
	}
}

// Fix gives the lowest head its next timestamp.
func (o *Order) Fix(ts uint64) {
	o.heap[0].ts = ts
	o.down()
}

// Pop takes the lowest head out.
func (o *Order) Pop() {
	last := len(o.heap) - 1
	o.heap[0] = o.heap[last]
	o.heap = o.heap[:last]
	o.down()
}

func (o *Order) down() {
	h := o.heap
	for i := 0; ; {
		low := i
		if l := 2*i + 1; l < len(h) && h[l].before(h[low]) {
			low = l
		}
		if r := 2*i + 2; r < len(h) && h[r].before(h[low]) {
			low = r
		}
		if low == i {
			return
		}
		h[i], h[low] = h[low], h[i]
		i = low
	}
}

// mergeBatch is how many events a merge holds of each source.
const mergeBatch = 64

// merge is several sources as one.
type merge struct {
	inputs []input
	order  Order
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

// Merge is one source of all events of several, lowest timestamp first, each
// source's own events in their order. It owns the sources: Close closes them.
//
// An event of a live source that comes later than one with a higher timestamp
// was delivered stands where it came; there is no delay to wait for it. When one
// source fails the merge fails, naming it by its place, and can be read on
// without it.
func Merge(sources ...Source) Source {
	m := &merge{inputs: make([]input, len(sources))}
	for i, src := range sources {
		m.inputs[i] = input{src: src, evs: make([]event.Event, mergeBatch)}
	}
	m.order.heap = make([]head, 0, len(sources))
	return m
}

// fill reads from every source whose events are used up. It gives [ErrTimeout] or
// [io.EOF] when there is no event at all.
func (m *merge) fill() error {
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

// take is the lowest event; exhausted tells that its source must be read
// before the order of further events is known.
func (m *merge) take(ev *event.Event) (exhausted bool) {
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

func (m *merge) Next() (*event.Event, error) {
	if err := m.NextInto(&m.ev); err != nil {
		return nil, err
	}
	return &m.ev, nil
}

func (m *merge) NextInto(ev *event.Event) error {
	if err := m.fill(); err != nil {
		return err
	}
	m.take(ev)
	return nil
}

func (m *merge) ReadBatch(evs []event.Event) (int, error) {
	if len(evs) == 0 {
		return 0, nil
	}
	if err := m.fill(); err != nil {
		return 0, err
	}
	for i := range evs {
		// A source that is used up cannot be read here: that would end the
		// life of its events in evs.
		if m.take(&evs[i]) {
			return i + 1, nil
		}
	}
	return len(evs), nil
}

func (m *merge) Stats() (Stats, error) {
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

func (m *merge) Close() error {
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
