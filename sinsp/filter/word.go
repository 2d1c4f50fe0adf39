// SPDX-License-Identifier: Apache-2.0

package filter

import "fmt"

// Quote returns a constant as a filter has it: in quotes, if it needs some.
func Quote(text string) string { return quote(text) }

// Unquote returns the constant that a text in quotes stands for; ok is false if the text
// is no such constant.
func Unquote(text string) (constant string, ok bool) {
	l := lexer{src: text}
	c, ok := l.constant()
	return c.text, ok && c.quoted && l.pos == len(text) && len(l.errs) == 0
}

// Operators returns all operators as filters have them.
func Operators() []string { return operatorTexts() }

// Modifiers returns the words that may follow an operator, before a list.
func Modifiers() []string { return modifierTexts[modAnyOf:] }

// CompileValue compiles a text that is a field or a transformer and nothing else. The
// error is an [*Errors].
func CompileValue(text string) (*Value, error) {
	v, n, err := ParseValue(text)
	if err == nil && n < len(text) {
		err = &Errors{"field", text, []Problem{{Offset: n, Msg: fmt.Sprintf("unexpected %q after the field", text[n:])}}}
	}
	return v, err
}

// Names calls macro for each word that stands for a macro, and word for each constant
// that may be the name of a list.
func (e *Expr) Names(macro, word func(name string)) {
	var walk func(t *tree)
	walk = func(t *tree) {
		if t == nil {
			return
		}
		if t.kind == kindName {
			macro(t.name)
		}
		if t.check != nil {
			for _, v := range t.check.values {
				if !v.quoted {
					word(v.text)
				}
			}
		}
		for _, kid := range t.kids {
			walk(kid)
		}
	}
	walk(e.tree)
}
