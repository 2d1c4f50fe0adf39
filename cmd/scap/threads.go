// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// threads knows the name and the process of each thread: what a line of text
// needs, and a filter for pids. Package sinsp knows the rest.
type threads struct {
	byTID map[uint64]thread
}

type thread struct {
	comm []byte
	pid  uint64
}

func newThreads(state *proc.State) *threads {
	t := &threads{byTID: map[uint64]thread{}}
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
		t.byTID[uint64(s.TID)] = thread{[]byte(s.Comm), uint64(s.PID)}
	}
}

// get is the thread with that tid; one not known is its own process, without a
// name.
func (t *threads) get(tid uint64) thread {
	th, ok := t.byTID[tid]
	if !ok {
		th.pid = tid
	}
	return th
}

// params that say who a thread is, the same for all events that have them.
const (
	paramTID  = 3
	paramPID  = 4
	paramComm = 13

	paramCloneFlags = 15
)

// cloneThread is CLONE_THREAD as events have it.
var cloneThread, _ = event.Lookup(event.TypeCloneExit).Params[paramCloneFlags].Flags.Value("CLONE_THREAD")

// apply takes from ev what it says about threads.
func (t *threads) apply(ev *event.Event) {
	switch ev.Type() {
	case event.TypeCloneExit, event.TypeForkExit, event.TypeVforkExit, event.TypeClone3Exit:
		res, ok := int64Of(ev.Param(0))
		if !ok || res < 0 || ev.NumParams() <= paramComm {
			return
		}
		comm := event.CString(ev.Param(paramComm))
		if pid, ok := int64Of(ev.Param(paramPID)); ok {
			t.set(ev.TID(), comm, uint64(pid))
		}
		if res > 0 {
			child := t.byTID[uint64(res)]
			if child.comm == nil { // else the child told already
				pid := uint64(res)
				if flags := ev.Param(paramCloneFlags); len(flags) == 4 && binary.NativeEndian.Uint32(flags)&cloneThread != 0 {
					pid = t.get(ev.TID()).pid
				}
				t.set(uint64(res), comm, pid)
			}
		}
	case event.TypeExecveExit, event.TypeExecveatExit:
		res, ok := int64Of(ev.Param(0))
		pid, ok2 := int64Of(ev.Param(paramPID))
		if ok && ok2 && res == 0 && ev.NumParams() > paramComm {
			t.set(ev.TID(), event.CString(ev.Param(paramComm)), uint64(pid))
		}
	case event.TypePrctlExit:
		const setName = 15
		res, ok := int64Of(ev.Param(0))
		if option := ev.Param(1); ok && res == 0 && len(option) == 4 && binary.NativeEndian.Uint32(option) == setName {
			t.set(ev.TID(), event.CString(ev.Param(2)), t.get(ev.TID()).pid)
		}
	}
}

func (t *threads) set(tid uint64, comm []byte, pid uint64) {
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

func int64Of(v []byte) (int64, bool) {
	if len(v) != 8 {
		return 0, false
	}
	return int64(binary.NativeEndian.Uint64(v)), true
}
