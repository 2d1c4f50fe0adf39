// SPDX-License-Identifier: Apache-2.0

package sinsp

import "github.com/scaplab/scaplab/scap/event"

// Reducers of ids, capabilities and namespaces. The docs are those of [Reducers].

func (s *state) Setuid(_ *event.Event, uid event.UID) {
	t := s.cur
	if t == nil {
		return
	}
	if t.CapEffective&capSetuid != 0 {
		s.setUIDs(uid, uid, uid)
	} else {
		s.setUIDs(event.NoUID, uid, event.NoUID)
	}
}

func (s *state) Setreuid(_ *event.Event, ruid event.UID, euid event.UID) {
	t := s.cur
	if t == nil {
		return
	}
	suid := event.NoUID
	if ruid != event.NoUID || euid != event.NoUID && euid != t.ruid {
		if suid = euid; suid == event.NoUID {
			suid = t.UID
		}
	}
	s.setUIDs(ruid, euid, suid)
}

func (s *state) Setresuid(_ *event.Event, ruid event.UID, euid event.UID, suid event.UID) {
	if s.cur != nil {
		s.setUIDs(ruid, euid, suid)
	}
}

// setUIDs sets the ids that are not event.NoUID. As the kernel does, it drops
// capabilities with the last id of root, and suspends them while the effective id is not
// root.
func (s *state) setUIDs(ruid, euid, suid event.UID) {
	t := s.cur
	before, rooted := t.UID, t.ruid == 0 || t.UID == 0 || t.suid == 0
	for _, id := range []struct {
		at  *event.UID
		uid event.UID
	}{{&t.ruid, ruid}, {&t.UID, euid}, {&t.suid, suid}} {
		if id.uid != event.NoUID {
			*id.at = id.uid
		}
	}
	if rooted && t.ruid != 0 && t.UID != 0 && t.suid != 0 && !t.keepCaps {
		t.CapPermitted, t.CapEffective = 0, 0
	}
	switch {
	case before == 0 && t.UID != 0:
		t.CapEffective = 0
	case before != 0 && t.UID == 0:
		t.CapEffective = t.CapPermitted
	}
}

func (s *state) Setgid(_ *event.Event, gid event.GID) { s.setGID(gid) }

func (s *state) Setregid(_ *event.Event, _ event.GID, egid event.GID) { s.setGID(egid) }

func (s *state) Setresgid(_ *event.Event, _ event.GID, egid event.GID, _ event.GID) { s.setGID(egid) }

func (s *state) setGID(gid event.GID) {
	if s.cur != nil && gid != event.NoGID {
		s.cur.GID = gid
	}
}

func (s *state) Capset(_ *event.Event, capInheritable uint64, capPermitted uint64, capEffective uint64) {
	if t := s.cur; t != nil {
		t.CapInheritable, t.CapPermitted, t.CapEffective = capInheritable, capPermitted, capEffective
	}
}

func (s *state) Setpgid(_ *event.Event, pid event.PID, pgid event.PID) {
	t := s.target(pid)
	if t == nil {
		return
	}
	if pgid == 0 {
		t.PGID, t.VPGID = t.PID, t.VPID
		return
	}
	t.VPGID = pgid
	switch {
	case !t.InPidns():
		t.PGID = pgid
	case pgid == t.VPID:
		t.PGID = t.PID
	default:
		t.PGID = -1
		for a := range t.Ancestors() { // a group of the namespace that is known
			if a.VPGID == pgid && a.InPidns() {
				t.PGID = a.PGID
				break
			}
		}
	}
}

func (s *state) Setsid(_ *event.Event, ret event.PID) {
	if t := s.cur; t != nil {
		t.PGID, t.VPGID, t.TTY = t.PID, t.VPID, 0
		if t.SID = t.PID; t.SID <= 0 {
			t.SID = ret // an id in the thread's own pid namespace
		}
	}
}

func (s *state) Unshare(_ *event.Event, flags uint32) {
	t := s.cur
	if t == nil {
		return
	}
	if flags&cloneFiles != 0 {
		s.ownTable(t)
	}
	if flags&(cloneFS|cloneNewNS) != 0 {
		s.ownFS(t)
	}
	s.newUserNS(t, flags)
	t.elsewhere = t.elsewhere || flags&cloneNewPID != 0
}

func (s *state) Setns(_ *event.Event, _ event.FD, nstype uint32) {
	t := s.cur
	if t == nil {
		return
	}
	if nstype&cloneNewNS != 0 { // both directories become the root of the namespace
		s.ownFS(t)
		if t.fs == nil {
			t.fs = s.newFS("/", "/")
		}
		s.shareText(&t.fs.cwd, "/")
		s.shareText(&t.fs.root, "/")
	}
	s.newUserNS(t, nstype)
	t.elsewhere = t.elsewhere || nstype&cloneNewPID != 0
}

// newUserNS gives t the capabilities that a thread has in a user namespace it enters.
func (s *state) newUserNS(t *Thread, flags uint32) {
	if flags&cloneNewUser != 0 {
		t.CapInheritable, t.CapPermitted, t.CapEffective = 0, allCaps, allCaps
	}
}

const (
	capSetuid = 1 << 7    // CAP_SETUID
	allCaps   = 1<<41 - 1 // up to CAP_CHECKPOINT_RESTORE
)
