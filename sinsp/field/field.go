// SPDX-License-Identifier: Apache-2.0

// Package field declares what filters and formats can ask of an event: evt.type,
// proc.name, fd.sport and so on.
//
// Each field is one row, a [Field], with its name, type, argument, description and the
// function that extracts its value. The rows of a class are in the file of its name;
// [Classes] has them all. A filter or a format finds a field, with its argument, by
// [Parse].
package field

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

// Field is the declaration of one field.
type Field struct {
	Name   string
	Type   Type
	Format event.Format // how numbers print; FormatNA is decimal
	Many   Many         // whether it has several values
	Arg    ArgForm
	Words  []string // ArgWord: the words that the argument may be; nil: any
	Flags  Flags
	Desc   string // one line, for scap fields

	// Extract sets v to the field's value for ev, or returns false: the value is
	// missing. It does not allocate, except to grow v.
	Extract func(ev *sinsp.Event, arg *Arg, v *Value) bool
	// Append appends the text that Extract sets, for a String that is never missing:
	// it saves formats a copy. nil: they use Extract.
	Append func(dst []byte, ev *sinsp.Event, arg *Arg) []byte

	// Codes returns the codes of the events that can have a value; nil: all can.
	// Filters pass over other events without looking at them.
	Codes func(arg *Arg) event.Set
	// ByCode reports whether the value for events of code t depends on nothing but
	// t, so that a filter evaluates it once. Extract must then use only ev.Type().
	// nil: no code is such.
	ByCode func(t event.Type) bool
	// Constants returns what the field can be equal to: filters refuse other
	// constants of =, !=, in and intersects. nil: anything.
	Constants func() []string
}

// Many says what several values of a field mean in a comparison.
type Many uint8

const (
	One Many = iota
	// List: in asks that all elements are listed, intersects that one is; other
	// operators are not available.
	List
	// Any: an operator must hold for one of the values, != as well (proc.aname). With
	// an argument the field has one value (proc.aname[2]).
	Any
	// Ends: as Any, but != must hold for all values (fd.ip).
	Ends
)

// Flags restrict where a field can be used.
type Flags uint8

const (
	FilterOnly  Flags = 1 << iota // not in formats
	NoCompare                     // not with val() or a transformer on the other side
	NoTransform                   // not inside a transformer
	Hidden                        // lists of fields leave it out
	Deprecated                    // lists of fields say so
	Within                        // = holds for smaller values, too, and is the only operator
	OfCall                        // the value depends on the code and, of a generic event, on its syscall alone
	Plain                         // the text is printable ASCII, whatever the event has
)

// ArgForm is a sum of the forms that a field's argument may have; 0: no argument.
type ArgForm uint8

const (
	ArgIndex    ArgForm = 1 << iota // [N], a number
	ArgKey                          // [NAME], any text
	ArgWord                         // .WORD: letters, digits, underscores
	ArgParam                        // .NAME, the name of a param of an event
	ArgEvent                        // .NAME or .CODE of an event
	ArgOptional                     // the argument may be left out
)

// Arg is the argument of a field, as a filter or a format has it.
type Arg struct {
	Form  ArgForm // the one form that it has; 0: it was left out
	Text  string  // without the brackets or the dot
	Index uint64  // ArgIndex
	Event event.Type

	// Type is the type of the value of a Dynamic field. Extract converts a number
	// to it, and returns false for a param whose values are of another kind.
	Type Type

	params *[2][]int8 // ArgParam: index of the param by code, -1: none
}

// Param returns the index of the param that an ArgParam argument names, in events of
// code t; -1 if they have no such param.
func (a *Arg) Param(t event.Type) int {
	if a.params == nil {
		return -1
	}
	run, at := a.params[0], int(t)
	if t >= event.FirstOwn {
		run, at = a.params[1], int(t-event.FirstOwn)
	}
	if at >= len(run) {
		return -1
	}
	return int(run[at])
}

// Ref is a field with its argument: what a filter or a format refers to.
type Ref struct {
	*Field
	Arg  Arg
	Type Type   // Field.Type, or what the argument makes of Dynamic
	Many Many   // Field.Many, but One if an argument selects one of Any
	Text string // as written, without blanks: evt.arg[0]
}

// Get sets v to the value for ev, or returns false: the value is missing.
func (r *Ref) Get(ev *sinsp.Event, v *Value) bool { return r.Extract(ev, &r.Arg, v) }

// CodeSet returns the codes of the events that can have a value.
func (r *Ref) CodeSet() event.Set {
	if r.Codes == nil {
		return event.Universe()
	}
	return r.Codes(&r.Arg)
}

// TypeOf returns the type of values of a param type, for Dynamic fields.
func TypeOf(t event.ParamType) Type {
	switch t {
	case event.ParamCharbuf, event.ParamFSPath, event.ParamFSRelPath:
		return String
	case event.ParamBytebuf, event.ParamCharbufArray, event.ParamCharbufPairArray:
		return Bytes
	case event.ParamBool:
		return Bool
	case event.ParamDouble:
		return Double
	case event.ParamPort:
		return Port
	case event.ParamReltime:
		return RelTime
	case event.ParamAbstime:
		return AbsTime
	case event.ParamIPv4Addr, event.ParamIPv6Addr, event.ParamIPAddr:
		return IP
	case event.ParamSockaddr, event.ParamSocktuple, event.ParamFDList, event.ParamNumbers, event.ParamDyn,
		event.ParamIPv4Net, event.ParamIPv6Net, event.ParamIPNet, event.ParamNone:
		return Opaque
	}
	if t.Signed() {
		return Int
	}
	return Uint
}
