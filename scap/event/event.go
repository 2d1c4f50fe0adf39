// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/scaplab/scaplab/internal/abi"
)

// Type is an event code. Codes up to 453 belong to the reference schema, codes from
// [FirstOwn] on to this project. Even codes are enter events, odd ones exit events.
type Type uint16

// FirstOwn is the first code of this project's own events.
const FirstOwn Type = abi.FirstOwn

// Enter reports whether t is the code of an enter event. Tracepoints and metaevents
// also have enter codes.
func (t Type) Enter() bool { return t&1 == 0 }

// LargePayload reports whether events of type t have 4-byte param lengths. The
// capture file's format fixes these types.
func (t Type) LargePayload() bool {
	return t == TypePlugineventEnter || t == TypeContainerJSONEnter || t == TypeAsynceventEnter
}

// String returns the event's name, or its number if the type is not known.
func (t Type) String() string {
	if info := Lookup(t); info != nil {
		return info.Name
	}
	return fmt.Sprintf("event(%d)", uint16(t))
}

const (
	// HeaderSize is the number of bytes before the param lengths.
	HeaderSize = abi.EventHeaderSize
	// MaxParams is the largest number of params an event may have.
	MaxParams = abi.MaxParams
	// MaxSize is the largest event, in bytes, that is not of a large-payload type.
	MaxSize = abi.EventMax
)

var (
	// ErrTruncated: the buffer ends before the event does.
	ErrTruncated = errors.New("event is truncated")
	// ErrCorrupt: lengths contradict each other or the event's type.
	ErrCorrupt = errors.New("event is corrupt")
	// ErrType: a typed decoder was given an event of another type.
	ErrType = errors.New("event is of another type")
	// ErrUntyped: there is no generated struct for events of that type.
	ErrUntyped = errors.New("event has no struct of its type")
	// ErrTooLarge: a param or an event does not fit its length field.
	ErrTooLarge = errors.New("event is too large")
)

// Event is a view of one event. The zero value is an event without params, and
// [Event.Reset] makes it a view of a buffer. It is valid for as long as the buffer
// is: an Event from a scap.Source until the source's next read.
type Event struct {
	buf    []byte // exactly the event
	n      uint16 // params
	cpu    uint16
	wide   bool // 4-byte lengths
	hidden bool
}

// Reset makes e a view of the event at the start of buf and ignores the bytes after
// it. cpu is the CPU, or the index of the ring, that the event came from.
//
// Reset checks the header and all lengths; no other method does. The error wraps
// [ErrTruncated] if buf is too short and [ErrCorrupt] if a longer buffer would not
// help; e is then empty. Reset accepts more params than the table knows (a newer
// producer), and bytes between the last param and the end.
func (e *Event) Reset(buf []byte, cpu int) error {
	// Nearly all events have up to 8 params with short lengths. For them two words are
	// read, which begin with the lengths.
	if len(buf) >= HeaderSize+16 {
		h := (*[HeaderSize + 16]byte)(buf)
		size, n := binary.NativeEndian.Uint32(h[abi.EventLen:]), binary.NativeEndian.Uint32(h[abi.EventNumParams:])
		if n <= 8 && uint64(size) <= uint64(len(buf)) && !Type(binary.NativeEndian.Uint16(h[abi.EventType:])).LargePayload() {
			mask := &lengthMasks[n]
			sum := HeaderSize + 2*uint64(n) + sumOf(
				binary.NativeEndian.Uint64(h[HeaderSize:])&mask[0], binary.NativeEndian.Uint64(h[HeaderSize+8:])&mask[1])
			if sum <= uint64(size) {
				// One by one: a literal would be made elsewhere and copied.
				e.buf = buf[:size:size]
				e.n, e.cpu, e.wide, e.hidden = uint16(n), uint16(cpu), false, false
				return nil
			}
		}
	}
	return e.resetAny(buf, cpu)
}

// resetAny does what Reset does, for all events.
func (e *Event) resetAny(buf []byte, cpu int) error {
	*e = Event{}
	if len(buf) < HeaderSize {
		return ErrTruncated
	}
	size := binary.NativeEndian.Uint32(buf[abi.EventLen:])
	n := binary.NativeEndian.Uint32(buf[abi.EventNumParams:])
	wide := Type(binary.NativeEndian.Uint16(buf[abi.EventType:])).LargePayload()
	if err := checkLengths(buf, size, n, wide); err != nil {
		return err
	}
	e.buf = buf[:size:size]
	e.n = uint16(n)
	e.cpu = uint16(cpu)
	e.wide = wide
	return nil
}

// lengthMasks are, by their number, the bits of up to 8 lengths in two words.
var lengthMasks = func() (masks [9][2]uint64) {
	for n := range masks {
		var b [16]byte
		for i := range 2 * n {
			b[i] = 0xff
		}
		masks[n] = [2]uint64{binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:])}
	}
	return masks
}()

