// SPDX-License-Identifier: Apache-2.0

package csource

import (
	"strconv"
	"strings"
)

// binding has the binary operators, by how strongly they bind.
var binding = map[string]int{"||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "<": 7, ">": 7, "<=": 7, ">=": 7,
	"<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10}

// Eval returns the value of a constant expression of integers.
func (s *Source) Eval(tokens []Token) (int64, error) {
	e := &evaluator{s: s, tokens: s.expand(tokens, nil)}
	v, err := e.binary(1)
	if err == nil && e.at < len(e.tokens) {
		err = Errorf(e.tokens[e.at].Pos, "unexpected %s in a constant", e.tokens[e.at].Text)
	}
	return v, err
}

type evaluator struct {
	s      *Source
	tokens []Token
	at     int
	last   Token // for errors at the end
}

func (e *evaluator) take() Token {
	if e.at < len(e.tokens) {
		e.last = e.tokens[e.at]
		e.at++
		return e.last
	}
	return Token{Pos: e.last.Pos}
}

func (e *evaluator) binary(least int) (int64, error) {
	v, err := e.unary()
	for err == nil && e.at < len(e.tokens) {
		op := e.tokens[e.at]
		level := binding[op.Text]
		if op.Kind != Operator || level < least || level == 0 {
			break
		}
		e.take()
		var w int64
		if w, err = e.binary(level + 1); err != nil {
			break
		}
		if w == 0 && (op.Text == "/" || op.Text == "%") {
			return 0, Errorf(op.Pos, "division by zero")
		}
		v = operate(op.Text, v, w)
	}
	return v, err
}

func operate(op string, v, w int64) int64 {
	truth := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	switch op {
	case "||":
		return truth(v != 0 || w != 0)
	case "&&":
		return truth(v != 0 && w != 0)
	case "|":
		return v | w
	case "^":
		return v ^ w
	case "&":
		return v & w
	case "==":
		return truth(v == w)
	case "!=":
		return truth(v != w)
	case "<":
		return truth(v < w)
	case ">":
		return truth(v > w)
	case "<=":
		return truth(v <= w)
	case ">=":
		return truth(v >= w)
	case "<<":
		return v << uint64(w)
	case ">>":
		return v >> uint64(w)
	case "+":
		return v + w
	case "-":
		return v - w
	case "*":
		return v * w
	case "/":
		return v / w
	}
	return v % w
}

func (e *evaluator) unary() (int64, error) {
	t := e.take()
	switch {
	case t.Kind == Number:
		v, err := strconv.ParseUint(strings.TrimRight(t.Text, "uUlL"), 0, 64)
		if err != nil {
			return 0, Errorf(t.Pos, "bad number %s", t.Text)
		}
		return int64(v), nil
	case t.Kind == Char && len(t.Text) == 1:
		return int64(t.Text[0]), nil
	case t.Kind == Word:
		v, ok := e.s.enums[t.Text]
		if !ok {
			return 0, Errorf(t.Pos, "%s has no value here", t.Text)
		}
		return v, nil
	case is(t, "("):
		if end := e.cast(); end > 0 {
			e.at = end
			return e.unary()
		}
		v, err := e.binary(1)
		if err == nil && !is(e.take(), ")") {
			err = Errorf(t.Pos, "( without )")
		}
		return v, err
	case is(t, "-"), is(t, "+"), is(t, "~"), is(t, "!"):
		v, err := e.unary()
		switch {
		case t.Text == "-":
			v = -v
		case t.Text == "~":
			v = ^v
		case t.Text == "!":
			v = operate("==", v, 0)
		}
		return v, err
	}
	if t.Text == "" {
		return 0, Errorf(t.Pos, "a number is missing")
	}
	return 0, Errorf(t.Pos, "unexpected %s in a constant", t.Text)
}

// cast returns where the operand of a cast begins, after whose ( it is; 0 if that is none. Its type says nothing here.
func (e *evaluator) cast() int {
	i := e.at
	for ; i < len(e.tokens) && !is(e.tokens[i], ")"); i++ {
		t := e.tokens[i]
		if _, value := e.s.enums[t.Text]; !is(t, "*") && (t.Kind != Word || value) {
			return 0
		}
	}
	if i == e.at || i+1 >= len(e.tokens) {
		return 0
	}
	if next := e.tokens[i+1]; next.Kind == Operator && binding[next.Text] > 0 && next.Text != "-" && next.Text != "+" {
		return 0
	}
	return i + 1
}
