// SPDX-License-Identifier: Apache-2.0

package sinsp_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

// inPidns is a clone as one of the two threads tells it that is number vtid of a pid
// namespace, which started start seconds after the machine. As drivers do, only the child tells the start.
func (w *world) inPidns(res, self, pid, ptid, vtid, vpid event.PID, flags uint32, start int) *sinsp.Event {
	w.Helper()
	if res != 0 {
		start = 0
	}
	return w.send(event.TypeCloneExit, self, int(res), "exe", []byte("arg\x00"), int(self), int(pid), int(ptid), "", 512, 0, 0, 10, 20, 30, "child",
		[]byte("cpu=/a\x00memory=/m\x00"), int(flags), 0, 0, int(vtid), int(vpid), start*second)
}

// mustContainer returns a world where 300 is the first process of a pid namespace, and 301
// its number 2 with the shell's descriptors.
func mustContainer(tb testing.TB, opts sinsp.Options) *world {
	tb.Helper()
	w := mustWorld(tb, opts)
	w.inPidns(0, 300, 300, 100, 1, 1, cloneNewPID|cloneInPidns, 5)
	w.clone(event.TypeCloneExit, 300, 100, 100, 1, cloneNewPID)
	w.inPidns(0, 301, 301, 300, 2, 2, cloneInPidns, 5)
	w.inPidns(2, 300, 300, 100, 1, 1, cloneInPidns, 5)
	require.Zero(tb, sinsp.Expected(w.in), "the children came first")
	return w
}

// moveOn is what a parent does after it made a child.
func (w *world) moveOn(tid event.PID) {
	w.Helper()
	w.send(event.TypeCloseExit, tid, 0, 3)
	w.send(event.TypeDup2Exit, tid, 8, 0, 8)
	w.send(event.TypeChdirExit, tid, 0, "/else")
	w.send(event.TypeChrootExit, tid, 0, "/jail")
	w.send(event.TypeSetsidExit, tid, 2)
	w.send(event.TypeSetuidExit, tid, 0, 1000)
	w.exec(tid, tid, "other")
}

// requireAsBefore checks that a child has what its parent had before moveOn.
func (w *world) requireAsBefore(child event.PID) {
	w.Helper()
	th := w.thread(child)
	require.Equal(w, 3, th.NumFDs())
	require.Equal(w, "/home/user", w.name(child, 3))
	require.Nil(w, th.FD(8))
	require.True(w, th.CloseOnExec(4))
	require.Equal(w, "/home/", th.CWD())
	require.Equal(w, "/", th.Root())
	require.Equal(w, []event.PID{100, 100}, []event.PID{th.SID, th.PGID})
	require.Equal(w, "HOME=/root\x00A=b\x00", th.Env)
	require.Equal(w, "/usr/bin/sh", th.ExePath)
	require.Equal(w, event.NoUID, th.LoginUID)
	require.EqualValues(w, 1<<41-1, th.CapEffective)
	require.NoError(w, sinsp.Check(w.in))
}

