// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/tables"
)

// Arches are the architectures of the table, as GOARCH names them, in the
// order in which generated text lists them.
var Arches = []string{"amd64", "arm64", "riscv64", "loong64", "s390x", "ppc64le"}

// nativeArches is Arches and the numbers of 32-bit tasks on amd64.
var nativeArches = append(slices.Clone(Arches), "386")

// model is the table as the emitters want it: events in code order, names
// looked up once.
type model struct {
	table   *tables.Table
	events  []*event // every code once, ascending
	sets    map[string]*tables.FlagSet
	helpers map[string]*tables.Helper
	natives map[string]native
}

// event is one code, with the entries whose calls make it.
type event struct {
	*tables.Event
	calls []*tables.Syscall // in table order; nil for tracepoints and metaevents
	fixed int               // payload bytes when every param has a fixed size and is always sent; else 0
}

// native is a constant of the kernel's headers.
type native struct {
	value uint64
	all   bool              // value holds where by has nothing; else the constant does not exist there
	by    map[string]uint64 // by GOARCH where it differs
}

// on is the value on arch; false when the arch lacks the constant.
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
		if s.Kind == "manual" {
			continue // its natives are the hand-written function's business
		}
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
		e.fixed = fixedSize(e.Event)
	}
	return m, nil
}

// driven are the events that a driver makes, in code order.
func (m *model) driven() []*event {
	var out []*event
	for _, e := range m.events {
		if e.From != "" {
			out = append(out, e)
		}
	}
	return out
}

// wire describes a wire type: its payload bytes (0: variable), the C
// primitive that sends it, the C type of the value, and the Go type of the
// decoded field.
type wire struct {
	size int
	push string
	c    string
	goT  string
	low  bool // descriptors and pids are 32 bits wide, whatever type carries them
}

var wireTypes = map[string]wire{
	"int8":  {1, "push_s8", "s8", "int8", false},
	"int16": {2, "push_s16", "s16", "int16", false},
	"int32": {4, "push_s32", "s32", "int32", false},
	"int64": {8, "push_s64", "s64", "int64", false},

	"uint8":  {1, "push_u8", "u8", "uint8", false},
	"uint16": {2, "push_u16", "u16", "uint16", false},
	"uint32": {4, "push_u32", "u32", "uint32", false},
	"uint64": {8, "push_u64", "u64", "uint64", false},

	"bool":       {4, "push_u32", "u32", "uint32", false},
	"errno":      {8, "push_s64", "s64", "int64", false},
	"fd":         {8, "push_s64", "s64", "int64", true},
	"pid":        {8, "push_s64", "s64", "int64", true},
	"fd32":       {4, "push_s32", "s32", "int32", false},
	"pid32":      {4, "push_s32", "s32", "int32", false},
	"uid":        {4, "push_u32", "u32", "uint32", false},
	"gid":        {4, "push_u32", "u32", "uint32", false},
	"mode":       {4, "push_u32", "u32", "uint32", false},
	"sigtype":    {1, "push_u8", "u8", "uint8", false},
	"sigset":     {4, "push_u32", "u32", "uint32", false},
	"syscallid":  {2, "push_u16", "u16", "uint16", false},
	"sockfamily": {1, "push_u8", "u8", "uint8", false},
	"l4proto":    {1, "push_u8", "u8", "uint8", false},
	"port":       {2, "push_u16", "u16", "uint16", false},
	"reltime":    {8, "push_u64", "u64", "uint64", false},
	"abstime":    {8, "push_u64", "u64", "uint64", false},
	"double":     {8, "push_u64", "u64", "uint64", false},
	"ipv4addr":   {4, "push_u32", "u32", "uint32", false},

	"flags8":      {1, "push_u8", "u8", "uint8", false},
	"flags16":     {2, "push_u16", "u16", "uint16", false},
	"flags32":     {4, "push_u32", "u32", "uint32", false},
	"enumflags8":  {1, "push_u8", "u8", "uint8", false},
	"enumflags16": {2, "push_u16", "u16", "uint16", false},
	"enumflags32": {4, "push_u32", "u32", "uint32", false},

	"charbuf":   {0, "push_user_str", "", "[]byte", false},
	"fspath":    {0, "push_user_str", "", "[]byte", false},
	"fsrelpath": {0, "push_user_str", "", "[]byte", false},

	"bytebuf":            {0, "", "", "[]byte", false},
	"sockaddr":           {0, "", "", "[]byte", false},
	"socktuple":          {0, "", "", "[]byte", false},
	"fdlist":             {0, "", "", "[]byte", false},
	"dyn":                {0, "", "", "[]byte", false},
	"charbufarray":       {0, "", "", "[]byte", false},
	"charbuf_pair_array": {0, "", "", "[]byte", false},
	"ipaddr":             {0, "", "", "[]byte", false},
	"ipv6addr":           {0, "", "", "[]byte", false},
	"ipnet":              {0, "", "", "[]byte", false},
	"ipv4net":            {0, "", "", "[]byte", false},
	"ipv6net":            {0, "", "", "[]byte", false},
}

// isString tells whether a type is sent with its terminating NUL.
func isString(typ string) bool { return typ == "charbuf" || typ == "fspath" || typ == "fsrelpath" }

// fixedSize is the payload size of an event whose params all have one and are
// never sent empty, else 0.
func fixedSize(e *tables.Event) int {
	sum := 0
	for _, p := range e.Params {
		w := wireTypes[p.Type]
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

// has tells whether the event carries a flag such as large_payload.
func (e *event) has(flag string) bool { return slices.Contains(e.Flags, flag) }

// param finds a param by name.
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
