// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/kver"
	"github.com/scaplab/scaplab/tables"
)

// Every syscall gets cases derived from its signature: arguments that make the call
// fail, and the params that the event must have then. The result itself is not
// predicted, only that the event has it.

// probe is a list of arguments and what is known about each.
type probe struct {
	name    string
	args    []probeArg
	lacking string // why it does not run on kernels that have the call
}

type probeArg struct {
	text    string            // as in the text of the call
	num     int64             // the value of the register, unless it is an address
	by      map[string]uint64 // where that differs, by GOARCH
	badPtr  bool              // the memory there is unreadable
	oneByte bool              // only the first byte is readable, and it is not 0
	address bool              // an address that the guest knows, by the name in text
}

func numArg(v int64) probeArg { return probeArg{text: fmt.Sprint(v), num: v} }

var (
	nullArg = probeArg{text: "NULL", badPtr: true}
	badAddr = probeArg{text: "$bad", badPtr: true, address: true}
	endAddr = probeArg{text: "$end", oneByte: true, address: true}
)

func (a probeArg) on(arch string) int64 {
	if v, ok := a.by[arch]; ok {
		return int64(v)
	}
	return a.num
}

// probes returns the lists of arguments for a signature. A call that some kernels lack has at least
// one, which proves that it is missing there.
func (m *model) probes(s *tables.Syscall) []probe {
	var fds, ptrs, ints []int
	for i, p := range s.Params {
		bits, _ := tables.RegisterBits(p.Type)
		switch {
		case tables.IsPointer(p.Type):
			ptrs = append(ptrs, i)
		case bits == 32 && tables.IsFDName(p.Name):
			fds = append(fds, i)
		default:
			ints = append(ints, i)
		}
	}
	// Every list starts with these harmless arguments: no descriptor, no memory, zeros.
	floor := func(ptr probeArg) []probeArg {
		args := make([]probeArg, len(s.Params))
		for i := range args {
			args[i] = numArg(0)
		}
		for _, i := range fds {
			args[i] = numArg(-1)
		}
		for _, i := range ptrs {
			args[i] = ptr
		}
		return args
	}
	var out []probe
	add := func(name string, args []probeArg) { out = append(out, probe{name: name, args: args}) }
	guarded := len(fds) > 0 || len(ptrs) > 0 // something makes the call fail early
	least := "zeros"
	switch {
	case len(s.Params) == 0:
		least = "without arguments"
	case len(fds) > 0 && len(ptrs) > 0:
		least = "no descriptor and NULL"
	case len(fds) > 0:
		least = "no descriptor"
	case len(ptrs) > 0:
		least = "NULL"
	}
	lacking := cmp.Or(s.Probe.Skip, s.Probe.NoZeros)
	if len(s.Params) == 0 {
		lacking = cmp.Or(lacking, "the table has a case for the only way to call it")
	}
	alone := probe{least, floor(nullArg), lacking}
	switch {
	case s.Probe.Skip != "" || len(ptrs) == 0 && lacking != "":
		if missing(s) {
			return []probe{alone}
		}
		return nil
	case lacking == "":
		add(least, alone.args)
	}
	if len(ptrs) > 0 {
		add("unmapped memory", floor(badAddr))
		add("end of a page", floor(endAddr)) // only a part of a value or string is readable
	}
	if guarded && s.Probe.NoZeros == "" {
		for _, i := range ints {
			if s.Params[i].Name == s.Probe.Zero {
				continue
			}
			for _, v := range append(boundaries(s.Params[i].Type), m.converted(s, s.Params[i].Name)...) {
				args := floor(badAddr)
				args[i] = v.probeArg
				add(s.Params[i].Name+" "+v.name, args)
			}
		}
	}
	return out
}

// oldest is the first kernel on which a driver can be proven.
var oldest = kver.MustParse("5.8")

// missing reports whether a kernel lacks the call.
func missing(s *tables.Syscall) bool {
	return s.Until != "" || slices.ContainsFunc(slices.Collect(maps.Values(s.Since)), func(v string) bool {
		return v != "" && oldest.Less(kver.MustParse(v))
	})
}

type namedArg struct {
	name string
	probeArg
}

