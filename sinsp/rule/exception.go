// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
)

// exception says for which values of some fields a rule does not hold.
type exception struct {
	file   *file
	node   *yaml.Node
	name   string
	list   bool // fields is a list
	fields []*yaml.Node
	comps  []string
	values []value
}

// value is an element of the values of an exception.
type value struct {
	file *file
	node *yaml.Node
}

// readException reads an element of exceptions; nil after an error.
func (it *item) readException(n *yaml.Node) *exception {
	if n.Kind != yaml.MappingNode {
		it.wrong(n, "an exception is %s (such as {name: n, fields: proc.name, values: [a, b]})", kindOf(n))
		return nil
	}
	known := []string{"name", "fields", "comps", "values"}
	keys := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if keys[k.Value] = deref(n.Content[i+1]); !slices.Contains(known, k.Value) {
			it.at("key", k).add(WarnUnknownKey, "unknown key %s of an exception%s", k.Value, hint.DidYouMean(k.Value, known))
		}
	}
	e := &exception{file: it.file, node: n}
	if name := keys["name"]; name == nil || name.Kind != yaml.ScalarNode || name.Value == "" {
		it.wrong(n, "an exception has no name")
		return nil
	}
	e.name = keys["name"].Value
	ok := it.exceptionFields(e, keys["fields"]) && it.exceptionComps(e, keys["comps"])
	switch v := keys["values"]; {
	case v == nil || isNull(v):
	case v.Kind != yaml.SequenceNode:
		it.wrong(v, "values of exception %s are %s (a list)", e.name, kindOf(v))
		return nil
	default:
		for _, one := range v.Content {
			e.values = append(e.values, value{it.file, deref(one)})
		}
	}
	if !ok {
		return nil
	}
	return e
}

// exceptionFields reads fields: one or a list.
func (it *item) exceptionFields(e *exception, n *yaml.Node) bool {
	switch {
	case n == nil:
		return true
	case n.Kind == yaml.ScalarNode:
		e.fields = []*yaml.Node{n}
		return true
	case n.Kind != yaml.SequenceNode || len(n.Content) == 0:
		it.wrong(n, "fields of exception %s are %s (a field, or a list of fields)", e.name, kindOf(n))
		return false
	}
	e.list = true
	for _, f := range n.Content {
		if f = deref(f); f.Kind != yaml.ScalarNode {
			it.wrong(f, "a field of exception %s is %s (a text)", e.name, kindOf(f))
			return false
		}
		e.fields = append(e.fields, f)
	}
	return true
}

// exceptionComps reads the operators, which must be as many as the fields.
func (it *item) exceptionComps(e *exception, n *yaml.Node) bool {
	var nodes []*yaml.Node
	switch {
	case n == nil && e.list:
		for range e.fields {
			e.comps = append(e.comps, "=")
		}
		return true
	case n == nil:
		e.comps = []string{"in"}
		return true
	case n.Kind == yaml.ScalarNode && (!e.list || e.fields == nil):
		nodes = []*yaml.Node{n}
	case n.Kind == yaml.SequenceNode && (e.list || e.fields == nil):
		nodes = n.Content
	default:
		it.wrong(n, "comps of exception %s are %s, fields are not", e.name, kindOf(n))
		return false
	}
	for _, c := range nodes {
		c = deref(c)
		op := strings.Join(strings.Fields(c.Value), " ")
		base, mod, modified := strings.Cut(op, " ")
		switch {
		case !slices.Contains(filter.Operators(), base) || base == "exists":
			it.at("comps", c).add(ErrValidate, "exception %s: unknown operator %s%s", e.name, base, hint.DidYouMean(base, filter.Operators()))
			it.bad = true
			return false
		case modified && !slices.Contains(filter.Modifiers(), mod):
			it.at("comps", c).add(ErrValidate, "exception %s: unknown modifier %s (known: %s)", e.name, mod, strings.Join(filter.Modifiers(), ", "))
			it.bad = true
			return false
		case !e.list && e.fields != nil && !takesList(op):
			it.at("comps", c).add(ErrValidate, "exception %s of one field: operator %s takes no list (write in, pmatch, intersects, or %s anyof)", e.name, op, op)
			it.bad = true
			return false
		}
		e.comps = append(e.comps, op)
	}
	if e.fields != nil && len(e.comps) != len(e.fields) {
		it.at("comps", n).add(ErrValidate, "exception %s has %d fields and %d comps (as many)", e.name, len(e.fields), len(e.comps))
		it.bad = true
		return false
	}
	return true
}

// takesList reports whether an operator, with its modifier, takes a list of constants.
func takesList(op string) bool {
	switch op {
	case "in", "pmatch", "intersects":
		return true
	}
	return strings.Contains(op, " ")
}

// checkFields reports fields that are not known. Rules of sources that are not known are
// not checked.
func (it *item) checkFields(e *exception, source string) bool {
	if !slices.Contains(Sources, source) {
		return true
	}
	for _, n := range e.fields {
		if _, err := filter.CompileValue(n.Value); err != nil {
			msg := err.Error()
			if list, ok := err.(*filter.Errors); ok {
				msg = list.List[0].Msg
			}
			it.at("fields", n).add(ErrValidate, "exception %s: %s", e.name, msg)
			it.bad = true
			return false
		}
	}
	return true
}

// exceptionNodes returns the elements of exceptions.
func (it *item) exceptionNodes() []*yaml.Node {
	n := it.keys["exceptions"]
	switch {
	case isNull(n):
		return nil
	case n.Kind != yaml.SequenceNode:
		it.wrong(n, "exceptions are %s (a list, such as [{name: n, fields: proc.name, values: [a, b]}])", kindOf(n))
		return nil
	}
	var list []*yaml.Node
	for _, e := range n.Content {
		list = append(list, deref(e))
	}
	return list
}

