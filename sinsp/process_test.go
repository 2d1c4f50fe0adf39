// SPDX-License-Identifier: Apache-2.0

package sinsp_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/sinsp"
)

var (
	cloneFiles   = event.MustValue("clone_flags", "CLONE_FILES")
	cloneFS      = event.MustValue("clone_flags", "CLONE_FS")
	cloneThread  = event.MustValue("clone_flags", "CLONE_THREAD")
	cloneParent  = event.MustValue("clone_flags", "CLONE_PARENT")
	cloneNewPID  = event.MustValue("clone_flags", "CLONE_NEWPID")
	cloneInPidns = event.MustValue("clone_flags", "CLONE_CHILD_IN_PIDNS")
	cloneNewUser = event.MustValue("clone_flags", "CLONE_NEWUSER")
)

func TestACloneOfNoThreadAddsNone(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	threads := w.in.Stats().Threads
	for range 2 {
		w.clone(event.TypeCloneExit, 300, -1, 100, 1, 0)
	}
	require.Equal(t, threads, w.in.Stats().Threads)
	require.NoError(t, sinsp.Check(w.in))
}

func TestAChildHasWhatItsParentHas(t *testing.T) {
	for name, order := range map[string]func(w *world){
		"the caller's event first": func(w *world) {
			w.clone(event.TypeCloneExit, 300, 100, 100, 1, 0)
			w.clone(event.TypeCloneExit, 0, 300, 300, 100, 0)
		},
		"the child's event first": func(w *world) {
			w.clone(event.TypeCloneExit, 0, 300, 300, 100, 0)
			w.clone(event.TypeCloneExit, 300, 100, 100, 1, 0)
		},
		"only the caller's": func(w *world) { w.clone(event.TypeClone3Exit, 300, 100, 100, 1, 0) },
		"only the child's":  func(w *world) { w.clone(event.TypeForkExit, 0, 300, 300, 100, 0) },
		"vfork": func(w *world) {
			w.clone(event.TypeVforkExit, 0, 300, 300, 100, 0)
			w.clone(event.TypeVforkExit, 300, 100, 100, 1, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t, sinsp.Options{})
			order(w)
			child, parent := w.thread(300), w.thread(100)
			require.True(t, child.Main())
			require.Equal(t, parent.TID, child.Parent().TID)
			require.Equal(t, event.PID(100), child.PTID)
			require.Equal(t, "child", child.Comm)
			require.Equal(t, "exe", child.Exe)
			require.Equal(t, "/usr/bin/sh", child.ExePath)
			require.Equal(t, "HOME=/root\x00A=b\x00", child.Env)
			require.Equal(t, "/home/", child.CWD())
			require.Equal(t, event.PID(300), child.VPID)
			require.Equal(t, event.PID(100), child.SID)
			require.Equal(t, 3, child.NumFDs())
			require.True(t, child.CloseOnExec(4))
			require.Equal(t, 1, child.NumThreads())
			require.NotZero(t, child.CloneTime)
			w.send(event.TypeCloseExit, 300, 0, 0)
			w.send(event.TypeCloseExit, 300, 0, 3)
			require.Equal(t, 3, parent.NumFDs(), "the parent has its own descriptors")
			require.Zero(t, w.in.Stats().StaleThreads)
		})
	}
}

func TestTheEventOfTheChildIsAboutTheChild(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	ev := w.clone(event.TypeCloneExit, 0, 300, 300, 100, 0)
	require.Equal(t, event.PID(300), ev.Thread.TID)
}

