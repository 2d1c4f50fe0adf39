// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"iter"
	"maps"

	"github.com/scaplab/scaplab/scap/event"
)

// threadTable has the threads by id and the processes by theirs.
type threadTable struct {
	byTID map[event.PID]*Thread
	byPID map[event.PID]*Process
	// recent has threads that find returned, by the low bits of their ids: a map costs
	// several times as much.
	recent [recentThreads]*Thread

	placeholders int
	exited       exitRing
	births       births

	freeThreads   []*Thread
	freeProcesses []*Process
}

const recentThreads = 1 << 9

// find returns the thread with that id; nil: not known.
func (tt *threadTable) find(tid event.PID) *Thread {
	if t := tt.recent[tid&(recentThreads-1)]; t != nil && t.TID == tid {
		return t
	}
	return tt.look(tid)
}

func (tt *threadTable) look(tid event.PID) *Thread {
	t := tt.byTID[tid]
	if t != nil {
		tt.recent[tid&(recentThreads-1)] = t
	}
	return t
}

func (tt *threadTable) all() iter.Seq[*Thread] { return maps.Values(tt.byTID) }

// addThread makes a thread of process p, or of a new process with unknown ids for nil.
// It shares what the process has, and has no files and directories if there are none.
// It returns nil if the table is full. No thread of that id may be in the table.
func (s *state) addThread(tid event.PID, p *Process) *Thread {
	tt := &s.threads
	if len(tt.byTID) >= s.limits.Threads {
		if tt.placeholders > s.limits.Threads/8 {
			s.dropPlaceholders()
		}
		if len(tt.byTID) >= s.limits.Threads {
			s.stats.DroppedThreads++
			return nil
		}
	}
	t := take(&tt.freeThreads)
	*t = Thread{Process: p, TID: tid, VTID: -1, UID: event.NoUID, GID: event.NoGID, LoginUID: event.NoUID}
	if p == nil {
		p = s.newProcess(-1)
		t.Process = p
	}
	if t.next = p.threads; t.next != nil {
		t.next.prev = t
		t.files, t.fs = t.next.files, t.next.fs
		t.files.refs++
		if t.fs != nil {
			t.fs.refs++
		}
	} else {
		t.files = s.newTable()
	}
	p.threads = t
	if tid == p.PID {
		p.leader = t
	}
	p.alive++
	tt.byTID[tid] = t
	s.stats.Threads = len(tt.byTID)
	return t
}

// newProcess makes a process; pid is -1 if it is not known. No process of that id may
// be in the table.
func (s *state) newProcess(pid event.PID) *Process {
	p := take(&s.threads.freeProcesses)
	*p = Process{PID: pid, VPID: -1, SID: -1, PGID: -1, VPGID: -1, s: s}
	if pid > 0 {
		s.threads.byPID[pid] = p
		p.reaper = pid == 1
	}
	return p
}

// process returns the process of that id, a new one without threads if needed.
func (s *state) process(pid event.PID) *Process {
	if p := s.threads.byPID[pid]; p != nil {
		return p
	}
	return s.newProcess(pid)
}

// placeholder makes a thread of which only the id is known.
func (s *state) placeholder(tid event.PID) *Thread {
	t := s.addThread(tid, nil)
	if t != nil {
		t.Placeholder = true
		s.shareText(&t.Comm, "<NA>")
		s.shareText(&t.Exe, "<NA>")
		s.threads.placeholders++
	}
	return t
}

// known makes a placeholder a thread of a process.
func (s *state) known(t *Thread, pid event.PID) {
	if t.Placeholder {
		t.Placeholder = false
		s.threads.placeholders--
		s.dropText(&t.Comm)
		s.dropText(&t.Exe)
	}
	if t.PID != pid {
		s.moveThread(t, s.process(pid))
	}
}

// moveThread makes t a thread of process p. It keeps its files unless the process has
// threads, whose files it shares.
func (s *state) moveThread(t *Thread, p *Process) {
	old := t.Process
	s.unlinkThread(t)
	if t.next, t.prev = p.threads, nil; t.next != nil {
		t.next.prev = t
		t.next.files.refs++
		s.releaseTable(t.files)
		t.files = t.next.files
		s.releaseFS(t.fs)
		if t.fs = t.next.fs; t.fs != nil {
			t.fs.refs++
		}
	}
	p.threads, t.Process = t, p
	if t.TID == p.PID {
		p.leader = t
	}
	if !t.Exited {
		p.alive++
	}
	if old.threads == nil {
		s.removeProcess(old)
	}
}

