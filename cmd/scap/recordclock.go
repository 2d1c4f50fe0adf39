// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/scaplab/scaplab/internal/clock"
	"github.com/scaplab/scaplab/scap/event"
)

// clockSet is a move of the wall clock during the capture.
type clockSet struct {
	at uint64 // in ns since the epoch, by the new clock
	by time.Duration
}

func (c clockSet) String() string { return fmt.Sprintf("the clock was set by %+.3f s", c.by.Seconds()) }

// leastMove is how far the clock moves at least when somebody sets it; less is drift.
const leastMove = 100 * time.Millisecond

// watchClock notes when the clock is set. Times of later events follow it, so those of the capture jump.
func (r *recorder) watchClock() (*clock.Watch, error) {
	r.clock = make(chan clockSet, 64)
	return clock.NewWatch(func(_ uint64, by time.Duration) {
		if by > -leastMove && by < leastMove {
			return
		}
		select {
		case r.clock <- clockSet{uint64(time.Now().UnixNano()), by}:
		default: // somebody sets it all the time
		}
	})
}

// tellClock says when the clock was set: as a warning, and in a file as a notification named "clock".
func (r *recorder) tellClock() error {
	for {
		select {
		case set := <-r.clock:
			r.warn(set.String())
			if r.end > 0 {
				r.end = uint64(int64(r.end) + set.by.Nanoseconds())
			}
			if r.file == nil {
				continue
			}
			var b event.Builder
			b.Begin(event.TypeNotificationEnter, set.at, 0, 2)
			b.AddString("clock")
			b.AddString(set.String())
			bytes, err := b.End()
			if err != nil {
				return err
			}
			var ev event.Event
			if err := ev.Reset(bytes, 0); err != nil {
				return err
			}
			if err := r.file.Write(&ev); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}
