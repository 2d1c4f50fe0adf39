// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"strconv"

	"github.com/scaplab/scaplab/scap/event"
)

// Reducers of processes: clone, exec, exit, directories, limits, memory. The docs are
// those of [Reducers].

func (s *state) Clone(ev *event.Event, d event.CloneExit) { s.clone(ev, &d) }

func (s *state) Fork(ev *event.Event, d event.ForkExit) {
	c := event.CloneExit(d)
	s.clone(ev, &c)
}

func (s *state) Vfork(ev *event.Event, d event.VforkExit) {
	c := event.CloneExit(d)
	c.Flags |= cloneVfork
	s.clone(ev, &c)
}

func (s *state) Clone3(ev *event.Event, d event.Clone3Exit) {
	c := event.CloneExit(d)
	s.clone(ev, &c)
}

// recent is how long, in ns, the event of a clone-like call may come after that of the
// child.
const recent = 2e9

// clone handles the exit of a clone-like call. There is one event in the caller, whose
// result is the child, and one in the child, whose result is 0; either may come first.
func (s *state) clone(ev *event.Event, d *event.CloneExit) {
	s.expire(ev.Timestamp())
	if d.Res > 0 {
		s.cloneInCaller(ev, d)
	} else {
		s.cloneInChild(ev, d)
	}
}

func (s *state) cloneInCaller(ev *event.Event, d *event.CloneExit) {
	t := s.cur
	if ev.TID() < 0 {
		return // no thread makes such a call
	}
	if t == nil {
		s.stats.UnknownThreads++
		if t = s.addThread(ev.TID(), nil); t == nil {
			return
		}
		t.Placeholder = true
		s.threads.placeholders++
		s.cur, s.ev.Thread = t, t
	}
	if t.Placeholder {
		s.describe(t, d)
		s.setParent(t.Process, d.PTID)
	}
	switch {
	case d.Flags&cloneVfork != 0:
		return // the child's event has come
	case d.Flags&(cloneChildInPidns|cloneNewPID|cloneParent) != 0, t.InPidns():
		s.expect(ev, t, d) // the result is in another pid namespace, or the child's parent is another
		return
	case s.threads.exited.since(d.Res, ago(ev)):
		return
	}
	if child := s.threads.find(d.Res); child != nil {
		if child.inverted && !child.Exited && child.CloneTime >= ago(ev) {
			return
		}
		if s.replace(child); s.threads.find(ev.TID()) != t {
			s.cur, s.ev.Thread = nil, nil // events that contradict each other
			return
		}
	}
	child := s.addChild(ev, d.Res, t, d)
	if child == nil {
		return
	}
	child.VTID = child.TID
	if child.Main() {
		child.VPID = child.TID
		s.setParent(child.Process, t.TID)
	}
}

func (s *state) cloneInChild(ev *event.Event, d *event.CloneExit) {
	tid := ev.TID()
	if tid <= 0 {
		return
	}
	h := s.born(ev, d)
	if h != nil {
		defer s.drop(h)
	}
	t := s.threads.find(tid)
	if t != nil && !t.Placeholder && !t.Exited && t.CloneTime >= ago(ev) && t.CloneTime > 0 {
		// The caller's event made it.
		s.describe(t, d)
		return
	}
	if t != nil {
		s.replace(t)
	}
	from := s.threads.find(d.PTID)
	switch {
	case h != nil:
		from = &h.thread
	case d.Flags&cloneThread != 0:
		from = nil
		if p := s.threads.byPID[d.PID]; p != nil {
			from = p.leader
			if from == nil {
				from = p.threads
			}
		}
	}
	if from == nil || from.Placeholder {
		s.stats.UnknownParents++
		from = nil
	}
	t = s.addChild(ev, tid, from, d)
	s.cur, s.ev.Thread = t, t
	if t == nil {
		return
	}
	t.inverted = true
	s.describe(t, d)
	if t.Main() {
		s.setParent(t.Process, d.PTID)
		if from != nil && t.VPGID > 0 && (t.VPID == 1 || t.InPidns() && !from.InPidns()) {
			t.VPGID = 0 // its parent, and so the group, is outside of its namespace
		}
	}
}

