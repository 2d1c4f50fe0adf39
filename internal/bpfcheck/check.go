// SPDX-License-Identifier: Apache-2.0

package bpfcheck

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// What a program may need of a kernel.
const (
	NeedRead   = "read"   // a type, field or value of its BTF
	NeedKfunc  = "kfunc"  // a kernel function
	NeedHelper = "helper" // a BPF helper
	NeedAttach = "attach" // the tracepoint or function that it attaches to
)

// Need is something that a program needs of a kernel, and how it fares.
type Need struct {
	Program string `json:"program"`
	Kind    string `json:"kind"`             // NeedRead, ...
	What    string `json:"what"`             // struct task_struct.mm; bpf_preempt_disable; sys_enter
	Source  string `json:"source,omitempty"` // file:line of the program's source
	Line    string `json:"line,omitempty"`   // that line

	Missing bool `json:"missing,omitempty"` // the kernel does not have it
	Guarded bool `json:"guarded,omitempty"` // and no path of the program comes to it on this kernel
}

// Fails reports whether the kernel refuses the program because of it.
func (n *Need) Fails() bool { return n.Missing && !n.Guarded }

func (n *Need) String() string {
	text := n.Program + ": "
	if n.Source != "" {
		text = n.Source + ": " + text
	}
	text += n.Kind + " " + n.What
	switch {
	case n.Fails():
		text += ": the kernel does not have it"
	case n.Missing:
		text += ": not there, and not reached"
	}
	return text
}

// Kernel is what a kernel's BTF says of it.
type Kernel struct {
	Types   *btf.Spec
	helpers map[int64]string // numbers and names
}

// helperName returns the name of a helper that the kernel does not have, as its number.
func helperName(id int64) string {
	name := "bpf"
	for _, r := range strings.TrimPrefix(asm.BuiltinFunc(id).String(), "Fn") { // as in FnMapLookupElem
		if unicode.IsUpper(r) {
			name += "_"
		}
		name += string(unicode.ToLower(r))
	}
	return fmt.Sprintf("%s (number %d)", name, id)
}

// NewKernel reads what programs may call.
func NewKernel(types *btf.Spec) (*Kernel, error) {
	k := &Kernel{Types: types, helpers: map[int64]string{}}
	var ids *btf.Enum
	err := types.TypeByName("bpf_func_id", &ids)
	if errors.Is(err, btf.ErrNotFound) { // types that were reduced to those of structures
		return k, nil
	}
	if err != nil {
		return nil, fmt.Errorf("BPF helpers: %w", err)
	}
	for _, v := range ids.Values {
		if name, ok := strings.CutPrefix(v.Name, "BPF_FUNC_"); ok && v.Value > 0 {
			k.helpers[int64(v.Value)] = "bpf_" + name
		}
	}
	return k, nil
}

