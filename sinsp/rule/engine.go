// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/filter"
)

// Engine finds the rules that hold for events. One goroutine at a time may use it.
type Engine struct {
	Rules []*Rule // that are enabled, in their order

	set  *filter.Set
	next int
}

// Engine returns an engine of the rules that are enabled.
func (s *Set) Engine() *Engine {
	e := &Engine{}
	var filters []*filter.Filter
	for _, r := range s.Rules {
		if r.Enabled {
			e.Rules = append(e.Rules, r)
			filters = append(filters, r.Condition)
		}
	}
	e.set = s.group.Set(filters)
	return e
}

// Looks reports whether rules look at ev: not at events that only update the state, and
// not at the enter event of execve, which old captures have next to the event.
func Looks(ev *sinsp.Event) bool { return !ev.Hidden() && ev.Type() != event.TypeExecveEnter }

// First returns the index in Rules of the first rule that holds for ev; -1: none does.
// It does not allocate.
func (e *Engine) First(ev *sinsp.Event) int {
	if !Looks(ev) {
		e.next = len(e.Rules)
		return -1
	}
	return e.from(ev, 0)
}

// Next returns the next rule that holds for the event that First was asked about; -1:
// none does.
func (e *Engine) Next(ev *sinsp.Event) int {
	if e.next >= len(e.Rules) {
		return -1
	}
	return e.from(ev, e.next)
}

func (e *Engine) from(ev *sinsp.Event, i int) int {
	i = e.set.Match(ev, i)
	e.next = len(e.Rules)
	if i >= 0 {
		e.next = i + 1
	}
	return i
}

// Codes returns the codes of the events for which one of the rules may hold.
func (e *Engine) Codes() event.Set { return e.set.Codes() }

// MayCall reports whether one of the rules may hold for the call of a generic event.
func (e *Engine) MayCall(ev *event.Event) bool { return e.set.MayCall(ev) }
