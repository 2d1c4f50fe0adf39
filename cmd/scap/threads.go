// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// threads keeps the name and the process of each thread, for lines of text and the
// pids of filters. Package sinsp has the full state.
type threads struct {
	byTID map[event.PID]thread
	older map[event.PID]thread // those that were not used for a while
}

const (
	// maxThreads limits byTID. Above it, threads whose end was lost, or that a hostile
	// capture invents, are forgotten: those that are used stay.
	maxThreads = 1 << 19
	// maxComm limits a name. The kernel's have 15 bytes.
	maxComm = 255
)

type thread struct {
	comm []byte
	pid  event.PID
}

var _ inspector = (*threads)(nil)

func newThreads(state *proc.State) *threads {
	t := &threads{byTID: map[event.PID]thread{}}
	t.reset(state)
	return t
}

func (t *threads) reset(state *proc.State) {
	clear(t.byTID)
	t.older = nil
	if state == nil {
		return
	}
	for i := range state.Threads {
		s := &state.Threads[i]
		t.put(s.TID, thread{[]byte(s.Comm), s.PID})
	}
}

func (t *threads) comm(tid event.PID) []byte {
	th, _ := t.get(tid)
	return th.comm
}

func (t *threads) get(tid event.PID) (th thread, ok bool) {
	if th, ok = t.byTID[tid]; !ok && t.older != nil {
		if th, ok = t.older[tid]; ok {
			delete(t.older, tid)
			t.put(tid, th)
		}
	}
	return th, ok
}

func (t *threads) put(tid event.PID, th thread) {
	if len(t.byTID) >= maxThreads {
		t.older, t.byTID = t.byTID, map[event.PID]thread{}
	}
	t.byTID[tid] = th
}

func (t *threads) pid(tid event.PID) event.PID {
	if th, ok := t.get(tid); ok {
		return th.pid
	}
	return tid
}

// Values as events carry them.
var (
	cloneThread = event.MustValue("clone_flags", "CLONE_THREAD")
	prSetName   = event.MustValue("prctl_option", "PR_SET_NAME")
)

// apply updates the threads from ev.
func (t *threads) apply(ev *event.Event) {
	switch ev.Type() {
	case event.TypeCloneExit:
		var e event.CloneExit
		if e.Decode(ev) == nil {
			t.cloned(ev.TID(), e.Res, e.PID, e.VTID, e.Comm, e.Flags)
		}
	case event.TypeForkExit:
		var e event.ForkExit
		if e.Decode(ev) == nil {
			t.cloned(ev.TID(), e.Res, e.PID, e.VTID, e.Comm, e.Flags)
		}
	case event.TypeVforkExit:
		var e event.VforkExit
		if e.Decode(ev) == nil {
			t.cloned(ev.TID(), e.Res, e.PID, e.VTID, e.Comm, e.Flags)
		}
	case event.TypeClone3Exit:
		var e event.Clone3Exit
		if e.Decode(ev) == nil {
			t.cloned(ev.TID(), e.Res, e.PID, e.VTID, e.Comm, e.Flags)
		}
	case event.TypeExecveExit:
		var e event.ExecveExit
		if e.Decode(ev) == nil && e.Res == 0 && e.PID > 0 {
			t.set(ev.TID(), e.Comm, e.PID)
		}
	case event.TypeExecveatExit:
		var e event.ExecveatExit
		if e.Decode(ev) == nil && e.Res == 0 && e.PID > 0 {
			t.set(ev.TID(), e.Comm, e.PID)
		}
	case event.TypePrctlExit:
		var e event.PrctlExit
		if e.Decode(ev) == nil && e.Res == 0 && e.Option == prSetName {
			t.set(ev.TID(), e.Arg2Str, t.pid(ev.TID()))
		}
	}
}

// cloned handles the exit of a clone-like call in thread tid of process pid: in the
// parent res is the child, in the child it is 0. A parent in a pid namespace, where its
// own number vtid is another, has the child's number there: which thread that is, only the
// child's own event tells.
func (t *threads) cloned(tid, res, pid, vtid event.PID, comm []byte, flags uint32) {
	if res < 0 || pid <= 0 || comm == nil {
		return
	}
	t.set(tid, comm, pid)
	if res == 0 || vtid != tid {
		return
	}
	if th, _ := t.get(res); th.comm != nil { // the child's own event came first
		return
	}
	child := res
	if flags&cloneThread != 0 {
		child = pid
	}
	t.set(res, comm, child)
}

func (t *threads) set(tid event.PID, comm []byte, pid event.PID) {
	old, _ := t.get(tid)
	if len(comm) == 0 { // the driver could not read it
		comm = old.comm
	}
	t.put(tid, thread{append(old.comm[:0:cap(old.comm)], comm[:min(len(comm), maxComm)]...), pid})
}

// gone forgets the thread that ends with ev. Call it after ev was printed.
func (t *threads) gone(ev *event.Event) {
	if ev.Type() == event.TypeProcexitEnter {
		delete(t.byTID, ev.TID())
		delete(t.older, ev.TID())
	}
}
