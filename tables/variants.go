// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

// variants are the commands of a syscall: the sources of params by the value of the
// param `on`.
type variants struct {
	m    *mapping
	on   *yaml.Node
	rows []variantRow
}

// variantRow is one line: its values of `on` (none: default), and the source of each
// param that it names.
type variantRow struct {
	key     *yaml.Node
	values  []*expr.Node
	sources *mapping
	used    map[string]bool
}

// readVariants reads `variants` of an entry, before its params.
func (l *loader) readVariants(s *Syscall, m *mapping) *variants {
	n := m.byKey["variants"]
	if n == nil {
		return nil
	}
	vm := m.f.mapping(n, s.Name+": variants", "variants", nil, &l.errs)
	if vm == nil || !vm.required("on", "on: option names the param that selects") {
		return nil
	}
	v := &variants{m: vm, on: vm.scalar("on")}
	if v.on == nil {
		return nil
	}
	for _, e := range vm.fields {
		if e.key.Value == "on" {
			continue
		}
		row := variantRow{key: e.key, used: map[string]bool{}}
		if e.key.Value != "default" {
			x := m.f.parse(e.key, vm.subject, &l.errs)
			if x == nil {
				continue
			}
			row.values = []*expr.Node{x}
			if x.Kind == expr.Or {
				row.values = x.Args
			}
		}
		if row.sources = m.f.mapping(e.val, vm.subject+": "+e.key.Value, "variant", nil, &l.errs); row.sources != nil {
			v.rows = append(v.rows, row)
		}
	}
	if len(vm.fields) == 1 {
		vm.errorf(n, "variants has no rows (PR_SET_NAME: {arg2_str: arg2} is an example)")
	}
	return v
}

// varies reports whether a row names a param.
func (v *variants) varies(param string) bool {
	return v != nil && slices.ContainsFunc(v.rows, func(r variantRow) bool { return r.sources.has(param) })
}

// arms gives a param the sources of the rows that name it. Rows with the same
// source share an arm, and the default comes last: without one the param is empty.
func (v *variants) arms(l *loader, p *Param, src *source) {
	p.Switch = &Switch{On: v.on.Value}
	other := SwitchArm{From: &expr.Node{Kind: expr.Name, Text: "empty", Pos: v.m.f.Pos(v.m.node)}}
	for _, row := range v.rows {
		n := row.sources.scalar(p.Name)
		if n == nil {
			continue
		}
		row.used[p.Name] = true
		src.subject = row.sources.subject + ": " + p.Name
		x := v.m.f.parse(n, src.subject, &l.errs)
		if x == nil {
			continue
		}
		arm := SwitchArm{Values: row.values, From: x}
		if p.Type == "dyn" && !isName(x, "empty") {
			if arm.From, arm.Dyn = l.dynSource(p, x, src); arm.From == nil {
				continue
			}
		}
		src.check(arm.From, true)
		if row.values == nil {
			other = arm
			continue
		}
		if i := slices.IndexFunc(p.Switch.Arms, func(a SwitchArm) bool { return a.Dyn == arm.Dyn && expr.Equal(a.From, arm.From) }); i >= 0 {
			p.Switch.Arms[i].Values = append(slices.Clip(p.Switch.Arms[i].Values), arm.Values...)
		} else {
			p.Switch.Arms = append(p.Switch.Arms, arm)
		}
	}
	p.Switch.Arms = append(p.Switch.Arms, other)
}

// dynSource reads the source of a dyn param: int64 sends the argument of the param's
// name with that type, int64(0) any other source.
func (l *loader) dynSource(p *Param, x *expr.Node, src *source) (*expr.Node, string) {
	types := l.table.Types.dynTypes(p.Dyn)
	switch {
	case (x.Kind != expr.Name && x.Kind != expr.Call) || !slices.Contains(types, x.Text):
		src.errorf(x, "%s is not a variant of type dyn%s", x, hint.DidYouMean(x.Text, types))
	case x.Kind == expr.Name:
		if arg, _ := src.ctx.arg(p.Name); arg == nil {
			src.errorf(x, "no argument is called %s (%s(source) names another)", p.Name, x.Text)
			return nil, ""
		}
		return &expr.Node{Kind: expr.Name, Pos: x.Pos, Text: p.Name}, x.Text
	case len(x.Args) != 1:
		src.errorf(x, "%s has %d arguments (%s(source) is expected)", x.Text, len(x.Args), x.Text)
	default:
		return x.Args[0], x.Text
	}
	return nil, ""
}

// check checks the rows once the params are known.
func (v *variants) check(l *loader, s *Syscall) {
	if v == nil {
		return
	}
	names := make([]string, len(s.Exit.Params))
	for i, p := range s.Exit.Params {
		names[i] = p.Name
	}
	for _, row := range v.rows {
		for _, e := range row.sources.fields {
			if !row.used[e.key.Value] && !slices.Contains(names, e.key.Value) && !slices.Contains(s.broken, e.key.Value) {
				row.sources.errorf(e.key, "variant of unknown param %s%s", e.key.Value, hint.DidYouMean(e.key.Value, names))
			}
		}
	}
	i := slices.Index(names, v.on.Value)
	switch {
	case i < 0 && slices.Contains(s.broken, v.on.Value):
		return
	case i < 0:
		v.m.errorf(v.on, "variants are on unknown param %s%s", v.on.Value, hint.DidYouMean(v.on.Value, names))
		return
	}
	on := s.Exit.Params[i]
	if t := l.typ(on.Type); !t.Number() || on.Switch != nil {
		v.m.errorf(v.on, "variants are on param %s of type %s (a number that is the same in each is expected)", on.Name, on.Type)
		return
	}
	set := l.sets[on.Names]
	seen := map[string]bool{}
	for _, row := range v.rows {
		for _, x := range row.values {
			add := func(format string, args ...any) { l.errs.Add(x.Pos, v.m.subject, format, args...) }
			switch {
			case seen[x.String()]:
				add("variant %s is repeated", x)
			case x.Kind == expr.Int:
			case x.Kind != expr.Name:
				add("variant %s is a %s (names and numbers joined by | are expected)", x, x.Kind)
			case set == nil:
				add("variant %s, but param %s has no names", x, on.Name)
			case !set.has(x.Text):
				add("variant %s is not in flag set %s%s", x, set.Name, hint.DidYouMean(x.Text, set.names()))
			}
			seen[x.String()] = true
		}
	}
}
