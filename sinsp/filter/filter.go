// SPDX-License-Identifier: Apache-2.0

// Package filter compiles and evaluates filters, such as
//
//	proc.name = cat and fd.name startswith /etc and not evt.failed = true
//
// The language is that of sysdig and falco; docs/filters.md describes it.
package filter

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
)

// Filter decides about events. One goroutine at a time may use it, and all that were
// compiled by the same [Group].
type Filter struct {
	text string
	root *node
	refs []*field.Ref
	warn problems

	group *Group
	set   *Set // of this filter alone
}

// Compile compiles a filter. The error is an [*Errors] with all that is wrong.
func Compile(text string) (*Filter, error) {
	f, err := NewGroup().Compile(Parse(text), Scope{})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Match reports whether the filter holds for ev. It does not allocate, except for
// values that are longer than all before.
func (f *Filter) Match(ev *sinsp.Event) bool { return f.set.Match(ev, 0) == 0 }

// Codes returns the codes of the events for which the filter may hold. It never holds
// for other events.
func (f *Filter) Codes() event.Set { return f.root.can }

// MayCall reports whether the filter may hold for an event with the code and, if it is a
// generic one, the syscall of ev, whatever else the event has.
func (f *Filter) MayCall(ev *event.Event) bool {
	f.group.gen++
	may, _ := f.root.may(f.group.gen, &sinsp.Event{Event: ev}, ev.Type(), map[*node][2]bool{})
	return may
}

// Fields returns the fields that the filter looks at. The caller must not change them.
func (f *Filter) Fields() []*field.Ref { return f.refs }

// Warnings returns what is likely a mistake, but is not an error; nil if there is nothing.
func (f *Filter) Warnings() *Errors {
	if len(f.warn) == 0 {
		return nil
	}
	return &Errors{"filter", f.text, f.warn}
}

// String returns the filter as it was written.
func (f *Filter) String() string { return f.text }
