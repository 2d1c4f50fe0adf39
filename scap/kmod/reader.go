// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kmod

import (
	"encoding/binary"
	"time"

	"github.com/scaplab/scaplab/scap"
)

// How long to sleep when the rings are empty: doubled from the first to the
// last as long as nothing comes. Nobody wakes a reader.
const (
	firstSleep = 500 * time.Microsecond
	lastSleep  = 30 * time.Millisecond
)

// clockStep is how far ahead of the clock a timestamp can be before it must
// come from before the clock was set back.
const clockStep = time.Second

// reader merges rings by timestamp, in passes: a pass looks at every ring, and
// hands out what is older than the moment before it looked. Younger events wait
// for the next pass, which sees what else happened by then. Events still in
// the making at that moment may come late by the time they take.
type reader struct {
	rings   []*ring
	order   scap.Order
	heads   [][]byte
	last    int    // the ring whose head was handed out by the last step; -1: none
	horizon uint64 // of the pass
	now     func() time.Time
}

func newReader(rings []*ring) *reader {
	return &reader{rings: rings, heads: make([][]byte, len(rings)), last: -1, now: time.Now}
}

// release gives back everything handed out before.
func (r *reader) release() error {
	err := r.advance()
	for _, ring := range r.rings {
		ring.publish()
	}
	return err
}

// advance steps over what was handed out last.
func (r *reader) advance() error {
	if r.last < 0 {
		return nil
	}
	i := r.last
	r.last = -1
	ring := r.rings[i]
	ring.skip(uint32(len(r.heads[i])))
	head, err := ring.first()
	if head != nil {
		r.heads[i] = head
		r.order.Fix(timestamp(head))
		return nil
	}
	r.order.Pop()
	return err
}

// step hands out the next event; nil when there is none now. keep says that
// events handed out before are still in use.
func (r *reader) step(keep bool) (record []byte, ring int, err error) {
	last := r.last
	if err := r.advance(); err != nil {
		return nil, 0, err
	}
	if !keep && last >= 0 && r.rings[last].owed >= r.rings[last].size/16 {
		r.rings[last].publish()
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
	return r.heads[r.last], r.last, nil
}

// ready tells whether the oldest event may be handed out in this pass.
func (r *reader) ready() bool {
	return r.order.Len() > 0 && timestamp(r.heads[r.order.Min()]) <= r.horizon
}

// pass looks at all rings anew.
func (r *reader) pass() error {
	var err error
	r.horizon = uint64(r.now().UnixNano())
	r.order.Reset()
	for i, ring := range r.rings {
		ring.publish()
		ring.look()
		head, e := ring.first()
		if e != nil {
			err = e
			continue
		}
		if head == nil {
			continue
		}
		r.heads[i] = head
		r.order.Push(i, timestamp(head))
	}
	if r.order.Len() > 0 {
		if oldest := timestamp(r.heads[r.order.Min()]); oldest > r.horizon+uint64(clockStep) {
			r.horizon = oldest
		}
	}
	return err
}

func timestamp(record []byte) uint64 { return binary.NativeEndian.Uint64(record) }
