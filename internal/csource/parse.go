// SPDX-License-Identifier: Apache-2.0

package csource

import "github.com/scaplab/scaplab/internal/expr"

// condition is an #if whose #endif did not come yet.
type condition struct {
	pos    expr.Pos
	around bool // the text around it counts
	on     bool // that of this branch does
	done   bool // that of an earlier branch did
}

// preprocess returns the tokens that count, with macros expanded by what they are at that place: an enum may be made of a
// macro that is defined for it, and anew for another use.
func (s *Source) preprocess(lines []line) ([]Token, error) {
	var out, run []Token // run: since the last directive that changed macros
	var stack []condition
	on := func() bool { return len(stack) == 0 || stack[len(stack)-1].around && stack[len(stack)-1].on }
	for _, l := range lines {
		if !l.directive {
			if on() {
				run = append(run, l.tokens...)
			}
			continue
		}
		if len(l.tokens) == 0 {
			continue
		}
		what, rest := l.tokens[0], l.tokens[1:]
		switch what.Text {
		case "if", "ifdef", "ifndef":
			c := condition{pos: what.Pos, around: on()}
			var err error
			if c.on, err = s.holds(c.around, what, rest); err != nil {
				return nil, err
			}
			stack = append(stack, c)
		case "elif", "else", "endif":
			if len(stack) == 0 {
				return nil, Errorf(what.Pos, "#%s without #if", what.Text)
			}
			top := &stack[len(stack)-1]
			top.done = top.done || top.on
			var err error
			switch what.Text {
			case "endif":
				stack = stack[:len(stack)-1]
			case "else":
				top.on = !top.done
			default:
				top.on, err = s.holds(top.around && !top.done, what, rest)
			}
			if err != nil {
				return nil, err
			}
		case "define", "undef":
			if !on() {
				break
			}
			out = append(out, s.expand(run, nil)...)
			run = nil
			if err := s.define(what, rest); err != nil {
				return nil, err
			}
		}
	}
	if len(stack) > 0 {
		return nil, Errorf(stack[len(stack)-1].pos, "#if without #endif")
	}
	return append(out, s.expand(run, nil)...), nil
}

// holds reports whether the condition of #if, #ifdef, #ifndef or #elif holds, if it counts.
func (s *Source) holds(counts bool, what Token, rest []Token) (bool, error) {
	switch {
	case !counts:
		return false, nil
	case len(rest) == 0:
		return false, Errorf(what.Pos, "#%s without a condition", what.Text)
	case what.Text == "ifdef" || what.Text == "ifndef":
		return (s.macros[rest[0].Text] != nil) == (what.Text == "ifdef"), nil
	}
	var plain []Token // with defined X and defined(X) as numbers
	for i := 0; i < len(rest); i++ {
		t := rest[i]
		if t.Kind == Word && t.Text == "defined" {
			for i+1 < len(rest) && is(rest[i+1], "(") {
				i++
			}
			if i++; i >= len(rest) {
				return false, Errorf(t.Pos, "defined without a name")
			}
			t = Token{t.Pos, Number, map[bool]string{true: "1", false: "0"}[s.macros[rest[i].Text] != nil]}
			for i+1 < len(rest) && is(rest[i+1], ")") && is(rest[i-1], "(") {
				i++
			}
		}
		plain = append(plain, t)
	}
	plain = s.expand(plain, nil)
	for i, t := range plain {
		if _, known := s.enums[t.Text]; t.Kind == Word && !known {
			plain[i] = Token{t.Pos, Number, "0"}
		}
	}
	v, err := s.Eval(plain)
	return v != 0, err
}

// define reads a #define or #undef.
func (s *Source) define(what Token, rest []Token) error {
	if len(rest) == 0 || rest[0].Kind != Word {
		return Errorf(what.Pos, "#%s without a name", what.Text)
	}
	name := rest[0]
	delete(s.macros, name.Text)
	if what.Text == "undef" {
		return nil
	}
	m := &macro{body: rest[1:]}
	if next := name.Pos.Col + len(name.Text); len(rest) > 1 && is(rest[1], "(") && rest[1].Pos.Line == name.Pos.Line && rest[1].Pos.Col == next {
		args, end := arguments(rest, 1)
		if end < 0 {
			return Errorf(name.Pos, "params of macro %s have no end", name.Text)
		}
		m.function, m.body = true, rest[end+1:]
		for _, a := range args {
			m.params = append(m.params, Text(a))
		}
	}
	s.macros[name.Text] = m
	return nil
}

