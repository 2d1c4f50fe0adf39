// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
)

// Typed is the generated struct of an event type: [OpenatExit] and all others
// of this package that have a Set.
type Typed interface {
	// Decode reads ev, which must be of the struct's type ([ErrType]). Event.Reset
	// has checked the lengths; here only the size of each number is checked
	// ([ErrCorrupt]). An error leaves the zero value. It does not allocate: byte
	// fields are views of ev and valid for as long as ev is.
	Decode(ev *Event) error
}

// Decode reads ev into a new struct of its type, for a type switch:
//
//	switch e := typed.(type) {
//	case *event.OpenatExit:
//		fmt.Println(e.FD, string(e.Name))
//	}
//
// The error wraps [ErrUntyped] when its type has none: older versions of events, and
// events that no driver sends. A loop uses a [Decoder], which does not allocate.
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

// Decoder decodes events of all types. It keeps one struct for each type, so that
// only the first event of a type allocates. The zero value is ready.
type Decoder struct {
	structs []Typed // by the index in infos
}

// Decode is the function [Decode]; the struct is valid until the next event of its type
// is decoded.
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

// ParamSet says which params an event had with a value: bit i is set when param
// i was there and not empty. A number that was not sent decodes as 0, a string
// or buffer as nil.
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
// Params that an older producer did not send, and empty ones, read as zero.
type decoder struct {
	buf []byte // the event
	off int    // of the next param
	i   uint32 // its index
	n   uint32 // params
	set ParamSet
	err error
	// wide: lengths are 4 bytes
	wide bool
}

// begin checks the type.
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

// length takes the next param's length; ok is false when it has no value.
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

// fixed takes a value of exactly size bytes; nil when there is none.
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

// bytes is a view of the value; nil when there is none.
func (r *decoder) bytes() []byte {
	n, ok := r.length()
	if !ok {
		return nil
	}
	v := r.buf[r.off : r.off+n : r.off+n]
	r.off += n
	return v
}

// str is a view of a string without its NUL: nil when there is none, of length
// 0 but not nil for the empty string.
func (r *decoder) str() []byte { return CString(r.bytes()) }

// CString is v up to its first NUL, or all of it; nil stays nil.
func CString(v []byte) []byte {
	if i := bytes.IndexByte(v, 0); i >= 0 {
		return v[:i:i]
	}
	return v
}
