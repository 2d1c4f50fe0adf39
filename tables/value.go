// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/internal/yamltext"
)

// values reads and checks the expressions of cases.
type values struct {
	l       *loader
	f       *file
	subject string
	vars    map[string]bool // true: has a value here
	kinds   []string        // of functions that may be called
	want    bool
	names   *FlagSet           // of the wanted param
	made    map[string]*Struct // the variables that are structs built by field
	called  []*Helper          // each once
}

// newValues returns a reader of a case's expressions, before its call.
func newValues(l *loader, f *file, subject string) *values {
	v := &values{l: l, f: f, subject: subject, vars: map[string]bool{}, made: map[string]*Struct{}}
	for name := range expr.Vars {
		v.vars[name] = name != "ret" && name != "child"
	}
	return v
}

func (v *values) errorf(pos expr.Pos, format string, args ...any) {
	v.l.errs.Add(pos, v.subject, format, args...)
}

func (v *values) bindings(m *mapping, key string) []Binding {
	n := m.byKey[key]
	if n == nil {
		return nil
	}
	bm := m.f.mapping(n, m.subject, key, nil, &v.l.errs)
	if bm == nil {
		return nil
	}
	var out []Binding
	for _, e := range bm.fields {
		name := e.key.Value
		v.subject = m.subject + ": " + name
		if !expr.IsIdent(name) {
			v.errorf(m.f.Pos(e.key), "bad variable name %q (a C identifier is expected)", name)
			continue
		}
		if _, ok := v.vars[name]; ok {
			v.errorf(m.f.Pos(e.key), "variable %s has a value already", name)
			continue
		}
		x := v.value(e.val, false)
		v.check(x, true)
		v.vars[name] = true
		if x != nil && x.Kind == expr.Call && len(x.Args) == 1 && x.Args[0].Kind == expr.Struct {
			v.made[name] = v.l.structs[x.Text]
		}
		if x != nil {
			out = append(out, Binding{Pos: m.f.Pos(e.key), Name: name, Expr: x})
		}
	}
	return out
}

// value turns a YAML value into an expression: it makes lists and structs of
// collections and parses scalars. Wanted text needs no quotes.
func (v *values) value(n *yaml.Node, text bool) *expr.Node {
	pos := v.f.Pos(n)
	switch n.Kind {
	case yaml.SequenceNode:
		x := &expr.Node{Kind: expr.List, Pos: pos}
		for _, c := range n.Content {
			a := v.value(c, text)
			if a == nil {
				return nil
			}
			x.Args = append(x.Args, a)
		}
		return x
	case yaml.MappingNode:
		m := v.f.mapping(n, v.subject, "value", nil, &v.l.errs)
		x := &expr.Node{Kind: expr.Struct, Pos: pos}
		for _, e := range m.fields {
			if !expr.IsIdent(e.key.Value) {
				v.errorf(v.f.Pos(e.key), "bad field name %q (a C identifier is expected)", e.key.Value)
				return nil
			}
			a := v.value(e.val, false)
			if a == nil {
				return nil
			}
			x.Names, x.Args = append(x.Names, e.key.Value), append(x.Args, a)
		}
		return x
	}
	if n.Value == "" && n.Style&yamltext.Quoted == 0 {
		v.errorf(pos, "value is missing")
		return nil
	}
	if text && !isExpression(n.Value) {
		x, err := expr.Parse(expr.Quote(n.Value), pos)
		if err != nil {
			addAll(&v.l.errs, v.subject, err, func(expr.Pos) expr.Pos { return pos })
			return nil
		}
		x.Pos = pos
		return x
	}
	return v.f.parse(n, v.subject, &v.l.errs)
}

// isExpression reports whether a wanted text is an expression, not literal text.
func isExpression(s string) bool {
	if s == "empty" || s == "any" || strings.HasPrefix(s, `"`) {
		return true
	}
	if name, args, ok := strings.Cut(s, "("); ok && expr.Functions[name] != "" && strings.HasSuffix(args, ")") {
		return true
	}
	if !strings.HasPrefix(s, "$") {
		return false
	}
	x, err := expr.Parse(s, expr.Pos{})
	return err == nil && x.Kind == expr.Var
}