// sumOf returns the sum of the lengths in two words.
func sumOf(a, b uint64) uint64 {
	const odd = 0x0000ffff0000ffff
	four := a&odd + a>>16&odd + b&odd + b>>16&odd
	return four&math.MaxUint32 + four>>32
}

// ResetUnchecked is [Event.Reset] without the checks, for an event that was checked
// before or comes from a trusted writer such as our own driver. buf is exactly the
// event.
func (e *Event) ResetUnchecked(buf []byte, cpu int) {
	e.buf = buf
	e.n = uint16(binary.NativeEndian.Uint32(buf[abi.EventNumParams:]))
	e.cpu = uint16(cpu)
	e.wide = Type(binary.NativeEndian.Uint16(buf[abi.EventType:])).LargePayload()
	e.hidden = false
}

func checkLengths(buf []byte, size, n uint32, wide bool) error {
	width := uint64(2)
	if wide {
		width = 4
	}
	head := HeaderSize + width*uint64(n)
	if n > MaxParams || uint64(size) < head {
		return ErrCorrupt
	}
	if uint64(len(buf)) < head {
		return ErrTruncated
	}
	sum := head
	lens := buf[HeaderSize:head]
	if wide {
		for ; len(lens) > 0; lens = lens[4:] {
			sum += uint64(binary.NativeEndian.Uint32(lens))
		}
	}
	for ; len(lens) >= 8; lens = lens[8:] { // four lengths at a time
		sum += sumOf(binary.NativeEndian.Uint64(lens), 0)
	}
	for ; len(lens) > 0; lens = lens[2:] {
		sum += uint64(binary.NativeEndian.Uint16(lens))
	}
	if sum > uint64(size) {
		return ErrCorrupt
	}
	if uint64(len(buf)) < uint64(size) {
		return ErrTruncated
	}
	return nil
}

// Bytes returns the whole event, header included.
func (e *Event) Bytes() []byte { return e.buf }

// Timestamp returns the event's time in ns since the Unix epoch.
func (e *Event) Timestamp() uint64 {
	if len(e.buf) < HeaderSize {
		return 0
	}
	return binary.NativeEndian.Uint64(e.buf)
}

// TID returns the thread id in the initial pid namespace; -1 for events that no
// thread made.
func (e *Event) TID() PID {
	if len(e.buf) < HeaderSize {
		return 0
	}
	return PID(binary.NativeEndian.Uint64(e.buf[abi.EventTID:]))
}

// Type returns the event code.
func (e *Event) Type() Type {
	if len(e.buf) < HeaderSize {
		return 0
	}
	return Type(binary.NativeEndian.Uint16(e.buf[abi.EventType:]))
}

// Head returns what Timestamp, TID and Type return.
func (e *Event) Head() (ts uint64, tid PID, t Type) {
	if len(e.buf) < HeaderSize {
		return 0, 0, 0
	}
	h := (*[HeaderSize]byte)(e.buf)
	return binary.NativeEndian.Uint64(h[:]), PID(binary.NativeEndian.Uint64(h[abi.EventTID:])), Type(binary.NativeEndian.Uint16(h[abi.EventType:]))
}

// CPU returns the CPU, or the index of the ring, that the event came from.
func (e *Event) CPU() int { return int(e.cpu) }

// NumParams returns the number of params of the event. An older producer may send
// fewer than its type has now, a newer one more.
func (e *Event) NumParams() int { return int(e.n) }

// Param returns the i-th param's bytes: nil if the event has no such param, not nil
// but of length 0 if the param is empty (there was no value to send).
func (e *Event) Param(i int) []byte {
	if uint(i) >= uint(e.n) {
		return nil
	}
	if e.wide {
		off := HeaderSize + 4*int(e.n)
		lens := e.buf[HeaderSize:off]
		for j := range i {
			off += int(binary.NativeEndian.Uint32(lens[4*j:]))
		}
		end := off + int(binary.NativeEndian.Uint32(lens[4*i:]))
		return e.buf[off:end:end]
	}
	off := HeaderSize + 2*int(e.n)
	lens := e.buf[HeaderSize:off]
	for j := range i {
		off += int(binary.NativeEndian.Uint16(lens[2*j:]))
	}
	end := off + int(binary.NativeEndian.Uint16(lens[2*i:]))
	return e.buf[off:end:end]
}

// Number returns the i-th param as a number of 1, 2, 4 or 8 bytes, without a sign; 0 if the
// event has no such param or the param is empty. ok is false if it has another size.
func (e *Event) Number(i, size int) (n uint64, ok bool) {
	var v []byte
	if e.wide || uint(i) >= uint(e.n) {
		v = e.Param(i)
	} else {
		off := HeaderSize + 2*int(e.n)
		lens := e.buf[HeaderSize:off]
		for j := range i {
			off += int(binary.NativeEndian.Uint16(lens[2*j:]))
		}
		v = e.buf[off : off+int(binary.NativeEndian.Uint16(lens[2*i:]))]
	}
	if len(v) != size {
		return 0, len(v) == 0
	}
	return unsigned(v), true
}

