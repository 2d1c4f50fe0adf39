// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/scaplab/scaplab/internal/expr"
)

// Object is something that a case made or found: a descriptor, memory, a process,
// the metadata of a file.
type Object struct {
	what   string
	plain  any            // its plain value: int64, string, or []byte (live memory)
	addr   uint64         // of its memory, if hasAddr; the value of a register
	fields map[string]any // numbers, strings, bytes, objects
	elems  []any
	keep   any // keeps memory alive

	// update, if not nil, is called to refresh plain and fields before they are
	// reported the last time.
	update  func(o *Object) error
	live    func() map[string]any // the current fields, those of a struct in memory
	hasAddr bool
}

func (o *Object) String() string { return o.what }

// Plain implements expr.Plainer.
func (o *Object) Plain() any { return o.plain }

// Address implements expr.Addresser.
func (o *Object) Address() (int64, bool) { return int64(o.addr), o.hasAddr }

// Field implements expr.Fielder.
func (o *Object) Field(name string) (any, error) {
	fields := o.current()
	if v, ok := fields[name]; ok {
		return v, nil
	}
	if name == "addr" && o.hasAddr {
		return int64(o.addr), nil
	}
	return nil, fmt.Errorf("%s has no field %s (it has %v)", o.what, name, slices.Sorted(maps.Keys(fields)))
}

// current returns the current fields.
func (o *Object) current() map[string]any {
	if o.live != nil {
		return o.live()
	}
	return o.fields
}

// Index implements expr.Indexer.
func (o *Object) Index(i int) (any, error) {
	if i >= 0 && i < len(o.elems) {
		return o.elems[i], nil
	}
	if b, ok := o.plain.([]byte); ok && len(o.elems) == 0 && i >= 0 && i < len(b) {
		return int64(b[i]), nil
	}
	return nil, fmt.Errorf("element %d of %d of %s", i, len(o.elems), o.what)
}

// number returns an object that is a number with fields.
func number(what string, n int64, fields map[string]any) *Object {
	return &Object{what: what, plain: n, fields: fields}
}

// memory returns an object that is the region.
func memory(what string, r Region, fields map[string]any) *Object {
	return &Object{what: what, plain: r.b, addr: r.Addr(), hasAddr: true, fields: fields}
}

// maxFactDepth bounds the nesting of facts that Flatten writes.
const maxFactDepth = 6

// Flatten writes v and its fields as facts, with names that begin with name.
func Flatten(facts Facts, name string, v any) { flatten(facts, name, v, 0) }

func flatten(facts Facts, name string, v any, depth int) {
	if depth > maxFactDepth {
		return
	}
	switch v := v.(type) {
	case nil:
	case *Object:
		if v == nil {
			return
		}
		flatten(facts, name, v.plain, depth+1)
		if v.hasAddr {
			facts[name+".addr"] = UintFact(v.addr)
		}
		for k, f := range v.current() {
			flatten(facts, name+"."+k, f, depth+1)
		}
		for i, e := range v.elems {
			flatten(facts, name+"."+strconv.Itoa(i), e, depth+1)
		}
	case string:
		facts[name] = TextFact(v)
	case []byte:
		facts[name] = BytesFact(v)
	case uint64:
		facts[name] = UintFact(v)
	case []any:
		for i, e := range v {
			flatten(facts, name+"."+strconv.Itoa(i), e, depth+1)
		}
	case *expr.StructValue:
		for i, n := range v.Names {
			flatten(facts, name+"."+n, v.Values[i], depth+1)
		}
	default:
		if n, err := expr.ToInt(v); err == nil {
			facts[name] = IntFact(n)
		}
	}
}

// Update refreshes a variable before its facts are reported the last time.
func Update(v any) error {
	if o, ok := v.(*Object); ok && o.update != nil {
		return o.update(o)
	}
	return nil
}