func TestAThreadSharesWhatItsProcessHas(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.clone(event.TypeCloneExit, 301, 100, 100, 1, cloneThread|cloneFiles|cloneFS)
	w.clone(event.TypeCloneExit, 0, 301, 100, 1, cloneThread|cloneFiles|cloneFS)
	thread := w.thread(301)
	require.False(t, thread.Main())
	require.Equal(t, event.PID(100), thread.Leader().TID)
	require.Equal(t, 2, thread.NumThreads())
	require.Equal(t, 1, thread.NumChildren())
	w.send(event.TypeChdirExit, 301, 0, "sub")
	require.Equal(t, "/home/sub/", w.thread(100).CWD())
	w.send(event.TypeDupExit, 301, 9, 3)
	require.Equal(t, "/home/user", w.name(100, 9))
	w.send(event.TypeUnshareExit, 301, 0, int(cloneFiles|cloneFS))
	w.send(event.TypeDupExit, 301, 10, 3)
	w.send(event.TypeChdirExit, 301, 0, "/")
	require.Nil(t, w.thread(100).FD(10))
	require.Equal(t, "/home/sub/", w.thread(100).CWD())
	w.send(event.TypeProcexitEnter, 301, 0, 0, 0, 0, 0)
	require.NotNil(t, w.in.Thread(301), "until the next event")
	w.send(event.TypeCloseExit, 100, 0, 9)
	require.Nil(t, w.in.Thread(301))
	require.Equal(t, 1, w.thread(100).NumThreads())
}

func TestProcessesMayShareDescriptorsAndDirectories(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.clone(event.TypeCloneExit, 0, 300, 300, 100, cloneFiles|cloneFS)
	w.send(event.TypeDupExit, 300, 9, 3)
	w.send(event.TypeChdirExit, 300, 0, "/tmp")
	require.Equal(t, "/home/user", w.name(100, 9))
	require.Equal(t, "/tmp/", w.thread(100).CWD())
	w.exec(300, 300, "prog")
	w.send(event.TypeCloseExit, 300, 0, 9)
	w.send(event.TypeCloseExit, 300, 0, 3)
	require.Equal(t, "/home/user", w.name(100, 9), "execve ends the sharing of descriptors")
}

func TestAnExitedChildDoesNotComeBack(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.clone(event.TypeCloneExit, 0, 300, 300, 100, 0)
	w.send(event.TypeProcexitEnter, 300, 0, 0, 0, 0, 0)
	w.clone(event.TypeCloneExit, 300, 100, 100, 1, 0)
	require.Nil(t, w.in.Thread(300))
	w.now += 3 * second
	w.clone(event.TypeCloneExit, 300, 100, 100, 1, 0)
	require.NotNil(t, w.in.Thread(300), "a new one with that id")
}

func TestAThreadWithAnIDThatIsUsedAgainIsNew(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.fork(100, 300)
	w.send(event.TypeDupExit, 300, 9, 3)
	w.now += 3 * second
	w.fork(1, 300)
	require.EqualValues(t, 1, w.in.Stats().StaleThreads)
	require.Equal(t, event.PID(1), w.thread(300).Parent().PID)
	require.Nil(t, w.thread(300).FD(9))
}

func TestClonesThatTheCallerCannotTell(t *testing.T) {
	for name, flags := range map[string]uint32{
		"into a new pid namespace": cloneNewPID, "from inside one": cloneInPidns, "of a sibling": cloneParent,
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t, sinsp.Options{})
			w.clone(event.TypeCloneExit, 2, 100, 100, 1, flags)
			require.Nil(t, w.in.Thread(2))
		})
	}
}

