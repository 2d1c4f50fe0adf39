// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
)

// words returns memory with numbers, in the machine's byte order.
type words struct{ b []byte }

func (w *words) u16(v uint16) { w.b = binary.NativeEndian.AppendUint16(w.b, v) }
func (w *words) u32(v uint32) { w.b = binary.NativeEndian.AppendUint32(w.b, v) }
func (w *words) u64(v uint64) { w.b = binary.NativeEndian.AppendUint64(w.b, v) }

func (w *words) align(n int) {
	for len(w.b)%n != 0 {
		w.b = append(w.b, 0)
	}
}

// Register returns the register value of v: a number, or the address of memory.
func Register(v any, ctype string) (uintptr, error) {
	switch v := v.(type) {
	case *Object:
		if v.hasAddr {
			return uintptr(v.addr), nil
		}
		return Register(v.plain, ctype)
	case string:
		r, err := newRegionOf(append([]byte(v), 0))
		return uintptr(r.Addr()), err
	case []byte:
		r, err := newRegionOf(v)
		return uintptr(r.Addr()), err
	case *expr.StructValue, []any:
		b, err := layout(v, ctype)
		if err != nil {
			return 0, err
		}
		r, err := newRegionOf(b)
		return uintptr(r.Addr()), err
	}
	n, err := expr.ToInt(v)
	return uintptr(n), err
}

// layout makes the memory of {name: value} or [value, ...] for an argument of
// the C type.
func layout(v any, ctype string) ([]byte, error) {
	name := strings.TrimSpace(strings.NewReplacer("const ", "", "struct ", "", "union ", "", "__user", "", "*", "").Replace(ctype))
	list, ok := v.([]any)
	if !ok {
		return structBytes(name, v)
	}
	var out []byte
	for i, e := range list {
		var b []byte
		var err error
		if _, isStruct := e.(*expr.StructValue); isStruct {
			b, err = structBytes(name, e)
		} else if size := scalarSize(name, strings.Count(ctype, "*")); size == 0 {
			return nil, fmt.Errorf("no layout for a list of %s", name)
		} else {
			b = make([]byte, size)
			err = putNumber(b, e)
		}
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out = append(out, b...)
	}
	return out, nil
}

// scalarSize returns the size of a pointer's target.
func scalarSize(name string, stars int) int {
	if stars > 1 {
		return 8
	}
	switch name {
	case "sigset_t", "void":
		return 8
	}
	return cSizes[name]
}

// x86Or returns the first number on amd64, where some structs are packed, and the second elsewhere.
func x86Or(x86, other int) int {
	if runtime.GOARCH == "amd64" {
		return x86
	}
	return other
}

// structLayout is the layout of a struct of structs.yaml.
type structLayout struct {
	size   int
	fields []structField
}

type structField struct {
	name         string
	offset, size int // of one element
	signed       bool
	count        int    // number of elements; 0: not an array
	of           string // a struct
}

func (s structLayout) field(name string) (structField, error) {
	i := slices.IndexFunc(s.fields, func(f structField) bool { return f.name == name })
	if i < 0 {
		var known []string
		for _, f := range s.fields {
			known = append(known, f.name)
		}
		return structField{}, fmt.Errorf("no field %s (it has %s)", name, strings.Join(known, ", "))
	}
	return s.fields[i], nil
}

// structBytes returns the memory of a struct. Fields without a value are 0.
func structBytes(name string, v any) ([]byte, error) {
	layout, ok := structs[name]
	if !ok {
		return nil, fmt.Errorf("no layout for %q", name)
	}
	s, ok := v.(*expr.StructValue)
	if !ok {
		return nil, fmt.Errorf("%s wants {name: value}", name)
	}
	b := make([]byte, layout.size)
	for i, field := range s.Names {
		f, err := layout.field(field)
		if err == nil {
			err = put(b[f.offset:], f, s.Values[i])
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, field, err)
		}
	}
	return b, nil
}

// put writes the value of a field at the start of b.
func put(b []byte, f structField, v any) error {
	if f.count > 0 {
		list, ok := v.([]any)
		if !ok || len(list) > f.count {
			return fmt.Errorf("a list of at most %d is wanted", f.count)
		}
		one := f
		one.count = 0
		for i, e := range list {
			if err := put(b[i*f.size:], one, e); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		return nil
	}
	if f.of != "" {
		inner, err := structBytes(f.of, v)
		copy(b, inner)
		return err
	}
	return putNumber(b[:f.size], v)
}

func putNumber(b []byte, v any) error {
	n, err := Register(v, "")
	if err != nil {
		return err
	}
	switch len(b) {
	case 1:
		b[0] = byte(n)
	case 2:
		binary.NativeEndian.PutUint16(b, uint16(n))
	case 4:
		binary.NativeEndian.PutUint32(b, uint32(n))
	default:
		binary.NativeEndian.PutUint64(b, uint64(n))
	}
	return nil
}

// newStruct returns the object of name{field: value}: memory with fields. A field
// has its current value.
func newStruct(name string, v any) (any, error) {
	b, err := structBytes(name, v)
	if err != nil {
		return nil, err
	}
	r, err := newRegionOf(b)
	if err != nil {
		return nil, err
	}
	o := memory(name, r, nil)
	o.keep = v
	o.live = func() map[string]any { return structs[name].read(r.b) }
	return o, nil
}

// read reads the fields from memory: structs become objects with fields, arrays lists.
func (s structLayout) read(b []byte) map[string]any {
	out := make(map[string]any, len(s.fields))
	for _, f := range s.fields {
		if f.count == 0 {
			out[f.name] = f.read(b[f.offset:])
			continue
		}
		list := make([]any, f.count)
		for i := range list {
			list[i] = f.read(b[f.offset+i*f.size:])
		}
		out[f.name] = &Object{what: f.name, elems: list}
	}
	return out
}

func (f structField) read(b []byte) any {
	if f.of != "" {
		return &Object{what: f.of, fields: structs[f.of].read(b[:f.size])}
	}
	var n uint64
	switch f.size {
	case 1:
		n = uint64(b[0])
	case 2:
		n = uint64(binary.NativeEndian.Uint16(b))
	case 4:
		n = uint64(binary.NativeEndian.Uint32(b))
	default:
		n = binary.NativeEndian.Uint64(b)
	}
	if f.signed {
		shift := 64 - 8*f.size
		return int64(n<<shift) >> shift
	}
	return n
}
