// SPDX-License-Identifier: Apache-2.0

package event

import (
	"iter"
	"slices"
)

// Info describes one event type.
type Info struct {
	Code     Type
	Name     string // in filters and output: "openat"
	Symbol   string // unique: "openat_exit", "open_exit_v1"
	Enter    bool
	Category Category
	Source   Source
	Flags    Flags
	Params   []ParamInfo
	// OldParams is how many of Params the older reference has (OldSchemaVersion); 0: all.
	OldParams uint8
	FDParam   int8 // index of the param that is "the fd"; -1: none
}

// ParamIndex returns the index of the param of that name, or -1.
func (in *Info) ParamIndex(name string) int {
	return slices.IndexFunc(in.Params, func(p ParamInfo) bool { return p.Name == name })
}

// ParamInfo describes one param.
type ParamInfo struct {
	Name   string
	Type   ParamType
	Format Format
	Names  *NameSet // names of the value's bits or of the value, or nil
	DirFD  int8     // ParamFSRelPath: the param with the directory's fd; -1 otherwise
	Dyn    []DynVariant
}

// DynVariant is one of the types that a [ParamDyn] value may have. The value's first
// byte is the index into ParamInfo.Dyn.
type DynVariant struct {
	Type   ParamType
	Format Format
}

// NameSet is a named set of values with names. A ParamFlags* or ParamMode value is
// a sum of them, a ParamEnumFlags* value is one of them.
type NameSet struct {
	Name   string
	Values []NamedValue // in the order in which they are matched and printed
}

// NamedValue is one value as events carry it, which may differ from the kernel's.
type NamedValue struct {
	Name  string
	Value uint64
}

// Value returns the value of that name.
func (s *NameSet) Value(name string) (uint64, bool) {
	for i := range s.Values {
		if s.Values[i].Name == name {
			return s.Values[i].Value, true
		}
	}
	return 0, false
}

// MustValue returns the sum of the values of names in a set, for package variables:
//
//	var thread = event.MustValue("clone_flags", "CLONE_THREAD", "CLONE_VM")
//
// It panics if no event has a param with that set, if the set does not have a name, or
// if a value has more than 32 bits.
func MustValue(set string, names ...string) (sum uint32) {
	for i := range infos {
		for j := range infos[i].Params {
			s := infos[i].Params[j].Names
			if s == nil || s.Name != set {
				continue
			}
			for _, name := range names {
				v, ok := s.Value(name)
				if !ok {
					panic("set " + set + " has no value " + name)
				}
				if v>>32 != 0 {
					panic("set " + set + " has the value " + name + " of more than 32 bits")
				}
				sum |= uint32(v)
			}
			return sum
		}
	}
	panic("no event has a set " + set)
}

// Category is the subject of an event, such as files or network.
type Category uint16

// Source is what makes events of a type. The values are the upper bits of the
// reference schema's categories.
type Source uint16

// Flags say how readers treat an event.
type Flags uint32

// ParamType is how a value is encoded in an event.
type ParamType uint8

type paramTypeInfo struct {
	size   int8 // -1: it varies
	signed bool
	name   string
}

// Size returns the number of bytes of every value of the type; false if it varies.
func (t ParamType) Size() (int, bool) {
	if int(t) >= len(paramTypes) || paramTypes[t].size < 0 {
		return 0, false
	}
	return int(paramTypes[t].size), true
}

// String returns the type's name in the tables.
func (t ParamType) String() string {
	if int(t) >= len(paramTypes) {
		return "unknown"
	}
	return paramTypes[t].name
}

// Signed reports whether values may be below 0.
func (t ParamType) Signed() bool { return int(t) < len(paramTypes) && paramTypes[t].signed }

// Number returns a value of 1, 2, 4 or 8 bytes as a number; the sign of a signed type is
// extended. It returns 0 for other lengths.
func (t ParamType) Number(value []byte) uint64 {
	if t.Signed() && len(value) <= 8 {
		return uint64(signed(value))
	}
	return unsigned(value)
}

// Format is how tools print a number.
type Format uint8

// low and high map a code to its index in infos, plus one. Codes form two dense
// runs, the reference's and our own.
var low, high = indexInfos()

func indexInfos() (low, high []uint16) {
	for i := range infos {
		run, at := &low, int(infos[i].Code)
		if infos[i].Code >= FirstOwn {
			run, at = &high, int(infos[i].Code-FirstOwn)
		}
		for len(*run) <= at {
			*run = append(*run, 0)
		}
		(*run)[at] = uint16(i + 1)
	}
	return low, high
}

// index returns t's index in infos; -1 if t is not known.
func index(t Type) int {
	run, at := low, int(t)
	if t >= FirstOwn {
		run, at = high, int(t-FirstOwn)
	}
	if at >= len(run) {
		return -1
	}
	return int(run[at]) - 1
}

// Lookup returns the description of type t; nil if t is not known. The description
// is shared and must not be changed.
func Lookup(t Type) *Info {
	if at := index(t); at >= 0 {
		return &infos[at]
	}
	return nil
}

// All ranges over all known types in the order of their codes.
func All() iter.Seq[*Info] {
	return func(yield func(*Info) bool) {
		for i := range infos {
			if !yield(&infos[i]) {
				return
			}
		}
	}
}
