// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
)

// Value is a field, or a transformer of fields, that a format prints.
type Value struct {
	src  *source
	refs []*field.Ref
	gen  uint64
}

// ParseValue reads a field or a transformer at the start of text, as far as it goes, and
// returns it with the number of bytes that it takes. The error is an [*Errors].
func ParseValue(text string) (*Value, int, error) {
	p := parser{lexer: lexer{src: text}}
	word := p.word()
	if word == "" {
		p.unexpectedField()
		return nil, 0, p.errs.err(text)
	}
	var o operand
	if len(word) < len(text) && text[len(word)] == '(' {
		o, _ = p.call(word)
	} else {
		ref, n, err := field.Parse(text)
		p.pos = n
		o = operand{kind: operandField, ref: ref}
		if err != nil {
			e, _ := err.(*field.Error)
			p.errs.addKind(UnknownProblem, e.Offset, "%s", e.Msg)
		}
	}
	if err := p.errs.err(text); err != nil {
		return nil, p.pos, err
	}
	c := newCompiler()
	src := c.source(&o)
	if err := c.errs.err(text); err != nil {
		return nil, p.pos, err
	}
	return &Value{src: src, refs: c.refs}, p.pos, nil
}

// Get returns the value for ev; ok is false if it is missing. The value is valid until
// the next Get.
func (v *Value) Get(ev *sinsp.Event) (value *field.Value, ok bool) {
	v.gen++
	return v.src.get(v.gen, ev)
}

// Text returns the field or the transformer as it was written, without blanks.
func (v *Value) Text() string { return v.src.key }

// Type returns the type of the values, or of their elements.
func (v *Value) Type() field.Type { return v.src.typ }

// Many says whether there are several values.
func (v *Value) Many() field.Many { return v.src.many }

// Format says how numbers print.
func (v *Value) Format() event.Format { return v.src.format }

// Field returns the field, with its argument; nil for a transformer.
func (v *Value) Field() *field.Ref { return v.src.ref }

// Fields returns the fields that the value is made of.
func (v *Value) Fields() []*field.Ref { return v.refs }
