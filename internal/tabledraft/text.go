// SPDX-License-Identifier: Apache-2.0

package tabledraft

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/tables"
)

// Text writes the entry as syscalls/CLASS.yaml has it, in its canonical layout.
func (e *Entry) Text() string {
	var b strings.Builder
	var args []string
	for _, a := range e.Args {
		space := " "
		if strings.HasSuffix(a.Type, "*") {
			space = ""
		}
		args = append(args, a.Type+space+a.Name)
	}
	fmt.Fprintf(&b, "- syscall: %s(%s)\n  class: %s%s\n", e.Call, strings.Join(args, ", "), e.Class, e.todo("class"))
	if e.NR > 0 {
		fmt.Fprintf(&b, "  nr: %d%s\n", e.NR, e.todo("nr"))
	}
	switch {
	case e.Since == "":
	case e.Sure:
		fmt.Fprintf(&b, "  since: %q\n", e.Since)
	default:
		fmt.Fprintf(&b, "  since: %q # TODO: this kernel has it; which is the first that does?\n", e.Since)
	}
	fmt.Fprintf(&b, "  event: %s\n", tables.CodeText(e.Code))
	if e.Name != "" {
		fmt.Fprintf(&b, "  name: %s\n", e.Name)
	}
	for _, l := range []struct {
		key  string
		list []Param
	}{{"enter", e.Enter}, {"exit", e.Exit}} {
		if len(l.list) == 0 {
			if l.key == "exit" {
				fmt.Fprint(&b, "  exit: []\n")
			}
			continue
		}
		fmt.Fprintf(&b, "  %s:\n", l.key)
		for _, p := range l.list {
			fmt.Fprintf(&b, "    - %s\n", p.text())
		}
		if l.key == "exit" && len(e.Offered) > 0 {
			fmt.Fprint(&b, "    # TODO: which of these?\n")
			for _, p := range e.Offered {
				p.Todo = ""
				fmt.Fprintf(&b, "    # - %s\n", p.text())
			}
		}
	}
	switch {
	case len(e.Exit) == 0:
	case !canFail(e.Exit[0]):
		fmt.Fprint(&b, "  never_fails: 'TODO: why'\n")
	case len(e.Cases) < 2:
		fmt.Fprint(&b, "  never_fails: 'TODO: a case that fails, or why there is none'\n")
	}
	fmt.Fprint(&b, "  cases:\n")
	for _, c := range e.Cases {
		fmt.Fprintf(&b, "    - name: %s # TODO: %s\n", c.Name, c.Todo)
		if len(c.Given) > 0 {
			fmt.Fprintf(&b, "      given: {%s}\n", pairs(c.Given))
		}
		fmt.Fprintf(&b, "      call: %s\n      want: {%s}\n", c.Call, pairs(c.Want))
	}
	const head = "schema: 1\nsyscalls:\n"
	text, err := tables.Format(e.File(), []byte(head+b.String()))
	if err != nil {
		return b.String()
	}
	return strings.TrimPrefix(string(text), head)
}

func (e *Entry) todo(key string) string {
	for _, t := range e.Todo {
		if text, ok := strings.CutPrefix(t, key+": "); ok {
			return " # TODO: " + text
		}
	}
	return ""
}

func pairs(list []Value) string {
	var out []string
	for _, v := range list {
		out = append(out, v.Name+": "+quoted(v.Text))
	}
	return strings.Join(out, ", ")
}

// quoted writes a text that stands in {}.
func quoted(text string) string {
	if text == "" || strings.ContainsAny(text, `,{}[]"#'`) || strings.Contains(text, ": ") || strings.ContainsAny(text[:1], "*&!|>%@?:") {
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	return text
}

func (p Param) text() string {
	var keys []string
	add := func(key, text string) {
		if text != "" {
			keys = append(keys, key+": "+text)
		}
	}
	add("type", p.Type)
	add("from", quoted(p.From))
	add("base", p.Base)
	add("names", p.Names)
	add("dyn", p.Dyn)
	add("show", p.Show)
	if p.Len != "" {
		add("len", quoted(p.Len))
	}
	if p.Snaplen {
		add("snaplen", "true")
	}
	add("when", p.When)
	text := p.Name + ": {" + strings.Join(keys, ", ") + "}"
	if p.Todo != "" {
		text += " # TODO: " + p.Todo
	}
	return text
}

// Text writes the set as flags.yaml has it.
func (s *Set) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "- set: %s\n  kernel: {none: 'TODO: which header has the names'}\n  kind: identity\n  width: %d\n  values:\n", s.Name, s.Width)
	values := slices.Clone(s.Values)
	slices.SortStableFunc(values, func(a, b kernelfacts.EnumValue) int { return cmp.Compare(a.Value, b.Value) })
	width := 0
	for _, v := range values {
		width = max(width, len(v.Name))
	}
	for _, v := range values {
		format := "    %-*s %#x\n"
		if v.Value < 10 {
			format = "    %-*s %d\n"
		}
		fmt.Fprintf(&b, format, width+1, v.Name+":", v.Value)
	}
	return b.String()
}

// Text writes the struct as structs.yaml has it.
func (s *Struct) Text() string {
	var fields []string
	for _, f := range s.Fields {
		fields = append(fields, f.Name+": "+quoted(f.Type))
	}
	return fmt.Sprintf("- struct: %s # TODO: header: the C header that has it\n  fields: {%s}\n", s.Name, strings.Join(fields, ", "))
}
