// SPDX-License-Identifier: Apache-2.0

package expr

import (
	"fmt"
	"strconv"
	"strings"
)

// Binding strength of operators. A child that binds less gets brackets.
const (
	precArrow = iota
	precOr
	precShl
	precSum
	precMul
	precUnary
	precPrimary
)

func prec(n *Node) int {
	switch n.Kind {
	case Arrow:
		return precArrow
	case Or:
		return precOr
	case Shl:
		return precShl
	case Add, Sub:
		return precSum
	case Mul:
		return precMul
	case Neg, Not:
		return precUnary
	}
	return precPrimary
}

// String writes the expression in its canonical spelling: parsing it again
// gives an equal one.
func (n *Node) String() string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	n.write(&b, precArrow)
	return b.String()
}

func (n *Node) write(b *strings.Builder, min int) {
	if n == nil {
		return
	}
	if prec(n) < min {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	binary := func(op string, own int) {
		n.Args[0].write(b, own)
		b.WriteString(op)
		n.Args[1].write(b, own+1)
	}
	switch n.Kind {
	case Int:
		if n.Text != "" {
			b.WriteString(n.Text)
		} else {
			b.WriteString(strconv.FormatUint(uint64(n.Num), 10))
		}
	case Str:
		b.WriteString(Quote(n.Text))
	case Name:
		b.WriteString(n.Text)
	case Var:
		b.WriteByte('$')
		b.WriteString(n.Text)
		for _, a := range n.Args {
			a.write(b, precArrow)
		}
	case Field:
		b.WriteByte('.')
		b.WriteString(n.Text)
	case Slice:
		b.WriteByte('[')
		n.Args[0].write(b, precArrow)
		b.WriteByte(':')
		n.Args[1].write(b, precArrow)
		b.WriteByte(']')
	case Index:
		b.WriteByte('[')
		n.Args[0].write(b, precArrow)
		b.WriteByte(']')
	case Call:
		b.WriteString(n.Text)
		n.items(b, '(', ')')
	case Member:
		n.Args[0].write(b, precPrimary)
		if n.Num == 1 {
			b.WriteString("->")
		} else {
			b.WriteByte('.')
		}
		b.WriteString(n.Text)
	case Elem:
		n.Args[0].write(b, precPrimary)
		b.WriteByte('[')
		n.Args[1].write(b, precArrow)
		b.WriteByte(']')
	case List:
		n.items(b, '[', ']')
	case Struct:
		b.WriteByte('{')
		for i, a := range n.Args {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(n.Names[i])
			b.WriteString(": ")
			a.write(b, precArrow)
		}
		b.WriteByte('}')
	case Or:
		for i, a := range n.Args {
			if i > 0 {
				b.WriteString(" | ")
			}
			a.write(b, precOr+1)
		}
	case Shl:
		binary(" << ", precShl)
	case Add:
		binary(" + ", precSum)
	case Sub:
		binary(" - ", precSum)
	case Mul:
		binary(" * ", precMul)
	case Neg:
		b.WriteByte('-')
		n.Args[0].write(b, precUnary)
	case Not:
		b.WriteByte('~')
		n.Args[0].write(b, precUnary)
	case Arrow:
		n.Args[0].write(b, precOr)
		b.WriteString(" -> ")
		n.Args[1].write(b, precOr)
	case Compare:
		b.WriteString(n.Text)
		b.WriteByte(' ')
		n.Args[0].write(b, precArrow)
	}
}

func (n *Node) items(b *strings.Builder, open, end byte) {
	b.WriteByte(open)
	for i, a := range n.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		a.write(b, precArrow)
	}
	b.WriteByte(end)
}

// Quote writes text as a string of the language.
func Quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < 0x20 || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
