// SPDX-License-Identifier: Apache-2.0

package tabledraft

import (
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/tables"
)

// normal writes a C type of the kernel in one way: without qualifiers of the pointer and of numbers.
func normal(t string) string {
	t = strings.ReplaceAll(strings.ReplaceAll(t, "*const", "*"), "* *", "**")
	t = strings.Join(strings.Fields(strings.ReplaceAll(t, "*", " *")), " ")
	t = strings.ReplaceAll(t, "* *", "**")
	if !strings.Contains(t, "*") {
		t = strings.TrimPrefix(t, "const ")
	}
	return t
}

// renamed is the name that the table has for an argument of the kernel.
func renamed(typ, name, prev string) string {
	for _, r := range renames {
		if r.typ.MatchString(typ) && r.name.MatchString(name) && (r.prev == nil || r.prev.MatchString(prev)) {
			name = r.name.ReplaceAllString(name, r.to)
		}
	}
	return name
}

// typeNames are numbers that the table calls otherwise than the kernel.
var typeNames = map[string]string{"unsigned": "unsigned int", "__u32": "u32", "__s32": "s32", "__u64": "u64"}

// ctype is the type of an argument in a signature of the table. A number of a type that the table does not know is unsigned long: the
// register as it is.
func (d *Drafter) ctype(call, kernel string) string {
	t := normal(kernel)
	base, pointer, _ := strings.Cut(t, " *")
	if to, ok := typeNames[base]; ok {
		if t = to; base+" *"+pointer == normal(kernel) {
			t += " *" + pointer
		}
	}
	if name := kernelfacts.Target(t); name != "" && !strings.HasSuffix(t, "char *") {
		return strings.Replace(t, name, d.structName(call, name), 1)
	}
	if !tables.IsPointer(t) && !tables.IsNumber(t) {
		return "unsigned long"
	}
	return t
}

// arguments writes the arguments of a call with the table's words.
func (d *Drafter) arguments(call string, kernel []kernelfacts.Arg) []tables.CParam {
	var args []tables.CParam
	has := func(name string) bool {
		return name == "ret" || slices.ContainsFunc(args, func(a tables.CParam) bool { return a.Name == name })
	}
	prev := ""
	for _, a := range kernel {
		name := renamed(normal(a.Type), a.Name, prev)
		if has(name) {
			name = a.Name
		}
		args = append(args, tables.CParam{Type: d.ctype(call, a.Type), Name: name})
		prev = a.Name
	}
	for i, a := range kernel { // a family has the same words, and structs
		s, j := d.relative(call, a)
		if s == nil || args[i].Name != s.Params[j].Name && has(s.Params[j].Name) {
			continue
		}
		args[i].Name = s.Params[j].Name
		if theirs := s.Params[j].Type; d.known[kernelfacts.Target(theirs)] != nil && d.known[kernelfacts.Target(args[i].Type)] == nil {
			args[i].Type = theirs
		}
	}
	for i, a := range args { // the size of an extensible struct has the name that the struct knows
		if s := d.known[kernelfacts.Target(a.Type)]; s != nil && i+1 < len(args) && s.Extensible != "" && s.Field(s.Extensible) == nil {
			args[i+1].Name = s.Extensible
		}
	}
	return args
}

// structName is the table's name of a struct. Structs of times have two layouts in tasks of 32 bits: a call that
// the kernel has a second function of (_time32) takes the layout of the task, and others the one of the kernel.
func (d *Drafter) structName(call, name string) string {
	plain := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(name, "__"), "kernel_"), "old_")
	if d.known[plain] == nil || name == plain {
		return name
	}
	symbol := d.symbol(call)
	_, a := d.calls[symbol+"_time32"]
	_, b := d.calls[symbol+"32"]
	if d.known[name] != nil && !a && !b && !d.old(call) {
		return name
	}
	return plain
}

// old reports whether a call has a number from before 5.1, when tasks of 32 bits got new calls for times.
func (d *Drafter) old(call string) bool {
	const first = 403 // clock_gettime64, on all architectures
	for _, id := range d.table.IDs {
		if id.Name == call {
			for arch, nr := range id.NR {
				if arch != tables.IA32 && nr < first {
					return true
				}
			}
		}
	}
	return false
}

// roles says what the arguments are for.
func (d *Drafter) roles(e *Entry) {
	kernel := d.calls[d.symbol(e.Call)].Args
	plain := func(i int) string { // without what a family calls it
		prev := ""
		if i > 0 {
			prev = kernel[i-1].Name
		}
		return renamed(normal(kernel[i].Type), kernel[i].Name, prev)
	}
	at := func(i int) string {
		if i < 0 || i >= len(kernel) {
			return ""
		}
		return normal(kernel[i].Type) + " " + plain(i)
	}
	for i, a := range kernel {
		for _, r := range rules {
			if !r.typ.MatchString(normal(a.Type)) || !r.name.MatchString(plain(i)) ||
				r.next != nil && !r.next.MatchString(at(i+1)) || r.prev != nil && !r.prev.MatchString(at(i-1)) {
				continue
			}
			e.roles = append(e.roles, r.is)
			break
		}
		if len(e.roles) == i {
			e.roles = append(e.roles, number)
		}
	}
}
