// SPDX-License-Identifier: Apache-2.0

// Package subject describes a driver of somebody else that is to be judged: what it is, and
// which calls, events and params it has. A driver with an older schema has fewer of them, and
// what it lacks is no fault.
package subject

import (
	"strings"

	"github.com/scaplab/scaplab/scap/event"
)

// Subject is a driver of somebody else.
type Subject struct {
	Name    string `json:"name"`              // of the module, or of the capture's file
	Version string `json:"version,omitempty"` // its own; "" if it states none
	API     string `json:"api,omitempty"`     // versions that a module states
	Schema  string `json:"schema,omitempty"`
	Origin  string `json:"origin"` // where it is from: a package and its version, or a file

	// Capture says that it is known by a capture only: enter events may not have been asked for, and
	// what is missing at the end of an event counts as what its schema does not have.
	Capture bool `json:"-"`

	// Tables are the module's own tables of events and calls. nil: it is judged by the
	// current schema.
	Tables *Tables `json:"-"`
}

// String returns the driver's name and version.
func (s *Subject) String() string { return strings.TrimSpace(s.Name + " " + s.Version) }

// Long returns the versions of its interface, and where it is from.
func (s *Subject) Long() string {
	long := s.Origin
	if s.Schema != "" {
		long = "schema " + s.Schema + ", " + long
	}
	if s.API != "" {
		long = "API " + s.API + ", " + long
	}
	return long
}

// Tables say which events a module has, and which of them its calls make.
type Tables struct {
	Events []Event
	Calls  []Call // by native number
}

// Event is one event of a module's table.
type Event struct {
	Name   string
	Params []string // names
}

// Call has the events that a call makes. A call that the module does not know has zeros: it
// makes generic events.
type Call struct{ Enter, Exit uint16 }

// has reports whether the events include the code.
func (t *Tables) has(code uint16) bool { return int(code) < len(t.Events) && t.Events[code].Name != "" }

// call returns the events of the call with a native number. ok is false for a call that only
// 32-bit tasks have: it is in none of the module's tables that are read here.
func (t *Tables) call(nr int) (c Call, ok bool) {
	if nr < 0 || nr >= len(t.Calls) {
		return c, false
	}
	return t.Calls[nr], true
}

// Exit returns the event that the driver makes at the end of the call with a native
// number: the event with the given code, as the current schema has it, or the generic one.
func (s *Subject) Exit(nr int, code uint16) uint16 {
	if s == nil || s.Tables == nil {
		return code
	}
	if c, ok := s.Tables.call(nr); !s.Tables.has(code) || ok && c.Exit != code {
		return uint16(event.TypeGenericExit)
	}
	return code
}

// Enters reports whether the driver makes the enter event of a code for the call with a native number.
func (s *Subject) Enters(nr int, code uint16) bool {
	if s == nil || s.Tables == nil {
		return s == nil || !s.Capture
	}
	c, ok := s.Tables.call(nr)
	return s.Tables.has(code) && (!ok || c.Enter == code)
}

// Params returns how many params the driver sends of an event that has come with n of them. They are
// the first ones of the current schema: params are only ever appended.
func (s *Subject) Params(info *event.Info, n int) int {
	switch all := len(info.Params); {
	case s == nil:
		return all
	case s.Capture:
		return n
	case s.Tables == nil || !s.Tables.has(uint16(info.Code)):
		return all
	}
	return len(s.Tables.Events[info.Code].Params)
}
