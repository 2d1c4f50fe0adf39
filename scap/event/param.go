// SPDX-License-Identifier: Apache-2.0

package event

import (
	"iter"
	"slices"
)

// Info is what is known of one event type.
type Info struct {
	Code     Type
	Name     string // as filters and output have it: "openat"
	Symbol   string // unique: "openat_exit", "open_exit_v1"
	Enter    bool
	Category Category
	Source   Source
	Flags    Flags
	Params   []ParamInfo
	FDParam  int8 // the param that is "the fd", of events that have one; else -1
}

// ParamIndex is the index of the param of that name, or -1.
func (in *Info) ParamIndex(name string) int {
	return slices.IndexFunc(in.Params, func(p ParamInfo) bool { return p.Name == name })
}

// ParamInfo is what is known of one param.
type ParamInfo struct {
	Name   string
	Type   ParamType
	Format Format
	Names  *NameSet // names of the value's bits or of the value, or nil
	DirFD  int8     // ParamFSRelPath: the param with the directory's fd; -1 otherwise
	Dyn    []DynVariant
}

// DynVariant is one of the types a [ParamDyn] value may have; the value's first
// byte is the index into ParamInfo.Dyn.
type DynVariant struct {
	Type   ParamType
	Format Format
}

// NameSet is a named set of names for values. ParamFlags* and ParamMode values
// are sums of them, ParamEnumFlags* values are one of them.
type NameSet struct {
	Name   string
	Values []NamedValue // in the order they are looked for and printed
}

// NamedValue is one value, as events carry it (not always as the kernel does).
type NamedValue struct {
	Name  string
	Value uint32
}

// Value is the value of that name.
func (s *NameSet) Value(name string) (uint32, bool) {
	for i := range s.Values {
		if s.Values[i].Name == name {
			return s.Values[i].Value, true
		}
	}
	return 0, false
}

// MustValue is the sum of the values that a set gives to names, for package variables:
//
//	var thread = event.MustValue("clone_flags", "CLONE_THREAD", "CLONE_VM")
//
// It panics when no event has a param with such a set, or the set has no such name.
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
				sum |= v
			}
			return sum
		}
	}
	panic("no event has a set " + set)
}

// Category is what an event is about.
type Category uint16

// Source is what makes events of a type. The values are the bits the reference
// schema has in the upper part of a category.
type Source uint16

// Flags say how an event is to be treated.
type Flags uint32

// ParamType is how a value stands on the wire.
type ParamType uint8

type paramTypeInfo struct {
	size   int8 // -1: it varies
	signed bool
	name   string
}

// Size is the number of bytes every value of the type has; false when it varies.
func (t ParamType) Size() (int, bool) {
	if int(t) >= len(paramTypes) || paramTypes[t].size < 0 {
		return 0, false
	}
	return int(paramTypes[t].size), true
}

// String is the type's name as tables spell it.
func (t ParamType) String() string {
	if int(t) >= len(paramTypes) {
		return "unknown"
	}
	return paramTypes[t].name
}

// Signed reports whether values may be below 0.
func (t ParamType) Signed() bool { return int(t) < len(paramTypes) && paramTypes[t].signed }

// Format is how tools print a number.
type Format uint8

// codes maps a code to its place in infos, plus one. Codes stand in two dense
// runs, those of the reference and ours.
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

// index is t's place in infos; -1 when it is not known.
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

// Lookup describes type t; nil when it is not known. What it points to is shared
// and must not be changed.
func Lookup(t Type) *Info {
	if at := index(t); at >= 0 {
		return &infos[at]
	}
	return nil
}

// All ranges over every known type, by code.
func All() iter.Seq[*Info] {
	return func(yield func(*Info) bool) {
		for i := range infos {
			if !yield(&infos[i]) {
				return
			}
		}
	}
}