// check walks a value; top: a comparison, empty, any or a tuple is allowed here.
func (v *values) check(n *expr.Node, top bool) {
	if n == nil {
		return
	}
	switch n.Kind {
	case expr.Var:
		v.variable(n.Pos, n.Text)
		v.member(n)
	case expr.Str:
		for _, r := range expr.Refs(n.Text) {
			v.variable(v.f.find(n.Pos, r.Name), r.Name)
		}
	case expr.Name:
		v.name(n, top)
		return
	case expr.Neg:
		if a := n.Args[0]; a.Kind == expr.Name && strings.HasPrefix(a.Text, "E") {
			if !v.l.isErrno(a.Text) {
				v.errorf(a.Pos, "unknown errno %s%s", a.Text, hint.DidYouMean(a.Text, names(v.l.table.Types.Errnos...)))
			}
			return
		}
	case expr.Call:
		v.function(n)
	case expr.Compare:
		if !v.want {
			v.errorf(n.Pos, "comparison outside want")
		}
	case expr.Arrow:
		if !v.want {
			v.errorf(n.Pos, "tuple outside want")
		}
	}
	inside := n.Kind == expr.List || n.Kind == expr.Struct
	for _, a := range n.Args {
		v.check(a, inside)
	}
}

func (v *values) variable(pos expr.Pos, name string) {
	ready, ok := v.vars[name]
	switch {
	case !ok:
		v.errorf(pos, "unknown variable $%s%s", name, strings.Replace(hint.DidYouMean(name, slices.Sorted(maps.Keys(v.vars))), "mean ", "mean $", 1))
	case !ready:
		v.errorf(pos, "variable $%s has no value before the call", name)
	}
}

func (v *values) name(n *expr.Node, top bool) {
	name := n.Text
	switch {
	case name == "NULL":
	case name == "empty" || name == "any":
		if !v.want || !top {
			v.errorf(n.Pos, "%s outside want", name)
		}
	case v.names != nil:
		if !v.names.has(name) {
			v.errorf(n.Pos, "%s is not in flag set %s%s", name, v.names.Name, hint.DidYouMean(name, v.names.names()))
		}
	case v.l.isConstant(name) || v.l.isErrno(name):
	case isUnixConst(name):
	case name[0] >= 'a' && name[0] <= 'z':
		suggestion := " (constants are in upper case)"
		if _, ok := v.vars[name]; ok {
			suggestion = " (did you mean $" + name + "?)"
		}
		v.errorf(n.Pos, "unknown name %s%s", name, suggestion)
	default:
		v.errorf(n.Pos, "unknown constant %s%s", name, hint.DidYouMean(name, v.l.callConstants()))
	}
}

// literal checks name{field: value}.
func (v *values) literal(n *expr.Node) bool {
	s := v.l.structs[n.Text]
	if s == nil || len(n.Args) != 1 || n.Args[0].Kind != expr.Struct || v.want {
		return false
	}
	v.fields(s, n.Args[0])
	return true
}

func (v *values) fields(s *Struct, n *expr.Node) {
	for i, name := range n.Names {
		f := s.Field(name)
		switch x := n.Args[i]; {
		case f == nil:
			v.errorf(x.Pos, "struct %s has no field %s%s", s.Name, name, hint.DidYouMean(name, s.names()))
		case x.Kind == expr.Struct && f.Type.Struct == nil:
			v.errorf(x.Pos, "field %s is not a struct", name)
		case x.Kind == expr.Struct:
			v.fields(f.Type.Struct, x)
		}
	}
}

// member checks $r.field if $r is a struct.
func (v *values) member(n *expr.Node) {
	s := v.made[n.Text]
	for _, a := range n.Args {
		if s == nil || a.Kind != expr.Field || a.Text == "addr" {
			return
		}
		f := s.Field(a.Text)
		if f == nil {
			v.errorf(a.Pos, "struct %s has no field %s%s", s.Name, a.Text, hint.DidYouMean(a.Text, s.names()))
			return
		}
		s = f.Type.Struct
	}
}

func (v *values) function(n *expr.Node) {
	if v.literal(n) {
		return
	}
	if expr.Functions[n.Text] != "" {
		if n.Text == "between" {
			if !v.want {
				v.errorf(n.Pos, "between outside want")
			}
			if len(n.Args) != 2 {
				v.errorf(n.Pos, "between has %d argument%s (between(low, high) is expected)", len(n.Args), plural(len(n.Args)))
			}
		}
		return
	}
	var names []string
	for _, kind := range v.kinds {
		if h := v.l.helpers[kind][n.Text]; h != nil {
			v.l.arity(n, h, v.subject)
			if !slices.Contains(v.called, h) {
				v.called = append(v.called, h)
			}
			return
		}
		names = slices.AppendSeq(names, maps.Keys(v.l.helpers[kind]))
	}
	slices.Sort(names)
	if v.want {
		v.errorf(n.Pos, "function %s in want (it compares with facts of given and after; between and bytes are known)", n.Text)
		return
	}
	if h := v.l.helpers["after"][n.Text]; h != nil {
		v.errorf(n.Pos, "function %s before the call (it belongs to after)", n.Text)
		return
	}
	v.errorf(n.Pos, "unknown function %s%s", n.Text, hint.DidYouMean(n.Text, names))
}
