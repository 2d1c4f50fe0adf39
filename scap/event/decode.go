// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
)

// Typed is the generated struct of an event type: [OpenatExit] and every other
// struct of this package with a field Set.
type Typed interface {
	// Decode reads ev, which must be of the struct's type, else it returns [ErrType].
	// Event.Reset has checked the lengths; Decode checks only the size of each number
	// ([ErrCorrupt]). After an error the struct is zero. Decode does not allocate:
	// byte fields are views of ev and valid for as long as ev is.
	Decode(ev *Event) error
}

// Decode reads ev into a new struct of its type, for a type switch:
//
//	switch e := typed.(type) {
//	case *event.OpenatExit:
//		fmt.Println(e.FD, string(e.Name))
//	}
//
// The error wraps [ErrUntyped] if the type has no struct: older versions of events,
// and events that no driver sends. In a loop use a [Decoder], which does not allocate.
func Decode(ev *Event) (Typed, error) {
	d := newTyped(ev.Type())
	if d == nil {
		return nil, ErrUntyped
	}
	if err := d.Decode(ev); err != nil {
		return nil, err
	}
	return d, nil
}

// Decoder decodes events of all types. It keeps one struct for each type, so only
// the first event of a type allocates. The zero value is ready to use.
type Decoder struct {
	structs []Typed // by the index in infos
}

// Decode does what the function [Decode] does. The struct is valid until the next
// event of its type is decoded.
func (d *Decoder) Decode(ev *Event) (Typed, error) {
	t := ev.Type()
	at := index(t)
	if at < 0 {
		return nil, ErrUntyped
	}
	if d.structs == nil {
		d.structs = make([]Typed, len(infos))
	}
	typed := d.structs[at]
	if typed == nil {
		if typed = newTyped(t); typed == nil {
			return nil, ErrUntyped
		}
		d.structs[at] = typed
	}
	if err := typed.Decode(ev); err != nil {
		return nil, err
	}
	return typed, nil
}

// ParamSet holds which params of an event had a value: bit i is set if param i was
// present and not empty. A number without a value decodes as 0, a string or buffer
// as nil.
type ParamSet uint32

// Has reports whether param i had a value.
func (s ParamSet) Has(i int) bool { return s>>i&1 != 0 }

// decoder reads the params of one event in order. The generated Decode methods
// are straight lines over it:
//
//	func (d *CloseExit) Decode(ev *Event) error {
//		var r decoder
//		if err := r.begin(ev, TypeCloseExit); err != nil {
//			*d = CloseExit{}
//			return err
//		}
//		d.Res = r.int64()
//		d.FD = FD(r.int64())
//		if r.err != nil {
//			*d = CloseExit{}
//			return r.err
//		}
//		d.Set = r.set
//		return nil
//	}
//
// Sockaddr, socktuple, fdlist, dyn and charbufarray params are r.bytes()
// converted to [SockAddr], [SockTuple], [FDList], [Dyn] and [Strings].
//
// Empty params, and params that an older producer did not send, read as zero.
type decoder struct {
	buf  []byte // the event
	off  int    // of the next param
	i    uint32 // its index
	n    uint32 // params
	set  ParamSet
	err  error
	wide bool // lengths are 4 bytes
}

func (r *decoder) begin(ev *Event, t Type) error {
	if len(ev.buf) < HeaderSize || ev.Type() != t {
		return ErrType
	}
	r.buf = ev.buf
	r.n = uint32(ev.n)
	r.wide = ev.wide
	r.off = HeaderSize + 2*int(r.n)
	if r.wide {
		r.off += 2 * int(r.n)
	}
	return nil
}

// length takes the next param's length; ok is false if the param has no value.
func (r *decoder) length() (size int, ok bool) {
	if r.i >= r.n {
		return 0, false
	}
	if r.wide {
		size = int(binary.NativeEndian.Uint32(r.buf[HeaderSize+4*r.i:]))
	} else {
		size = int(binary.NativeEndian.Uint16(r.buf[HeaderSize+2*r.i:]))
	}
	if size != 0 {
		r.set |= 1 << r.i
	}
	r.i++
	return size, size != 0
}

// fixed takes a value of exactly size bytes; it returns nil if there is no value.
func (r *decoder) fixed(size int) []byte {
	n, ok := r.length()
	if !ok {
		return nil
	}
	if n != size {
		r.err = ErrCorrupt
		r.off += n
		return nil
	}
	v := r.buf[r.off : r.off+size : r.off+size]
	r.off += size
	return v
}

func (r *decoder) uint8() uint8 {
	if v := r.fixed(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *decoder) uint16() uint16 {
	if v := r.fixed(2); v != nil {
		return binary.NativeEndian.Uint16(v)
	}
	return 0
}

func (r *decoder) uint32() uint32 {
	if v := r.fixed(4); v != nil {
		return binary.NativeEndian.Uint32(v)
	}
	return 0
}

func (r *decoder) uint64() uint64 {
	if v := r.fixed(8); v != nil {
		return binary.NativeEndian.Uint64(v)
	}
	return 0
}

func (r *decoder) int8() int8   { return int8(r.uint8()) }
func (r *decoder) int16() int16 { return int16(r.uint16()) }
func (r *decoder) int32() int32 { return int32(r.uint32()) }
func (r *decoder) int64() int64 { return int64(r.uint64()) }

// bytes returns a view of the value; nil if there is no value.
func (r *decoder) bytes() []byte {
	n, ok := r.length()
	if !ok {
		return nil
	}
	v := r.buf[r.off : r.off+n : r.off+n]
	r.off += n
	return v
}

// str returns a view of a string without its NUL: nil if there is no value, not nil
// but of length 0 for the empty string.
func (r *decoder) str() []byte { return CString(r.bytes()) }

// CString returns v up to its first NUL, or all of v. For nil it returns nil.
func CString(v []byte) []byte {
	if i := bytes.IndexByte(v, 0); i >= 0 {
		return v[:i:i]
	}
	return v
}