func TestAChildInAPidNamespaceHasTwoIDs(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.send(event.TypeCloneExit, 300, 0, "exe", nil, 300, 300, 100, "", 512, 0, 0, 0, 0, 0, "init2", nil, int(cloneNewPID|cloneInPidns), 0, 0, 1, 1, 5*second)
	child := w.thread(300)
	require.True(t, child.InPidns())
	require.Equal(t, event.PID(1), child.VPID)
	require.Equal(t, event.PID(1), child.VTID)
	require.EqualValues(t, 1_600_000_005*second, child.PidnsStart)
	require.Equal(t, []event.PID{100, 0}, []event.PID{child.PGID, child.VPGID}, "the group is outside of the namespace")
	// The first process of a namespace adopts the orphans of the namespace.
	w.send(event.TypeCloneExit, 301, 0, "exe", nil, 301, 301, 300, "", 512, 0, 0, 0, 0, 0, "a", nil, int(cloneInPidns), 0, 0, 2, 2, 5*second)
	w.send(event.TypeCloneExit, 302, 0, "exe", nil, 302, 302, 301, "", 512, 0, 0, 0, 0, 0, "b", nil, int(cloneInPidns), 0, 0, 3, 3, 5*second)
	w.send(event.TypeProcexitEnter, 301, 0, 0, 0, 0, 0)
	w.send(event.TypeGetpidExit, 302, 3)
	require.Equal(t, event.PID(300), w.thread(302).Parent().TID)
	// Its ids are those of the namespace in results of calls only.
	w.send(event.TypeSetsidExit, 302, 3)
	grandchild := w.thread(302)
	require.Equal(t, []event.PID{302, 302, 3}, []event.PID{grandchild.SID, grandchild.PGID, grandchild.VPGID})
	w.send(event.TypeCloneExit, 303, 0, "exe", nil, 303, 303, 302, "", 512, 0, 0, 0, 0, 0, "c", nil, int(cloneInPidns), 0, 0, 4, 4, 5*second)
	require.Equal(t, event.PID(3), w.thread(303).VPGID, "of a group inside")
	// The parent entered the namespace for its children.
	w.send(event.TypeCloneExit, 304, 0, "exe", nil, 304, 304, 100, "", 512, 0, 0, 0, 0, 0, "d", nil, int(cloneInPidns), 0, 0, 5, 5, 5*second)
	require.Equal(t, []event.PID{100, 100, 0}, []event.PID{w.thread(304).SID, w.thread(304).PGID, w.thread(304).VPGID})
}

func TestOrphansGoToTheReaper(t *testing.T) {
	for name, tt := range map[string]struct {
		reaper    event.PID
		subreaper bool
		want      event.PID
	}{
		"that the kernel names":           {reaper: 200, want: 200},
		"a subreaper among the ancestors": {subreaper: true, want: 100},
		"init":                            {want: 1},
		"that is not known":               {reaper: 999, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t, sinsp.Options{})
			if tt.subreaper {
				w.send(event.TypePrctlExit, 100, 0, int(event.MustValue("prctl_option", "PR_SET_CHILD_SUBREAPER")), "", 1)
			}
			w.fork(100, 300)
			w.fork(300, 301)
			w.send(event.TypeProcexitEnter, 300, 0, 0, 0, 0, int(tt.reaper))
			w.send(event.TypeGetpidExit, 301, 301)
			require.Nil(t, w.in.Thread(300))
			require.Equal(t, tt.want, w.thread(301).Parent().PID)
			require.Equal(t, tt.want, w.thread(301).PTID)
		})
	}
}

func TestTheMainThreadStaysWhileItsProcessLives(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.send(event.TypeProcexitEnter, 200, 0, 0, 0, 0, 0)
	w.send(event.TypeGetpidExit, 201, 200)
	require.True(t, w.thread(200).Exited)
	require.Equal(t, 1, w.thread(201).NumThreads())
	require.Equal(t, 1, w.thread(201).NumChildren())
	require.Equal(t, 3, w.thread(201).NumFDs())
	w.send(event.TypeProcexitEnter, 201, 0, 0, 0, 0, 0)
	w.send(event.TypeGetpidExit, 100, 100)
	require.Nil(t, w.in.Thread(200))
	require.Nil(t, w.in.Thread(201))
}

