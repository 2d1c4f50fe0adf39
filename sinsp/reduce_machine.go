// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// Reducers of the machine, its users and containers. The docs are those of [Reducers].

func (s *state) Mount(_ *event.Event, _ []byte, _ []byte, _ []byte) {} // paths stay as the calls gave them

func (s *state) Umount(_ *event.Event, _ []byte) {}

func (s *state) CPUHotplug(_ *event.Event, _ uint32, _ uint32) {} // the source counts what it loses

func (s *state) UserAdded(ev *event.Event, uid event.UID, gid event.GID, name []byte, home []byte, shell []byte, containerID []byte) {
	s.UserDeleted(ev, uid, containerID)
	s.addUser(s.texts.of(containerID), User{UID: uid, GID: gid, Name: string(name), Home: string(home), Shell: string(shell)})
}

func (s *state) UserDeleted(_ *event.Event, uid event.UID, containerID []byte) {
	key := userKey{s.texts.of(containerID), uid}
	if u := s.users.users[key]; u != nil {
		s.stats.Text -= len(key.container) + userSize(u)
		delete(s.users.users, key)
	}
}

func (s *state) GroupAdded(ev *event.Event, gid event.GID, name []byte, containerID []byte) {
	s.GroupDeleted(ev, gid, containerID)
	s.addGroup(s.texts.of(containerID), Group{GID: gid, Name: string(name)})
}

func (s *state) GroupDeleted(_ *event.Event, gid event.GID, containerID []byte) {
	key := groupKey{s.texts.of(containerID), gid}
	if g := s.users.groups[key]; g != nil {
		s.stats.Text -= len(key.container) + len(g.Name)
		delete(s.users.groups, key)
	}
}

func userSize(u *User) int { return len(u.Name) + len(u.Home) + len(u.Shell) }

// addUser adds a user to the list of a container. Of several names of an id the first
// counts, as for getpwuid.
func (s *state) addUser(container string, u proc.User) {
	key := userKey{container, u.UID}
	if s.users.users[key] != nil {
		return
	}
	size := len(container) + userSize(&u)
	if len(s.users.users) >= maxUsers || s.stats.Text+size > s.limits.Text {
		s.stats.DroppedText++
		return
	}
	s.stats.Text += size
	s.users.users[key] = &u
}

func (s *state) addGroup(container string, g proc.Group) {
	key := groupKey{container, g.GID}
	if s.users.groups[key] != nil {
		return
	}
	size := len(container) + len(g.Name)
	if len(s.users.groups) >= maxUsers || s.stats.Text+size > s.limits.Text {
		s.stats.DroppedText++
		return
	}
	s.stats.Text += size
	s.users.groups[key] = &g
}

func (s *state) Container(_ *event.Event, json []byte) { s.addContainer(json) }

func (s *state) Async(_ *event.Event, name []byte, data []byte) {
	if string(name) == "container" {
		s.addContainer(event.CString(data))
	}
}

// nsPerTick is the clock tick that the kernel shows to programs, in ns.
const nsPerTick = 1e7

func (s *state) Procinfo(_ *event.Event, cpuUsr uint64, cpuSys uint64) {
	t := s.cur
	if t == nil {
		return
	}
	if last := t.cpuTime; last != [2]uint64{} && cpuUsr >= last[0] && cpuSys >= last[1] {
		s.ev.CPUUser, s.ev.CPUSystem = nsPerTick*(cpuUsr-last[0]), nsPerTick*(cpuSys-last[1])
	}
	t.cpuTime = [2]uint64{cpuUsr, cpuSys}
}