// ago returns the time before which the other event of the same call cannot be.
func ago(ev *event.Event) uint64 { return ev.Timestamp() - min(recent, ev.Timestamp()) }

// replace forgets a thread whose id another one has now.
func (s *state) replace(t *Thread) {
	if !t.Placeholder && !t.Exited {
		s.stats.StaleThreads++
	}
	p := t.Process
	main := p.leader == t
	s.exit(t)
	if main {
		// The process of that id is over.
		for other := p.threads; other != nil; other = other.next {
			s.exit(other)
		}
	}
	if s.leaving == t {
		s.leaving = nil
	}
	s.remove(t)
}

// addChild makes thread tid, which from made; nil: not known.
func (s *state) addChild(ev *event.Event, tid event.PID, from *Thread, d *event.CloneExit) *Thread {
	var p *Process
	pid := tid
	if d.Flags&cloneThread != 0 {
		pid = d.PID
	} else if old := s.threads.byPID[pid]; old != nil && old.leader == nil {
		// Threads of an earlier process of that id.
		if from != nil && from.Process == old {
			from = nil
		}
		for t := old.threads; t != nil; t = t.next {
			s.stats.StaleThreads++
			s.exit(t)
		}
		s.remove(old.threads)
	}
	if pid > 0 {
		p = s.process(pid)
	}
	fresh := p == nil || p.threads == nil
	s.newParent(tid)
	t := s.addThread(tid, p)
	if t == nil {
		if p != nil && p.threads == nil {
			s.removeProcess(p)
		}
		return nil
	}
	t.Flags, t.CloneTime = d.Flags, ev.Timestamp()
	if t.PID == t.TID {
		t.Flags &^= cloneThread
	} else {
		t.Flags |= cloneThread | cloneFiles
	}
	t.UID, t.GID = d.UID, d.GID
	t.ruid, t.suid = d.UID, d.UID
	if from == nil {
		s.describe(t, d)
		return t
	}
	s.inheritThread(t, from)
	if d.Flags&cloneNewUser != 0 {
		t.CapPermitted, t.CapEffective = allCaps, allCaps
	}
	if fresh {
		flags := d.Flags
		if from.TID == heirTID {
			flags |= cloneFiles | cloneFS // what was copied for the child becomes its own
		}
		s.inherit(t, from, flags)
	}
	s.describeImage(t, d)
	return t
}

// inheritThread gives a new thread what it has from the thread that made it.
func (s *state) inheritThread(t, from *Thread) {
	s.shareText(&t.Comm, from.Comm)
	s.shareText(&t.Cgroups, from.Cgroups)
	t.ContainerID = from.ContainerID
	t.LoginUID, t.ruid, t.suid = from.LoginUID, from.ruid, from.suid
	t.CapInheritable, t.CapPermitted, t.CapEffective = from.CapInheritable, from.CapPermitted, from.CapEffective
}

