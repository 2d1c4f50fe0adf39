// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"slices"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
)

// source yields a value for each event: that of a field, of a transformer, or a constant.
// Equal sources of a program are one source, which is evaluated once per event.
type source struct {
	key    string // as written, without blanks
	typ    field.Type
	many   field.Many
	format event.Format // how numbers print

	ref      *field.Ref     // of a field
	call     *transformer   // of a transformer, with args and selector
	literal  bool           // of a list in a filter, with args
	args     []*source      // of call and of a literal list
	argv     []*field.Value // their values
	selector string

	uses  int   // by checks, and by sources as an argument
	alone *leaf // direct leaf that alone uses it

	v   field.Value
	ok  bool
	gen uint64 // number of the evaluation that v is of
}

// constantGen is the gen of a constant, whose value is always there.
const constantGen = 1<<64 - 1

// get returns the value of s in evaluation gen, which is of ev.
func (s *source) get(gen uint64, ev *sinsp.Event) (*field.Value, bool) {
	if s.gen == gen || s.gen == constantGen {
		return &s.v, s.ok
	}
	s.gen = gen
	if s.ref != nil {
		s.ok = s.ref.Get(ev, &s.v)
	} else {
		s.ok = s.compute(gen, ev)
	}
	return &s.v, s.ok
}

// compute sets the value of a transformer or a literal list. One missing argument makes
// it missing.
func (s *source) compute(gen uint64, ev *sinsp.Event) bool {
	for i, a := range s.args {
		v, ok := a.get(gen, ev)
		if !ok {
			return false
		}
		s.argv[i] = v
	}
	if !s.literal {
		return s.call.apply(s, s.argv, &s.v)
	}
	s.v.Clear()
	for i, a := range s.args {
		elem := s.v.Add()
		elem.SetScratch(s.argv[i].AppendText(elem.Scratch(), a.typ, a.format))
	}
	return true
}

// forget drops the value, and those of the arguments.
func (s *source) forget() {
	if s.gen != constantGen {
		s.gen = 0
	}
	for _, a := range s.args {
		a.forget()
	}
}

// codes returns the codes of the events for which s can have a value.
func (s *source) codes() event.Set {
	if s.ref != nil {
		return s.ref.CodeSet()
	}
	set := event.Universe()
	for _, a := range s.args {
		set = set.And(a.codes())
	}
	return set
}

// byCode reports whether the value for events of code t depends on nothing but t.
func (s *source) byCode(t event.Type) bool {
	if s.ref != nil {
		return s.ref.ByCode != nil && s.ref.ByCode(t)
	}
	for _, a := range s.args {
		if !a.byCode(t) {
			return false
		}
	}
	return true
}

// ofCall reports whether the value depends on nothing but the call of an event.
func (s *source) ofCall() bool {
	if s.ref != nil {
		return s.ref.Flags&field.OfCall != 0
	}
	return !slices.ContainsFunc(s.args, func(a *source) bool { return !a.ofCall() })
}

// describe names a type for messages.
func describe(t field.Type, many field.Many) string {
	names := map[field.Type][2]string{
		field.String:  {"a text", "texts"},
		field.Bytes:   {"bytes", "bytes"},
		field.Int:     {"a signed number", "signed numbers"},
		field.Uint:    {"an unsigned number", "unsigned numbers"},
		field.Bool:    {"a truth value", "truth values"},
		field.Double:  {"a decimal number", "decimal numbers"},
		field.Port:    {"a port", "ports"},
		field.RelTime: {"a time span", "time spans"},
		field.AbsTime: {"a time", "times"},
		field.IP:      {"an address", "addresses"},
		field.Net:     {"an address for networks", "addresses for networks"},
		field.Host:    {"a host", "hosts"},
		field.Opaque:  {"of a kind that has no constants", "of a kind that has no constants"},
	}[t]
	if many == field.List {
		return "a list of " + names[1]
	}
	return names[0]
}

// compiler makes sources, leaves and nodes of what was parsed, each once.
type compiler struct {
	sources map[string]*source
	leaves  map[string]*leaf
	nodes   nodes

	// Of the filter that is being compiled.
	scope  Scope
	errs   problems
	refs   []*field.Ref // in the order of their first use
	warn   problems
	silent bool // it has errors that were reported elsewhere
}

func newCompiler() *compiler {
	return &compiler{sources: map[string]*source{}, leaves: map[string]*leaf{}, nodes: nodes{byKey: map[string]*node{}}}
}

// shared returns the source with the key of s, which is s if there was none.
func (c *compiler) shared(s *source) *source {
	old := c.sources[s.key]
	if old == nil {
		old = s
		s.argv = make([]*field.Value, len(s.args))
		c.sources[s.key] = s
	}
	old.uses++
	if old.alone != nil { // its value is of use for others
		old.alone.direct, old.alone = false, nil
	}
	if old.ref != nil && !slices.Contains(c.refs, old.ref) {
		c.refs = append(c.refs, old.ref)
	}
	return old
}

// source returns the source of an operand; nil after an error.
func (c *compiler) source(o *operand) *source {
	switch o.kind {
	case operandField:
		ref := o.ref
		return c.shared(&source{key: ref.Text, typ: ref.Type, many: ref.Many, format: ref.Format, ref: &ref})
	case operandNumber, operandString:
		s := &source{key: strconv.Quote(o.text), typ: field.String, gen: constantGen, ok: true}
		s.v.SetString(o.text)
		return c.shared(s)
	case operandList:
		s := &source{typ: field.String, many: field.List, literal: true}
		if s.args = c.all(o.args); s.args == nil {
			return nil
		}
		for i, a := range s.args {
			if a.many != field.One || a.typ == field.Opaque {
				c.errs.add(o.args[i].off, "%s cannot be an element of a list: it is %s", a.key, describe(a.typ, a.many))
				return nil
			}
		}
		s.key = "(" + keys(s.args) + ")"
		return c.shared(s)
	case operandCall:
		return c.call(o)
	}
	return nil // an error was reported
}

// all returns the sources of operands; nil after an error.
func (c *compiler) all(operands []operand) []*source {
	list := make([]*source, len(operands))
	ok := true
	for i := range operands {
		list[i] = c.source(&operands[i])
		ok = ok && list[i] != nil
	}
	if !ok {
		return nil
	}
	return list
}

func keys(list []*source) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = s.key
	}
	return strings.Join(texts, ", ")
}

func (c *compiler) call(o *operand) *source {
	t := findTransformer(o.name)
	s := &source{call: t, selector: o.selector}
	if s.args = c.all(o.args); s.args == nil {
		return nil
	}
	for i, a := range s.args {
		switch {
		case a.ref != nil && a.ref.Flags&field.NoTransform != 0:
			c.errs.add(o.args[i].off, "field %s cannot be in a transformer", a.key)
			return nil
		case a.many == field.Any || a.many == field.Ends:
			c.errs.add(o.args[i].off, "%s has several values and cannot be in a transformer", a.key)
			return nil
		}
	}
	var problem string
	if s.typ, s.many, problem = t.check(s.args, o.selector); problem != "" {
		c.errs.add(o.off, "%s(%s) %s (%s(%s): %s)", t.name, keys(s.args), problem, t.name, t.args, t.desc)
		return nil
	}
	s.key = t.name + "(" + keys(s.args) + ")"
	if o.selectorOff > 0 {
		if t.name != "getopt" {
			c.errs.add(o.selectorOff, "%s() has no argument in brackets", t.name)
			return nil
		}
		s.key += "[" + o.selector + "]"
	}
	return c.shared(s)
}
