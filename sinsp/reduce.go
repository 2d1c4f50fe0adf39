// SPDX-License-Identifier: Apache-2.0

package sinsp

import "github.com/scaplab/scaplab/scap/event"

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

// transfers returns the param with the descriptor of events that only say that data went
// through it; -1: they say more.
func (r *reduction) transfers() int8 {
	const fd = 1 // argument of both methods, after the result
	switch r.method {
	case "Read", "Write":
		return r.params[fd]
	}
	return -1
}

// params reads those params of an event that a reducer needs: most events have more. A
// param without a value is 0, or nil.
type params struct {
	ev  *event.Event
	bad bool // a param that was read has another size than its type
}

func (p *params) err() error {
	if p.bad {
		return event.ErrCorrupt
	}
	return nil
}

// number returns param i, which has size bytes.
func (p *params) number(i, size int) uint64 {
	v, ok := p.ev.Number(i, size)
	if !ok {
		p.bad = true
	}
	return v
}

func (p *params) uint8(i int) uint8   { return uint8(p.number(i, 1)) }
func (p *params) uint16(i int) uint16 { return uint16(p.number(i, 2)) }
func (p *params) uint32(i int) uint32 { return uint32(p.number(i, 4)) }
func (p *params) uint64(i int) uint64 {
	if n, ok := p.ev.Int64(i); ok {
		return uint64(n)
	}
	return p.number(i, 8)
}
func (p *params) int32(i int) int32 { return int32(p.uint32(i)) }
func (p *params) int64(i int) int64 { return int64(p.uint64(i)) }

// bytes returns a view of the value; nil if there is none.
func (p *params) bytes(i int) []byte {
	v := p.ev.Param(i)
	if len(v) == 0 {
		return nil
	}
	return v
}

// str returns a view of a string without its NUL: nil if there is no value.
func (p *params) str(i int) []byte { return event.CString(p.bytes(i)) }