// converted returns the native values of an argument's conversion, each by itself.
func (m *model) converted(s *tables.Syscall, arg string) []namedArg {
	var out []namedArg
	seen := make(map[string]bool)
	for _, p := range s.Exit.Params {
		expr.Walk(p.From, func(n *expr.Node) bool {
			set := m.sets[n.Text]
			if n.Kind != expr.Call || set == nil || len(n.Args) != 1 || !isName(n.Args[0], arg) || seen[set.Name] {
				return true
			}
			seen[set.Name] = true
			if set.Kind == "" || set.Kind == "manual" {
				return true
			}
			for _, v := range set.Values {
				nat, ok := nativeOf(v)
				_, inUnix := tables.UnixConst(v.Name)
				switch {
				case !ok || !nat.all || nat.value == 0 && len(nat.by) == 0:
				case len(nat.by) == 0:
					out = append(out, namedArg{v.Name, probeArg{text: fmt.Sprintf("%#x", nat.value), num: int64(nat.value)}})
				case inUnix:
					out = append(out, namedArg{v.Name, probeArg{text: v.Name, num: int64(nat.value), by: nat.by}})
				}
			}
			return true
		})
	}
	return out
}

// boundaries returns the limits of an integer type.
func boundaries(ctype string) []namedArg {
	bits, signed := tables.RegisterBits(ctype)
	switch {
	case bits == 64:
		return []namedArg{{"all ones", numArg(-1)}, {"top bit", probeArg{text: "0x8000000000000000", num: -1 << 63}}}
	case signed:
		return []namedArg{{"all ones", numArg(-1)}, {"lowest", numArg(-1 << (bits - 1))}, {"highest", numArg(1<<(bits-1) - 1)}}
	}
	return []namedArg{{"all ones", numArg(1<<bits - 1)}, {"top bit", numArg(1 << (bits - 1))}}
}

// probeCases returns the generated cases of an entry.
func (m *model) probeCases(s *tables.Syscall) []*tables.Case {
	if s.Exit == nil {
		return nil
	}
	var out []*tables.Case
	for _, p := range m.probes(s) {
		var args []string
		for _, a := range p.args {
			args = append(args, a.text)
		}
		call, err := expr.Parse(s.Name+"("+strings.Join(args, ", ")+")", s.Pos)
		if err != nil {
			continue // never: the text is generated here
		}
		c := &tables.Case{Pos: s.Pos, Syscall: s.Name, Name: "probe " + p.name, Call: call, Unsafe: s.Probe.Unsafe, Lacking: p.lacking}
		k := knower{m: m, s: s, probe: p}
		for _, param := range s.Exit.Params {
			c.Want = append(c.Want, tables.Binding{Pos: param.Pos, Name: param.Name, Expr: mustExpr(k.want(param))})
		}
		out = append(out, c)
	}
	return out
}

func mustExpr(text string) *expr.Node {
	n, err := expr.Parse(text, expr.Pos{})
	if err != nil {
		panic(fmt.Sprintf("gen: generated expression %q: %v", text, err))
	}
	return n
}

// knower computes the params that an event must have after a probe.
type knower struct {
	m    *model
	s    *tables.Syscall
	arch string
	probe
}

// want returns the wanted value of a param in the language of cases; any if it does
// not follow from the arguments.
func (k *knower) want(p *tables.Param) string {
	if len(p.When) > 0 || p.Switch != nil || p.From == nil {
		return "any"
	}
	from := p.From
	w, _ := k.m.wire(p.Type)
	switch {
	case isName(from, "ret"):
		if w.size == 8 {
			return "$ret"
		}
		return "any" // a result of 32 bits: an errno does not fit
	case isName(from, "empty"):
		return "empty"
	case k.m.isString(p.Type), p.Type == "bytebuf", p.Type == "sockaddr":
		// NULL, unmapped memory and an unterminated string give no bytes.
		if a, ok := k.arg(from); ok && (a.badPtr || a.oneByte && k.m.isString(p.Type)) {
			return "empty"
		}
		return "any"
	}
	if w.size == 0 {
		return "any"
	}
	if a, ok := k.arg(from); ok && a.address {
		if w.size == 8 {
			return a.text
		}
		return "any"
	}
	text := ""
	for _, k.arch = range tables.Arches {
		v, ok := k.value(from, w)
		if !ok || text != "" && text != wireNumber(v, w) {
			return "any" // unknown here, or different between architectures
		}
		text = wireNumber(v, w)
	}
	return text
}

// wireNumber returns a register value as a param of the wire type has it.
func wireNumber(v int64, w wire) string {
	switch w.c {
	case "s8":
		return fmt.Sprint(int8(v))
	case "s16":
		return fmt.Sprint(int16(v))
	case "s32":
		return fmt.Sprint(int32(v))
	case "s64":
		return fmt.Sprint(v)
	case "u8":
		return fmt.Sprint(uint8(v))
	case "u16":
		return fmt.Sprint(uint16(v))
	case "u32":
		return fmt.Sprint(uint32(v))
	}
	return fmt.Sprint(uint64(v))
}

