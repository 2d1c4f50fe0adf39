// SPDX-License-Identifier: Apache-2.0

// Package bpfcheck says what eBPF programs need of a kernel, and whether a kernel has it, from the kernel's BTF alone: neither
// the kernel nor the program runs.
package bpfcheck

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Object is a compiled eBPF object.
type Object struct {
	Name   string // for messages
	Spec   *ebpf.CollectionSpec
	Dir    string           // directory that it was compiled in, for the places of its source; "" leaves them relative to it
	kfuncs map[place]string // names, by calls and loads of addresses
}

// place is an instruction of a function, in units of 8 bytes from its start.
type place struct {
	function string
	offset   asm.RawInstructionOffset
}

// Open reads an object.
func Open(name string, text []byte) (*Object, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	o := &Object{Name: name, Spec: spec}
	if o.kfuncs, err = readKfuncs(text, spec); err != nil {
		return nil, fmt.Errorf("%s: kernel functions: %w", name, err)
	}
	return o, nil
}

// Programs returns the names of its programs, sorted.
func (o *Object) Programs() []string { return slices.Sorted(maps.Keys(o.Spec.Programs)) }

// readKfuncs finds the uses of kernel functions. The ebpf package keeps them to itself, so they are read from the object's
// relocations: those whose symbol is a function of its BTF section .ksyms.
func readKfuncs(text []byte, spec *ebpf.CollectionSpec) (map[place]string, error) {
	found := map[place]string{}
	var extern *btf.Datasec
	if spec.Types == nil || spec.Types.TypeByName(".ksyms", &extern) != nil {
		return found, nil
	}
	known := map[string]bool{}
	for _, v := range extern.Vars {
		if f, ok := v.Type.(*btf.Func); ok {
			known[f.Name] = true
		}
	}
	f, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	symbols, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	for _, section := range f.Sections {
		if section.Type != elf.SHT_REL || int(section.Info) >= len(f.Sections) || f.Sections[section.Info].Flags&elf.SHF_EXECINSTR == 0 {
			continue
		}
		rel, err := section.Data()
		if err != nil {
			return nil, err
		}
		for ; len(rel) >= 16; rel = rel[16:] {
			at, symbol := binary.LittleEndian.Uint64(rel), int(binary.LittleEndian.Uint64(rel[8:])>>32)
			if symbol == 0 || symbol > len(symbols) || !known[symbols[symbol-1].Name] {
				continue
			}
			if p, ok := functionAt(symbols, section.Info, at); ok {
				found[p] = symbols[symbol-1].Name
			}
		}
	}
	return found, nil
}

// functionAt returns the place of a byte of a section.
func functionAt(symbols []elf.Symbol, section uint32, at uint64) (place, bool) {
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && uint32(s.Section) == section && at >= s.Value && at < s.Value+s.Size {
			return place{s.Name, asm.RawInstructionOffset((at - s.Value) / 8)}, true
		}
	}
	return place{}, false
}

// Read is a CO-RE relocation: what a program asks about the kernel's types.
type Read struct {
	Kind string // byte_off, byte_sz, field_exists, type_exists, ...; see the ebpf package
	Type string // as in "struct task_struct", "enum bpf_func_id"
	Path string // field or value, as in "mm.exe_file"; "" of a question about the type
}

// String returns the type with the field, as in "struct task_struct.mm".
func (r Read) String() string {
	if r.Path == "" {
		return r.Type
	}
	return r.Type + "." + r.Path
}

// Asks reports whether it asks if something exists, and so is answered by every kernel.
func (r Read) Asks() bool { return strings.HasSuffix(r.Kind, "_exists") || r.Kind == "type_matches" }

// relocationRE reads the text of a relocation, the only access that the ebpf package gives to its parts.
var relocationRE = regexp.MustCompile(`^CORERelocation\((\w+), .*\[([0-9:]*)\], local_id=(\d+)\)$`)

// readOf describes a relocation of an object with these types.
func readOf(relo *btf.CORERelocation, types *btf.Spec) (Read, error) {
	m := relocationRE.FindStringSubmatch(relo.String())
	if m == nil {
		return Read{}, fmt.Errorf("relocation %q is not understood", relo)
	}
	id, err := strconv.ParseUint(m[3], 10, 32)
	if err != nil {
		return Read{}, err
	}
	typ, err := types.TypeByID(btf.TypeID(id))
	if err != nil {
		return Read{}, err
	}
	var indices []int
	for part := range strings.SplitSeq(m[2], ":") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return Read{}, fmt.Errorf("relocation %q: %w", relo, err)
		}
		indices = append(indices, n)
	}
	typ = btf.UnderlyingType(typ)
	r := Read{Kind: m[1], Type: typeName(typ)}
	if strings.HasPrefix(r.Kind, "type") || strings.HasSuffix(r.Kind, "type_id") {
		return r, nil
	}
	r.Path, err = pathOf(typ, indices)
	return r, err
}

// essential removes a flavor: struct a___b is a version of the kernel's struct a.
func essential(name string) string {
	before, _, _ := strings.Cut(name, "___")
	return before
}

func typeName(t btf.Type) string {
	kind := ""
	switch t := t.(type) {
	case *btf.Struct:
		kind = "struct "
	case *btf.Union:
		kind = "union "
	case *btf.Enum:
		kind = "enum "
	case *btf.Fwd:
		kind = t.Kind.String() + " "
	}
	return kind + essential(t.TypeName())
}

// pathOf returns the names of the members at the indices, of which the first one is that of an array of the type.
func pathOf(t btf.Type, indices []int) (string, error) {
	if e, ok := t.(*btf.Enum); ok {
		if len(indices) != 1 || indices[0] >= len(e.Values) {
			return "", fmt.Errorf("%s has no value %v", typeName(t), indices)
		}
		return essential(e.Values[indices[0]].Name), nil
	}
	var path strings.Builder
	for _, i := range indices[1:] {
		var members []btf.Member
		switch t := btf.UnderlyingType(t).(type) {
		case *btf.Struct:
			members = t.Members
		case *btf.Union:
			members = t.Members
		case *btf.Array:
			fmt.Fprintf(&path, "[%d]", i)
		}
		if a, ok := btf.UnderlyingType(t).(*btf.Array); ok {
			t = a.Type
			continue
		}
		if i >= len(members) {
			return "", fmt.Errorf("%s has no member %d", typeName(t), i)
		}
		if name := members[i].Name; name != "" { // not that of an anonymous struct or union
			if path.Len() > 0 {
				path.WriteByte('.')
			}
			path.WriteString(name)
		}
		t = members[i].Type
	}
	return path.String(), nil
}