// inherit gives a new process what it has from the thread that made it.
func (s *state) inherit(t, from *Thread, flags uint32) {
	p, q := t.Process, from.Process
	p.SID, p.PGID, p.VPGID, p.TTY, p.FDLimit, p.PidnsStart = q.SID, q.PGID, q.VPGID, q.TTY, q.FDLimit, q.PidnsStart
	p.VMSize, p.VMRSS, p.VMSwap = q.VMSize, q.VMRSS, q.VMSwap
	p.ExeIno, p.ExeCtime, p.ExeMtime = q.ExeIno, q.ExeCtime, q.ExeMtime
	p.ExeWritable, p.ExeUpperLayer, p.ExeLowerLayer, p.ExeFromMemfd = q.ExeWritable, q.ExeUpperLayer, q.ExeLowerLayer, q.ExeFromMemfd
	s.shareText(&p.Exe, q.Exe)
	s.shareText(&p.ExePath, q.ExePath)
	s.shareText(&p.Args, q.Args)
	s.shareText(&p.Env, q.Env)
	s.releaseTable(t.files)
	if flags&cloneFiles != 0 {
		t.files = from.files
		t.files.refs++
	} else {
		t.files = s.copyTable(from.files)
	}
	s.releaseFS(t.fs)
	switch {
	case from.fs == nil:
		t.fs = nil
	case flags&cloneFS != 0:
		t.fs = from.fs
		t.fs.refs++
	default:
		t.fs = s.newFS(from.fs.cwd, from.fs.root)
	}
}

// describe takes over what the event of a clone-like call tells of its own thread.
func (s *state) describe(t *Thread, d *event.CloneExit) {
	pid := t.PID
	if d.Set.Has(cloneParamPID) && d.PID > 0 {
		pid = d.PID
	}
	if t.Placeholder || t.PID != pid {
		s.known(t, pid)
		t.UID, t.GID, t.ruid, t.suid = d.UID, d.GID, d.UID, d.UID
	}
	if d.Set.Has(cloneParamVTID) {
		t.VTID = d.VTID
	}
	if d.Set.Has(cloneParamVPID) {
		if t.VPID = d.VPID; t.VPID == 1 {
			t.reaper = true
		}
	}
	if d.PIDNSInitStartTs != 0 {
		t.PidnsStart = s.machine.BootTime
		if t.InPidns() {
			t.PidnsStart += d.PIDNSInitStartTs
		}
	}
	if d.Res == 0 {
		t.Flags |= d.Flags
	}
	s.describeImage(t, d)
}

// describeImage takes over what the event tells that caller and child share.
func (s *state) describeImage(t *Thread, d *event.CloneExit) {
	if len(d.Cgroups) > 0 {
		s.setCgroups(t, d.Cgroups)
	}
	switch {
	case len(d.Comm) > 0:
		s.setText(&t.Comm, d.Comm)
	case t.Comm == "":
		s.setText(&t.Comm, d.Exe)
	}
	if t.Main() || t.Exe == "" {
		if d.Exe != nil {
			s.setText(&t.Exe, d.Exe)
		}
		if d.Set.Has(cloneParamArgs) {
			s.setText(&t.Args, d.Args)
		}
		if d.Set.Has(cloneParamFDLimit) {
			t.FDLimit = d.FDLimit
		}
		t.VMSize, t.VMRSS, t.VMSwap = d.VMSize, d.VMRSS, d.VMSwap
	}
	if t.fs == nil && len(d.CWD) > 0 {
		t.fs = s.newFS("", "/")
		s.setCWD(t, d.CWD)
	}
}

// Params of clone_exit, of which the others have the same.
var (
	cloneParamArgs    = event.Lookup(event.TypeCloneExit).ParamIndex("args")
	cloneParamPID     = event.Lookup(event.TypeCloneExit).ParamIndex("pid")
	cloneParamFDLimit = event.Lookup(event.TypeCloneExit).ParamIndex("fdlimit")
	cloneParamVTID    = event.Lookup(event.TypeCloneExit).ParamIndex("vtid")
	cloneParamVPID    = event.Lookup(event.TypeCloneExit).ParamIndex("vpid")
)

func (s *state) Execve(ev *event.Event, d event.ExecveExit) { s.exec(ev, &d) }