// parser reads declarations.
type parser struct {
	s      *Source
	tokens []Token
	at     int
}

func (p *parser) peek(n int) Token {
	if p.at+n < len(p.tokens) {
		return p.tokens[p.at+n]
	}
	return Token{}
}

// file reads all declarations: the enums, and the variables with an initialiser in braces.
func (p *parser) file() error {
	var name Token // the last word outside of brackets
	for p.at < len(p.tokens) {
		t := p.peek(0)
		switch {
		case t.Kind == Word && t.Text == "enum":
			p.at++
			if p.peek(0).Kind == Word {
				name = p.peek(0)
				p.at++
			}
			if is(p.peek(0), "{") {
				if err := p.enum(); err != nil {
					return err
				}
			}
		case is(t, "=") && is(p.peek(1), "{") && name.Kind == Word:
			p.at++
			init, err := p.braces()
			if err != nil {
				return err
			}
			p.s.Arrays = append(p.s.Arrays, &Array{name.Pos, name.Text, init})
		case is(t, "{"), is(t, "("), is(t, "["):
			if _, err := p.until(map[string]string{"{": "}", "(": ")", "[": "]"}[t.Text]); err != nil {
				return err
			}
		default:
			if t.Kind == Word {
				name = t
			}
			p.at++
		}
	}
	return nil
}

// until returns the tokens between the bracket here and its other, which it passes.
func (p *parser) until(end string) ([]Token, error) {
	open, depth := p.peek(0), 0
	from := p.at + 1
	for ; p.at < len(p.tokens); p.at++ {
		switch t := p.peek(0); {
		case is(t, open.Text):
			depth++
		case is(t, end):
			if depth--; depth == 0 {
				p.at++
				return p.tokens[from : p.at-1], nil
			}
		}
	}
	return nil, Errorf(open.Pos, "%s without %s", open.Text, end)
}

// split returns the parts of a list, at the commas outside of brackets.
func split(tokens []Token) (out [][]Token) {
	depth, from := 0, 0
	for i, t := range tokens {
		switch {
		case is(t, "("), is(t, "["), is(t, "{"):
			depth++
		case is(t, ")"), is(t, "]"), is(t, "}"):
			depth--
		case is(t, ",") && depth == 0:
			out = append(out, tokens[from:i])
			from = i + 1
		}
	}
	if from < len(tokens) {
		out = append(out, tokens[from:])
	}
	return out
}

// enum reads the names in braces.
func (p *parser) enum() error {
	tokens, err := p.until("}")
	if err != nil {
		return err
	}
	next := int64(0)
	for _, part := range split(tokens) {
		if len(part) == 0 || part[0].Kind != Word {
			continue
		}
		if len(part) > 1 {
			if !is(part[1], "=") || len(part) == 2 {
				return Errorf(part[1].Pos, "unexpected %s in an enum (want NAME or NAME = VALUE)", part[1].Text)
			}
			if next, err = p.s.Eval(part[2:]); err != nil {
				return err
			}
		}
		p.s.enums[part[0].Text] = next
		p.s.Enumerators = append(p.s.Enumerators, Enumerator{part[0].Pos, part[0].Text, next})
		next++
	}
	return nil
}

// braces reads a list in braces.
func (p *parser) braces() (*Init, error) {
	open := p.peek(0)
	tokens, err := p.until("}")
	if err != nil {
		return nil, err
	}
	return list(open.Pos, tokens)
}

func list(pos expr.Pos, tokens []Token) (*Init, error) {
	out := &Init{Pos: pos, Braces: true}
	for _, part := range split(tokens) {
		if len(part) == 0 {
			continue
		}
		sub := &parser{tokens: part}
		first := part[0]
		var designator []Token
		if is(first, "[") {
			var err error
			if designator, err = sub.until("]"); err != nil {
				return nil, err
			}
			if is(sub.peek(0), "=") {
				sub.at++
			}
		}
		e := &Init{Pos: first.Pos, Tokens: part[sub.at:]}
		if is(sub.peek(0), "{") {
			var err error
			if e, err = sub.braces(); err != nil {
				return nil, err
			}
			if sub.at < len(part) {
				return nil, Errorf(sub.peek(0).Pos, "unexpected %s after }", sub.peek(0).Text)
			}
		}
		e.Pos, e.Designator = first.Pos, designator
		out.List = append(out.List, e)
	}
	return out, nil
}