// exec is an execve of process pid.
func (w *world) exec(tid, pid event.PID, comm string) *sinsp.Event {
	w.Helper()
	return w.send(event.TypeExecveExit, tid, 0, "/new/"+comm, []byte("one\x00two\x00"), int(tid), int(pid), 1, "", 99, 0, 0, 1, 2, 3, comm,
		[]byte("cpu=/x\x00"), []byte("NEW=env\x00"), 34816, 7, 1000, 5, 1, 2, 3, 42, 43, 44, 1000, "/trusted/"+comm, 8, 1001, "file")
}

func TestExecveIsAnotherProgram(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	ev := w.exec(200, 200, "prog")
	th := w.thread(200)
	require.Equal(t, event.PID(200), ev.Thread.TID)
	require.Equal(t, "prog", th.Comm)
	require.Equal(t, "/new/prog", th.Exe)
	require.Equal(t, "/trusted/prog", th.ExePath)
	require.Equal(t, "one\x00two\x00", th.Args)
	require.Equal(t, "NEW=env\x00", th.Env)
	require.Equal(t, "cpu=/x\x00", th.Cgroups)
	require.EqualValues(t, 34816, th.TTY)
	require.Equal(t, event.PID(7), th.VPGID)
	require.Equal(t, event.PID(8), th.PGID)
	require.EqualValues(t, 1000, th.LoginUID)
	require.EqualValues(t, 1000, th.UID)
	require.EqualValues(t, 1001, th.GID)
	require.True(t, th.ExeWritable)
	require.True(t, th.ExeFromMemfd)
	require.False(t, th.ExeUpperLayer)
	require.EqualValues(t, []uint64{1, 2, 3}, []uint64{th.CapInheritable, th.CapPermitted, th.CapEffective})
	require.EqualValues(t, []uint64{42, 43, 44}, []uint64{th.ExeIno, th.ExeCtime, th.ExeMtime})
	require.EqualValues(t, 99, th.FDLimit)
	require.EqualValues(t, ev.Timestamp(), th.ExecTime)
	require.Nil(t, w.in.Thread(201), "the other threads ended")
	require.Equal(t, 1, th.NumThreads())
}

func TestExecveClosesDescriptors(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.exec(100, 100, "prog")
	require.Nil(t, w.thread(100).FD(4))
	require.Equal(t, 2, w.thread(100).NumFDs())
}

func TestTheExecutableOfOlderEvents(t *testing.T) {
	for name, tt := range map[string]struct {
		enter func(w *world)
		exit  event.Type
		want  string
	}{
		"execve below the working directory": {func(w *world) { w.send(event.TypeExecveEnter, 100, "./prog") }, event.TypeExecveExit, "/home/prog"},
		"execve of an absolute path":         {func(w *world) { w.send(event.TypeExecveEnter, 100, "/x/../prog") }, event.TypeExecveExit, "/prog"},
		"execve of no path":                  {func(w *world) { w.send(event.TypeExecveEnter, 100, "<NA>") }, event.TypeExecveExit, "<NA>"},
		"execveat below a directory":         {func(w *world) { w.send(event.TypeExecveatEnter, 100, 3, "prog", 0) }, event.TypeExecveatExit, "/home/user/prog"},
		"execveat that ends as execve":       {func(w *world) { w.send(event.TypeExecveatEnter, 100, 3, "prog", 0) }, event.TypeExecveExit, "/home/user/prog"},
		"execveat of a descriptor":           {func(w *world) { w.send(event.TypeExecveatEnter, 100, 3, "", 1) }, event.TypeExecveExit, "/home/user"},
		"execveat below an unknown one":      {func(w *world) { w.send(event.TypeExecveatEnter, 100, 77, "prog", 0) }, event.TypeExecveExit, "<UNKNOWN>prog"},
		"no enter event":                     {func(*world) {}, event.TypeExecveExit, "/usr/bin/sh"},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t, sinsp.Options{})
			tt.enter(w)
			w.send(tt.exit, 100, 0, "prog", nil, 100, 100, 1, "", 99, 0, 0, 1, 2, 3, "prog")
			require.Equal(t, tt.want, w.thread(100).ExePath)
		})
	}
}