// unlinkThread takes t out of the list of its process.
func (s *state) unlinkThread(t *Thread) {
	p := t.Process
	if !t.Exited {
		p.alive--
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		p.threads = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	if p.leader == t {
		p.leader = nil
	}
}

// exit marks t as ended.
func (s *state) exit(t *Thread) {
	if !t.Exited {
		t.Exited = true
		t.alive--
	}
}

// remove forgets t, which has ended. A main thread stays while its process lives; the
// process ends with its last thread.
func (s *state) remove(t *Thread) {
	s.exit(t)
	p := t.Process
	if p.leader == t && p.alive > 0 {
		return
	}
	if p.alive > 0 {
		s.freeThread(t)
		return
	}
	s.adopt(p)
	for p.threads != nil {
		s.freeThread(p.threads)
	}
	s.removeProcess(p)
}

// freeThread takes t out of the table and gives back what it has.
func (s *state) freeThread(t *Thread) {
	tt := &s.threads
	s.unlinkThread(t)
	delete(tt.byTID, t.TID)
	s.stats.Threads = len(tt.byTID)
	if recent := &tt.recent[t.TID&(recentThreads-1)]; *recent == t {
		*recent = nil
	}
	if t.Placeholder {
		tt.placeholders--
	}
	s.releaseTable(t.files)
	s.releaseFS(t.fs)
	for _, v := range []*string{&t.Comm, &t.Cgroups, &t.enter.text} {
		s.dropText(v)
	}
	*t = Thread{}
	recycle(&tt.freeThreads, t)
}

// removeProcess forgets p, which has no threads. Others adopt its children.
func (s *state) removeProcess(p *Process) {
	s.adopt(p)
	p.unlinkParent()
	if s.threads.byPID[p.PID] == p {
		delete(s.threads.byPID, p.PID)
	}
	for _, v := range []*string{&p.Exe, &p.ExePath, &p.Args, &p.Env} {
		s.dropText(v)
	}
	*p = Process{}
	recycle(&s.threads.freeProcesses, p)
}

// adopt gives the children of p, which ends, to the thread that the kernel named, or
// else to the nearest ancestor that is known to adopt, or else to nobody.
func (s *state) adopt(p *Process) {
	if p.children == nil {
		return
	}
	var to *Process
	var tid event.PID
	if t := s.threads.find(p.adopter); t != nil && t.alive > 0 && t.Process != p && !t.Process.descends(p) {
		to, tid = t.Process, t.TID
	} else {
		for a := p.parent; a != nil; a = a.parent {
			if a.reaper && a.alive > 0 && a.inPidns() == p.inPidns() {
				to, tid = a, a.PID
				break
			}
		}
	}
	if to != nil {
		to.reaper = true
	}
	for p.children != nil {
		c := p.children
		c.unlinkParent()
		c.linkParent(to)
		c.PTID = tid
	}
}

func (p *Process) inPidns() bool { return p.threads != nil && p.threads.InPidns() }

// maxDepth bounds how far descends looks: a deeper tree of processes is not believed.
const maxDepth = 1 << 12

// descends reports whether a is p or an ancestor of p.
func (p *Process) descends(a *Process) bool {
	for depth := 0; p != nil; p = p.parent {
		if depth++; p == a || depth > maxDepth {
			return true
		}
	}
	return false
}

func (p *Process) unlinkParent() {
	if p.prevSibling != nil {
		p.prevSibling.nextSibling = p.nextSibling
	} else if p.parent != nil {
		p.parent.children = p.nextSibling
	}
	if p.nextSibling != nil {
		p.nextSibling.prevSibling = p.prevSibling
	}
	p.parent, p.nextSibling, p.prevSibling = nil, nil, nil
}

func (p *Process) linkParent(parent *Process) {
	p.parent = parent
	if parent == nil {
		return
	}
	if p.nextSibling = parent.children; p.nextSibling != nil {
		p.nextSibling.prevSibling = p
	}
	parent.children = p
}

// setParent makes the process of thread ptid the parent of p, if it is known and that
// makes no circle.
func (s *state) setParent(p *Process, ptid event.PID) {
	p.PTID = ptid
	var parent *Process
	if t := s.threads.find(ptid); t != nil && !t.Placeholder {
		parent = t.Process
	}
	if parent == p.parent {
		return
	}
	p.unlinkParent()
	if parent != nil && parent != p && (p.children == nil || !parent.descends(p)) {
		p.linkParent(parent)
	}
}

// dropPlaceholders forgets all threads of which only the id is known.
func (s *state) dropPlaceholders() {
	for _, t := range s.threads.byTID {
		if t.Placeholder && t != s.cur {
			s.remove(t)
		}
	}
}

// purge forgets the threads that made no event for some time and are no longer there:
// their exit was lost.
func (s *state) purge(now uint64, alive func(event.PID) bool) {
	s.expire(now)
	for _, t := range s.threads.byTID {
		if t.Last+idleTime <= now && (t.Placeholder || t.CloneTime+idleTime <= now && !alive(t.TID)) {
			s.stats.PurgedThreads++
			s.remove(t)
		}
	}
}

// exitRing has the threads that ended last. The event of a clone-like call may come
// after its child ended, and must not bring it back.
type exitRing struct {
	at   map[event.PID]uint64 // timestamp of the exit
	ring [exitRingSize]event.PID
	next int
}

const exitRingSize = 1 << 13

func (r *exitRing) reset() {
	r.at = make(map[event.PID]uint64, exitRingSize)
	r.ring, r.next = [exitRingSize]event.PID{}, 0
}

func (r *exitRing) add(tid event.PID, ts uint64) {
	if _, ok := r.at[tid]; !ok {
		delete(r.at, r.ring[r.next])
		r.ring[r.next] = tid
		r.next = (r.next + 1) % exitRingSize
	}
	r.at[tid] = ts
}

// since reports whether tid ended after that time.
func (r *exitRing) since(tid event.PID, ts uint64) bool {
	at, ok := r.at[tid]
	return ok && at >= ts
}