// arg returns the probe's value of an argument.
func (k *knower) arg(n *expr.Node) (probeArg, bool) {
	if n.Kind != expr.Name {
		return probeArg{}, false
	}
	i := slices.IndexFunc(k.s.Params, func(p tables.CParam) bool { return p.Name == n.Text })
	if i < 0 {
		return probeArg{}, false
	}
	return k.args[i], true
}

// value computes a source as its generated C does.
func (k *knower) value(n *expr.Node, w wire) (int64, bool) {
	switch n.Kind {
	case expr.Int:
		return n.Num, true
	case expr.Name:
		a, ok := k.arg(n)
		if !ok || a.address {
			return 0, false
		}
		i := slices.IndexFunc(k.s.Params, func(p tables.CParam) bool { return p.Name == n.Text })
		bits, signed := tables.RegisterBits(k.s.Params[i].Type)
		if w.low {
			bits, signed = 32, true
		}
		return cut(a.on(k.arch), bits, signed), true
	case expr.Neg, expr.Not:
		v, ok := k.value(n.Args[0], wire{})
		if n.Kind == expr.Neg {
			return -v, ok
		}
		return ^v, ok
	case expr.Or, expr.Add, expr.Sub, expr.Mul, expr.Shl:
		return k.binary(n)
	case expr.Call:
		return k.call(n)
	}
	return 0, false
}

func cut(v int64, bits int, signed bool) int64 {
	if bits == 64 {
		return v
	}
	shift := 64 - bits
	if signed {
		return v << shift >> shift
	}
	return int64(uint64(v) << shift >> shift)
}

func (k *knower) binary(n *expr.Node) (int64, bool) {
	if n.Kind == expr.Mul && slices.ContainsFunc(n.Args, func(a *expr.Node) bool {
		v, ok := k.value(a, wire{})
		return ok && v == 0
	}) {
		return 0, true // the other factor does not matter
	}
	var sum int64
	for i, a := range n.Args {
		v, ok := k.value(a, wire{})
		if !ok {
			return 0, false
		}
		switch {
		case i == 0:
			sum = v
		case n.Kind == expr.Or:
			sum |= v
		case n.Kind == expr.Add:
			sum += v
		case n.Kind == expr.Sub:
			sum -= v
		case n.Kind == expr.Mul:
			sum *= v
		case n.Kind == expr.Shl && v >= 0 && v < 64:
			sum <<= v
		default:
			return 0, false
		}
	}
	return sum, true
}

// newFD is the helper for a descriptor that the call made.
const newFD = "new_fd"

// call computes conversions, and helpers whose declaration fixes their value for a
// bad descriptor or bad memory.
func (k *knower) call(n *expr.Node) (int64, bool) {
	if set := k.m.sets[n.Text]; set != nil && len(n.Args) == 1 {
		v, ok := k.value(n.Args[0], wire{})
		if !ok {
			return 0, false
		}
		c, ok := convert(set, k.arch, uint64(v))
		return int64(c), ok
	}
	if len(n.Args) == 0 {
		return 0, false
	}
	at := n.Args[0]
	if at.Kind == expr.Call && at.Text == newFD { // of a bad descriptor, a bad one
		at = at.Args[0]
	}
	first, known := k.arg(at)
	switch n.Text {
	case "at_fdcwd":
		v, ok := k.value(n.Args[0], wire{low: true})
		return cut(v, 32, true), ok
	case "high_bits":
		v, ok := k.value(n.Args[0], wire{})
		by, ok2 := k.value(n.Args[1], wire{})
		return int64(uint64(v) >> (by & 63)), ok && ok2
	}
	h := k.m.helpers[n.Text]
	if h == nil {
		return 0, false
	}
	switch h.Zero {
	case "memory":
		return 0, known && (first.badPtr || first.oneByte)
	case "descriptor":
		return 0, known && !first.address && int32(first.num) < 0
	}
	return 0, false
}

// convert returns what the generated C function of a set returns.
func convert(s *tables.FlagSet, arch string, v uint64) (uint64, bool) {
	var out uint64
	switch s.Kind {
	case "identity", "enum":
		width := s.Width
		if width == 0 {
			width = 32
		}
		v &= 1<<width - 1
		if s.Kind == "identity" {
			return v, true
		}
		for _, f := range s.Values {
			if n, ok := nativeOf(f); ok {
				if num, ok := n.on(arch); ok && num == v {
					return f.Value, true
				}
			}
		}
		return uint64(s.Default), true
	case "bits", "mask":
		for _, f := range s.Values {
			n, ok := nativeOf(f)
			if !ok {
				continue
			}
			num, ok := n.on(arch)
			if ok && num != 0 && (s.Kind == "bits" && v&num != 0 || v&num == num) {
				out |= f.Value
			}
		}
		return out, true
	}
	return 0, false
}
