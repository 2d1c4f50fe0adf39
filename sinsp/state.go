// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// state is the system as the events left it. It implements [Reducers].
//
// Threads, processes and files are reused after they are gone, but not before the next
// event: what an event removes is removed by before.
type state struct {
	opts       Options
	limits     Limits
	stats      Stats
	machine    proc.Machine
	interfaces []proc.Interface
	threads    threadTable
	users      userLists
	containers containers
	texts      texts
	files      files

	ev  *Event  // that is reduced
	cur *Thread // its thread; nil: none

	leaving *Thread  // ends with the last event
	closing *fdTable // has a descriptor that ended with the last event
	closed  event.FD

	purgeAt uint64 // timestamp
	path    []byte // scratch: what a call was given
	name    []byte // scratch: what it means
}

var _ Reducers = (*state)(nil)

func (s *state) init(opts Options) {
	s.opts = opts
	s.limits = opts.Limits
	for _, l := range []struct {
		limit *int
		value int
	}{
		{&s.limits.Threads, 1 << 18}, {&s.limits.FDs, 4096}, {&s.limits.AllFDs, 1 << 21}, {&s.limits.Text, 1 << 29},
	} {
		if *l.limit <= 0 {
			*l.limit = l.value
		}
	}
	s.reset(opts.State)
}

// reset begins with another state, as a new section of a capture does. The counts of
// guesses go on.
func (s *state) reset(from *proc.State) {
	s.threads = threadTable{byTID: map[event.PID]*Thread{}, byPID: map[event.PID]*Process{}}
	s.threads.exited.reset()
	s.users.reset()
	s.containers.reset()
	s.texts.reset()
	s.files = files{}
	s.leaving, s.closing = nil, nil
	s.purgeAt = 0
	s.stats.Threads, s.stats.FDs, s.stats.Text = 0, 0, 0
	s.machine, s.interfaces = proc.Machine{}, nil
	if from != nil {
		s.seed(from)
	}
}

// before removes what ended with the last event.
func (s *state) before() {
	if t := s.closing; t != nil {
		s.closing = nil
		s.removeFD(t, s.closed)
		s.releaseTable(t)
	}
	if t := s.leaving; t != nil {
		s.leaving = nil
		s.remove(t)
	}
}

// texts keeps strings that occur again and again, so that storing one of them does
// not allocate. It forgets all of them when it has too many.
type texts struct {
	m     map[string]string
	bytes int
}

const (
	maxTexts     = 1 << 15
	maxTextBytes = 1 << 24
)

func (x *texts) reset() { x.m, x.bytes = map[string]string{}, 0 }

func (x *texts) of(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if v, ok := x.m[string(b)]; ok {
		return v
	}
	if len(x.m) >= maxTexts || x.bytes+len(b) > maxTextBytes {
		clear(x.m)
		x.bytes = 0
	}
	v := string(b)
	x.m[v] = v
	x.bytes += len(v)
	return v
}

// setText stores b in dst, which belongs to the state, within the limit.
func (s *state) setText(dst *string, b []byte) {
	if string(b) == *dst {
		return
	}
	if s.room(dst, len(b)) {
		*dst = s.texts.of(b)
	}
}

// shareText stores in dst a string that the state has elsewhere, or that the scan brought.
func (s *state) shareText(dst *string, v string) {
	if s.room(dst, len(v)) {
		*dst = v
	}
}

// room empties dst and counts n bytes in its place, if the limit allows them.
func (s *state) room(dst *string, n int) bool {
	s.stats.Text -= len(*dst)
	*dst = ""
	if s.stats.Text+n > s.limits.Text {
		s.stats.DroppedText++
		return false
	}
	s.stats.Text += n
	return true
}

func (s *state) dropText(dst *string) {
	s.stats.Text -= len(*dst)
	*dst = ""
}
