// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// threads knows the name and the process of each thread: what a line of text
// needs, and a filter for pids. Package sinsp knows the rest.
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

// apply takes from ev what it says about threads.
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

// cloned takes the exit event of a call like clone, of the parent (res is the
// child) or of the child (res is 0), by thread tid of process pid.
func (t *threads) cloned(tid, res, pid event.PID, comm []byte, flags uint32) {
	if res < 0 || pid <= 0 || comm == nil {
		return
	}
	t.set(tid, comm, pid)
	if res == 0 || t.byTID[res].comm != nil { // the child told already
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
	if len(comm) == 0 { // it could not be read
		comm = old.comm
	}
	t.byTID[tid] = thread{append(old.comm[:0:cap(old.comm)], comm...), pid}
}

// gone forgets the thread that ev says has ended; to be called after ev was
// printed.
func (t *threads) gone(ev *event.Event) {
	if ev.Type() == event.TypeProcexitEnter {
		delete(t.byTID, ev.TID())
	}
}
