// SPDX-License-Identifier: Apache-2.0

package tabledraft

import (
	"strings"

	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/tables"
)

const firstOwn = 0x8000

// named gives a param the set of its names, its type and its conversion.
func (d *Drafter) named(e *Entry, p *Param, ctype string) {
	if p.role == mode {
		p.Show = "oct"
	}
	set := d.setFor(e.Call, p.Name, ctype, p.role)
	if p.arg >= 0 && p.arg < len(e.Args) { // a type of its own has a set of its own
		kernel := normal(d.calls[d.symbol(e.Call)].Args[p.arg].Type)
		if s := d.sets[strings.TrimSuffix(kernel, "_t")+"_flags"]; s != nil && p.role == flags && strings.HasSuffix(kernel, "_t") {
			set = s
		}
	}
	if set != nil && set.Kind == "identity" && set.Width < 64 && strings.HasSuffix(ctype, "64") {
		set = nil // it would lose bits
	}
	if set == nil {
		if s := d.draftSet(e, p); s != nil {
			if strings.HasSuffix(ctype, "64") {
				s.Width = 64
			}
			e.Sets = append(e.Sets, *s)
			p.Names, p.From = s.Name, s.Name+"("+p.From+")"
			p.Type = setType(s.Width, p.role)
			p.Todo = "set " + s.Name + " is drafted from constants of its name"
			return
		}
		p.Type = ctype
		switch p.role {
		case flags:
			p.Show = "hex"
			p.Todo = "a set in flags.yaml, if the kernel has names for the bits"
		case choice:
			p.Todo = "a set in flags.yaml, if the kernel has names for the values"
		}
		return
	}
	p.Names, p.From = set.Name, set.Name+"("+p.From+")"
	if set.Kind == "" {
		p.From = e.Args[p.arg].Name
	}
	p.Type, p.Show = setType(set.Width, p.role), ""
	if t := d.typeOf(set.Name, e.Call); t != "" {
		p.Type = t
	}
}

func setType(width int, r role) string {
	switch {
	case width == 64:
		return "flags64"
	case r == choice:
		return "enumflags32"
	}
	return "flags32"
}

// uses calls f with each param that has names, of all entries but one.
func (d *Drafter) uses(but string, f func(s *tables.Syscall, p *tables.Param)) {
	for _, s := range d.table.Syscalls {
		if s.Name == but {
			continue
		}
		for _, p := range s.Exit.Params {
			if p.Names != "" {
				f(s, p)
			}
		}
	}
}

// wide replaces the narrow types of the reference by those of our own events.
var wide = strings.NewReplacer("flags8", "flags32", "flags16", "flags32")

// typeOf is the type that most params with that set have in our own events, or else in others.
func (d *Drafter) typeOf(set, but string) string {
	count := map[string]int{}
	d.uses(but, func(s *tables.Syscall, p *tables.Param) {
		switch {
		case p.Names != set:
		case s.Exit.Code >= firstOwn:
			count[p.Type] += 1000
		default:
			count[wide.Replace(p.Type)]++
		}
	})
	best := ""
	for _, t := range sortedKeys(count) {
		if best == "" || count[t] > count[best] {
			best = t
		}
	}
	return best
}

