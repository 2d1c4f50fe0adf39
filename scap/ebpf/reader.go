// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ebpf

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap"
)

// How long to sleep when the rings are empty: doubled from the first to the
// last as long as nothing comes.
const (
	firstSleep = 500 * time.Microsecond
	lastSleep  = 30 * time.Millisecond
)

// reader merges rings by timestamp.
//
// It works in passes. A pass takes what all rings had reserved when it began,
// lowest timestamp first; what comes later is younger than that, but for events
// still in the making at that moment. Rings are looked at anew (a cache miss each,
// when a producer is active) once per pass, not once per event.
type reader struct {
	rings []*ring
	order scap.Order // rings whose head is complete
	heads [][]byte   // those heads
	stuck []int      // rings whose head is busy
	last  int        // the ring whose head was handed out by the last step; -1: none
	// limit is how much a ring may owe before it is given back in the
	// middle of a pass.
	limit uint64
	polls []unix.PollFd
	// unpolled: the last poll said that there is something, and there was
	// nothing complete.
	unpolled bool
}

func newReader(rings []*ring) *reader {
	r := &reader{
		rings: rings,
		heads: make([][]byte, len(rings)),
		stuck: make([]int, 0, len(rings)),
		last:  -1,
		polls: make([]unix.PollFd, len(rings)),
	}
	for i, ring := range rings {
		r.polls[i] = unix.PollFd{Fd: int32(ring.fd), Events: unix.POLLIN}
		r.limit = (ring.mask + 1) / 16
	}
	return r
}

// release gives back everything handed out before.
func (r *reader) release() {
	r.advance()
	for _, ring := range r.rings {
		ring.publish()
	}
}

// advance steps over what was handed out last.
func (r *reader) advance() {
	if r.last < 0 {
		return
	}
	i := r.last
	r.last = -1
	ring := r.rings[i]
	ring.skip(uint64(len(r.heads[i])))
	head, busy := ring.head()
	switch {
	case head != nil:
		r.heads[i] = head
		r.order.Fix(timestamp(head))
		return
	case busy:
		r.stuck = append(r.stuck, i)
	}
	r.order.Pop()
}

// step hands out the next record; nil when there is none now. keep says that
// records handed out before are still in use.
func (r *reader) step(keep bool) (record []byte, ring int) {
	last := r.last
	r.advance()
	if !keep && last >= 0 && r.rings[last].owed() >= r.limit {
		r.rings[last].publish()
	}
	if len(r.stuck) > 0 {
		r.unstick()
	}
	if r.order.Len() == 0 {
		if keep {
			return nil, 0
		}
		r.pass()
		if r.order.Len() == 0 {
			return nil, 0
		}
	}
	r.last = r.order.Min()
	return r.heads[r.last], r.last
}

// unstick looks again at rings that had a busy head.
func (r *reader) unstick() {
	still := r.stuck[:0]
	for _, i := range r.stuck {
		switch head, busy := r.rings[i].head(); {
		case head != nil:
			r.heads[i] = head
			r.order.Push(i, timestamp(head))
		case busy:
			still = append(still, i)
		}
	}
	r.stuck = still
}

// pass begins a pass: no ring has a complete head.
func (r *reader) pass() {
	r.stuck = r.stuck[:0]
	for _, ring := range r.rings {
		ring.publish()
		ring.look()
	}
	for i, ring := range r.rings {
		switch head, busy := ring.head(); {
		case head != nil:
			r.heads[i] = head
			r.order.Push(i, timestamp(head))
		case busy:
			r.stuck = append(r.stuck, i)
		default:
			ring.publish() // of discarded records
		}
	}
}

// sleep waits until a producer says that there is much to read, but not longer
// than d.
func (r *reader) sleep(d time.Duration) error {
	ts := unix.NsecToTimespec(int64(d))
	if r.unpolled || len(r.polls) == 0 {
		// Polling would return at once, for the same busy record.
		r.unpolled = false
		return ignoreSignal(unix.Nanosleep(&ts, nil))
	}
	n, err := unix.Ppoll(r.polls, &ts, nil)
	r.unpolled = n > 0
	return ignoreSignal(err)
}

func ignoreSignal(err error) error {
	if err == unix.EINTR {
		return nil
	}
	return err
}

func timestamp(record []byte) uint64 {
	if len(record) < 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(record)
}