func (s *state) Execveat(ev *event.Event, d event.ExecveatExit) {
	s.exec(ev, &event.ExecveExit{
		Res: d.Res, Exe: d.Exe, Args: d.Args, TID: d.TID, PID: d.PID, PTID: d.PTID, CWD: d.CWD, FDLimit: d.FDLimit,
		PgftMaj: d.PgftMaj, PgftMin: d.PgftMin, VMSize: d.VMSize, VMRSS: d.VMRSS, VMSwap: d.VMSwap,
		Comm: d.Comm, Cgroups: d.Cgroups, Env: d.Env, TTY: d.TTY, VPGID: d.VPGID, LoginUID: d.LoginUID, Flags: d.Flags,
		CapInheritable: d.CapInheritable, CapPermitted: d.CapPermitted, CapEffective: d.CapEffective,
		ExeIno: d.ExeIno, ExeInoCtime: d.ExeInoCtime, ExeInoMtime: d.ExeInoMtime, UID: d.UID, TrustedExePath: d.TrustedExePath,
		PGID: d.PGID, GID: d.GID, Set: d.Set,
	})
}

// Params of execve_exit, of which execveat_exit has the same.
var (
	execParamPID      = event.Lookup(event.TypeExecveExit).ParamIndex("pid")
	execParamPTID     = event.Lookup(event.TypeExecveExit).ParamIndex("ptid")
	execParamFaults   = event.Lookup(event.TypeExecveExit).ParamIndex("pgft_min")
	execParamFDLimit  = event.Lookup(event.TypeExecveExit).ParamIndex("fdlimit")
	execParamCgroups  = event.Lookup(event.TypeExecveExit).ParamIndex("cgroups")
	execParamTTY      = event.Lookup(event.TypeExecveExit).ParamIndex("tty")
	execParamVPGID    = event.Lookup(event.TypeExecveExit).ParamIndex("vpgid")
	execParamLoginUID = event.Lookup(event.TypeExecveExit).ParamIndex("loginuid")
	execParamFlags    = event.Lookup(event.TypeExecveExit).ParamIndex("flags")
	execParamCaps     = event.Lookup(event.TypeExecveExit).ParamIndex("cap_permitted")
	execParamIno      = event.Lookup(event.TypeExecveExit).ParamIndex("exe_ino")
	execParamUID      = event.Lookup(event.TypeExecveExit).ParamIndex("uid")
	execParamPGID     = event.Lookup(event.TypeExecveExit).ParamIndex("pgid")
	execParamGID      = event.Lookup(event.TypeExecveExit).ParamIndex("gid")
)

func (s *state) exec(ev *event.Event, d *event.ExecveExit) {
	t := s.cur
	if t == nil {
		return
	}
	unknown := t.Placeholder
	if pid := d.PID; d.Set.Has(execParamPID) && pid > 0 && (unknown || t.PID != pid) {
		s.known(t, pid)
		unknown = true
	}
	if unknown && t.VTID == -1 && t.VPID == -1 {
		t.VTID, t.VPID = t.TID, t.PID // nothing tells of another pid namespace
	}
	// The other threads end, and the caller takes the place of the main thread.
	for other := t.threads; other != nil; {
		next := other.next
		if other != t {
			s.exit(other)
			s.freeThread(other)
		}
		other = next
	}
	if t.Exited {
		t.Exited = false
		t.alive++
	}
	if d.Set.Has(execParamPTID) && (unknown || t.parent == nil) {
		s.setParent(t.Process, d.PTID)
	}
	s.exePath(t, ev, d)
	t.Flags &= cloneChildInPidns | cloneNewPID
	t.ExecTime = ev.Timestamp()
	s.setText(&t.Exe, d.Exe)
	s.setText(&t.Args, d.Args)
	s.setText(&t.Env, d.Env)
	if len(d.Comm) > 0 {
		s.setText(&t.Comm, d.Comm)
	} else {
		s.setText(&t.Comm, d.Exe)
	}
	if d.Set.Has(execParamCgroups) {
		s.setCgroups(t, d.Cgroups)
	}
	if d.Set.Has(execParamFDLimit) {
		t.FDLimit = int64(d.FDLimit)
	}
	if d.Set.Has(execParamTTY) {
		t.TTY = d.TTY
	}
	if d.Set.Has(execParamVPGID) {
		t.VPGID = d.VPGID
	}
	if t.PGID = -1; d.Set.Has(execParamPGID) {
		t.PGID = d.PGID
	}
	if d.Set.Has(execParamLoginUID) {
		t.LoginUID = d.LoginUID
	}
	if d.Set.Has(execParamFlags) {
		t.setExeFlags(d.Flags)
	}
	if d.Set.Has(execParamCaps) {
		t.CapInheritable, t.CapPermitted, t.CapEffective = d.CapInheritable, d.CapPermitted, d.CapEffective
	}
	if d.Set.Has(execParamIno) {
		t.ExeIno, t.ExeCtime, t.ExeMtime = d.ExeIno, d.ExeInoCtime, d.ExeInoMtime
	}
	if d.Set.Has(execParamUID) {
		t.UID = d.UID
		t.suid = d.UID
	}
	if d.Set.Has(execParamGID) {
		t.GID = d.GID
	}
	t.keepCaps = false
	if d.Set.Has(execParamFaults) {
		t.PFMajor, t.PFMinor = d.PgftMaj, d.PgftMin
	}
	s.VM(ev, d.VMSize, d.VMRSS, d.VMSwap)
	s.ownTable(t)
	for num := range t.FDs() {
		if t.CloseOnExec(num) {
			s.removeFD(t.files, num)
		}
	}
	if t.fs == nil && len(d.CWD) > 0 {
		t.fs = s.newFS("", "/")
		s.setCWD(t, d.CWD)
	}
}

