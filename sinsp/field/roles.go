// SPDX-License-Identifier: Apache-2.0

package field

import (
	"strings"
	"sync"

	"github.com/scaplab/scaplab/scap/event"
)

// roles is which params of an event type have a meaning that fields ask for; -1: the
// event has no such param. They follow from the params' types, names and flag sets.
type roles struct {
	result    int8 // the return value
	syscall   int8 // the syscall of a generic event
	native    int8 // its number on the machine
	data      int8 // bytes that were read or written
	openFlags int8 // of a call that opens a file
	openMode  int8
	creatMode int8 // of creat, which has no flags
	polled    int8 // files that poll waits for
	addr      int8 // of a socket
	tuple     int8 // both addresses of a connection

	path         int8    // the only path of a call
	ofFile       bool    // it has a descriptor of the file in place of a path
	source, dest int8    // the two paths of a call
	relative     [2]int8 // paths that come with the descriptor of a directory
}

var noRoles = roles{
	result: -1, syscall: -1, native: -1, data: -1, openFlags: -1, openMode: -1, creatMode: -1, polled: -1, addr: -1, tuple: -1,
	path: -1, source: -1, dest: -1, relative: [2]int8{-1, -1},
}

// rolesOf returns the roles of the params of events of type t.
func rolesOf(t event.Type) *roles { return roleTable.At(t) }

var roleTable = event.MakeByCode(noRoles, findRoles)

// codes returns the codes of events whose params have a role.
func codes(has func(*roles) bool) func(*Arg) event.Set {
	set := sync.OnceValue(func() event.Set {
		return event.SetOf(func(in *event.Info) bool { return has(rolesOf(in.Code)) })
	})
	return func(*Arg) event.Set { return set() }
}

func findRoles(in *event.Info) roles {
	r := noRoles
	var paths []int8
	relative := 0
	for i := range in.Params {
		p, at := &in.Params[i], int8(i)
		switch {
		case i == 0 && in.Source == event.SourceSyscall && !in.Enter && p.Type != event.ParamSyscallID:
			if size, ok := p.Type.Size(); ok && size >= 4 {
				r.result = at
			}
		case p.Type == event.ParamSyscallID:
			r.syscall = at
		case r.syscall >= 0 && p.Name == "nativeID":
			r.native = at
		case p.Type == event.ParamFDList:
			r.polled = at
		case p.Type == event.ParamSockaddr:
			r.addr = at
		case p.Type == event.ParamSocktuple:
			r.tuple = at
		case p.Name == "data" && p.Type == event.ParamBytebuf:
			r.data = at
		case isPath(p):
			paths = append(paths, at)
			if p.Type == event.ParamFSRelPath && p.DirFD >= 0 && relative < len(r.relative) {
				r.relative[relative] = at
				relative++
			}
		}
	}
	if in.Flags&event.CreatesFD != 0 && !in.Enter && len(paths) == 1 {
		for i := range in.Params {
			p, at := &in.Params[i], int8(i)
			if p.Names != nil && p.Names.Name == "open_flags" {
				r.openFlags = at
			} else if p.Name == "mode" {
				r.openMode = at
			}
		}
		if r.openFlags < 0 {
			r.creatMode, r.openMode = r.openMode, -1
		}
	}
	switch {
	case in.Enter || r.result < 0 && in.Source == event.SourceSyscall:
	case len(paths) == 0:
		r.ofFile = in.Name == "fchmod" || in.Name == "fchown" // which chmod and chown have a path for
	case len(paths) == 1:
		r.path = paths[0]
	case len(paths) == 2:
		r.source, r.dest = paths[0], paths[1]
		if secondIsSource(in, paths) {
			r.source, r.dest = r.dest, r.source
		}
	}
	return r
}

// isPath reports whether a call got p as a path. Some are plain strings, since they
// may hold something else, too: a device, or what a symbolic link shall contain. The
// path of a program comes from the kernel, not from the call.
func isPath(p *event.ParamInfo) bool {
	switch p.Type {
	case event.ParamFSPath, event.ParamFSRelPath:
		return p.Name != "trusted_exepath"
	case event.ParamCharbuf:
		return p.Name == "target" || p.Name == "dev" || p.Name == "special"
	}
	return false
}

// secondIsSource reports whether the second path is the source in fields: a link
// points from its new name to the old one.
func secondIsSource(in *event.Info, paths []int8) bool {
	name := in.Params[paths[1]].Name
	return name == "linkpath" || name == "newpath" && strings.HasPrefix(in.Name, "link")
}
