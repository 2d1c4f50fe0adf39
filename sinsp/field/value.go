// SPDX-License-Identifier: Apache-2.0

package field

import (
	"math"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/scaplab/scaplab/internal/decimal"
	"github.com/scaplab/scaplab/scap/event"
)

// Type is the type of a field's values. It decides which operators a filter may
// use, how constants are read and how values print.
type Type uint8

const (
	String  Type = iota + 1 // Value.Str, without NUL bytes
	Bytes                   // Value.Str: any bytes
	Int                     // Value.Num, signed
	Uint                    // Value.Num
	Bool                    // Value.Num: 0 or 1
	Double                  // Value.Num: the bits of a float64
	Port                    // Value.Num: 16 bits
	RelTime                 // Value.Num: ns
	AbsTime                 // Value.Num: ns since the Unix epoch
	IP                      // Value.IP
	Net                     // Value.IP; constants are networks
	Host                    // Value.IP; constants are names of hosts
	Opaque                  // present or missing, nothing else
	Dynamic                 // of a Field: the argument decides, see Ref.Type
)

var typeNames = [...]string{"", "string", "bytes", "int", "uint", "bool", "double", "port", "reltime", "abstime",
	"ip address", "ip network", "host", "opaque", "dynamic"}

// String returns the type's name in lists and errors.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "unknown"
}

// Numeric reports whether values of the type are in Value.Num and have an order.
func (t Type) Numeric() bool {
	switch t {
	case Int, Uint, Double, Port, RelTime, AbsTime:
		return true
	}
	return false
}

// Value is the value of a field for one event. A caller keeps one Value for each
// field and passes it to Extract again and again, so that nothing is allocated.
// The contents are valid until the next Extract and as long as the event is.
//
// Extract functions end with a Set method:
//
//	func extractTID(ev *sinsp.Event, _ *Arg, v *Value) bool {
//		return v.SetInt(int64(ev.TID()))
//	}
type Value struct {
	Num uint64
	Str []byte // must not be written to: it may be the bytes of a Go string
	IP  netip.Addr

	// Format is how the number of a Dynamic field prints, in place of the field's.
	Format event.Format

	// List has the values of a field with several values; see Field.Many. Each
	// is a value of the field's type.
	List []Value

	scratch []byte
}

// SetString sets the text of a Go string and returns true.
func (v *Value) SetString(s string) bool {
	v.Str = unsafe.Slice(unsafe.StringData(s), len(s))
	return true
}

// SetBytes sets a text, which the caller must not change as long as v is in use.
func (v *Value) SetBytes(b []byte) bool {
	v.Str = b
	return true
}

// SetInt sets a signed number.
func (v *Value) SetInt(n int64) bool {
	v.Num = uint64(n)
	return true
}

// SetUint sets a number, a port or a time.
func (v *Value) SetUint(n uint64) bool {
	v.Num = n
	return true
}

// SetBool sets a truth value. It returns true: the value is present.
func (v *Value) SetBool(b bool) bool {
	v.Num = 0
	if b {
		v.Num = 1
	}
	return true
}

// SetDouble sets a floating-point number.
func (v *Value) SetDouble(f float64) bool {
	v.Num = math.Float64bits(f)
	return true
}

// SetIP sets an address. An IPv4 address mapped to IPv6 becomes the IPv4 address. It
// returns false, the value is missing, if a is not valid.
func (v *Value) SetIP(a netip.Addr) bool {
	v.IP = a.Unmap()
	return a.IsValid()
}

// Scratch returns empty memory to build a text in, which the next Extract reuses.
// The caller appends to it and passes the result to SetScratch.
func (v *Value) Scratch() []byte { return v.scratch[:0] }

// SetScratch sets a text that was built in [Value.Scratch].
func (v *Value) SetScratch(b []byte) bool {
	v.scratch = b
	v.Str = b
	return true
}

// Clear empties the list, before Add.
func (v *Value) Clear() {
	v.List = v.List[:0]
	v.scratch = v.scratch[:0]
}

// Add appends an element to the list and returns it; its Set methods set it:
//
//	v.Clear()
//	for ... {
//		v.Add().SetString(name)
//	}
//	return len(v.List) > 0
//
// The element is valid until the next Add.
func (v *Value) Add() *Value {
	if len(v.List) < cap(v.List) {
		v.List = v.List[:len(v.List)+1] // keeps the element's scratch memory
	} else {
		v.List = append(v.List, Value{})
	}
	return &v.List[len(v.List)-1]
}

// Signed returns the number of an Int.
func (v *Value) Signed() int64 { return int64(v.Num) }

// Float returns the number of a Double.
func (v *Value) Float() float64 { return math.Float64frombits(v.Num) }

// AppendText appends the value as text, a string as its bytes: package output
// escapes them. Elements of a list are not considered.
func (v *Value) AppendText(dst []byte, t Type, f event.Format) []byte {
	if v.Format != event.FormatNA {
		f = v.Format
	}
	switch t {
	case String, Bytes:
		return append(dst, v.Str...)
	case Int:
		if f == event.FormatDec || f == event.FormatNA || f == event.FormatID {
			return decimal.AppendInt(dst, v.Signed())
		}
		return event.AppendNumber(dst, v.Num, f)
	case Bool:
		return strconv.AppendBool(dst, v.Num != 0)
	case Double:
		return strconv.AppendFloat(dst, v.Float(), 'f', 1, 64)
	case IP, Net, Host:
		return v.IP.AppendTo(dst)
	default:
		if f == event.FormatOct {
			return strconv.AppendUint(dst, v.Num, 8) // without the 0 in front that params have
		}
		return event.AppendNumber(dst, v.Num, f)
	}
}