// Int64 returns the i-th param as a signed number; ok is false if it is not one of 8 bytes.
func (e *Event) Int64(i int) (n int64, ok bool) {
	if e.wide || uint(i) >= uint(e.n) {
		return 0, false
	}
	off := HeaderSize + 2*int(e.n)
	lens := e.buf[HeaderSize:off]
	for j := range i {
		off += int(binary.NativeEndian.Uint16(lens[2*j:]))
	}
	if binary.NativeEndian.Uint16(lens[2*i:]) != 8 {
		return 0, false
	}
	return int64(binary.NativeEndian.Uint64(e.buf[off:])), true
}

// ResultAnd returns param 0, the result of a call, and another param, i, as signed numbers;
// ok is false if they are not both of 8 bytes. It is Int64 for both in less time.
func (e *Event) ResultAnd(i int) (res, n int64, ok bool) {
	b, num := e.buf, int(e.n)
	if len(b) < HeaderSize+16 || i <= 0 || i >= num || e.wide {
		return 0, 0, false
	}
	h := (*[HeaderSize + 16]byte)(b)
	if binary.NativeEndian.Uint16(h[HeaderSize:]) != 8 {
		return 0, 0, false
	}
	first := HeaderSize + 2*num
	at, size := first+8, 0
	switch i { // nearly all events have it here
	case 1:
		size = int(binary.NativeEndian.Uint16(h[HeaderSize+2:]))
	case 2:
		at += int(binary.NativeEndian.Uint16(h[HeaderSize+2:]))
		size = int(binary.NativeEndian.Uint16(h[HeaderSize+4:]))
	default:
		for j := 1; j < i; j++ {
			at += int(binary.NativeEndian.Uint16(b[HeaderSize+2*j:]))
		}
		size = int(binary.NativeEndian.Uint16(b[HeaderSize+2*i:]))
	}
	if size != 8 {
		return 0, 0, false
	}
	return int64(binary.NativeEndian.Uint64(b[first:])), int64(binary.NativeEndian.Uint64(b[at:])), true
}

// Hidden reports whether the event only updates the state and is not to be shown:
// captures can mark events so.
func (e *Event) Hidden() bool { return e.hidden }

// SetHidden marks the view, not the event's bytes; Reset clears the mark.
func (e *Event) SetHidden(hidden bool) { e.hidden = hidden }

// Params ranges over all params in order. For many params this is faster than
// calling Param for each.
func (e *Event) Params() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		width := 2
		if e.wide {
			width = 4
		}
		off := HeaderSize + width*int(e.n)
		for i := range int(e.n) {
			var size int
			if e.wide {
				size = int(binary.NativeEndian.Uint32(e.buf[HeaderSize+4*i:]))
			} else {
				size = int(binary.NativeEndian.Uint16(e.buf[HeaderSize+2*i:]))
			}
			if !yield(i, e.buf[off:off+size:off+size]) {
				return
			}
			off += size
		}
	}
}

// Layout is where the first params of an event are. For several params in any order it is
// faster than [Event.Param], which looks for each from the start.
type Layout struct {
	ev *Event
	n  int // params that it has
	at [layoutParams + 1]uint32
}

const layoutParams = 8

// Layout sets l to that of e. It is valid as long as e is.
func (e *Event) Layout(l *Layout) {
	l.ev, l.n = e, 0
	if e.wide {
		return
	}
	off := uint32(HeaderSize + 2*int(e.n))
	n := min(int(e.n), layoutParams)
	lens := e.buf[:off]
	l.at[0] = off
	for i := range n {
		off += uint32(binary.NativeEndian.Uint16(lens[HeaderSize+2*i:]))
		l.at[i+1] = off
	}
	l.n = n
}

// Param does what [Event.Param] does.
func (l *Layout) Param(i int) []byte {
	if uint(i) < uint(l.n) && uint(i) < layoutParams {
		return l.ev.buf[l.at[i]:l.at[i+1]:l.at[i+1]]
	}
	return l.ev.Param(i)
}

// Info returns the description of the event's type; nil if the code is not known.
func (e *Event) Info() *Info { return Lookup(e.Type()) }

// Clone returns a copy of the event in new memory, which stays valid after the
// source's next read.
func (e *Event) Clone() Event {
	c := *e
	c.buf = append([]byte(nil), e.buf...)
	return c
}

// CopyTo appends the event's bytes to arena and makes dst a view of the copy. It
// returns the grown arena, so that one allocation can hold many events.
func (e *Event) CopyTo(dst *Event, arena []byte) []byte {
	n := len(arena)
	arena = append(arena, e.buf...)
	*dst = *e
	dst.buf = arena[n:len(arena):len(arena)]
	return arena
}
