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
}

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
	if state == nil {
		return
	}
	for i := range state.Threads {
		s := &state.Threads[i]
		t.byTID[s.TID] = thread{[]byte(s.Comm), s.PID}
	}
}

func (t *threads) comm(tid event.PID) []byte { return t.byTID[tid].comm }

func (t *threads) pid(tid event.PID) event.PID {
	if th, ok := t.byTID[tid]; ok {
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
			t.cloned(ev.TID(), e.Res, e.PID, e.Comm, e.Flags)
		}
	case event.TypeForkExit:
		var e event.ForkExit
		if e.Decode(ev) == nil {
			t.cloned(ev.TID(), e.Res, e.PID, e.Comm, e.Flags)
		}
	case event.TypeVforkExit:
		var e event.VforkExit
		if e.Decode(ev) == nil {
			t.cloned(ev.TID(), e.Res, e.PID, e.Comm, e.Flags)
		}
	case event.TypeClone3Exit:
		var e event.Clone3Exit
		if e.Decode(ev) == nil {
			t.cloned(ev.TID(), e.Res, e.PID, e.Comm, e.Flags)
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
// parent res is the child, in the child it is 0.
func (t *threads) cloned(tid, res, pid event.PID, comm []byte, flags uint32) {
	if res < 0 || pid <= 0 || comm == nil {
		return
	}
	t.set(tid, comm, pid)
	if res == 0 || t.byTID[res].comm != nil { // the child's own event came first
		return
	}
	child := res
	if flags&cloneThread != 0 {
		child = pid
	}
	t.set(res, comm, child)
}

func (t *threads) set(tid event.PID, comm []byte, pid event.PID) {
	old := t.byTID[tid]
	if len(comm) == 0 { // the driver could not read it
		comm = old.comm
	}
	t.byTID[tid] = thread{append(old.comm[:0:cap(old.comm)], comm...), pid}
}

// gone forgets the thread that ends with ev. Call it after ev was printed.
func (t *threads) gone(ev *event.Event) {
	if ev.Type() == event.TypeProcexitEnter {
		delete(t.byTID, ev.TID())
	}
}
