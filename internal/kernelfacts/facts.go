// SPDX-License-Identifier: Apache-2.0

// Package kernelfacts says what a kernel offers, from its image: neither is it booted, nor is its source at hand.
package kernelfacts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/scaplab/scaplab/internal/bpfcheck"
)

// Facts are what is known of a kernel.
type Facts struct {
	Kernel  string `json:"kernel"`
	Release string `json:"release,omitempty"`
	Arch    string `json:"arch"` // GOARCH

	Syscalls    []Syscall `json:"syscalls"`          // by name
	Structs     []Struct  `json:"structs,omitempty"` // of arguments, by name
	Enums       []Enum    `json:"enums,omitempty"`   // of arguments, by name
	Tracepoints []string  `json:"tracepoints"`
	Helpers     []string  `json:"helpers"`
	Kfuncs      []string  `json:"kfuncs"` // that its types mark (bpf_kfunc), as they do since 6.9 or so, or that our programs call
	Reads       []Read    `json:"reads"`  // what our programs read

	Config   map[string]string `json:"config,omitempty"`
	NoConfig string            `json:"no_config,omitempty"` // why Config is not known
}

// Syscall is a call that the kernel has, under the name of its function without sys_.
type Syscall struct {
	Name string `json:"name"`
	Args []Arg  `json:"args"` // null: they are not known
}

// Arg is an argument of a call.
type Arg struct {
	Name string `json:"name"`
	Type string `json:"type"` // in C
}

// Read is a field, type or value of the kernel that programs ask for.
type Read struct {
	What   string   `json:"what"`             // struct task_struct.mm
	There  bool     `json:"there"`            // the kernel has it
	Type   string   `json:"type,omitempty"`   // of a field, in C
	Offset uint32   `json:"offset,omitempty"` // of a field, in bits
	Size   uint32   `json:"size,omitempty"`   // of a field, in bits
	Used   []string `json:"-"`                // programs
	Source []string `json:"source,omitempty"` // file:line
}

// Of collects the facts of a kernel. image is its file; reads are what objects ask of it.
func Of(image []byte, arch string, types *btf.Spec, objects []*bpfcheck.Object) (*Facts, error) {
	k, err := bpfcheck.NewKernel(types)
	if err != nil {
		return nil, err
	}
	f := &Facts{Arch: arch, Helpers: k.Helpers()}
	if f.Syscalls, err = syscalls(image, arch, types); err != nil {
		return nil, err
	}
	f.Structs, f.Enums = argumentTypes(f.Syscalls, types)
	for t, err := range types.All() {
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case *btf.Typedef:
			if name, ok := strings.CutPrefix(t.Name, "btf_trace_"); ok {
				f.Tracepoints = append(f.Tracepoints, name)
			}
		case *btf.Func:
			if slices.Contains(t.Tags, "bpf_kfunc") {
				f.Kfuncs = append(f.Kfuncs, t.Name)
			}
		}
	}
	for _, o := range objects {
		for _, name := range o.Kfuncs() {
			if k.HasFunc(name) {
				f.Kfuncs = append(f.Kfuncs, name)
			}
		}
	}
	for _, list := range []*[]string{&f.Tracepoints, &f.Kfuncs} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	f.Reads, err = reads(types, objects)
	return f, err
}

// reads says how the kernel answers what the objects ask, by name.
func reads(types *btf.Spec, objects []*bpfcheck.Object) ([]Read, error) {
	all := map[string]*Read{}
	for _, o := range objects {
		uses, err := o.Uses()
		if err != nil {
			return nil, err
		}
		for _, u := range uses {
			r := all[u.String()]
			if r == nil {
				r = &Read{What: u.String()}
				r.There, r.Type, r.Offset, r.Size = find(types, u.Read)
				all[r.What] = r
			}
			if !slices.Contains(r.Used, u.Program) {
				r.Used = append(r.Used, u.Program)
			}
			if u.Source != "" && !slices.Contains(r.Source, u.Source) {
				r.Source = append(r.Source, u.Source)
			}
		}
	}
	var list []Read
	for _, r := range all {
		slices.Sort(r.Used)
		slices.Sort(r.Source)
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Read) int { return strings.Compare(a.What, b.What) })
	return list, nil
}

