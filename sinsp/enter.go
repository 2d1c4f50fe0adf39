// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"encoding/binary"

	"github.com/scaplab/scaplab/scap/event"
)

// enterEvent is what a thread's enter event told of the call that it is in: paths and
// addresses as they were before another thread could change them.
type enterEvent struct {
	typ   event.Type // 0: none
	text  string     // path or address
	flags uint32
	fd    event.FD // of the directory
}

// enterParams says where the enter events that are kept have their values; -1: nowhere.
type enterParams struct{ text, flags, fd int }

var enterEvents = map[event.Type]enterParams{
	event.TypeOpenEnter:     {0, 1, -1},
	event.TypeOpenatEnter:   {1, 2, 0},
	event.TypeOpenat2Enter:  {1, 2, 0},
	event.TypeCreatEnter:    {0, -1, -1},
	event.TypeConnectEnter:  {1, -1, -1},
	event.TypeExecveEnter:   {0, -1, -1},
	event.TypeExecveatEnter: {1, 2, 0},
}

// enter keeps what the exit event of the same call needs.
func (s *state) enter(t *Thread, ev *event.Event, at enterParams) {
	e := &t.enter
	e.typ, e.flags, e.fd = ev.Type(), 0, event.AtFDCWD
	text := ev.Param(at.text)
	if ev.Type() != event.TypeConnectEnter {
		text = event.CString(text)
	}
	s.setText(&e.text, text[:min(len(text), maxPath)])
	if v := ev.Param(at.flags); len(v) == 4 {
		e.flags = binary.NativeEndian.Uint32(v)
	}
	if v := ev.Param(at.fd); len(v) == 8 {
		e.fd = event.FD(binary.NativeEndian.Uint64(v))
	}
}

// entered returns what the enter event of the call told that ev ends; nil: there was
// none. execve's exit event ends execveat, too.
func (s *state) entered(t *Thread, ev *event.Event) *enterEvent {
	switch e := &t.enter; {
	case e.typ == 0:
	case e.typ == ev.Type()-1, e.typ == event.TypeExecveatEnter && ev.Type() == event.TypeExecveExit:
		return e
	}
	return nil
}