func TestExecveTellsWhatAnUnknownThreadIs(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	ev := w.send(event.TypeGetpidExit, 555, 555)
	require.True(t, ev.Thread.Placeholder)
	require.Equal(t, "<NA>", ev.Thread.Comm)
	require.Equal(t, event.PID(-1), ev.Thread.PID)
	require.EqualValues(t, 1, w.in.Stats().UnknownThreads)
	w.exec(555, 555, "prog")
	th := w.thread(555)
	require.False(t, th.Placeholder)
	require.True(t, th.Main())
	require.Equal(t, "prog", th.Comm)
	require.Equal(t, event.PID(1), th.Parent().TID)
}

func TestDirectories(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	for _, tt := range []struct{ path, want string }{
		{"a/b", "/home/a/b/"}, {"..", "/home/a/"}, {"./c//d/.", "/home/a/c/d/"}, {"../../../../..", "/"}, {"/tmp/", "/tmp/"}, {"/", "/"},
	} {
		w.send(event.TypeChdirExit, 100, 0, tt.path)
		require.Equal(t, tt.want, w.thread(100).CWD(), tt.path)
	}
	w.send(event.TypeFchdirExit, 100, 0, 3)
	require.Equal(t, "/home/user/", w.thread(100).CWD())
	w.send(event.TypeChdirExit, 100, -2, "/failed")
	require.Equal(t, "/home/user/", w.thread(100).CWD())
	w.send(event.TypeGetcwdExit, 100, 0, "/told")
	require.Equal(t, "/told/", w.thread(100).CWD())
	w.send(event.TypeChrootExit, 100, 0, "jail")
	require.Equal(t, "/told/jail", w.thread(100).Root())
	w.send(event.TypeChrootExit, 100, 0, "/inner")
	require.Equal(t, "/told/jail/inner", w.thread(100).Root())

	w = mustWorld(t, sinsp.Options{})
	w.send(event.TypeFchrootExit, 100, 0, 3, 0)
	require.Equal(t, "/home/user", w.thread(100).Root())
	w.send(event.TypeFchrootExit, 100, 0, 77, 0)
	require.Equal(t, "/home/user", w.thread(100).Root(), "what 77 is, is not known")
}

func TestLimitsMemoryAndNames(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	nofile := int(event.MustValue("rlimit_resource", "RLIMIT_NOFILE"))
	w.send(event.TypeSetrlimitExit, 100, 0, 10, 20, nofile)
	require.EqualValues(t, 10, w.thread(100).FDLimit)
	w.send(event.TypeSetrlimitExit, 100, 0, 11, 20, nofile+1)
	require.EqualValues(t, 10, w.thread(100).FDLimit)
	w.send(event.TypePrlimitExit, 100, 0, 30, 40, 10, 20, 200, nofile)
	require.EqualValues(t, 30, w.thread(200).FDLimit)
	w.send(event.TypePrlimitExit, 100, 0, 0, 0, 50, 60, 0, nofile)
	require.EqualValues(t, 50, w.thread(100).FDLimit, "without a new limit")
	w.send(event.TypeBrkExit, 100, 0, 1, 2, 3)
	require.EqualValues(t, []uint32{1, 2, 3}, []uint32{w.thread(100).VMSize, w.thread(100).VMRSS, w.thread(100).VMSwap})
	w.send(event.TypePrctlExit, 201, 0, int(event.MustValue("prctl_option", "PR_SET_NAME")), "a-name-longer-than-it-may-be", 0)
	require.Equal(t, "a-name-longer-t", w.thread(201).Comm)
	require.Equal(t, "server", w.thread(200).Comm)
	w.send(event.TypeSwitchEnter, 200, 1, 5, 6, 7, 8, 9)
	require.EqualValues(t, 5, w.thread(200).PFMajor)
	ev := w.send(event.TypeSwitchEnter, 200, 1, 5, 6, 7, 8, 9)
	require.EqualValues(t, 1e6, ev.Switched)
	require.EqualValues(t, 1e6, ev.Thread.TotalRun)
	w.cpu = 3
	require.Zero(t, w.send(event.TypeSwitchEnter, 200, 1, 5, 6, 7, 8, 9).Switched, "the first on this CPU")
	w.send(event.TypeProcinfoEnter, 200, 10, 20)
	ev = w.send(event.TypeProcinfoEnter, 200, 13, 24)
	require.EqualValues(t, []uint64{3e7, 4e7}, []uint64{ev.CPUUser, ev.CPUSystem})
}

