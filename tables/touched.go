// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"cmp"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
)

// Touched is an entry of the tables that a change of the schema is about.
type Touched struct {
	Name string   // of the call, event, flag set or type
	Pos  expr.Pos // in the tables; in schema.lock of an event that no entry describes
}

// Touched returns the entries that a change of the schema is about, in order of their places: of the event, or of what has
// the flag set, the type, the dyn table or the syscall code. Of an event that is new here they are those of a call of its name.
func (t *Table) Touched(c *SchemaChange) []Touched {
	kind, _, _ := strings.Cut(c.Subject, " ")
	var out []Touched
	add := func(name string, pos expr.Pos) { out = append(out, Touched{name, pos}) }
	has := func(ev *Event) bool {
		if ev == nil {
			return false
		}
		switch kind {
		case "event":
			return ev.Code == c.Event
		case "value":
			return slices.ContainsFunc(ev.Params, func(p *Param) bool { return p.Names == c.Set })
		case "type":
			return slices.ContainsFunc(ev.Params, func(p *Param) bool { return p.Type == c.Name })
		case "dyn":
			return slices.ContainsFunc(ev.Params, func(p *Param) bool { return p.Dyn == c.Name })
		}
		return false
	}
	for _, s := range t.Syscalls {
		if has(s.Exit) || has(s.Enter) || kind == "id" && s.Name == c.Name {
			add(s.Name, s.Pos)
		}
	}
	for _, ev := range t.Events {
		if has(ev) {
			add(ev.Name, ev.Pos)
		}
	}
	if kind == "event" && len(out) == 0 {
		for _, s := range t.Syscalls {
			if s.Name == c.Name {
				add(s.Name, s.Pos)
			}
		}
	}
	for _, s := range t.Flags {
		if kind == "value" && s.Name == c.Set {
			add(s.Name, s.Pos)
		}
	}
	for _, x := range t.Types.Types {
		if kind == "type" && x.Name == c.Name {
			add(x.Name, x.Pos)
		}
	}
	for _, d := range t.Types.Dyns {
		if kind == "dyn" && d.Name == c.Name {
			add(d.Name, d.Pos)
		}
	}
	for _, id := range t.IDs {
		if kind == "id" && id.Name == c.Name {
			add(id.Name, id.Pos)
		}
	}
	slices.SortFunc(out, func(a, b Touched) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return out
}

// LinesSince returns the lines of the lock file that an older lock does not have: of its version, and of what is new or
// has changed.
func (k *Lock) LinesSince(old *Lock) []string {
	had := map[string]bool{}
	for line := range strings.Lines(old.text()) {
		had[line] = true
	}
	var out []string
	for line := range strings.Lines(k.text()) {
		if !had[line] && line != "\n" && !strings.HasPrefix(line, "#") {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	return out
}
