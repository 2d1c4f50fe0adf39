// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"math/bits"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
)

func (l *loader) flagSet(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "set"), "entry", []string{"set", "kernel", "kind", "width", "default", "values", "doc"}, &l.errs)
	if m == nil || !m.required("set", "set: open_flags names it") {
		return
	}
	s := &FlagSet{Pos: f.Pos(n), Name: m.text("set")}
	m.subject = s.Name
	if s.Name == "" {
		return
	}
	if !expr.IsIdent(s.Name) {
		m.errorf(m.byKey["set"], "bad name %s (a C identifier is expected)", s.Name)
	}
	if old := l.sets[s.Name]; old != nil {
		m.errorf(m.byKey["set"], "flag set %s is described twice (first on line %d)", s.Name, old.Pos.Line)
		return
	}
	l.sets[s.Name] = s
	l.table.Flags = append(l.table.Flags, s)
	if m.required("kernel", `where the kernel's headers have the names: {in: linux/falloc.h, names: 'FALLOC_\w+'}, or {none: why}`) {
		s.Kernel = l.kernelNames(f, m.byKey["kernel"], s.Name)
	}
	if m.has("kind") {
		s.Kind = m.oneOf("kind", []string{"bits", "mask", "enum", "identity", "manual"})
	}
	if w := m.byKey["width"]; w != nil {
		switch {
		case s.Kind != "enum" && s.Kind != "identity":
			m.errorf(w, "width without use (kinds enum and identity have one)")
		case w.Value != "8" && w.Value != "16" && w.Value != "32" && (w.Value != "64" || s.Kind != "identity"):
			m.errorf(w, "bad width %s (8, 16 or 32; 64 of an identity)", w.Value)
		default:
			s.Width, _ = strconv.Atoi(w.Value)
		}
	} else if s.Kind == "enum" || s.Kind == "identity" {
		s.Width = 32
	}
	if d := m.byKey["default"]; d != nil {
		if s.Kind != "enum" {
			m.errorf(d, "default without use (kind enum has one)")
		}
		v, _ := m.uint(d, "default", 1<<32-1)
		s.Default = uint32(v)
	}
	if !m.required("values", "names and their numbers") {
		return
	}
	v := f.mapping(m.byKey["values"], s.Name, "values", nil, &l.errs)
	if v == nil {
		return
	}
	for _, e := range v.fields {
		l.flagValue(s, v, e)
	}
	l.checkNatives(s)
}

func (l *loader) kernelNames(f *file, n *yaml.Node, set string) (k KernelNames) {
	m := f.mapping(n, set, "kernel", []string{"in", "names", "but", "none"}, &l.errs)
	if m == nil {
		return k
	}
	if k.None = m.text("none"); k.None != "" {
		if len(m.fields) > 1 {
			m.errorf(m.byKey["none"], "none beside others (no header has the names)")
		}
		return k
	}
	if !m.required("in", "linux/falloc.h, or none: why") || !m.required("names", `a pattern: 'FALLOC_\w+'`) {
		return k
	}
	k.Files, k.Names, k.But = strings.Fields(m.text("in")), m.text("names"), m.text("but")
	for _, key := range []string{"names", "but"} {
		if _, err := regexp.Compile(m.text(key)); err != nil {
			m.errorf(m.byKey[key], "bad pattern: %v", err)
		}
	}
	return k
}

func (l *loader) flagValue(s *FlagSet, m *mapping, e field) {
	name := e.key.Value
	fv := FlagValue{Pos: m.f.Pos(e.key), Name: name}
	if !expr.IsIdent(name) {
		m.errorf(e.key, "bad name %s (a C identifier is expected)", name)
		return
	}
	converts := s.Kind != "" && s.Kind != "manual"
	most := uint64(1<<32 - 1)
	if s.Width == 64 {
		most = 1<<64 - 1
	}
	if e.val.Kind != yaml.MappingNode {
		v, ok := m.uint(e.val, name, most)
		if !ok {
			return
		}
		fv.Value = v
		if converts {
			fv.Native, fv.HasNative = v, true
		}
	} else {
		vm := m.f.mapping(e.val, s.Name+": "+name, name, []string{"value", "native"}, m.errs)
		if !vm.required("value", "the number events carry") {
			return
		}
		v, ok := vm.uint(vm.byKey["value"], "value", most)
		if !ok {
			return
		}
		fv.Value = v
		switch nat := vm.byKey["native"]; {
		case nat == nil:
			if converts {
				fv.Native, fv.HasNative = v, true
			}
		case nat.Kind == yaml.MappingNode:
			fv.NativeBy = map[string]uint64{}
			am := m.f.mapping(nat, vm.subject, "native", append([]string{"all", "generic"}, Arches...), m.errs)
			for _, a := range am.fields {
				v, ok := am.uint(a.val, "native value", 1<<64-1)
				switch {
				case !ok:
				case a.key.Value == "all":
					fv.Native, fv.HasNative = v, true
				default:
					for _, arch := range expandArch(a.key.Value) {
						if _, own := am.byKey[arch]; a.key.Value != "generic" || !own {
							fv.NativeBy[arch] = v
						}
					}
				}
			}
			if fv.HasNative {
				maps.DeleteFunc(fv.NativeBy, func(_ string, v uint64) bool { return v == fv.Native })
			}
			if len(fv.NativeBy) == 0 {
				fv.NativeBy = nil
			}
		case nat.Value == "none":
		default:
			if fv.Native, ok = vm.uint(nat, "native value", 1<<64-1); !ok {
				return
			}
			fv.HasNative = true
		}
	}
	if fv.HasNative || fv.NativeBy != nil {
		l.natives[name] = true
	}
	s.Values = append(s.Values, fv)
}

