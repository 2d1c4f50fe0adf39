// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"slices"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

// Expr is a filter that was parsed. The names in it may be those of macros and lists,
// which a [Scope] resolves.
type Expr struct {
	text string
	tree *tree
	errs problems
}

// Parse parses a filter. What is wrong with it is an error of [Group.Compile].
func Parse(text string) *Expr {
	e := &Expr{text: text}
	e.tree, e.errs = parse(text)
	return e
}

// Err returns what is wrong with the syntax, and which fields are unknown, as [*Errors];
// nil: nothing.
func (e *Expr) Err() error { return e.errs.err(e.text) }

// Fields calls each for the fields of the checks, with their offsets.
func (e *Expr) Fields(each func(name string, off int)) {
	var operands func(o *operand)
	operands = func(o *operand) {
		if o == nil {
			return
		}
		if o.kind == operandField {
			each(o.ref.Name, o.off)
		}
		for i := range o.args {
			operands(&o.args[i])
		}
	}
	var walk func(t *tree)
	walk = func(t *tree) {
		if t == nil {
			return
		}
		if t.check != nil {
			operands(&t.check.left)
			operands(t.check.right)
		}
		for _, kid := range t.kids {
			walk(kid)
		}
	}
	walk(e.tree)
}

// Scope says what the names in a filter stand for.
type Scope struct {
	// Macro returns the filter, compiled by the same group, that a name stands for.
	// The error says what is wrong with the name; [ErrReported] says that nothing more is
	// to be said. nil: there are no macros.
	Macro func(name string) (*Filter, error)
	// List returns the constants that a word without quotes stands for; ok is false if
	// it is a constant itself. nil: there are no lists.
	List func(word string) (items []string, ok bool)
	// LazyHosts resolves the names of hosts while filters run, in the background,
	// rather than once, before.
	LazyHosts bool
}

// ErrReported is an error of a macro that was reported where the macro is defined.
var ErrReported = errors.New("the macro has errors")

// Group compiles filters that share what they have in common: fields, checks and parts
// that several have are evaluated once per event.
type Group struct {
	c   *compiler
	gen uint64 // number of the evaluation
}

// NewGroup returns a group without filters.
func NewGroup() *Group { return &Group{c: newCompiler()} }

// Compile compiles a filter. The error is an [*Errors] with all that is wrong.
func (g *Group) Compile(e *Expr, s Scope) (*Filter, error) {
	c := g.c
	c.scope, c.errs, c.warn, c.refs, c.silent = s, slices.Clone(e.errs), nil, nil, false
	f := &Filter{text: e.text, group: g}
	if e.tree != nil {
		f.root = c.node(e.tree)
	}
	if err := c.errs.err(e.text); err != nil {
		return nil, err
	}
	if c.silent {
		return nil, ErrReported
	}
	f.refs, f.warn = c.refs, c.warn
	f.set = g.Set([]*Filter{f})
	return f, nil
}

// Except returns a filter that holds where f does and none of the others does. It has the
// text of f.
func (g *Group) Except(f *Filter, others ...*Filter) *Filter {
	kids := []*node{f.root}
	out := &Filter{text: f.text, refs: slices.Clone(f.refs), warn: f.warn, group: g}
	for _, o := range others {
		kids = append(kids, g.c.not(o.root))
		out.addRefs(o)
	}
	out.root = g.c.chain(kindAnd, kids)
	out.set = g.Set([]*Filter{out})
	return out
}

// addRefs adds the fields of o that f does not look at itself.
func (f *Filter) addRefs(o *Filter) {
	for _, ref := range o.refs {
		if !slices.Contains(f.refs, ref) {
			f.refs = append(f.refs, ref)
		}
	}
}

// Set returns the filters, which this group compiled, to match them together.
func (g *Group) Set(filters []*Filter) *Set {
	s := &Set{group: g, filters: filters}
	s.byCode = event.MakeByCode(setProgram{}, func(*event.Info) setProgram { return setProgram{} })
	return s
}

// Set is filters in an order.
type Set struct {
	group   *Group
	filters []*Filter
	byCode  *event.ByCode[setProgram]
}

// setProgram is what is left of a set for the events of one code: the filters that may
// hold.
type setProgram struct {
	made  bool
	one   *leaf // the only check that is left, of the only filter, if it is direct; nil: there is more, or less
	index int   // of the filter of one
	left  []filterProgram
}

type filterProgram struct {
	index int
	root  *node // nil: the filter holds
}