func TestAChildThatOnlyItsOwnEventTellsHasWhatItsParentHadAtTheCall(t *testing.T) {
	for name, tt := range map[string]struct {
		parent  event.PID
		calls   func(w *world) // that made child 400
		child   func(w *world)
		parents event.PID // of the child
	}{
		"inside a namespace": {
			301, func(w *world) { w.inPidns(3, 301, 301, 300, 2, 2, cloneInPidns, 5) },
			func(w *world) { w.inPidns(0, 400, 400, 301, 3, 3, cloneInPidns, 5) }, 301,
		},
		"inside a namespace, whose start is not known": {
			301, func(w *world) { w.inPidns(3, 301, 301, 300, 2, 2, cloneInPidns, 0) },
			func(w *world) { w.inPidns(0, 400, 400, 301, 3, 3, cloneInPidns, 0) }, 301,
		},
		"into a new namespace": {
			100, func(w *world) { w.clone(event.TypeCloneExit, 400, 100, 100, 1, cloneNewPID) },
			func(w *world) { w.inPidns(0, 400, 400, 100, 1, 1, cloneNewPID|cloneInPidns, 9) }, 100,
		},
		"into a namespace that the parent made for its children": {
			100, func(w *world) { w.clone(event.TypeCloneExit, 400, 100, 100, 1, cloneInPidns) },
			func(w *world) { w.inPidns(0, 400, 400, 100, 1, 1, cloneInPidns, 9) }, 100,
		},
		"from a namespace into a new one": {
			301, func(w *world) { w.inPidns(3, 301, 301, 300, 2, 2, cloneNewPID|cloneInPidns, 5) },
			func(w *world) { w.inPidns(0, 400, 400, 301, 1, 1, cloneNewPID|cloneInPidns, 9) }, 301,
		},
		"from a namespace into one that the parent made for its children": {
			301, func(w *world) {
				w.send(event.TypeUnshareExit, 301, 0, int(cloneNewPID))
				w.inPidns(3, 301, 301, 300, 2, 2, cloneInPidns, 5)
			}, func(w *world) { w.inPidns(0, 400, 400, 301, 1, 1, cloneInPidns, 9) }, 301,
		},
		"from a namespace into one that the parent entered for its children": {
			301, func(w *world) {
				w.send(event.TypeSetnsExit, 301, 0, 0, int(cloneNewPID))
				w.inPidns(3, 301, 301, 300, 2, 2, cloneInPidns, 5)
			}, func(w *world) { w.inPidns(0, 400, 400, 301, 7, 7, cloneInPidns, 9) }, 301,
		},
		"a sibling": {
			100, func(w *world) { w.clone(event.TypeCloneExit, 400, 100, 100, 1, cloneParent) },
			func(w *world) { w.clone(event.TypeCloneExit, 0, 400, 400, 1, cloneParent) }, 1,
		},
		"a sibling, from a namespace into a new one": {
			301, func(w *world) { w.inPidns(3, 301, 301, 300, 2, 2, cloneParent|cloneNewPID|cloneInPidns, 5) },
			func(w *world) { w.inPidns(0, 400, 400, 300, 1, 1, cloneParent|cloneNewPID|cloneInPidns, 9) }, 300,
		},
		"a sibling inside a namespace": {
			301, func(w *world) { w.inPidns(3, 301, 301, 300, 2, 2, cloneParent|cloneInPidns, 5) },
			func(w *world) { w.inPidns(0, 400, 400, 300, 3, 3, cloneParent|cloneInPidns, 5) }, 300,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustContainer(t, sinsp.Options{})
			tt.calls(w)
			require.Nil(t, w.in.Thread(400))
			require.Equal(t, 1, sinsp.Expected(w.in))
			w.moveOn(tt.parent)
			require.NoError(t, sinsp.Check(w.in))
			tt.child(w)
			w.requireAsBefore(400)
			require.Equal(t, tt.parents, w.thread(400).Parent().TID)
			require.Zero(t, sinsp.Expected(w.in))
			require.Equal(t, "other", w.thread(tt.parent).Comm)
			w.send(event.TypeCloseExit, 400, 0, 3)
			w.send(event.TypeGetpidExit, 400, 3)
			require.Equal(t, 2, w.thread(400).NumFDs(), "its own descriptors")
			require.NoError(t, sinsp.Check(w.in))
		})
	}
}

func TestAChildWhoseParentEndedHasWhatItHad(t *testing.T) {
	w := mustContainer(t, sinsp.Options{})
	w.inPidns(3, 301, 301, 300, 2, 2, cloneInPidns, 5)
	w.moveOn(301)
	w.send(event.TypeProcexitEnter, 301, 0, 0, 0, 0, 300)
	w.send(event.TypeCloseExit, 300, 0, 3)
	w.inPidns(0, 400, 400, 300, 3, 3, cloneInPidns, 5)
	w.requireAsBefore(400)
	require.Equal(t, event.PID(300), w.thread(400).Parent().TID)
}

