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

// Ring is memory that a driver writes records to, events each, read where it is.
type Ring interface {
	// Look takes note of what the driver has written up to now.
	Look()
	// Head is the record at the ring's position, among those that Look has
	// seen; nil when there is none. The error is ErrBusy, or says what is wrong with
	// the ring, once: reading can go on.
	Head() ([]byte, error)
	// Advance steps over the record of the last Head or Advance and is Head
	// of the next. The memory of records stays as it is until Publish.
	Advance() ([]byte, error)
	// Publish gives the memory of everything before the ring's position back.
	Publish()
	// Size is how many bytes there are.
	Size() int
	// CPU is what events of the ring have as theirs.
	CPU() int
}

// clockStep is how far ahead of the clock a timestamp can be before it must
// come from before the clock was set back.
const clockStep = uint64(time.Second)

// Reader merges rings by timestamp.
//
// It works in passes. A pass takes what all rings held when it began, lowest
// timestamp first; what comes later is younger than that, but for events still in
// the making at that moment. Rings are looked at anew (a cache miss each, when a
// producer is active) once per pass, not once per event.
type Reader struct {
	rings []input
	order merge.Heap // rings with a complete head
	stuck []int      // rings whose head is busy
	last  int        // the ring whose head was handed out by the last Step; -1: none

	// now tells the time, in ns; nil where a ring's head shows events that
	// are still in the making. A pass hands out what is not younger than its
	// beginning, the horizon: another ring may get something older.
	now     func() uint64
	horizon uint64
}

// input is a ring with its head.
type input struct {
	Ring
	head []byte
	// owed is about how many bytes were handed out, one record at a time, since
	// memory was given back. At the limit that is done in the middle of a pass.
	owed, limit int
}

// publish gives back everything handed out.
func (in *input) publish() {
	in.owed = 0
	in.Publish()
}

// NewReader is the reader of rings; now is as for [New].
func NewReader(rings []Ring, now func() uint64) *Reader {
	r := &Reader{
		rings: make([]input, len(rings)),
		order: merge.New(len(rings)),
		stuck: make([]int, 0, len(rings)),
		last:  -1,
		now:   now,
	}
	for i, ring := range rings {
		r.rings[i] = input{Ring: ring, limit: ring.Size() / 16}
	}
	return r
}

// Release gives back everything handed out before.
func (r *Reader) Release() error {
	err := r.advance(true)
	for i := range r.rings {
		r.rings[i].publish()
	}
	return err
}

// advance steps over what was handed out last. keep says that it is still in use.
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
		if in.owed += (size + 15) &^ 7; in.owed >= in.limit { // with what a ring needs for itself
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

// without takes note that a ring has no complete head.
func (r *Reader) without(i int, err error) error {
	if err == ErrBusy {
		r.stuck = append(r.stuck, i)
		return nil
	}
	return err
}

// Step hands out the next record and the number of its ring; nil when there is
// none now. keep says that records handed out before are still in use.
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

// unstick looks again at rings that had a busy head.
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

// push takes up the head of a ring that was without one, and reports whether
// there is one.
func (r *Reader) push(i int) (bool, error) {
	head, err := r.rings[i].Head()
	if head == nil {
		return false, r.without(i, err)
	}
	r.rings[i].head = head
	r.order.Push(i, timestamp(head))
	return true, nil
}

// pass begins a pass.
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
			r.rings[i].Publish() // of records that Head passed over
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
