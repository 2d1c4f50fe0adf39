// SPDX-License-Identifier: Apache-2.0

package kernelfacts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Struct is a struct that arguments of calls point to, or that such a struct has as a member.
type Struct struct {
	Name   string  `json:"name"`
	Size   uint32  `json:"size"` // in bytes
	Fields []Field `json:"fields"`
}

// Field is a member. Those of an anonymous union are the union's first.
type Field struct {
	Name   string `json:"name"`
	Type   string `json:"type"`   // in C
	Offset uint32 `json:"offset"` // in bytes
	Bits   uint32 `json:"bits,omitempty"`
}

// String writes the struct in C, on one line.
func (s Struct) String() string {
	var b strings.Builder
	b.WriteString("struct " + s.Name + " {")
	for _, f := range s.Fields {
		typ, array, isArray := strings.Cut(f.Type, "[")
		b.WriteString(" " + strings.TrimSpace(typ) + " " + f.Name)
		if isArray {
			b.WriteString("[" + array)
		}
		if f.Bits > 0 {
			fmt.Fprintf(&b, ":%d", f.Bits)
		}
		b.WriteByte(';')
	}
	return b.String() + " }"
}

// OfCalls returns what is known of the calls alone, with the types of their arguments.
func (f *Facts) OfCalls() *Facts {
	return &Facts{
		Kernel: f.Kernel, Release: f.Release, Arch: f.Arch, Syscalls: f.Syscalls, Structs: f.Structs, Enums: f.Enums,
		NoConfig: "left out",
	}
}

// Enum is an enumeration that is the type of an argument.
type Enum struct {
	Name   string      `json:"name"`
	Values []EnumValue `json:"values"`
}

// EnumValue is a name of an enumeration.
type EnumValue struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// Target returns the name of the struct or union that a pointer of that C type points to, or "".
func Target(ctype string) string {
	base, ok := strings.CutSuffix(strings.TrimSpace(ctype), "*")
	for _, tag := range []string{"const ", "struct ", "union "} {
		base = strings.TrimPrefix(base, tag)
	}
	if base = strings.TrimSpace(base); !ok || strings.ContainsAny(base, " *") {
		return ""
	}
	return base
}

// argumentTypes returns the structs and enumerations that the arguments of calls name, by name.
func argumentTypes(calls []Syscall, types *btf.Spec) (structs []Struct, enums []Enum) {
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if name == "" || seen[name] {
			return
		}
		seen[name] = true
		s := structNamed(types, name)
		if s == nil {
			return
		}
		at := len(structs)
		structs = append(structs, *s)
		for _, f := range structs[at].Fields {
			base, _, _ := strings.Cut(f.Type, "[")
			add(Target(strings.TrimSpace(base) + " *"))
		}
	}
	for _, call := range calls {
		for _, a := range call.Args {
			typ := strings.ReplaceAll(a.Type, "*const", "*")
			add(Target(typ))
			name, isEnum := strings.CutPrefix(strings.TrimPrefix(typ, "const "), "enum ")
			if isEnum && !seen[typ] {
				seen[typ] = true
				var e *btf.Enum
				if types.TypeByName(name, &e) == nil {
					enum := Enum{Name: name}
					for _, v := range e.Values {
						enum.Values = append(enum.Values, EnumValue{v.Name, v.Value})
					}
					enums = append(enums, enum)
				}
			}
		}
	}
	slices.SortFunc(structs, func(a, b Struct) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(enums, func(a, b Enum) int { return strings.Compare(a.Name, b.Name) })
	return structs, enums
}

// structNamed finds a struct by its tag, or by the name of a type that is one.
func structNamed(types *btf.Spec, name string) *Struct {
	candidates, err := types.AnyTypesByName(name)
	if err != nil {
		return nil
	}
	for _, t := range candidates {
		if s, ok := btf.UnderlyingType(t).(*btf.Struct); ok {
			return &Struct{Name: name, Size: s.Size, Fields: fields(s.Members, 0)}
		}
	}
	return nil
}

func fields(members []btf.Member, base uint32) (list []Field) {
	for _, m := range members {
		at := base + uint32(m.Offset.Bytes())
		if m.Name == "" {
			switch t := btf.UnderlyingType(m.Type).(type) {
			case *btf.Struct:
				list = append(list, fields(t.Members, at)...)
			case *btf.Union:
				if len(t.Members) > 0 {
					list = append(list, fields(t.Members[:1], at)...)
				}
			}
			continue
		}
		list = append(list, Field{m.Name, spelled(m.Type), at, uint32(m.BitfieldSize)})
	}
	return list
}

// integers are the names of C's integers in types of the kernel, and as sources write them.
var integers = strings.NewReplacer("long long unsigned int", "unsigned long long", "long long int", "long long", "long unsigned int", "unsigned long",
	"long int", "long", "short unsigned int", "unsigned short", "short int", "short")

// spelled writes a type as sources of the kernel do.
func spelled(t btf.Type) string { return integers.Replace(cType(t)) }