func TestAParentThatAScanToldHasExpectedChildren(t *testing.T) {
	state := someState()
	shell := &state.Threads[1]
	shell.VTID, shell.VPID, shell.PidnsInitStart = 2, 2, 1_600_000_005*second-8e6 // in ticks
	w := mustWorld(t, sinsp.Options{State: state})
	w.inPidns(3, 100, 100, 1, 2, 2, cloneInPidns, 5)
	w.moveOn(100)
	w.inPidns(0, 400, 400, 1, 3, 3, cloneInPidns, 5) // the parent has ended
	w.requireAsBefore(400)
}

func TestExpectedChildrenAreKeptApart(t *testing.T) {
	w := mustContainer(t, sinsp.Options{})
	// Another namespace, whose number 3 is made at the same time.
	w.inPidns(0, 310, 310, 100, 1, 1, cloneNewPID|cloneInPidns, 6)
	w.inPidns(3, 301, 301, 300, 2, 2, cloneInPidns, 5)
	w.send(event.TypeChdirExit, 310, 0, "/another")
	w.inPidns(3, 310, 310, 100, 1, 1, cloneInPidns, 6)
	w.send(event.TypeCloseExit, 301, 0, 3)
	w.inPidns(4, 301, 301, 300, 2, 2, cloneInPidns, 5)
	w.send(event.TypeCloseExit, 301, 0, 0)
	w.send(event.TypeChdirExit, 310, 0, "/other")
	w.inPidns(2, 310, 310, 100, 1, 1, cloneNewPID|cloneInPidns, 6) // into a third one
	w.send(event.TypeCloseExit, 310, 0, 0)
	require.Equal(t, 4, sinsp.Expected(w.in))
	w.inPidns(0, 401, 401, 301, 4, 4, cloneInPidns, 5)
	w.inPidns(0, 403, 403, 310, 1, 1, cloneNewPID|cloneInPidns, 7)
	w.inPidns(0, 402, 402, 310, 3, 3, cloneInPidns, 6)
	w.inPidns(0, 400, 400, 301, 3, 3, cloneInPidns, 5)
	require.Zero(t, sinsp.Expected(w.in))
	require.Equal(t, []int{3, 2, 3, 3}, []int{w.thread(400).NumFDs(), w.thread(401).NumFDs(), w.thread(402).NumFDs(), w.thread(403).NumFDs()})
	require.Equal(t, []string{"/home/", "/home/", "/another/", "/other/"}, []string{w.thread(400).CWD(), w.thread(401).CWD(), w.thread(402).CWD(), w.thread(403).CWD()})
	require.NoError(t, sinsp.Check(w.in))
}

func TestAnExpectedChildSharesWhatTheCallShares(t *testing.T) {
	w := mustContainer(t, sinsp.Options{})
	flags := cloneInPidns | cloneFiles | cloneFS
	w.inPidns(3, 301, 301, 300, 2, 2, flags, 5)
	w.send(event.TypeDupExit, 301, 9, 3)
	w.send(event.TypeChdirExit, 301, 0, "/tmp")
	w.inPidns(0, 400, 400, 301, 3, 3, flags, 5)
	require.Equal(t, "/home/user", w.name(400, 9))
	require.Equal(t, "/tmp/", w.thread(400).CWD())
	w.send(event.TypeCloseExit, 400, 0, 9)
	w.send(event.TypeGetpidExit, 301, 2)
	require.Nil(t, w.thread(301).FD(9))
	// The parent ends the sharing before the event of the child.
	w.inPidns(4, 301, 301, 300, 2, 2, flags, 5)
	w.exec(301, 301, "other")
	w.send(event.TypeDupExit, 400, 10, 3)
	w.inPidns(0, 401, 401, 301, 4, 4, flags, 5)
	require.Equal(t, "/home/user", w.name(401, 10), "of 400")
	require.Nil(t, w.thread(301).FD(10))
	require.NoError(t, sinsp.Check(w.in))
}