// Helpers returns the names of its BPF helpers, sorted; none if its types do not say which it has.
func (k *Kernel) Helpers() []string {
	var names []string
	for _, name := range k.helpers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// HasFunc reports whether the kernel has a function, as its BTF knows it.
func (k *Kernel) HasFunc(name string) bool {
	var f *btf.Func
	return k.Types.TypeByName(name, &f) == nil
}

// HasTracepoint reports whether programs of type tp_btf can attach to a tracepoint.
func (k *Kernel) HasTracepoint(name string) bool {
	var t *btf.Typedef
	return k.Types.TypeByName("btf_trace_"+name, &t) == nil
}

// Check says how everything that a program needs fares on a kernel. Constants of the program are as the object's variables say:
// code that these, or the answers to questions about the kernel's types, exclude is not reached.
func (o *Object) Check(program string, k *Kernel) ([]Need, error) {
	p := o.Spec.Programs[program]
	needs := attachments(program, p, k)
	code := slices.Clone(p.Instructions)
	relocated, err := o.relocate(code, k)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	w := newWalk(o, code)
	missing := map[int]bool{}
	found := map[int]Need{}
	add := func(i int, kind, what string, lacks bool) {
		n := Need{Program: program, Kind: kind, What: what, Missing: lacks}
		if line := w.lines[i]; line != nil {
			n.Source, n.Line = o.sourceOf(line), strings.TrimSpace(line.Line())
		}
		found[i], missing[i] = n, lacks
	}
	for i, r := range relocated {
		add(i, NeedRead, r.read.String(), r.poison && !r.read.Asks())
		w.fixed[i] = r
	}
	for i := range code {
		ins := &code[i]
		if f, ok := o.kfuncs[w.places[i]]; ok {
			there := k.HasFunc(f)
			if ins.OpCode.IsDWordLoad() { // of its address, which is 0 if it is not there
				w.address[i] = there
				continue
			}
			add(i, NeedKfunc, f, !there)
		} else if ins.IsBuiltinCall() && len(k.helpers) > 0 {
			name, there := k.helpers[ins.Constant]
			add(i, NeedHelper, cmp.Or(name, helperName(ins.Constant)), !there)
		}
	}
	w.run()
	for i := range code {
		if n, ok := found[i]; ok {
			n.Guarded = missing[i] && !w.reached(i)
			needs = append(needs, n)
		}
	}
	return needs, nil
}

// attachments says whether what a program attaches to is there. Only of programs of BTF's tracepoints and functions it is known.
func attachments(program string, p *ebpf.ProgramSpec, k *Kernel) []Need {
	if p.Type != ebpf.Tracing || p.AttachTo == "" {
		return nil
	}
	there := false
	if p.AttachType == ebpf.AttachTraceRawTp {
		there = k.HasTracepoint(p.AttachTo)
	} else {
		there = k.HasFunc(p.AttachTo)
	}
	return []Need{{Program: program, Kind: NeedAttach, What: p.AttachTo, Missing: !there}}
}

// relocated is the outcome of a relocation.
type relocated struct {
	read   Read
	poison bool // the kernel does not have it
}

// relocate fits code to a kernel, as a loader does, and returns the outcome by instruction.
func (o *Object) relocate(code asm.Instructions, k *Kernel) (map[int]relocated, error) {
	var relos []*btf.CORERelocation
	var at []int
	for i := range code {
		if relo := btf.CORERelocationMetadata(&code[i]); relo != nil {
			relos, at = append(relos, relo), append(at, i)
		}
	}
	if len(relos) == 0 {
		return nil, nil
	}
	fixups, err := btf.CORERelocate(relos, []*btf.Spec{k.Types}, o.Spec.ByteOrder, o.Spec.Types.TypeID)
	if err != nil {
		return nil, err
	}
	out := make(map[int]relocated, len(relos))
	for n, fixup := range fixups {
		read, err := readOf(relos[n], o.Spec.Types)
		if err != nil {
			return nil, err
		}
		r := relocated{read: read, poison: strings.HasSuffix(fixup.String(), "=poison")}
		if !r.poison {
			if err := fixup.Apply(&code[at[n]]); err != nil {
				return nil, fmt.Errorf("%s: %w", read, err)
			}
		}
		out[at[n]] = r
	}
	return out, nil
}

// Use is a read of a program.
type Use struct {
	Read
	Program string
	Source  string // file:line, or ""
}

// Uses returns everything that the object's programs ask about types.
func (o *Object) Uses() ([]Use, error) {
	var all []Use
	for _, name := range o.Programs() {
		code := o.Spec.Programs[name].Instructions
		w := newWalk(o, code)
		for i := range code {
			relo := btf.CORERelocationMetadata(&code[i])
			if relo == nil {
				continue
			}
			r, err := readOf(relo, o.Spec.Types)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", o.Name, name, err)
			}
			all = append(all, Use{r, name, o.sourceOf(w.lines[i])})
		}
	}
	return all, nil
}

// Kfuncs returns the names of the kernel functions that programs call or look for, sorted.
func (o *Object) Kfuncs() []string {
	names := slices.Sorted(maps.Values(o.kfuncs))
	return slices.Compact(names)
}

// sourceOf returns the place of a line of source.
func (o *Object) sourceOf(line *btf.Line) string {
	if line == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", path.Join(o.Dir, line.FileName()), line.LineNumber())
}
