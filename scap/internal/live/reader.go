// SPDX-License-Identifier: Apache-2.0

package live

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/scaplab/scaplab/scap/internal/merge"
)

// ErrBusy means that the next record of a ring is reserved but not yet complete.
var ErrBusy = errors.New("record is not complete")

// Ring is memory to which a driver writes records, one event each. It is read in
// place.
type Ring interface {
	// Look loads how far the driver has written.
	Look()
	// Head returns the record at the ring's position if Look has seen it, else
	// nil. The error is ErrBusy, or says what is wrong with the ring. The latter
	// is returned once, and reading can go on.
	Head() ([]byte, error)
	// Advance moves past the record of the last Head or Advance and returns what
	// Head does for the next. The memory of records stays unchanged until Publish.
	Advance() ([]byte, error)
	// Publish returns all memory before the ring's position to the driver.
	Publish()
	// Size returns the size in bytes.
	Size() int
	// CPU returns the value of Event.CPU for events of the ring.
	CPU() int
}

// clockStep is how far a timestamp can be ahead of the clock. If it is further ahead,
// the clock was set back after the event.
const clockStep = uint64(time.Second)

// Reader merges rings by timestamp.
//
// It works in passes. A pass takes what all rings held when it began, lowest
// timestamp first. Later events are newer, except those that were incomplete at that
// moment. A pass loads each ring's position once (a cache miss if a producer is
// active), rather than once per event.
type Reader struct {
	rings []input
	order merge.Heap // rings with a complete head
	stuck []int      // rings whose head is busy
	last  int        // the ring whose head was handed out by the last Step; -1: none

	// now returns the time in ns; nil if incomplete events are visible at a ring's
	// head. A pass hands out events up to the time of its start, the horizon, since
	// another ring may still get an event older than a later one.
	now     func() uint64
	horizon uint64
}

// input is a ring with its head.
type input struct {
	Ring
	head []byte
	// owed is the approximate number of bytes handed out, one record at a time,
	// since the last Publish. At the limit the ring publishes within a pass.
	owed, limit int
}

// publish returns all memory that was handed out.
func (in *input) publish() {
	in.owed = 0
	in.Publish()
}

// NewReader returns a reader of rings; now is as for [New].
func NewReader(rings []Ring, now func() uint64) *Reader {
	r := &Reader{
		rings: make([]input, 0, len(rings)),
		order: merge.New(len(rings)),
		stuck: make([]int, 0, len(rings)),
		last:  -1,
		now:   now,
	}
	for _, ring := range rings {
		r.add(ring)
	}
	return r
}

// add adds a ring, which is read from the next pass on.
func (r *Reader) add(ring Ring) {
	r.rings = append(r.rings, input{Ring: ring, limit: ring.Size() / 16})
}

// Release returns the memory of everything handed out before.
func (r *Reader) Release() error {
	err := r.advance(true)
	for i := range r.rings {
		r.rings[i].publish()
	}
	return err
}

// advance moves past the record handed out last. keep means that it is still in use.
func (r *Reader) advance(keep bool) error {
	if r.last < 0 {
		return nil
	}
	i := r.last
	in := &r.rings[i]
	r.last = -1
	size := len(in.head)
	head, err := in.Advance()
	if !keep {
		if in.owed += (size + 15) &^ 7; in.owed >= in.limit { // the record with its header and padding
			in.publish()
		}
	}
	if head != nil {
		in.head = head
		r.order.Fix(timestamp(head))
		return nil
	}
	r.order.Pop()
	return r.without(i, err)
}

// without records that a ring has no complete head.
func (r *Reader) without(i int, err error) error {
	if err == ErrBusy {
		r.stuck = append(r.stuck, i)
		return nil
	}
	return err
}

// Step returns the next record and the index of its ring; nil if there is none now.
// keep means that records handed out before are still in use.
func (r *Reader) Step(keep bool) (record []byte, ring int, err error) {
	if err := r.advance(keep); err != nil {
		return nil, 0, err
	}
	if len(r.stuck) > 0 {
		if err := r.unstick(); err != nil {
			return nil, 0, err
		}
	}
	if !r.ready() {
		if keep {
			return nil, 0, nil
		}
		if err := r.pass(); err != nil {
			return nil, 0, err
		}
		if !r.ready() {
			return nil, 0, nil
		}
	}
	r.last = r.order.Min()
	return r.rings[r.last].head, r.last, nil
}

// ready reports whether the oldest record may be handed out in this pass.
func (r *Reader) ready() bool {
	return r.order.Len() > 0 && (r.now == nil || timestamp(r.rings[r.order.Min()].head) <= r.horizon)
}

// unstick tries again the rings that had a busy head.
func (r *Reader) unstick() error {
	stuck := r.stuck
	r.stuck = r.stuck[:0]
	var first error
	for _, i := range stuck {
		if _, err := r.push(i); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// push adds the head of a ring that had none, and reports whether there is one.
func (r *Reader) push(i int) (bool, error) {
	head, err := r.rings[i].Head()
	if head == nil {
		return false, r.without(i, err)
	}
	r.rings[i].head = head
	r.order.Push(i, timestamp(head))
	return true, nil
}

func (r *Reader) pass() error {
	if r.now != nil {
		r.horizon = r.now()
	}
	r.stuck = r.stuck[:0]
	r.order.Reset()
	for i := range r.rings {
		r.rings[i].publish()
		r.rings[i].Look()
	}
	var first error
	for i := range r.rings {
		found, err := r.push(i)
		if err != nil && first == nil {
			first = err
		}
		if !found {
			r.rings[i].Publish() // of records that Head skipped
		}
	}
	if r.now != nil && r.order.Len() > 0 {
		if oldest := timestamp(r.rings[r.order.Min()].head); oldest > r.horizon+clockStep {
			r.horizon = oldest
		}
	}
	return first
}

func timestamp(record []byte) uint64 {
	if len(record) < 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(record)
}