// readExceptions sets the exceptions of a rule.
func (it *item) readExceptions(d *definition) {
	d.exceptions = nil
	for _, n := range it.exceptionNodes() {
		e := it.readException(n)
		if e == nil {
			continue
		}
		if e.fields == nil {
			it.at("exception", n).add(ErrValidate, "exception %s has no fields", e.name)
			it.bad = true
			continue
		}
		it.checkFields(e, d.source)
		if slices.ContainsFunc(d.exceptions, func(o *exception) bool { return o.name == e.name }) {
			it.at("exception", n).add(WarnExceptionName, "two exceptions are named %s", e.name)
		}
		d.exceptions = append(d.exceptions, e)
	}
}

// appendExceptions adds values to exceptions of a rule, and exceptions.
func (it *item) appendExceptions(d *definition) {
	for _, n := range it.exceptionNodes() {
		e := it.readException(n)
		if e == nil {
			continue
		}
		i := slices.IndexFunc(d.exceptions, func(o *exception) bool { return o.name == e.name })
		switch {
		case len(e.values) == 0:
			it.at("exception", n).add(WarnNoValues, "exception %s has no values, so it changes nothing", e.name)
			if i >= 0 || e.fields == nil {
				continue
			}
		case i < 0 && e.fields == nil:
			it.at("exception", n).add(ErrValidate, "exception %s is new and has no fields", e.name)
			it.bad = true
			continue
		case i >= 0 && (e.fields != nil || hasKey(n, "comps")):
			it.at("exception", n).add(ErrValidate, "exception %s has its fields and comps already (append values only)", e.name)
			it.bad = true
			continue
		}
		if i < 0 {
			it.checkFields(e, d.source)
			d.exceptions = append(d.exceptions, e)
			continue
		}
		merged := *d.exceptions[i]
		merged.values = slices.Concat(merged.values, e.values)
		d.exceptions[i] = &merged
	}
}

func hasKey(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// condition returns what must not hold; ok is false after an error, or if there are no
// values.
func (e *exception) condition(at place) (t text, ok bool) {
	if len(e.values) == 0 {
		return t, false
	}
	if !e.list {
		return e.single(at)
	}
	good := true
	for i, v := range e.values {
		if v.node.Kind != yaml.SequenceNode || len(v.node.Content) != len(e.fields) {
			place{v.file, at.where}.at("value", v.node).add(ErrValidate, "exception %s: a value is not a list of %d elements (one for each of %s)",
				e.name, len(e.fields), e.fieldNames())
			good = false
			continue
		}
		if t.string != "" {
			t.string += " or "
		}
		t.string += "("
		for j := range e.fields {
			if j > 0 {
				t.string += " and "
			}
			n := deref(v.node.Content[j])
			t.write(v.file, e.values[i].node.Content[j], e.fields[j].Value+" "+e.comps[j]+" ")
			good = e.write(&t, v.file, n, takesList(e.comps[j]), at) && good
		}
		t.string += ")"
	}
	return t, good
}

// single returns the condition of an exception of one field.
func (e *exception) single(at place) (t text, ok bool) {
	ok = true
	t.write(e.file, e.fields[0], e.fields[0].Value+" "+e.comps[0]+" (")
	for i, v := range e.values {
		if i > 0 {
			t.string += ", "
		}
		if v.node.Kind != yaml.ScalarNode {
			place{v.file, at.where}.at("value", v.node).add(ErrValidate, "exception %s: a value is %s (a text)", e.name, kindOf(v.node))
			ok = false
			continue
		}
		t.write(v.file, v.node, operand(v.node.Value))
	}
	t.string += ")"
	return t, ok
}

// write writes what a field is compared with: a text, or a list of texts.
func (e *exception) write(t *text, f *file, n *yaml.Node, list bool, at place) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		text := operand(n.Value)
		if s := strings.TrimSpace(n.Value); list && strings.HasPrefix(s, "(") && strings.HasSuffix(s, ")") {
			text = s
		} else if list {
			text = "(" + text + ")"
		}
		t.write(f, n, text)
		return true
	case yaml.SequenceNode:
		var texts []string
		for _, c := range n.Content {
			if c = deref(c); c.Kind != yaml.ScalarNode {
				place{f, at.where}.at("value", c).add(ErrValidate, "exception %s: an element of a value is %s (a text)", e.name, kindOf(c))
				return false
			}
			texts = append(texts, operand(c.Value))
		}
		t.write(f, n, "("+strings.Join(texts, ", ")+")")
		return true
	}
	place{f, at.where}.at("value", n).add(ErrValidate, "exception %s: an element of a value is %s (a text, or a list of texts)", e.name, kindOf(n))
	return false
}

func (e *exception) fieldNames() string {
	var list []string
	for _, f := range e.fields {
		list = append(list, f.Value)
	}
	return strings.Join(list, ", ")
}

// operand returns a constant as a condition has it. A word may be the name of a list.
func operand(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s
	}
	return filter.Quote(s)
}

// fieldsOf returns the names of the fields of the exceptions, which alerts have.
func fieldsOf(list []*exception) (all []string) {
	for _, e := range list {
		for _, f := range e.fields {
			if _, _, err := field.Parse(f.Value); err == nil && !slices.Contains(all, f.Value) {
				all = append(all, f.Value)
			}
		}
	}
	return all
}