// exePath finds the path of the executable: as the kernel tells it, or by the path that
// the call was given.
func (s *state) exePath(t *Thread, ev *event.Event, d *event.ExecveExit) {
	e := s.entered(t, ev)
	switch {
	case len(d.TrustedExePath) > 0:
		s.setText(&t.ExePath, d.TrustedExePath)
	case e != nil && e.text == "" && e.typ == event.TypeExecveatEnter && e.flags&atEmptyPath != 0:
		s.name = append(s.name[:0], t.path(e.fd)...)
		s.setText(&t.ExePath, s.name)
	case e != nil && e.text != "" && e.text != "<NA>":
		s.path = append(s.path[:0], e.text...)
		s.name = appendPath(s.name[:0], t, e.fd, s.path)
		s.setText(&t.ExePath, s.name)
	case e != nil:
		s.shareText(&t.ExePath, "<NA>")
	case len(d.Filename) > 0:
		s.name = appendPath(s.name[:0], t, event.AtFDCWD, d.Filename)
		s.setText(&t.ExePath, s.name)
	}
}

func (s *state) Procexit(ev *event.Event, _ int64, reaperTID event.PID) {
	t := s.cur
	if t == nil {
		return
	}
	if t.adopter = 0; reaperTID > 0 {
		t.adopter = reaperTID
	}
	s.exit(t)
	s.threads.exited.add(t.TID, ev.Timestamp())
	s.leaving = t
}

func (s *state) Chdir(_ *event.Event, path []byte) {
	if s.cur != nil {
		s.setCWD(s.cur, path)
	}
}

func (s *state) Fchdir(_ *event.Event, fd event.FD) {
	if t := s.cur; t != nil && s.uses(t, fd) {
		s.path = append(s.path[:0], t.path(fd)...)
		s.setCWD(t, s.path)
	}
}

// setCWD makes path, from the working directory on, the working directory.
func (s *state) setCWD(t *Thread, path []byte) {
	if t.fs == nil {
		t.fs = s.newFS("", "/")
	}
	s.name = appendPath(s.name[:0], t, event.AtFDCWD, path)
	if n := len(s.name); n > 0 && s.name[n-1] != '/' {
		s.name = append(s.name, '/')
	}
	s.setText(&t.fs.cwd, s.name)
}