// setFor finds the set of an argument's names: by the name of the call, of its family or of its first words, by the
// argument's name alone, or that which most other entries with such an argument have.
func (d *Drafter) setFor(call, arg, ctype string, r role) *tables.FlagSet {
	words := strings.Split(call, "_")
	tails := []string{arg}
	if r == flags && arg != "flags" && strings.Contains(arg, "fl") {
		tails = append(tails, "flags")
	}
	const fewest = 5 // letters that say something: xattrat_flags of setxattrat
	var heads []string
	for i := range max(len(call)-fewest+1, 1) {
		heads = append(heads, call[i:])
	}
	heads = append(heads, stem(call))
	for n := 1; n < len(words); n++ {
		heads = append(heads, strings.Join(words[n:], "_"))
	}
	for _, head := range heads {
		for _, tail := range tails {
			if s := d.sets[head+"_"+tail]; s != nil {
				return s
			}
		}
	}
	for n := len(words) - 1; n > 0; n-- {
		if s := d.sets[strings.Join(words[:n], "_")+"_"+arg]; s != nil {
			return s
		}
	}
	if votes, most := d.votes(call, arg, ctype, r); most != "" && votes >= 2 {
		return d.sets[most]
	}
	for _, name := range []string{arg, arg + "_flags", words[0] + "_" + arg, stem(words[0]) + "_" + arg} {
		if s := d.sets[name]; s != nil {
			return s
		}
	}
	var only *tables.FlagSet
	for _, s := range d.table.Flags {
		if head, ok := strings.CutSuffix(s.Name, "_"+arg); ok && arg != "flags" && shares(head, call) {
			if only != nil {
				return nil
			}
			only = s
		}
	}
	return only
}

// votes finds the set that two of three entries with an argument of that name have, and how many do.
func (d *Drafter) votes(call, arg, ctype string, r role) (n int, name string) {
	votes, all := map[string]int{}, 0
	counted := map[string]bool{} // a family votes once
	d.uses(call, func(s *tables.Syscall, p *tables.Param) {
		for _, a := range s.Params {
			if once := stem(s.Name) + p.Names; counted[once] {
				continue
			}
			if renamed(normal(a.Type), a.Name, "") == arg && (p.Type != "flags64") == (ctype != "uint64" || r != flags) && callOf(p, a.Name) {
				counted[stem(s.Name)+p.Names] = true
				votes[p.Names]++
				all++
			}
		}
	})
	for _, name := range sortedKeys(votes) {
		if votes[name]*3 >= all*2 {
			return votes[name], name
		}
	}
	return 0, ""
}

// fieldSet finds the set of a field: of its whole name, or of its last words behind the first of the call.
func (d *Drafter) fieldSet(call, field string) *tables.FlagSet {
	if s := d.sets[field]; s != nil {
		return s
	}
	first, _, _ := strings.Cut(call, "_")
	for _, tail, ok := strings.Cut(field, "_"); ok; _, tail, ok = strings.Cut(tail, "_") {
		if s := d.sets[first+"_"+tail]; s != nil {
			return s
		}
	}
	return nil
}

// shares reports whether two names have four letters in a row in common.
func shares(a, b string) bool {
	for i := range max(len(a)-3, 0) {
		if strings.Contains(b, a[i:i+4]) {
			return true
		}
	}
	return false
}

// callOf reports whether a param is one conversion of an argument.
func callOf(p *tables.Param, arg string) bool {
	f := p.From
	return f != nil && len(f.Args) == 1 && f.Args[0].String() == arg
}

// draftSet drafts a set from an enumeration of the kernel, or from constants that begin with the words of the call.
func (d *Drafter) draftSet(e *Entry, p *Param) *Set {
	if p.arg >= 0 {
		name, ok := strings.CutPrefix(e.Args[p.arg].Type, "enum ")
		for _, enum := range d.facts.Enums {
			if ok && enum.Name == name {
				return &Set{Name: name, Width: 32, Values: enum.Values}
			}
		}
	}
	if p.role != flags {
		return nil
	}
	heads := []string{e.Call}
	const fewest = 4
	for head := strings.ReplaceAll(e.Call, "_", ""); len(head) >= fewest; head = head[:len(head)-1] { // FALLOC_ of fallocate
		if !strings.HasPrefix(e.Call, head+"_") { // what begins with the first word is of all calls that do
			heads = append(heads, head)
		}
	}
	for _, head := range heads {
		var values []kernelfacts.EnumValue
		for _, name := range tables.UnixConsts(strings.ToUpper(head) + "_") {
			if value := tables.UnixValue(name); value < 1<<32 {
				values = append(values, kernelfacts.EnumValue{Name: name, Value: value})
			}
		}
		if len(values) > 0 {
			return &Set{Name: e.Call + "_" + p.Name, Width: 32, Values: values}
		}
	}
	return nil
}