// find looks for what a program reads.
func find(types *btf.Spec, r bpfcheck.Read) (there bool, text string, offset, size uint32) {
	_, name, isTagged := strings.Cut(r.Type, " ")
	if !isTagged {
		name = r.Type
	}
	candidates, err := types.AnyTypesByName(name)
	if err != nil {
		return false, "", 0, 0
	}
	for _, t := range candidates {
		if kindOf(t) != strings.TrimSuffix(r.Type, name) {
			continue
		}
		switch t := t.(type) {
		case *btf.Enum:
			if r.Path == "" || slices.ContainsFunc(t.Values, func(v btf.EnumValue) bool { return v.Name == r.Path }) {
				return true, "", 0, 0
			}
		default:
			if r.Path == "" {
				return true, "", 0, 0
			}
			if field, at, ok := member(t, strings.Split(strings.ReplaceAll(r.Path, "[", ".["), ".")); ok {
				bytes, _ := btf.Sizeof(field.Type) // of a bit field its own size counts
				size = uint32(bytes) * 8
				if field.BitfieldSize > 0 {
					size = uint32(field.BitfieldSize)
				}
				return true, cType(field.Type), at, size
			}
		}
	}
	return false, "", 0, 0
}

func kindOf(t btf.Type) string {
	switch t.(type) {
	case *btf.Struct:
		return "struct "
	case *btf.Union:
		return "union "
	case *btf.Enum:
		return "enum "
	}
	return ""
}

// member finds a member by the names on the way to it; members of anonymous structures are members of what they are in.
func member(t btf.Type, path []string) (found btf.Member, offset uint32, ok bool) {
	if len(path) == 0 {
		return btf.Member{}, 0, false
	}
	t = btf.UnderlyingType(t)
	if a, isArray := t.(*btf.Array); isArray {
		var i uint32
		if _, err := fmt.Sscanf(path[0], "[%d]", &i); err != nil {
			return btf.Member{}, 0, false
		}
		element, err := btf.Sizeof(a.Type)
		if err != nil {
			return btf.Member{}, 0, false
		}
		at := i * uint32(element) * 8
		if len(path) == 1 {
			return btf.Member{Type: a.Type}, at, true
		}
		found, offset, ok = member(a.Type, path[1:])
		return found, at + offset, ok
	}
	var members []btf.Member
	switch t := t.(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	}
	for _, m := range members {
		switch {
		case m.Name == path[0] && len(path) == 1:
			return m, uint32(m.Offset), true
		case m.Name == path[0]:
			found, offset, ok = member(m.Type, path[1:])
		case m.Name == "":
			found, offset, ok = member(m.Type, path)
		}
		if ok {
			return found, uint32(m.Offset) + offset, true
		}
	}
	return btf.Member{}, 0, false
}

// cType writes a type as C does, as far as one needs to tell types apart.
func cType(t btf.Type) string {
	switch t := t.(type) {
	case *btf.Void:
		return "void"
	case *btf.Pointer:
		return strings.TrimSuffix(cType(t.Target), " ") + " *"
	case *btf.Const:
		return "const " + cType(t.Type)
	case *btf.Volatile:
		return "volatile " + cType(t.Type)
	case *btf.Restrict:
		return cType(t.Type)
	case *btf.TypeTag:
		return cType(t.Type)
	case *btf.Array:
		return fmt.Sprintf("%s[%d]", cType(t.Type), t.Nelems)
	case *btf.FuncProto:
		return "function"
	case *btf.Fwd:
		return t.Kind.String() + " " + t.Name
	}
	if name := t.TypeName(); name != "" {
		return kindOf(t) + name
	}
	return kindOf(t) + "{...}"
}