// Match returns the index of the first filter, from the one with index from on, that
// holds for ev; -1: none does. What was evaluated for from = 0 is used again for the
// same event with another from. It does not allocate, except for values that are longer
// than all before.
func (s *Set) Match(ev *sinsp.Event, from int) int {
	t := ev.Type()
	p := s.byCode.At(t)
	if p.one != nil && p.one.direct {
		if p.index >= from && p.one.holdsDirectly(ev) {
			return p.index
		}
		return -1
	}
	if !p.made {
		*p = s.program(t)
		return s.Match(ev, from)
	}
	if len(p.left) == 0 {
		return -1
	}
	if from == 0 {
		s.group.gen++
	}
	for i := range p.left {
		if f := &p.left[i]; f.index >= from && (f.root == nil || f.root.eval(s.group.gen, ev, t)) {
			return f.index
		}
	}
	return -1
}

// Codes returns the codes of the events for which one of the filters may hold.
func (s *Set) Codes() (codes event.Set) {
	for _, f := range s.filters {
		codes = codes.Or(f.Codes())
	}
	return codes
}

// MayCall does for all filters what [Filter.MayCall] does for one.
func (s *Set) MayCall(ev *event.Event) bool {
	return slices.ContainsFunc(s.filters, func(f *Filter) bool { return f.MayCall(ev) })
}

func (s *Set) program(t event.Type) setProgram {
	left := setProgram{made: true}
	progs := programs{nodes: nodes{byKey: map[string]*node{}}, code: t, done: map[*node]program{}}
	for i, f := range s.filters {
		switch p := progs.of(f.root); {
		case !p.decided:
			left.left = append(left.left, filterProgram{i, p.root})
		case p.result:
			left.left = append(left.left, filterProgram{index: i})
		}
	}
	if len(left.left) == 1 && left.left[0].root != nil {
		if leaf := left.left[0].root.leaf; leaf != nil && leaf.direct {
			left.one, left.index = leaf, left.left[0].index
		}
	}
	return left
}

// node compiles an expression; nil after an error.
func (c *compiler) node(e *tree) *node {
	switch e.kind {
	case kindCheck:
		leaf := c.leaf(e.check)
		if leaf == nil {
			return nil
		}
		n, isNew := c.nodes.get(kindCheck, leaf, nil)
		if isNew {
			n.can, n.must = leaf.codes()
		}
		return n
	case kindName:
		return c.macro(e)
	}
	kids := make([]*node, 0, len(e.kids))
	ok := true
	for _, kid := range e.kids {
		n := c.node(kid)
		ok = ok && n != nil
		kids = append(kids, n)
	}
	switch {
	case !ok:
		return nil
	case e.kind == kindNot:
		return c.not(kids[0])
	}
	return c.chain(e.kind, kids)
}

// macro returns what a name stands for; nil after an error.
func (c *compiler) macro(e *tree) *node {
	if c.scope.Macro == nil {
		c.errs.add(e.off, "%s is not a field (a field has a dot in its name, such as proc.name; a filter has no macros)", e.name)
		return nil
	}
	f, err := c.inner(e.name)
	switch {
	case errors.Is(err, ErrReported):
		c.silent = true
		return nil
	case err != nil:
		c.errs.addKind(NameProblem, e.off, "%v", err)
		return nil
	}
	for _, ref := range f.refs {
		if !slices.Contains(c.refs, ref) {
			c.refs = append(c.refs, ref)
		}
	}
	f.root.uses++
	return f.root
}

// inner asks the scope for a macro, which may be compiled for it.
func (c *compiler) inner(name string) (*Filter, error) {
	scope, errs, warn, refs, silent := c.scope, c.errs, c.warn, c.refs, c.silent
	f, err := scope.Macro(name)
	c.scope, c.errs, c.warn, c.refs, c.silent = scope, errs, warn, refs, silent
	return f, err
}

func (c *compiler) not(kid *node) *node {
	n, isNew := c.nodes.get(kindNot, nil, []*node{kid})
	if isNew {
		n.can, n.must = kid.must.Not(), kid.can.Not()
	}
	return n
}

// chain compiles the kids of an and, or of an or.
func (c *compiler) chain(k kind, kids []*node) *node {
	n, isNew := c.nodes.get(k, nil, kids)
	if !isNew {
		return n
	}
	can, must := kids[0].can, kids[0].must
	for _, kid := range kids[1:] {
		if k == kindAnd {
			can, must = can.And(kid.can), must.And(kid.must)
		} else {
			can, must = can.Or(kid.can), must.Or(kid.must)
		}
	}
	n.can, n.must = can, must
	return n
}
