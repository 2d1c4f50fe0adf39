// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"

	"github.com/scaplab/scaplab/internal/expr"
)

// Coverage says how much of an architecture's syscalls the table describes.
type Coverage struct {
	Arch    string
	Typed   []string // calls with an entry, sorted: their events have their arguments, and cases prove them
	Generic []string // the others, sorted: generic events carry their code
	Absent  []string // calls without an entry that have a number but are on no kernel, sorted
}

// Coverage returns which syscalls of an architecture have entries.
func (t *Table) Coverage(arch string) Coverage {
	typed, generic, absent := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range t.Syscalls {
		if _, ok := s.NR[arch]; ok {
			typed[s.Name] = true
		}
	}
	for _, id := range t.IDs {
		if _, ok := id.NR[arch]; ok && !typed[id.Name] {
			if slices.Contains(id.Absent, arch) {
				absent[id.Name] = true
			} else {
				generic[id.Name] = true
			}
		}
	}
	return Coverage{arch, slices.Sorted(maps.Keys(typed)), slices.Sorted(maps.Keys(generic)), slices.Sorted(maps.Keys(absent))}
}

// Unasserted returns the params of the exit events of syscalls, and those of them, as
// CALL.PARAM, that no case wants to have a value other than 0 or nothing.
func (t *Table) Unasserted() (all int, without []string) {
	sets := map[string]*FlagSet{}
	for _, s := range t.Flags {
		sets[s.Name] = s
	}
	for _, s := range t.Syscalls {
		for _, p := range s.Exit.Params {
			all++
			asserts := func(c *Case) bool {
				return slices.ContainsFunc(c.Want, func(b Binding) bool { return b.Name == p.Name && !isNothing(b.Expr, sets[p.Names]) })
			}
			if !slices.ContainsFunc(s.Cases, asserts) {
				without = append(without, s.Name+"."+p.Name)
			}
		}
	}
	slices.Sort(without)
	return all, without
}

// isNothing reports whether a wanted value is 0, empty or any.
func isNothing(x *expr.Node, set *FlagSet) bool {
	switch x.Kind {
	case expr.Int:
		return x.Num == 0
	case expr.Str:
		return x.Text == ""
	case expr.Name:
		if x.Text == "empty" || x.Text == "any" || x.Text == "NULL" {
			return true
		}
		return set != nil && slices.ContainsFunc(set.Values, func(v FlagValue) bool { return v.Name == x.Text && v.Value == 0 })
	}
	return false
}