func TestIDs(t *testing.T) {
	const unchanged = 0xffffffff
	w := mustWorld(t, sinsp.Options{})
	th := w.thread(100)
	caps := th.CapPermitted
	w.send(event.TypeSetresuidExit, 100, 0, unchanged, 1000, unchanged)
	require.EqualValues(t, 1000, th.UID)
	require.Equal(t, []uint64{caps, 0}, []uint64{th.CapPermitted, th.CapEffective}, "root suspended its capabilities")
	require.Equal(t, "user", th.User().Name)
	w.send(event.TypeSetresuidExit, 100, 0, unchanged, 0, unchanged)
	require.Equal(t, []uint64{caps, caps}, []uint64{th.CapPermitted, th.CapEffective})
	require.Equal(t, "root", th.User().Name, "the first name of an id")
	w.send(event.TypeSetreuidExit, 100, 0, unchanged, unchanged)
	require.Zero(t, th.UID)
	w.send(event.TypeSetuidExit, 100, 0, 1000)
	require.EqualValues(t, 1000, th.UID)
	require.Zero(t, th.CapPermitted|th.CapEffective, "root gave up its capabilities")
	w.send(event.TypeSetgidExit, 100, 0, 1)
	require.EqualValues(t, 1, th.GID)
	w.send(event.TypeSetregidExit, 100, 0, 9, 2)
	require.EqualValues(t, 2, th.GID)
	w.send(event.TypeSetresgidExit, 100, 0, 9, 3, 9)
	require.EqualValues(t, 3, th.GID)
	w.send(event.TypeSetresgidExit, 100, 0, 9, unchanged, 9)
	require.EqualValues(t, 3, th.GID)
	w.send(event.TypeSetuidExit, 100, -1, 7)
	require.EqualValues(t, 1000, th.UID, "the call failed")
	w.send(event.TypeCapsetExit, 100, 0, 4, 5, 6)
	require.Equal(t, []uint64{4, 5, 6}, []uint64{th.CapInheritable, th.CapPermitted, th.CapEffective})
	w.send(event.TypeUnshareExit, 100, 0, int(cloneNewUser))
	require.EqualValues(t, 1<<41-1, th.CapEffective)
	w.send(event.TypeSetsidExit, 100, 100)
	require.Equal(t, event.PID(100), th.SID)
	w.fork(100, 300)
	w.send(event.TypeSetpgidExit, 100, 0, 300, 0)
	require.Equal(t, event.PID(300), w.thread(300).PGID)
	w.send(event.TypeSetpgidExit, 300, 0, 0, 100)
	require.Equal(t, event.PID(100), w.thread(300).PGID)
}

func TestKeptCapabilities(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.send(event.TypePrctlExit, 100, 0, int(event.MustValue("prctl_option", "PR_SET_KEEPCAPS")), "", 1)
	w.send(event.TypeSetuidExit, 100, 0, 1000)
	require.NotZero(t, w.thread(100).CapPermitted)
	require.Zero(t, w.thread(100).CapEffective)
}

