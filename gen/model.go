// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/tables"
)

// nativeArches is tables.Arches and 386, for the numbers of 32-bit tasks on amd64.
var nativeArches = append(slices.Clone(tables.Arches), tables.IA32)

// model is the table as the emitters need it: events in code order, names looked up.
type model struct {
	table   *tables.Table
	events  []*event // every code once, ascending
	sets    map[string]*tables.FlagSet
	helpers map[string]*tables.Helper
	natives map[string]native
}

// event is an event code with the entries whose calls make it.
type event struct {
	*tables.Event
	calls []*tables.Syscall // in table order; nil for tracepoints and metaevents
	after []int             // of each param: bytes that those after it may take, see room.go
	fixed int               // payload bytes if every param has a fixed size and is always sent; else 0
}

// native is a constant of the kernel's headers.
type native struct {
	value uint64
	all   bool              // value applies where by has no value; else the constant does not exist there
	by    map[string]uint64 // by GOARCH where it differs
}

// on returns the value on arch; false if the arch does not have the constant.
func (n native) on(arch string) (uint64, bool) {
	if v, ok := n.by[arch]; ok {
		return v, true
	}
	return n.value, n.all
}

func nativeOf(v tables.FlagValue) (native, bool) {
	return native{v.Native, v.HasNative, v.NativeBy}, v.HasNative || len(v.NativeBy) > 0
}

func newModel(t *tables.Table) (*model, error) {
	m := &model{
		table:   t,
		sets:    make(map[string]*tables.FlagSet, len(t.Flags)),
		helpers: make(map[string]*tables.Helper, len(t.Helpers)),
		natives: make(map[string]native),
	}
	for _, s := range t.Flags {
		m.sets[s.Name] = s
		for _, v := range s.Values {
			n, ok := nativeOf(v)
			if !ok {
				continue
			}
			if old, ok := m.natives[v.Name]; ok && (old.value != n.value || old.all != n.all || !maps.Equal(old.by, n.by)) {
				return nil, fmt.Errorf("%v: %s: native value differs from an earlier set's", v.Pos, v.Name)
			}
			m.natives[v.Name] = n
		}
	}
	for _, h := range t.Helpers {
		switch h.Kind {
		case "value", "param":
			m.helpers[h.Name] = h
		}
	}
	byCode := make(map[uint16]*event)
	add := func(e *tables.Event, s *tables.Syscall) error {
		if e == nil {
			return nil
		}
		ev, ok := byCode[e.Code]
		if !ok {
			ev = &event{Event: e}
			byCode[e.Code] = ev
		} else if ev.Symbol != e.Symbol {
			return fmt.Errorf("%v: %s: code %d belongs to %s", e.Pos, e.Symbol, e.Code, ev.Symbol)
		}
		if s != nil {
			ev.calls = append(ev.calls, s)
		}
		return nil
	}
	for _, s := range t.Syscalls {
		if err := cmp.Or(add(s.Exit, s), add(s.Enter, s)); err != nil {
			return nil, err
		}
	}
	for _, e := range t.Events {
		if err := add(e, nil); err != nil {
			return nil, err
		}
	}
	m.events = slices.SortedFunc(maps.Values(byCode), func(a, b *event) int { return cmp.Compare(a.Code, b.Code) })
	symbols := make(map[string]*event)
	for _, e := range m.events {
		if old, ok := symbols[e.Symbol]; ok {
			return nil, fmt.Errorf("%v: %s: symbol of codes %d and %d", e.Pos, e.Symbol, old.Code, e.Code)
		}
		symbols[e.Symbol] = e
		e.fixed = m.fixedSize(e.Event)
		if err := m.fit(e); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// eventOf returns the event of an entry as the emitters need it.
func (m *model) eventOf(e *tables.Event) *event {
	i, _ := slices.BinarySearchFunc(m.events, e.Code, func(ev *event, code uint16) int { return cmp.Compare(ev.Code, code) })
	return m.events[i]
}

// driven returns the events that a driver makes, in code order.
func (m *model) driven() []*event {
	var out []*event
	for _, e := range m.events {
		if e.From != "" {
			out = append(out, e)
		}
	}
	return out
}

// wire is a wire type as drivers and decoders use it.
type wire struct {
	size int
	push string // the C function that sends it, "" if only param helpers do
	c    string // C type of the value
	goT  string // Go type of the decoded field
	low  bool   // only the lower 32 bits of the source are significant
}

// wire returns a wire type by name.
func (m *model) wire(name string) (wire, bool) {
	t := m.table.Types.Type(name)
	if t == nil {
		return wire{}, false
	}
	w := wire{size: t.Size, goT: "[]byte", low: t.Low}
	switch {
	case t.As == "text":
		w.push = "push_user_str"
	case t.Number():
		w.c = strings.Replace(t.As, "f", "u", 1) // the bits of a float
		w.push, w.goT = "push_"+w.c, map[byte]string{'s': "int", 'u': "uint"}[w.c[0]]+w.c[1:]
	}
	return w, true
}

// variant returns the index of a type in a table of variants, or -1.
func (m *model) variant(dyn, typ string) int {
	if d := m.table.Types.Dyn(dyn); d != nil {
		return d.Index(typ)
	}
	return -1
}

// isString reports whether a type is sent with its terminating NUL.
func (m *model) isString(typ string) bool { return m.table.Types.Type(typ).As == "text" }

// fixedSize returns the payload size of an event whose params all have a fixed size
// and are never sent empty, else 0.
func (m *model) fixedSize(e *tables.Event) int {
	sum := 0
	for _, p := range e.Params {
		w, _ := m.wire(p.Type)
		if w.size == 0 || len(p.When) > 0 && (p.Else == nil || isName(p.Else, "empty")) || isName(p.From, "empty") {
			return 0
		}
		if p.Switch != nil {
			for _, a := range p.Switch.Arms {
				if isName(a.From, "empty") {
					return 0
				}
			}
		}
		sum += w.size
	}
	return sum
}

func isName(n *expr.Node, name string) bool { return n != nil && n.Kind == expr.Name && n.Text == name }

// has reports whether the event has a flag such as large_payload.
func (e *event) has(flag string) bool { return slices.Contains(e.Flags, flag) }

// param returns the param of that name, or nil.
func (e *event) param(name string) (int, *tables.Param) {
	for i, p := range e.Params {
		if p.Name == name {
			return i, p
		}
	}
	return -1, nil
}

func log2(v uint64) int { return bits.Len64(v) - 1 }

func abs(v int) int { return max(v, -v) }
