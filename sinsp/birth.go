// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"slices"

	"github.com/scaplab/scaplab/scap/event"
)

// births pairs the two events of the clone-like calls whose result does not say which thread
// the child is, or whose child has another parent than the caller. The child is only known
// from its own event. If that of the caller comes first, the child is expected: what it has
// from the caller, as it was at the call, is kept for it.
type births struct {
	expected []*heir // by the order of their events
	early    []birth // children whose own events came first, by the order of these
	free     []*heir
}

const (
	maxBirths = 1 << 10 // of each kind: what a busy machine has at a time is far less
	birthTime = 10e9    // ns after which the other event is no longer expected
)

// birth is what one of the two events tells of the call.
type birth struct {
	time  uint64
	tid   event.PID // of the child; 0: not known, as the caller is in a pid namespace
	num   event.PID // of the child: in the namespace of the caller by its event, in the child's by that of the child
	ptid  event.PID // parent of the child
	pidns uint64    // when the namespace of the thread whose event it is started, in ns since the Unix epoch; 0: not known
	flags uint32
	moves bool // the child's namespace is not the caller's
}

// heir is an expected child. Its thread and process have what it inherits, and are in no
// table.
type heir struct {
	birth
	thread  Thread
	process Process
}

// heirTID is the id of the thread of a heir.
const heirTID = -1

// of reports whether b, which the child's event tells, is of the call that c tells.
func (b *birth) of(c *birth) bool {
	unknown := b.pidns == 0 || c.pidns == 0
	near := max(b.pidns, c.pidns)-min(b.pidns, c.pidns) <= 2*nsPerTick // a scan tells the start in ticks
	switch {
	case (b.flags^c.flags)&(cloneThread|cloneFiles) != 0:
		return false // of another one with the same numbers
	case c.tid > 0:
		return b.tid == c.tid
	case c.moves: // the number that the caller knows is not in the child's event
		return b.ptid == c.ptid && (b.flags^c.flags)&cloneNewPID == 0 && (unknown || !near)
	case unknown:
		return b.num == c.num && b.ptid == c.ptid
	}
	// The parent may have ended, so that the child has another one. The number in a namespace
	// is enough.
	return b.num == c.num && near
}

// expect keeps what the child of t inherits, unless its own event has come.
func (s *state) expect(ev *event.Event, t *Thread, d *event.CloneExit) {
	x := &s.threads.births
	b := birth{time: ev.Timestamp(), num: d.Res, ptid: t.TID, pidns: t.PidnsStart, flags: d.Flags} // drivers tell the start in the child's event only
	if d.Flags&(cloneParent|cloneThread) != 0 {
		b.ptid = d.PTID
	}
	if !t.InPidns() {
		b.tid = d.Res
	} else {
		b.moves = t.elsewhere || d.Flags&cloneNewPID != 0
	}
	for i := range x.early {
		if x.early[i].of(&b) {
			x.early = slices.Delete(x.early, i, i+1)
			return
		}
	}
	for i, h := range x.expected {
		if h.tid == b.tid && h.num == b.num && h.pidns == b.pidns && (b.tid > 0 || b.pidns != 0 || h.ptid == b.ptid) {
			s.lose(i) // its number is used again
			break
		}
	}
	if len(x.expected) >= maxBirths {
		s.stats.DroppedBirths++
		s.drop(s.unexpect(0))
	}
	h := take(&x.free)
	h.birth = b
	h.process = Process{s: s}
	h.thread = Thread{Process: &h.process, TID: heirTID, VTID: -1}
	if t.InPidns() {
		h.thread.Flags = cloneChildInPidns
	}
	flags := d.Flags
	if flags&cloneThread != 0 {
		flags |= cloneFiles | cloneFS // those of its process
	}
	s.inheritThread(&h.thread, t)
	s.inherit(&h.thread, t, flags)
	x.expected = append(x.expected, h)
}

// born returns what the child whose event it is inherits; nil: the event of its caller has not come, or
// is not needed. It is no longer expected: the caller drops it.
func (s *state) born(ev *event.Event, d *event.CloneExit) *heir {
	x := &s.threads.births
	b := birth{time: ev.Timestamp(), tid: ev.TID(), num: d.VTID, ptid: d.PTID, flags: d.Flags}
	if d.PIDNSInitStartTs != 0 {
		b.pidns = s.machine.BootTime + d.PIDNSInitStartTs
	}
	found := -1
	for i, h := range x.expected {
		if b.of(&h.birth) && (found < 0 || h.ptid == b.ptid && x.expected[found].ptid != b.ptid) {
			found = i
		}
	}
	if found >= 0 {
		return s.unexpect(found)
	}
	inPidns := d.Set.Has(cloneParamVTID) && d.VTID != b.tid
	if d.Flags&cloneVfork != 0 || !inPidns && d.Flags&(cloneChildInPidns|cloneNewPID|cloneParent) == 0 {
		return nil // expect is not called for it
	}
	if len(x.early) >= maxBirths {
		x.early = slices.Delete(x.early, 0, maxBirths/2) // not one each time: it moves the others
	}
	x.early = append(x.early, b)
	return nil
}

// unexpect takes a child out of the list.
func (s *state) unexpect(i int) *heir {
	x := &s.threads.births
	h := x.expected[i]
	x.expected = slices.Delete(x.expected, i, i+1)
	return h
}

// lose gives an expected child up.
func (s *state) lose(i int) {
	s.stats.LostBirths++
	s.drop(s.unexpect(i))
}

// drop gives back what h has.
func (s *state) drop(h *heir) {
	s.releaseTable(h.thread.files)
	s.releaseFS(h.thread.fs)
	for _, v := range []*string{&h.thread.Comm, &h.thread.Cgroups, &h.process.Exe, &h.process.ExePath, &h.process.Args, &h.process.Env} {
		s.dropText(v)
	}
	*h = heir{}
	recycle(&s.threads.births.free, h)
}

// expire gives up the children and callers whose events did not come in time.
func (s *state) expire(now uint64) {
	x := &s.threads.births
	for len(x.expected) > 0 && x.expected[0].time+birthTime < now {
		s.lose(0)
	}
	n := 0
	for n < len(x.early) && x.early[n].time+birthTime < now {
		n++
	}
	x.early = slices.Delete(x.early, 0, n)
}

// newParent gives up the expected children that would be known by the id of their parent:
// a new thread has it.
func (s *state) newParent(tid event.PID) {
	x := &s.threads.births
	for i := 0; i < len(x.expected); {
		if h := x.expected[i]; h.ptid == tid && h.tid == 0 && (h.moves || h.pidns == 0) {
			s.lose(i)
		} else {
			i++
		}
	}
}
