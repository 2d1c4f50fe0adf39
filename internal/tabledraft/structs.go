// SPDX-License-Identifier: Apache-2.0

package tabledraft

import (
	"strings"

	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/tables"
)

// fields drafts a param for each field of a struct that no other entry reads.
func (d *Drafter) fields(e *Entry, i int) []Param {
	name := kernelfacts.Target(e.Args[i].Type)
	type field struct{ name, ctype string }
	var fields []field
	if s := d.known[name]; s != nil {
		for _, f := range s.Fields {
			fields = append(fields, field{f.Name, fieldType(&f.Type)})
		}
	} else {
		s, ok := d.structs[name]
		if !ok || len(s.Fields) == 0 {
			return nil
		}
		draft := d.draftStruct(s)
		if draft == nil {
			return nil
		}
		e.Structs = append(e.Structs, *draft)
		for _, f := range draft.Fields {
			fields = append(fields, field{f.Name, f.Type})
		}
	}
	prefix := "" // few letters that stand for the struct
	if first, _, ok := strings.Cut(fields[0].name, "_"); ok && len(first) <= 3 && first != "nr" {
		prefix = first + "_"
	}
	for _, f := range fields {
		if !strings.HasPrefix(f.name, prefix) && !padding.MatchString(f.name) {
			prefix = ""
		}
	}
	var list []Param
	for _, f := range fields {
		if padding.MatchString(f.name) {
			continue
		}
		short := strings.TrimPrefix(f.name, prefix)
		p := Param{Name: short, From: e.Args[i].Name + "->" + f.name, arg: i, role: object}
		base, count, isArray := strings.Cut(f.ctype, "[")
		base = strings.TrimSpace(base)
		switch {
		case isArray && base == "char" && strings.HasSuffix(count, "]"):
			p.Type = "charbuf"
		case isArray:
			continue
		case base == "timespec" || base == "__kernel_timespec":
			p.Type, p.From = "reltime", p.From+".tv_sec * 1000000000 + "+p.From+".tv_nsec"
		case base == "timeval":
			p.Type, p.From = "reltime", p.From+".tv_sec * 1000000000 + "+p.From+".tv_usec * 1000"
		case strings.HasSuffix(base, "*"):
			p.Type, p.Show = "uint64", "hex"
		default:
			if _, ok := tables.CSizes()[base]; !ok {
				continue
			}
			p.Type = d.numberType(base)
			p.role = d.fieldRole(base, short)
			if set := d.fieldSet(e.Call, f.name); set != nil {
				p.Names, p.Type, p.Show = set.Name, setType(set.Width, p.role), ""
				if t := d.typeOf(set.Name, e.Call); t != "" {
					p.Type = t
				}
				p.From, p.role = set.Name+"("+p.From+")", object
			}
			switch p.role {
			case pid, uid, gid:
				p.Type = string(p.role)
			case fd:
				p.Type = "fd"
			case flags, choice:
				from := p.From
				d.named(e, &p, p.Type)
				if p.Names != "" {
					p.From = p.Names + "(" + from + ")"
				}
			}
			p.role = object
		}
		if !reads(e, i) {
			p.When = "{ret: 0}"
		}
		p.Todo = "of struct " + name + ": keep it if it tells something"
		list = append(list, p)
	}
	if len(list) > mostFields {
		e.Offered = append(e.Offered, list...)
		return []Param{}
	}
	return list
}

// mostFields are drafted of a struct; of larger ones a person chooses.
const mostFields = 8

func (d *Drafter) fieldRole(ctype, name string) role {
	switch {
	case re(`\w*uid`).MatchString(name):
		return uid
	case re(`\w*gid`).MatchString(name):
		return gid
	}
	for _, r := range rules {
		if r.next == nil && r.prev == nil && r.typ.MatchString(ctype) && r.name.MatchString(name) {
			return r.is
		}
	}
	return number
}

// fieldType writes the type of a field of a described struct.
func fieldType(c *tables.CData) string {
	suffix := ""
	if c.Count > 0 {
		suffix = "[n]"
	}
	switch {
	case c.Kind == "struct":
		return c.Struct.Name + suffix
	case c.Kind == "pointer":
		return "void *" + suffix
	case c.Size[0] == 1 && c.Count > 0:
		return "char[n]"
	}
	letter := "u"
	if c.Signed {
		letter = "s"
	}
	if c.Size[0] != c.Size[1] {
		return map[string]string{"u": "unsigned long", "s": "long"}[letter] + suffix
	}
	return letter + map[int]string{1: "8", 2: "16", 4: "32", 8: "64"}[c.Size[0]] + suffix
}

// draftStruct writes a struct of the kernel in the types of structs.yaml; nil if one cannot.
func (d *Drafter) draftStruct(s kernelfacts.Struct) *Struct {
	out := &Struct{Name: s.Name}
	for _, f := range s.Fields {
		if f.Bits > 0 {
			return nil // bit fields are of no type there
		}
		base, count, isArray := strings.Cut(f.Type, "[")
		base = strings.TrimSpace(base)
		if strings.HasSuffix(base, "*") {
			base = "void *"
		}
		base = strings.TrimPrefix(base, "const ")
		switch {
		case base == "void *":
		case d.known[strings.TrimPrefix(base, "struct ")] != nil:
			base = strings.TrimPrefix(base, "struct ")
		default:
			if to, ok := map[string]string{"__u8": "u8", "__u16": "u16", "__s16": "s16", "__u32": "u32", "__s32": "s32", "__u64": "u64", "__s64": "s64", "__aligned_u64": "aligned_u64", "__kernel_size_t": "size_t", "__kernel_ulong_t": "unsigned long", "__kernel_long_t": "long", "__kernel_pid_t": "s32", "pid_t": "s32"}[base]; ok {
				base = to
			}
			if _, ok := tables.CSizes()[base]; !ok && base != "aligned_u64" {
				return nil
			}
		}
		if isArray {
			if count == "0]" {
				continue // what follows the struct
			}
			base += "[" + count
		}
		out.Fields = append(out.Fields, kernelfacts.Field{Name: f.Name, Type: base})
	}
	return out
}