func (s *state) Chroot(_ *event.Event, path []byte) {
	if t := s.cur; t != nil {
		s.setRoot(t, path)
	}
}

func (s *state) Fchroot(_ *event.Event, fd event.FD) {
	if t := s.cur; t != nil && s.uses(t, fd) {
		s.path = append(s.path[:0], t.path(fd)...)
		s.setRoot(t, s.path)
	}
}

// setRoot makes path, from the working directory on, the root directory.
func (s *state) setRoot(t *Thread, path []byte) {
	if t.fs == nil {
		t.fs = s.newFS("", "/")
	}
	s.name = appendPath(s.name[:0], t, event.AtFDCWD, path)
	if root := t.fs.root; len(root) > 1 { // the path is one inside the old root
		s.path = append(append(s.path[:0], root...), s.name...)
		s.name = append(s.name[:0], s.path...)
	}
	s.setText(&t.fs.root, s.name)
}

func (s *state) Rlimit(ev *event.Event, cur int64, _ int64, resource uint32) {
	if s.cur != nil && resource == rlimitNofile {
		s.cur.FDLimit = cur
	}
}

func (s *state) Prlimit(_ *event.Event, newcur int64, newmax int64, oldcur int64, oldmax int64, pid event.PID, resource uint32) {
	t := s.target(pid)
	if t == nil || resource != rlimitNofile {
		return
	}
	switch {
	case newcur > 0 || newmax > 0:
		t.FDLimit = newcur
	case oldcur > 0 || oldmax > 0: // no new limit, which reads as 0
		t.FDLimit = oldcur
	}
}

// target returns the thread that the caller means by an id of its own pid namespace; 0
// is the caller. nil: not known.
func (s *state) target(pid event.PID) *Thread {
	t := s.cur
	switch {
	case t == nil || pid == 0 || pid == t.VPID:
		return t
	case t.InPidns():
		return nil
	}
	return s.threads.find(pid)
}

func (s *state) Prctl(_ *event.Event, option uint32, arg2Str []byte, arg2Int int64) {
	t := s.cur
	if t == nil {
		return
	}
	switch option {
	case prSetName:
		s.setText(&t.Comm, arg2Str[:min(len(arg2Str), commSize)])
	case prSetSubreaper, prGetSubreaper:
		t.reaper = arg2Int != 0
	case prSetKeepCaps:
		t.keepCaps = arg2Int != 0
	}
}

// commSize is the length of a thread's name in the kernel.
const commSize = 15

func (s *state) VM(_ *event.Event, vmSize uint32, vmRSS uint32, vmSwap uint32) {
	if t := s.cur; t != nil {
		t.VMSize, t.VMRSS, t.VMSwap = vmSize, vmRSS, vmSwap
	}
}

func (s *state) Switch(ev *event.Event, pgftMaj uint64, pgftMin uint64, vmSize uint32, vmRSS uint32, vmSwap uint32) {
	if t := s.cur; t != nil {
		t.PFMajor, t.PFMinor = pgftMaj, pgftMin
		s.VM(ev, vmSize, vmRSS, vmSwap)
	}
}

// Values as events carry them.
var (
	rlimitNofile   = event.MustValue("rlimit_resource", "RLIMIT_NOFILE")
	prSetName      = event.MustValue("prctl_option", "PR_SET_NAME")
	prSetSubreaper = event.MustValue("prctl_option", "PR_SET_CHILD_SUBREAPER")
	prGetSubreaper = event.MustValue("prctl_option", "PR_GET_CHILD_SUBREAPER")
	prSetKeepCaps  = event.MustValue("prctl_option", "PR_SET_KEEPCAPS")
	atEmptyPath    = event.MustValue("execveat_flags", "AT_EMPTY_PATH")
)

func appendPID(dst []byte, pid event.PID) []byte { return strconv.AppendInt(dst, int64(pid), 10) }
