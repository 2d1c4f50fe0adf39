// SPDX-License-Identifier: Apache-2.0

// Package yamltext finds the places of YAML nodes, and of the characters in their values,
// in the text of a file.
package yamltext

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
)

// Text is the text of a YAML file.
type Text struct {
	Name  string
	Lines []string
}

// New returns the text of a file, whose lines end with a newline, or with a carriage
// return and a newline.
func New(name, src string) *Text {
	return &Text{name, strings.Split(strings.ReplaceAll(src, "\r\n", "\n"), "\n")}
}

var dashWord = regexp.MustCompile(`^ *-[A-Za-z]`)

// Blame returns the place of the mistake behind an error of the YAML package, and a
// message. The package reports where it could not go on, which may be many lines later.
func (t *Text) Blame(err error) (expr.Pos, string) {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return expr.Pos{File: t.Name, Line: 1, Col: 1}, "it cannot be read"
	}
	pos := func(m yaml.Mark) expr.Pos { return expr.Pos{File: t.Name, Line: max(m.Line, 1), Col: max(m.Column, 1)} }
	at, start := pos(load.Mark), pos(load.ContextMark)
	msg, _, _ := strings.Cut(load.Message, " (value:")
	switch {
	case strings.Contains(msg, "control characters"): // has no place
		for i, line := range t.Lines {
			if col := strings.IndexFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); col >= 0 {
				return expr.Pos{File: t.Name, Line: i + 1, Col: utf8.RuneCountInString(line[:col]) + 1}, msg
			}
		}
	case strings.Contains(msg, "tab character"):
		if col := strings.IndexByte(t.Rest(at.Line, 1), '\t'); col >= 0 {
			at.Col = utf8.RuneCountInString(t.Rest(at.Line, 1)[:col]) + 1
		}
	default:
		quote, bracket := t.unclosed(at.Line)
		if quote != nil {
			return *quote, "quote is not closed on its line"
		}
		if bracket != nil && strings.Contains(load.ContextMsg, "parsing a flow") {
			return *bracket, fmt.Sprintf("%s is not closed (%s on line %d)", t.Rest(bracket.Line, bracket.Col)[:1], msg, at.Line)
		}
		for _, no := range []int{at.Line, at.Line - 1} {
			if m := dashWord.FindStringIndex(t.Rest(no, 1)); m != nil {
				return expr.Pos{File: t.Name, Line: no, Col: m[1] - 1}, "a blank behind the dash is missing"
			}
		}
	}
	switch {
	case strings.Contains(load.ContextMsg, "simple key"):
		return start, "a colon with a blank behind it is missing"
	case strings.Contains(load.ContextMsg, "block collection") && at.Col > start.Col:
		return start, "indentation is less than that of the lines below"
	}
	return at, msg
}

// unclosed returns the quote that opens a text over several lines that ends on the
// given line, or not at all: most likely its end is missing. bracket is the innermost
// bracket that is open there.
func (t *Text) unclosed(end int) (quote, bracket *expr.Pos) {
	var at *expr.Pos // where the text of a quote starts
	var brackets []*expr.Pos
	mark := byte(0)
	for i, line := range t.Lines[:min(end, len(t.Lines))] {
		for j := 0; j < len(line); j++ {
			c := line[j]
			here := &expr.Pos{File: t.Name, Line: i + 1, Col: utf8.RuneCountInString(line[:j]) + 1}
			starts := j == 0 || strings.IndexByte(" [{,", line[j-1]) >= 0
			switch {
			case mark == '"' && c == '\\':
				j++
			case mark != 0 && c == mark:
				if mark = 0; i+1 == end && at.Line < end {
					quote = at
				}
			case mark != 0:
			case starts && c == '#':
				j = len(line)
			case starts && (c == '"' || c == '\''):
				mark, at = c, here
			case starts && (c == '{' || c == '['):
				brackets = append(brackets, here)
			case (c == '}' || c == ']') && len(brackets) > 0:
				brackets = brackets[:len(brackets)-1]
			}
		}
	}
	if mark != 0 {
		quote = at
	}
	if len(brackets) > 0 {
		bracket = brackets[len(brackets)-1]
	}
	return quote, bracket
}

// Decode decodes the next document; it turns a panic of the YAML package on hostile input into an error.
func Decode(dec *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("yaml: cannot be read")
		}
	}()
	return dec.Decode(n)
}

// Pos returns the place of a node.
func (t *Text) Pos(n *yaml.Node) expr.Pos {
	return expr.Pos{File: t.Name, Line: max(n.Line, 1), Col: max(n.Column, 1)}
}

// Quoted are the styles of scalars in quotes.
const Quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle

// Start returns where the text of a scalar begins: after its quote.
func (t *Text) Start(n *yaml.Node) expr.Pos {
	p := t.Pos(n)
	if n.Style&Quoted != 0 {
		p.Col++
	}
	return p
}

// Rest returns the source from column col (in characters, from 1) of a line on.
func (t *Text) Rest(line, col int) string {
	if line < 1 || line > len(t.Lines) {
		return ""
	}
	s := t.Lines[line-1]
	for ; col > 1 && s != ""; col-- {
		_, n := utf8.DecodeRuneInString(s)
		s = s[n:]
	}
	return s
}

// Positions returns the place in the file of each character of a scalar's value and of
// its end, in spite of escapes and folded lines.
func (t *Text) Positions(n *yaml.Node) []expr.Pos {
	at := t.Start(n)
	raw := "" // the line from at on
	line := func(no, col int) {
		at.Line, at.Col = no, col
		raw = t.Rest(no, col)
	}
	skip := func(chars int) {
		at.Col += chars
		for ; chars > 0 && raw != ""; chars-- {
			_, size := utf8.DecodeRuneInString(raw)
			raw = raw[size:]
		}
	}
	indent := func() { // skip the blanks a continuation line starts with
		skip(len(raw) - len(strings.TrimLeft(raw, " \t")))
	}
	block := n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
	margin := 1
	if block { // the first line that is not empty has the margin
		first := at.Line + 1
		for at.Line++; at.Line < len(t.Lines) && strings.TrimSpace(t.Lines[at.Line-1]) == ""; at.Line++ {
		}
		line(at.Line, 1)
		indent()
		margin = at.Col // further blanks are text
		line(first, margin)
	} else {
		line(at.Line, at.Col)
	}
	var out []expr.Pos
	for _, r := range n.Value {
		for n.Style&yaml.DoubleQuotedStyle != 0 && raw == `\` { // escaped line break
			line(at.Line+1, 1)
			indent()
		}
		out = append(out, at)
		switch {
		case n.Style&yaml.DoubleQuotedStyle != 0 && strings.HasPrefix(raw, `\`):
			switch raw[1] {
			case 'x':
				skip(4)
			case 'u':
				skip(6)
			case 'U':
				skip(10)
			default:
				skip(2)
			}
		case n.Style&yaml.SingleQuotedStyle != 0 && strings.HasPrefix(raw, "''"):
			skip(2)
		case (r == ' ' || r == '\n') && at.Line < len(t.Lines) && strings.TrimSpace(raw) == "": // a line break, or its folded blank
			line(at.Line+1, margin)
			if !block {
				indent()
			}
		default:
			skip(1)
		}
	}
	return append(out, at)
}
