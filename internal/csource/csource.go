// SPDX-License-Identifier: Apache-2.0

// Package csource reads what C sources state as data: macros, enumerators and the initialisers of arrays. It is no
// compiler: declarations and functions are skipped, included files are not read, and conditional text counts by the
// macros that the sources themselves define.
package csource

import (
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
)

// Source is what some files state. Later files see the macros and enumerators of those before them.
type Source struct {
	macros map[string]*macro
	enums  map[string]int64

	Enumerators []Enumerator // of all enums, in the order of the text
	Arrays      []*Array
}

// Enumerator is a name of an enum.
type Enumerator struct {
	Pos   expr.Pos
	Name  string
	Value int64
}

// Array is a variable with an initialiser in braces.
type Array struct {
	Pos  expr.Pos
	Name string
	Init *Init
}

// Init is an initialiser: a list in braces, or the tokens of an expression.
type Init struct {
	Pos        expr.Pos
	Designator []Token // between the brackets before it; nil: it follows the one before it
	List       []*Init
	Braces     bool
	Tokens     []Token // macros are expanded
}

// Token is a word, a number, a string or a character, or an operator of C.
type Token struct {
	Pos  expr.Pos
	Kind Kind
	Text string // of a string: what is between the quotes
}

// Kind of a token.
type Kind uint8

const (
	Word Kind = iota + 1
	Number
	String
	Char
	Operator
)

type macro struct {
	params   []string
	function bool
	body     []Token
}

// Errorf returns an error at a place in a C file.
func Errorf(pos expr.Pos, format string, args ...any) error {
	var list expr.ErrorList
	list.Add(pos, "", format, args...)
	return list[0]
}

// Read reads a file.
func (s *Source) Read(name string, text []byte) error {
	if s.macros == nil {
		s.macros, s.enums = map[string]*macro{}, map[string]int64{}
	}
	lines, err := lex(name, text)
	if err != nil {
		return err
	}
	tokens, err := s.preprocess(lines)
	if err != nil {
		return err
	}
	p := &parser{s: s, tokens: tokens}
	return p.file()
}

// Text returns tokens as text, for messages.
func Text(tokens []Token) string {
	var b strings.Builder
	for i, t := range tokens {
		if i > 0 && t.Kind != Operator && tokens[i-1].Kind != Operator {
			b.WriteByte(' ')
		}
		if t.Kind == String {
			b.WriteString(`"` + t.Text + `"`)
		} else {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

// expand replaces the macros of tokens. hidden are those whose text is being replaced: C does not replace them again.
func (s *Source) expand(tokens []Token, hidden []string) []Token {
	var out []Token
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		m := s.macros[t.Text]
		if t.Kind != Word || m == nil || slices.Contains(hidden, t.Text) {
			out = append(out, t)
			continue
		}
		body := slices.Clone(m.body)
		if m.function {
			args, end := arguments(tokens, i+1)
			if end < 0 || len(args) != len(m.params) {
				out = append(out, t) // no call of it
				continue
			}
			i = end
			body = s.substitute(m, args, hidden)
			for j := range body {
				body[j].Pos = t.Pos // a list of calls has a place for each
			}
		}
		out = append(out, s.expand(body, append(slices.Clone(hidden), t.Text))...)
	}
	return out
}

// arguments returns the arguments of a macro's call whose bracket is at tokens[open], and where the other bracket is, or -1.
func arguments(tokens []Token, open int) (args [][]Token, end int) {
	depth, from := 0, open+1
	for i := open; i < len(tokens) && (i > open || is(tokens[i], "(")); i++ {
		switch t := tokens[i]; {
		case is(t, "("):
			depth++
		case is(t, ")"):
			if depth--; depth == 0 {
				if i > open+1 || len(args) > 0 {
					args = append(args, tokens[from:i])
				}
				return args, i
			}
		case is(t, ",") && depth == 1:
			args = append(args, tokens[from:i])
			from = i + 1
		}
	}
	return nil, -1
}

// substitute returns the body of a macro with its arguments, joined where ## says so.
func (s *Source) substitute(m *macro, args [][]Token, hidden []string) []Token {
	var out []Token
	join := false
	for i, t := range m.body {
		if is(t, "##") {
			join = true
			continue
		}
		next := []Token{t}
		if at := slices.Index(m.params, t.Text); t.Kind == Word && at >= 0 {
			next = slices.Clone(args[at])
			if joined := join || i+1 < len(m.body) && is(m.body[i+1], "##"); !joined {
				next = s.expand(next, hidden)
			}
		}
		if join && len(out) > 0 && len(next) > 0 {
			out[len(out)-1].Text += next[0].Text
			next = next[1:]
		}
		join = false
		out = append(out, next...)
	}
	return out
}

// is reports whether a token is that operator.
func is(t Token, operator string) bool { return t.Kind == Operator && t.Text == operator }