// checkHeaders compares native values with the kernel's headers, as x/sys/unix has them.
func (l *loader) checkHeaders(s *FlagSet) {
	significant := ^uint64(0) // of a number below 0 a conversion sees the low bits
	if s.Width != 0 {
		significant = 1<<s.Width - 1
	}
	for _, v := range s.Values {
		c, ok := unixConsts()[v.Name]
		if !ok || OnlyOf32Bit(v.Name) {
			continue
		}
		for _, arch := range Arches {
			if native, ok := v.NativeOn(arch); ok && native != c.on(arch)&significant {
				l.errs.Add(v.Pos, s.Name, "%s has the native value %#x on %s (%#x in the kernel's headers)", v.Name, native, arch, c.on(arch))
				break
			}
		}
	}
}

// checkNatives checks the native values of a conversion on each architecture.
func (l *loader) checkNatives(s *FlagSet) {
	if len(s.Values) == 0 {
		l.errs.Add(s.Pos, s.Name, "values are missing (a flag set names at least one)")
		return
	}
	l.checkHeaders(s)
	if s.Kind == "" || s.Kind == "manual" {
		return
	}
	said := map[string]bool{} // report once, not for each architecture
	if s.Kind == "bits" {
		l.checkBits(s, said)
	}
	for _, arch := range Arches {
		by := map[uint64]FlagValue{}
		for _, v := range s.Values {
			native, ok := v.NativeOn(arch)
			if !ok || said[v.Name] {
				continue
			}
			before := len(l.errs)
			switch s.Kind {
			case "bits", "mask":
				if native == 0 {
					l.errs.Add(v.Pos, s.Name, "%s has native value 0 (a %s conversion tests bits; native: none leaves it out)", v.Name, s.Kind)
				}
			case "identity":
				if native != v.Value {
					l.errs.Add(v.Pos, s.Name, "%s has another native value on %s (an identity conversion changes nothing)", v.Name, arch)
				}
			case "enum":
				if old, ok := by[native]; ok && old.Value != v.Value {
					l.errs.Add(v.Pos, s.Name, "%s has the native value of %s on %s (native: none leaves it out)", v.Name, old.Name, arch)
				}
				if s.Width != 0 && native>>s.Width != 0 {
					l.errs.Add(v.Pos, s.Name, "%s has a native value of more than %d bits on %s", v.Name, s.Width, arch)
				}
				by[native] = v
			}
			said[v.Name] = len(l.errs) > before
		}
	}
}

// checkBits checks a conversion that tests each bit by itself: a value is one bit, in
// the event and natively, and two names do not share a bit.
func (l *loader) checkBits(s *FlagSet, said map[string]bool) {
	of := map[uint64]string{}
	for _, v := range s.Values {
		before := len(l.errs)
		if bits.OnesCount64(v.Value) > 1 {
			l.errs.Add(v.Pos, s.Name, "%s is %#x, which is not a single bit (kind: mask tests several, enum whole values)", v.Name, v.Value)
		} else if old := of[v.Value]; old != "" && v.Value != 0 {
			l.errs.Add(v.Pos, s.Name, "%s has the bit %#x of %s", v.Name, v.Value, old)
		}
		of[v.Value] = v.Name
		for _, arch := range Arches {
			if native, ok := v.NativeOn(arch); ok && bits.OnesCount64(native) > 1 && len(l.errs) == before {
				l.errs.Add(v.Pos, s.Name, "%s has the native value %#x on %s, which is not a single bit (kind: mask tests several, enum whole values)",
					v.Name, native, arch)
			}
		}
		said[v.Name] = len(l.errs) > before
	}
}

// NativeOn returns the native value on an architecture.
func (v FlagValue) NativeOn(arch string) (uint64, bool) {
	if n, ok := v.NativeBy[arch]; ok {
		return n, true
	}
	return v.Native, v.HasNative
}
