// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

// context is the surroundings of params: what their expressions may name.
type context struct {
	subject  string
	sys      *Syscall // nil in events.yaml
	enter    bool
	group    string // the group being described: its arguments are not known yet
	noSource bool   // params need no from: a hand-written filler, or no driver makes the event
	variants *variants
	fixed    bool // an event of the reference: its types are what they are
}

func (c *context) args() []CParam {
	if c.sys == nil {
		return nil
	}
	return c.sys.Params
}

func (c *context) arg(name string) (arg, prev *CParam) {
	for i := range c.args() {
		if c.sys.Params[i].Name == name {
			if i > 0 {
				prev = &c.sys.Params[i-1]
			}
			return &c.sys.Params[i], prev
		}
	}
	return nil, nil
}

// params reads a list of one-key mappings, or a mapping, in wire order.
func (l *loader) params(f *file, n *yaml.Node, ctx *context) []*Param {
	var out []*Param
	one := func(key, val *yaml.Node) {
		if key.Value == "use" && (val.Kind == yaml.ScalarNode) {
			out = append(out, l.use(f, val, ctx)...)
			return
		}
		if p := l.param(f, key, val, ctx); p != nil {
			out = append(out, p)
		} else if ctx.sys != nil {
			ctx.sys.broken = append(ctx.sys.broken, key.Value)
		}
	}
	switch n.Kind {
	case yaml.MappingNode:
		if m := f.mapping(n, ctx.subject, "params", nil, &l.errs); m != nil {
			for _, e := range m.fields {
				one(e.key, e.val)
			}
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			switch {
			case item.Kind == yaml.ScalarNode && item.Value != "": // - fd: everything follows from the argument
				one(item, &yaml.Node{Kind: yaml.MappingNode, Line: item.Line, Column: item.Column})
			case item.Kind == yaml.MappingNode && len(item.Content) == 2 && item.Content[0].Kind == yaml.ScalarNode:
				one(item.Content[0], item.Content[1])
			default:
				l.errs.Add(f.Pos(item), ctx.subject, "param is %s (name: {type: fd, from: ret} is expected)", itemName(item))
			}
		}
	default:
		l.errs.Add(f.Pos(n), ctx.subject, "params are %s (a list is expected)", kindName(n))
	}
	return out
}

func itemName(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		return fmt.Sprintf("a mapping of %d keys", len(n.Content)/2)
	}
	return kindName(n)
}

func (l *loader) use(f *file, n *yaml.Node, ctx *context) []*Param {
	g := l.groups[n.Value]
	switch {
	case g == nil:
		l.errs.Add(f.Pos(n), ctx.subject, "unknown group %s%s", n.Value, hint.DidYouMean(n.Value, slices.Sorted(maps.Keys(l.groups))))
		return nil
	case g.open:
		l.errs.Add(f.Pos(n), ctx.subject, "group %s uses itself", n.Value)
		return nil
	}
	g.used, g.open = true, true
	params := l.params(g.f, g.node, ctx)
	g.open = false
	for _, p := range params {
		p.Group = n.Value
	}
	return params
}

var paramKeys = []string{
	"type", "from", "base", "names", "show", "len", "snaplen", "when", "else", "dyn", "newer", "user", "differs", "differs_of",
}

func (l *loader) param(f *file, key, val *yaml.Node, ctx *context) *Param {
	p := &Param{Pos: f.Pos(key), typePos: f.Pos(key), Name: key.Value}
	subject := ctx.subject + ": " + p.Name
	if !expr.IsIdent(p.Name) {
		l.errs.Add(p.Pos, ctx.subject, "bad param name %q (a C identifier is expected)", p.Name)
		return nil
	}
	if val.Kind == yaml.ScalarNode { // name: type, or name alone
		var content []*yaml.Node
		if val.Value != "" {
			k := &yaml.Node{Kind: yaml.ScalarNode, Value: "type", Line: val.Line, Column: val.Column}
			content = []*yaml.Node{k, val}
		}
		val = &yaml.Node{Kind: yaml.MappingNode, Line: key.Line, Column: key.Column, Content: content}
	}
	m := f.mapping(val, subject, "param", paramKeys, &l.errs)
	if m == nil {
		return nil
	}
	if n := m.scalar("type"); n != nil {
		p.typePos = f.Pos(n)
		if l.typ(n.Value) != nil {
			p.Type = n.Value
		} else {
			m.errorf(n, "unknown type %s%s", n.Value, hint.DidYouMean(n.Value, l.table.Types.names()))
			return nil
		}
	}
	p.Base = m.text("base")
	p.Names = m.text("names")
	p.Show = m.oneOf("show", names(l.table.Types.Shows...))
	p.Dyn = m.oneOf("dyn", l.table.Types.dynNames())
	p.Differs = m.differs()
	p.Snaplen, p.Newer = m.bool("snaplen"), m.bool("newer")
	if p.User = m.bool("user"); m.has("user") && !(ctx.noSource && ctx.sys != nil) {
		m.errorf(m.byKey["user"], "user without use (only of a hand-written filler it is not known whether it reads the caller's memory)")
	}
	if names := m.byKey["names"]; names != nil && p.Names != "" && l.sets[p.Names] == nil {
		m.errorf(names, "unknown flag set %s%s", p.Names, hint.DidYouMean(p.Names, slices.Sorted(maps.Keys(l.sets))))
		p.Names = ""
	}

	src := source{l: l, ctx: ctx, subject: subject, names: m.text("names")}
	if t := l.typ(p.Type); t != nil {
		src.bytes = t.As == "bytes" || t.As == "text" || t.Name == "charbufarray"
		src.list = t.Name == "numbers"
	}
	if n := m.scalar("from"); n != nil {
		p.From, p.Written = f.parse(n, subject, &l.errs), n.Value
		src.check(p.From, true)
	} else if !m.has("from") && !ctx.variants.varies(p.Name) {
		l.fromName(p, m, key, ctx)
	}
	if n := m.scalar("len"); n != nil {
		p.Len = f.parse(n, subject, &l.errs)
		src.check(p.Len, false)
	}
	l.when(p, m, ctx)
	if n := m.scalar("else"); n != nil {
		if p.When == nil {
			m.errorf(n, "else without when")
		}
		p.Else = f.parse(n, subject, &l.errs)
		src.check(p.Else, true)
	}
	if ctx.variants.varies(p.Name) {
		if m.has("from") {
			m.errorf(m.byKey["from"], "from of a param that variants give a source")
		}
		ctx.variants.arms(l, p, &src)
	}
	if p.Type == "" && !l.inferParam(p, ctx) {
		m.errorf(val, "type is missing (it follows only from a plain argument or ret)")
		return nil
	}
	l.defaults(p)
	l.shape(p, m, ctx)
	return p
}

