// SPDX-License-Identifier: Apache-2.0

// Package filter compiles and evaluates filters, such as
//
//	proc.name = cat and fd.name startswith /etc and not evt.failed = true
//
// The language is that of sysdig and falco; docs/filters.md describes it.
package filter

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
)

// Filter decides about events. One goroutine at a time may use it.
type Filter struct {
	text string
	root node
	refs []*field.Ref
	warn problems
	gen  uint64

	byCode *event.ByCode[program]
}

// Compile compiles a filter. The error is an [*Errors] with all that is wrong.
func Compile(text string) (*Filter, error) {
	t, errs := parse(text)
	c := newCompiler()
	c.errs = errs
	f := &Filter{text: text}
	if t != nil {
		f.root = c.node(t)
	}
	if err := c.errs.err(text); err != nil {
		return nil, err
	}
	for _, l := range c.leaves {
		l.direct = l.uses == 1 && l.left.uses == 1 && l.left.ref != nil && l.left.many == field.One && l.test != nil
	}
	f.refs, f.warn = c.refs, c.warn
	f.byCode = event.MakeByCode(program{root: &f.root}, func(*event.Info) program { return program{} })
	return f, nil
}

// Match reports whether the filter holds for ev. It does not allocate, except for
// values that are longer than all before.
func (f *Filter) Match(ev *sinsp.Event) bool {
	t := ev.Type()
	p := f.byCode.At(t)
	if !p.decided && p.root == nil {
		*p = f.root.program(t)
	}
	if p.decided {
		return p.result
	}
	if l := p.root.leaf; l != nil && l.direct {
		return l.holdsDirectly(ev)
	}
	f.gen++
	return p.root.eval(f.gen, ev, t)
}

// Codes returns the codes of the events for which the filter may hold. It never holds
// for other events.
func (f *Filter) Codes() event.Set { return f.root.can }

// MayCall reports whether the filter may hold for an event with the code and, if it is a
// generic one, the syscall of ev, whatever else the event has.
func (f *Filter) MayCall(ev *event.Event) bool {
	f.gen++
	may, _ := f.root.may(f.gen, &sinsp.Event{Event: ev}, ev.Type())
	return may
}

// Fields returns the fields that the filter looks at. The caller must not change them.
func (f *Filter) Fields() []*field.Ref { return f.refs }

// Warnings returns what is likely a mistake, but is not an error; nil if there is nothing.
func (f *Filter) Warnings() *Errors {
	if len(f.warn) == 0 {
		return nil
	}
	return &Errors{"filter", f.text, f.warn}
}

// String returns the filter as it was written.
func (f *Filter) String() string { return f.text }

// program is what is left of a filter for the events of one code.
type program struct {
	decided bool // the code decides
	result  bool // if it does
	root    *node
}

// program returns what is left of n for events of code t. It evaluates no fields.
func (n *node) program(t event.Type) program {
	switch {
	case !n.can.Has(t):
		return program{decided: true}
	case n.must.Has(t):
		return program{decided: true, result: true}
	case n.kind == kindCheck:
		return program{root: &node{kind: kindCheck, leaf: n.leaf}}
	}
	left := &node{kind: n.kind}
	for i := range n.kids {
		p := n.kids[i].program(t)
		switch {
		case !p.decided:
			left.kids = append(left.kids, *p.root)
		case n.kind == kindNot:
			return program{decided: true, result: !p.result}
		case p.result == (n.kind == kindOr): // one true kid of an or, one false kid of an and
			return p
		}
	}
	if len(left.kids) == 1 && n.kind != kindNot {
		return program{root: &left.kids[0]}
	}
	return program{root: left}
}

// node is a compiled part of a filter.
type node struct {
	kind      kind // kindAnd, kindOr, kindNot, kindCheck
	can, must event.Set
	byCode    bool // can and must are worth a look
	kids      []node
	leaf      *leaf
}

// eval returns the result for ev, of type t.
func (n *node) eval(gen uint64, ev *sinsp.Event, t event.Type) bool {
	if n.byCode {
		if !n.can.Has(t) {
			return false
		}
		if n.must.Has(t) {
			return true
		}
	}
	switch n.kind {
	case kindAnd:
		for i := range n.kids {
			if !n.kids[i].eval(gen, ev, t) {
				return false
			}
		}
		return true
	case kindOr:
		for i := range n.kids {
			if n.kids[i].eval(gen, ev, t) {
				return true
			}
		}
		return false
	case kindNot:
		return !n.kids[0].eval(gen, ev, t)
	}
	return n.leaf.eval(gen, ev)
}

// may reports whether n may hold, and whether it always does, for all events of the call
// of ev.
func (n *node) may(gen uint64, ev *sinsp.Event, t event.Type) (can, must bool) {
	if can, must = n.can.Has(t), n.must.Has(t); can == must {
		return can, must
	}
	switch n.kind {
	case kindAnd, kindOr:
		// Kids that were left out hold in an and that may hold, and do not hold in an
		// or that does not always hold.
		can, must = n.kind == kindAnd, n.kind == kindAnd
		for i := range n.kids {
			c, m := n.kids[i].may(gen, ev, t)
			if n.kind == kindAnd {
				can, must = can && c, must && m
			} else {
				can, must = can || c, must || m
			}
		}
	case kindNot:
		c, m := n.kids[0].may(gen, ev, t)
		can, must = !m, !c
	case kindCheck:
		if n.leaf.ofCall() {
			holds := n.leaf.holds(gen, ev)
			return holds, holds
		}
	}
	return can, must
}

// node compiles an expression.
func (c *compiler) node(e *tree) node {
	n := node{kind: e.kind}
	switch e.kind {
	case kindCheck:
		if n.leaf = c.leaf(e.check); n.leaf != nil {
			n.can, n.must = n.leaf.codes()
		}
	case kindName:
		c.errs.add(e.off, "%s is not a field (a field has a dot in its name, such as proc.name; a filter has no macros)", e.name)
	case kindNot:
		kid := c.node(e.kids[0])
		n.kids = []node{kid}
		n.can, n.must = kid.must.Not(), kid.can.Not()
	default:
		n.chain(c, e.kids)
	}
	n.byCode = n.can != event.Universe() || n.must != event.Set{}
	return n
}

// chain compiles the kids of an and, or of an or. Kids that depend only on the event's
// code are in can and must, and need no evaluation.
func (n *node) chain(c *compiler, kids []*tree) {
	and := n.kind == kindAnd
	if and {
		n.can, n.must = event.Universe(), event.Universe()
	}
	for _, e := range kids {
		kid := c.node(e)
		if and {
			n.can, n.must = n.can.And(kid.can), n.must.And(kid.must)
		} else {
			n.can, n.must = n.can.Or(kid.can), n.must.Or(kid.must)
		}
		if kid.can != kid.must {
			n.kids = append(n.kids, kid)
		}
	}
}