func TestLeaders(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.fork(100, 300)
	w.fork(300, 301)
	th := w.thread(301)
	require.Equal(t, event.PID(100), th.SessionLeader().TID)
	require.Equal(t, event.PID(100), th.GroupLeader().TID)
	require.Equal(t, event.PID(100), th.VGroupLeader().TID)
	w.send(event.TypeProcexitEnter, 100, 0, 0, 0, 0, 0)
	w.send(event.TypeGetpidExit, 301, 301)
	require.Equal(t, event.PID(300), th.SessionLeader().TID, "the oldest ancestor in the session of one that ended")
	require.Nil(t, w.thread(300).SessionLeader())
	var names []event.PID
	for a := range th.Ancestors() {
		names = append(names, a.TID)
	}
	require.Equal(t, []event.PID{300, 1}, names)
	require.Equal(t, event.PID(301), th.Ancestor(0).TID)
	require.Equal(t, event.PID(1), th.Ancestor(2).TID)
	require.Nil(t, th.Ancestor(3))
	require.Nil(t, th.Ancestor(-1))
	require.Nil(t, th.LoginShell())
	w.exec(300, 300, "bash")
	w.exec(301, 301, "dash")
	require.Equal(t, event.PID(300), th.LoginShell().TID)
}

func TestLookupTellsWhatAThreadIs(t *testing.T) {
	var asked []event.PID
	w := mustWorld(t, sinsp.Options{Lookup: func(tid event.PID) (*proc.Thread, error) {
		asked = append(asked, tid)
		if tid != 700 {
			return nil, errors.ErrUnsupported
		}
		th := someState().Threads[1]
		th.TID, th.PID = 700, 700
		return &th, nil
	}})
	ev := w.send(event.TypeGetpidExit, 700, 700)
	require.Equal(t, "sh", ev.Thread.Comm)
	require.Equal(t, event.PID(1), ev.Thread.Parent().TID)
	require.Equal(t, 3, ev.Thread.NumFDs())
	require.True(t, w.send(event.TypeGetpidExit, 701, 701).Thread.Placeholder)
	w.send(event.TypeGetpidExit, 701, 701)
	require.Equal(t, []event.PID{700, 701}, asked, "once each")
}

func TestThreadsThatAreNotAliveAreForgotten(t *testing.T) {
	w := mustWorld(t, sinsp.Options{Alive: func(tid event.PID) bool { return tid != 200 && tid != 201 }})
	w.send(event.TypeGetpidExit, 100, 100)
	w.send(event.TypeGetpidExit, 999, 999)
	w.now += 31 * 60 * second
	w.send(event.TypeGetpidExit, 100, 100)
	require.Nil(t, w.in.Thread(200))
	require.Nil(t, w.in.Thread(201))
	require.Nil(t, w.in.Thread(999))
	require.NotNil(t, w.in.Thread(1))
	require.EqualValues(t, 3, w.in.Stats().PurgedThreads)
}

func TestTheTimesOfAnEvent(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	ev := w.send(event.TypeUseraddedEnter, -1, 5, 5, "n", "h", "s", "")
	require.Nil(t, ev.Thread)
	require.Zero(t, ev.Start)
	ev = w.send(event.TypeConnectEnter, 200, 7, nil)
	first := ev.Timestamp()
	require.Equal(t, first, ev.Start)
	require.True(t, ev.Hidden())
	ev = w.send(event.TypeConnectExit, 200, -111, nil, 7)
	require.Equal(t, first, ev.Start)
	require.Equal(t, first, ev.Prev)
	require.EqualValues(t, 1e6, ev.Latency)
	require.EqualValues(t, 3, ev.Num)
	res, ok := ev.Res()
	require.True(t, ok)
	require.EqualValues(t, -111, res)
}

func TestAPageFaultIsOfTheThreadThatMadeIt(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	ev := w.send(event.TypePageFaultEnter, 100, 0x1000, 0x2000, 1)
	require.NotNil(t, ev.Thread)
	require.Equal(t, "sh", ev.Thread.Comm)
}