func TestAnExpectedChildIsInTheGroupOfItsParent(t *testing.T) {
	w := mustContainer(t, sinsp.Options{})
	w.send(event.TypeSetpgidExit, 301, 0, 0, 0)
	w.inPidns(3, 301, 301, 300, 2, 2, cloneInPidns, 5)
	w.send(event.TypeSetpgidExit, 301, 0, 0, 1)
	w.inPidns(0, 400, 400, 301, 3, 3, cloneInPidns, 5)
	require.Equal(t, []event.PID{301, 2}, []event.PID{w.thread(400).PGID, w.thread(400).VPGID}, "which is inside of the namespace")
}

func TestAThreadInANamespaceHasWhatItsCallerHad(t *testing.T) {
	w := mustContainer(t, sinsp.Options{})
	flags := cloneInPidns | cloneThread
	fds := w.in.Stats().FDs
	w.inPidns(3, 301, 301, 300, 2, 2, flags, 5)
	require.Equal(t, fds, w.in.Stats().FDs, "threads share them")
	w.send(event.TypeCapsetExit, 301, 0, 0, 0, 0)
	w.inPidns(0, 400, 301, 300, 3, 2, flags, 5)
	th := w.thread(400)
	require.False(t, th.Main())
	require.Equal(t, event.PID(301), th.Leader().TID)
	require.EqualValues(t, 1<<41-1, th.CapEffective)
	require.Equal(t, 3, th.NumFDs())
	require.Zero(t, sinsp.Expected(w.in))
	require.NoError(t, sinsp.Check(w.in))
}

func TestAChildThatNeverComesIsForgotten(t *testing.T) {
	w := mustContainer(t, sinsp.Options{})
	before := w.in.Stats()
	w.inPidns(3, 301, 301, 300, 2, 2, cloneInPidns, 5)
	require.Equal(t, 3, w.in.Stats().FDs-before.FDs, "they are counted")
	w.inPidns(3, 301, 301, 300, 2, 2, cloneInPidns, 5) // the number again
	require.EqualValues(t, 1, w.in.Stats().LostBirths)
	require.Equal(t, 1, sinsp.Expected(w.in))
	w.now += 11 * second
	w.send(event.TypeCloseExit, 301, 0, 3)
	w.send(event.TypeGetpidExit, 301, 2)
	w.inPidns(0, 400, 400, 301, 3, 3, cloneInPidns, 5)
	require.Equal(t, 2, w.thread(400).NumFDs(), "another child with that number")
	require.EqualValues(t, 2, w.in.Stats().LostBirths)
	require.Zero(t, sinsp.Expected(w.in))
	require.NoError(t, sinsp.Check(w.in))
	// The number is that of a process, where a thread was expected.
	w.inPidns(5, 301, 301, 300, 2, 2, cloneThread|cloneFiles|cloneFS|cloneInPidns, 5)
	w.send(event.TypeChdirExit, 301, 0, "/else")
	w.inPidns(0, 405, 405, 301, 5, 5, cloneInPidns, 5)
	require.Equal(t, "/else/", w.thread(405).CWD())
	w.now += 11 * second
	// A new thread has the number of a parent whose child would be known by it.
	w.inPidns(4, 301, 301, 300, 2, 2, cloneNewPID|cloneInPidns, 5)
	w.send(event.TypeProcexitEnter, 301, 0, 0, 0, 0, 300)
	w.now += 3 * second
	w.clone(event.TypeCloneExit, 301, 100, 100, 1, 0)
	require.EqualValues(t, 4, w.in.Stats().LostBirths)
	require.Zero(t, sinsp.Expected(w.in))
	require.NoError(t, sinsp.Check(w.in))
}