// fromName fills in a source that is left out: the argument of the param's name, or
// ret for res.
func (l *loader) fromName(p *Param, m *mapping, key *yaml.Node, ctx *context) {
	arg, _ := ctx.arg(p.Name)
	switch {
	case arg != nil:
		p.From = &expr.Node{Kind: expr.Name, Pos: p.Pos, Text: p.Name}
	case p.Name == "res" && ctx.sys != nil && !ctx.enter:
		p.From = &expr.Node{Kind: expr.Name, Pos: p.Pos, Text: "ret"}
	case ctx.group != "" || ctx.noSource:
	default:
		var names []string
		for _, a := range ctx.args() {
			names = append(names, a.Name)
		}
		m.errorf(key, "from is missing, and no argument is called %s%s", p.Name, hint.DidYouMean(p.Name, names))
	}
}

// inferParam finds the type of a param whose type is left out.
func (l *loader) inferParam(p *Param, ctx *context) bool {
	if isName(p.From, "ret") {
		inferRet(p)
		return true
	}
	if p.From == nil || p.From.Kind != expr.Name {
		return false
	}
	arg, prev := ctx.arg(p.From.Text)
	if arg == nil {
		return false
	}
	show, base := p.Show, p.Base
	ok := inferType(*arg, prev, p)
	if show != "" {
		p.Show = show
	}
	if base != "" {
		p.Base = base
	}
	return ok
}

func (l *loader) when(p *Param, m *mapping, ctx *context) {
	n := m.byKey["when"]
	if n == nil {
		return
	}
	w := m.f.mapping(n, m.subject, "when", nil, &l.errs)
	if w == nil {
		return
	}
	for _, e := range w.fields {
		if e.key.Value == "readable" {
			if c, ok := l.readable(w, e, ctx); ok {
				p.When = append(p.When, c)
			}
			continue
		}
		c := Cond{Var: e.key.Value, Op: "in"}
		arg, _ := ctx.arg(c.Var)
		if !(c.Var == "ret" && !ctx.enter) && arg == nil && ctx.group == "" {
			var names []string
			if !ctx.enter {
				names = append(names, "ret")
			}
			for _, a := range ctx.args() {
				names = append(names, a.Name)
			}
			w.errorf(e.key, "when tests unknown %s%s", c.Var, hint.DidYouMean(c.Var, names))
			continue
		}
		for _, v := range w.list(c.Var) {
			if v = w.asScalar(v, "when"); v == nil {
				continue
			}
			x := m.f.parse(v, m.subject, &l.errs)
			if x == nil {
				continue
			}
			if x.Kind == expr.Compare {
				if e.val.Kind == yaml.SequenceNode {
					w.errorf(v, "comparison in a list (a comparison is not part of a list)")
					continue
				}
				if x.Text != "==" {
					c.Op = x.Text
				}
				x = x.Args[0]
			}
			if l.constant(x, m.subject) {
				c.In = append(c.In, x)
			}
		}
		if len(c.In) > 0 {
			p.When = append(p.When, c)
		}
	}
	if len(w.fields) == 0 {
		w.errorf(n, "when is empty (when: {ret: 0} is an example)")
	}
}

// readable reads `when: {readable: act}`: the struct or number that an argument points to
// can be read, which tells a value of 0 from none.
func (l *loader) readable(w *mapping, e field, ctx *context) (Cond, bool) {
	n := w.asScalar(e.val, "readable")
	if n == nil {
		return Cond{}, false
	}
	arg, _ := ctx.arg(n.Value)
	if arg == nil {
		w.errorf(n, "readable names no argument %s", n.Value)
		return Cond{}, false
	}
	d, ok := l.cdata(arg.Type)
	if !ok || d.Kind != "pointer" || d.To == nil {
		w.errorf(n, "%s does not point to a described type (%s; structs are in structs.yaml)", n.Value, arg.Type)
		return Cond{}, false
	}
	at := &expr.Node{Kind: expr.Name, Pos: w.f.Pos(n), Text: n.Value}
	size := d.To.Size
	if st := d.To.Struct; st != nil && st.Extensible != "" {
		size = st.Fields[0].Type.Size // the rest may be missing
	}
	src := source{l: l, ctx: ctx, subject: w.subject}
	return Cond{Var: n.Value, Op: "readable", In: []*expr.Node{callTo(at, "user_readable", at, size.in(&src, at))}}, true
}
