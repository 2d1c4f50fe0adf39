// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// User is an entry of a user list.
type User = proc.User

// Group is an entry of a group list.
type Group = proc.Group

// userLists has the users and groups of the host and of containers.
type userLists struct {
	users  map[userKey]*User
	groups map[groupKey]*Group
}

type userKey struct {
	container string // "": the host
	uid       event.UID
}

type groupKey struct {
	container string
	gid       event.GID
}

// maxUsers bounds the users, and the groups, of all containers.
const maxUsers = 1 << 17

func (l *userLists) reset() {
	l.users, l.groups = map[userKey]*User{}, map[groupKey]*Group{}
}

func (l *userLists) user(container string, uid event.UID) *User {
	return l.users[userKey{container, uid}]
}

func (l *userLists) group(container string, gid event.GID) *Group {
	return l.groups[groupKey{container, gid}]
}