func TestAChildThatCameFirstIsNotExpected(t *testing.T) {
	w := mustContainer(t, sinsp.Options{})
	for i := range 3 {
		num, tid, start := event.PID(3+i), event.PID(400+i), 9+i
		w.inPidns(0, tid, tid, 301, 1, 1, cloneNewPID|cloneInPidns, start)
		w.inPidns(num, 301, 301, 300, 2, 2, cloneNewPID|cloneInPidns, 5)
		require.Zero(t, sinsp.Expected(w.in))
		require.Equal(t, 3-i, w.thread(tid).NumFDs(), "what the parent has now")
		w.send(event.TypeCloseExit, 301, 0, []int{3, 4, 0}[i])
	}
	w.clone(event.TypeCloneExit, 0, 410, 410, 1, cloneParent)
	w.send(event.TypeProcexitEnter, 410, 0, 0, 0, 0, 0)
	w.clone(event.TypeCloneExit, 410, 100, 100, 1, cloneParent)
	require.Zero(t, sinsp.Expected(w.in))
	require.Zero(t, w.in.Stats().LostBirths)
}

func TestTheNumberOfExpectedChildrenHasALimit(t *testing.T) {
	w := mustContainer(t, sinsp.Options{Limits: sinsp.Limits{AllFDs: 1000}})
	const bound = 8 << 20
	before := memory()
	for i := range 20_000 {
		w.inPidns(event.PID(3+i), 301, 301, 300, 2, 2, cloneInPidns, 5)
		w.inPidns(0, event.PID(1000+i%50), event.PID(1000+i%50), 301, event.PID(30_000+i), event.PID(30_000+i), cloneInPidns, 5)
		w.now -= 2e6 // no time passes
		if i%1000 == 0 {
			require.NoError(t, sinsp.Check(w.in))
			w.src.Forget()
		}
	}
	w.src.Forget()
	require.NoError(t, sinsp.Check(w.in))
	require.Equal(t, sinsp.MaxBirths, sinsp.Expected(w.in))
	require.EqualValues(t, 20_000-sinsp.MaxBirths, w.in.Stats().DroppedBirths)
	require.NotZero(t, w.in.Stats().DroppedFDs)
	require.Less(t, memory()-before, int64(bound))
	runtime.KeepAlive(w)
}

func TestExpectingChildrenNeedsNoAllocation(t *testing.T) {
	src := &loop{Source: scaptest.New()}
	ts := uint64(1_700_000_000 * second)
	add := func(typ event.Type, tid event.PID, params ...any) {
		ts += 1000
		var ev event.Event
		require.NoError(t, ev.Reset(build(t, typ, ts, tid, params...), 0))
		src.events = append(src.events, ev)
	}
	clone := func(res int, self, ptid, num event.PID) {
		add(event.TypeCloneExit, self, res, "exe", []byte("arg\x00"), int(self), int(self), int(ptid), "", 512, 0, 0, 10, 20, 30, "child",
			[]byte("cpu=/a\x00"), int(cloneInPidns), 0, 0, int(num), int(num), 5*second)
	}
	for i := range event.PID(100) {
		num := 3 + i
		if child := 500 + i; i%2 == 0 {
			clone(int(num), 100, 1, 2)
			clone(0, child, 100, num)
		} else {
			clone(0, child, 100, num)
			clone(int(num), 100, 1, 2)
		}
		add(event.TypeProcexitEnter, 500+i, 0, 0, 0, 0, 1)
	}
	state := someState()
	state.Threads[1].VTID, state.Threads[1].VPID = 2, 2
	in := sinsp.New(src, sinsp.Options{State: state})
	round := func() {
		for range src.events {
			if _, err := in.Next(); err != nil {
				t.Fatal(fmt.Errorf("next: %w", err))
			}
		}
	}
	round()
	round()
	require.Zero(t, testing.AllocsPerRun(20, round), "per %d events", len(src.events))
	require.Zero(t, sinsp.Expected(in))
	require.Zero(t, in.Stats().LostBirths)
	require.NoError(t, sinsp.Check(in))
}
