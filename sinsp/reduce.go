// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"encoding/binary"

	"github.com/scaplab/scaplab/scap/event"
)

// Reduce calls the method of r that handles ev, with the values of its params. It
// calls none if the event does not change the state, or if the syscall failed, except
// for reducers that also handle failures. The values are valid as long as the event's
// bytes. Reduce does not allocate. An error wraps [event.ErrCorrupt]: a
// param that the method needs contradicts its type, and no method was called.
func Reduce(r Reducers, ev *event.Event) error {
	if call := kinds.At(ev.Type()).reduce; call != nil {
		return call(r, ev)
	}
	return nil
}

// reduction is how events of a type change the state.
type reduction struct {
	reduce func(r Reducers, ev *event.Event) error
	method string // of Reducers, which reduce calls
	params []int8 // of the event, that are its arguments; -1: a constant. nil: the method gets the event
}

// shortcut is a reducer of common events that the state calls without decoding all params.
type shortcut uint8

const (
	noShortcut shortcut = iota
	transfers           // Read or Write
	closes              // Close
	controls            // Fcntl
)

// shortcut returns the shortcut for the events, and the param with the descriptor.
func (r *reduction) shortcut() (cut shortcut, fd int8) {
	switch r.method {
	case "Read", "Write":
		cut = transfers
	case "Close":
		cut = closes
	case "Fcntl":
		cut = controls
	default:
		return noShortcut, -1
	}
	const fdArg = 1 // argument of these methods, after the result
	if r.params[0] != 0 || r.params[fdArg] <= 0 {
		return noShortcut, -1
	}
	return cut, r.params[fdArg]
}

// params reads those params of an event that a reducer needs: most events have more. A
// param without a value is 0, or nil.
type params struct {
	ev   *event.Event
	bad  bool // a param that was read has another size than its type
	read bool // at is set
	at   event.Layout
}

func (p *params) err() error {
	if p.bad {
		return event.ErrCorrupt
	}
	return nil
}

// value returns param i; nil if the event does not have it.
func (p *params) value(i int) []byte {
	if !p.read {
		p.ev.Layout(&p.at)
		p.read = true
	}
	return p.at.Param(i)
}

// empty returns 0 for a value that does not have the size of its type.
func (p *params) empty(v []byte) uint64 {
	if len(v) > 0 {
		p.bad = true
	}
	return 0
}

func (p *params) uint8(i int) uint8 {
	v := p.value(i)
	if len(v) != 1 {
		return uint8(p.empty(v))
	}
	return v[0]
}

func (p *params) uint16(i int) uint16 {
	v := p.value(i)
	if len(v) != 2 {
		return uint16(p.empty(v))
	}
	return binary.NativeEndian.Uint16(v)
}

func (p *params) uint32(i int) uint32 {
	v := p.value(i)
	if len(v) != 4 {
		return uint32(p.empty(v))
	}
	return binary.NativeEndian.Uint32(v)
}

func (p *params) uint64(i int) uint64 {
	v := p.value(i)
	if len(v) != 8 {
		return p.empty(v)
	}
	return binary.NativeEndian.Uint64(v)
}

func (p *params) int32(i int) int32 { return int32(p.uint32(i)) }
func (p *params) int64(i int) int64 { return int64(p.uint64(i)) }

// bytes returns a view of the value; nil if there is none.
func (p *params) bytes(i int) []byte {
	v := p.value(i)
	if len(v) == 0 {
		return nil
	}
	return v
}

// str returns a view of a string without its NUL: nil if there is no value.
func (p *params) str(i int) []byte { return event.CString(p.bytes(i)) }
