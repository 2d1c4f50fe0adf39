// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
)

// ParamSet says which params an event had with a value: bit i is set when param
// i was there and not empty. A number that was not sent decodes as 0, a string
// or buffer as nil.
type ParamSet uint32

// Has tells whether param i had a value.
func (s ParamSet) Has(i int) bool { return s>>i&1 != 0 }

// decoder reads the params of one event in order. The generated Decode methods
// are straight lines over it:
//
//	func (d *CloseExit) Decode(buf []byte) error {
//		var r decoder
//		if err := r.begin(buf, TypeCloseExit); err != nil {
//			*d = CloseExit{}
//			return err
//		}
//		d.Res = r.int64()
//		d.FD = r.int64()
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

// begin checks the header, the type and all lengths.
func (r *decoder) begin(buf []byte, t Type) error {
	if len(buf) < HeaderSize {
		return ErrTruncated
	}
	if Type(binary.NativeEndian.Uint16(buf[20:])) != t {
		return ErrType
	}
	r.n = binary.NativeEndian.Uint32(buf[22:])
	r.wide = largePayload(t)
	if err := checkLengths(buf, binary.NativeEndian.Uint32(buf[16:]), r.n, r.wide); err != nil {
		return err
	}
	r.buf = buf
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
