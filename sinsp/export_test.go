// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"fmt"

	"github.com/scaplab/scaplab/scap/event"
)

// Check reports what is wrong with the links and counts of the state.
func Check(in *Inspector) error {
	s := &in.st
	text, fds, placeholders := 0, 0, 0
	tables, files, dirs := map[*fdTable]int{}, map[*FD]int{}, map[*fsInfo]int{}
	processes := map[*Process]int{}
	for tid, t := range s.threads.byTID {
		if t.TID != tid || t.Process == nil || t.files == nil {
			return fmt.Errorf("thread %d: %+v", tid, t)
		}
		tables[t.files]++
		if t.fs != nil {
			dirs[t.fs]++
		}
		if t.Placeholder {
			placeholders++
		}
		if !t.Exited {
			processes[t.Process]++
		} else {
			processes[t.Process] += 0
		}
		text += len(t.Comm) + len(t.Cgroups) + len(t.enter.text)
	}
	for p, alive := range processes {
		if p.alive != alive {
			return fmt.Errorf("process %d: %d alive of %d", p.PID, p.alive, alive)
		}
		if p.PID > 0 && s.threads.byPID[p.PID] != p {
			return fmt.Errorf("process %d is not in the table", p.PID)
		}
		if p.leader != nil && (p.leader.Process != p || p.leader.TID != p.PID) {
			return fmt.Errorf("process %d: leader %d", p.PID, p.leader.TID)
		}
		threads := 0
		for t := p.threads; t != nil; t = t.next {
			if threads++; t.Process != p || t.next != nil && t.next.prev != t {
				return fmt.Errorf("process %d: thread %d is not linked", p.PID, t.TID)
			}
		}
		if threads == 0 {
			return fmt.Errorf("process %d: no threads", p.PID)
		}
		for c := p.children; c != nil; c = c.nextSibling {
			if _, ok := processes[c]; !ok || c.parent != p || c.nextSibling != nil && c.nextSibling.prevSibling != c {
				return fmt.Errorf("process %d: child %d is not linked", p.PID, c.PID)
			}
		}
		depth := 0
		for a := p; a != nil; a = a.parent {
			if _, ok := processes[a]; !ok || depth > len(processes) {
				return fmt.Errorf("process %d: ancestor %d", p.PID, a.PID)
			}
			depth++
		}
		text += len(p.Exe) + len(p.ExePath) + len(p.Args) + len(p.Env)
	}
	for pid, p := range s.threads.byPID {
		if _, ok := processes[p]; !ok {
			return fmt.Errorf("process %d has no thread in the table", pid)
		}
	}
	if s.closing != nil {
		tables[s.closing]++
	}
	for _, h := range s.threads.births.expected {
		tables[h.thread.files]++
		if h.thread.fs != nil {
			dirs[h.thread.fs]++
		}
		text += len(h.thread.Comm) + len(h.thread.Cgroups) + len(h.process.Exe) + len(h.process.ExePath) + len(h.process.Args) + len(h.process.Env)
	}
	if x := &s.threads.births; len(x.expected) > maxBirths || len(x.early) > maxBirths {
		return fmt.Errorf("%d children and %d makers are expected", len(x.expected), len(x.early))
	}
	for t, refs := range tables {
		if t.refs != refs {
			return fmt.Errorf("a table of descriptors has %d references, not %d", t.refs, refs)
		}
		n := 0
		for _, fd := range t.all() {
			files[fd]++
			n++
		}
		if t.n != n || n > s.limits.FDs {
			return fmt.Errorf("a table of %d descriptors counts %d", n, t.n)
		}
		fds += n
	}
	for fd, refs := range files {
		if int(fd.refs) != refs {
			return fmt.Errorf("file %q has %d references, not %d", fd.Path, fd.refs, refs)
		}
		text += len(fd.Path) + len(fd.RawPath)
	}
	for fs, refs := range dirs {
		if fs.refs != refs {
			return fmt.Errorf("directory %q has %d references, not %d", fs.cwd, fs.refs, refs)
		}
		text += len(fs.cwd) + len(fs.root)
	}
	text += len(s.files.spare.Path) + len(s.files.spare.RawPath)
	for k, u := range s.users.users {
		text += len(k.container) + userSize(u)
	}
	for k, g := range s.users.groups {
		text += len(k.container) + len(g.Name)
	}
	for _, c := range s.containers.byID {
		text += c.size
	}
	switch {
	case s.stats.Text != text:
		return fmt.Errorf("%d bytes of text, counted %d", text, s.stats.Text)
	case s.stats.FDs != fds:
		return fmt.Errorf("%d descriptors, counted %d", fds, s.stats.FDs)
	case s.stats.Threads != len(s.threads.byTID):
		return fmt.Errorf("%d threads, counted %d", len(s.threads.byTID), s.stats.Threads)
	case s.threads.placeholders != placeholders:
		return fmt.Errorf("%d placeholders, counted %d", placeholders, s.threads.placeholders)
	case s.stats.Text > s.limits.Text, fds > s.limits.AllFDs, s.stats.Threads > s.limits.Threads:
		return fmt.Errorf("beyond the limits: %+v", s.stats)
	}
	return nil
}

// IsClean reports whether an absolute path is taken as it is.
func IsClean(path []byte) bool { return isClean(path) }

// Clean returns the absolute path that a call means by path.
func Clean(path []byte) []byte { return appendPath(nil, nil, event.AtFDCWD, path) }

// CleanBelow returns the path that a call means by path and a descriptor that is not known.
func CleanBelow(path []byte) []byte { return appendPath(nil, nil, 77, path) }

// WithoutShortcuts runs f with the reducers of all events called for each of them.
func WithoutShortcuts(f func()) {
	var undo []func()
	for info := range event.All() {
		k := kinds.At(info.Code)
		was := k.shortcut
		k.shortcut = noShortcut
		undo = append(undo, func() { k.shortcut = was })
	}
	defer func() {
		for _, f := range undo {
			f()
		}
	}()
	f()
}

// NumShortcuts returns the number of event codes with a shortcut.
func NumShortcuts() (n int) {
	for info := range event.All() {
		if kinds.At(info.Code).shortcut != noShortcut {
			n++
		}
	}
	return n
}

// Expected returns the number of children whose own events are expected.
func Expected(in *Inspector) int { return len(in.st.threads.births.expected) }

// MaxBirths is the limit of Expected.
const MaxBirths = maxBirths
