// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/internal/expr"
)

// Errors is all that is wrong with a text, in the order of the places.
type Errors struct {
	What string // the kind of text: "filter"
	Text string
	List []Problem
}

// Problem is one thing wrong with a text.
type Problem struct {
	Offset int // in bytes
	Msg    string
	Kind   ProblemKind
}

// ProblemKind says what a problem is about.
type ProblemKind uint8

const (
	OtherProblem   ProblemKind = iota
	UnknownProblem             // a field, an argument of one, or an event that is not known
	NameProblem                // the name of a macro
)

// Error returns for each problem a line with its place and message, the line of the
// text that has it, and a caret below the place:
//
//	filter:1:12: unknown field proc.nmae (did you mean proc.name?)
//	    fd.num=1 and proc.nmae=cat
//	                 ^
//
// Of a long line it has the part around the place. It ends after maxShown problems.
func (e *Errors) Error() string {
	var b strings.Builder
	for i, p := range e.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == maxShown {
			fmt.Fprintf(&b, "%s: %d more", e.What, len(e.List)-i)
			break
		}
		line, col, text := place(e.Text, p.Offset)
		fmt.Fprintf(&b, "%s:%d:%d: %s", e.What, line, col, p.Msg)
		if text, col = around(text, col); text != "" {
			fmt.Fprintf(&b, "\n    %s\n    %*s", text, col, "^")
		}
	}
	return b.String()
}

// Bounds on a message: each problem repeats its line.
const (
	maxShown = 50
	maxLine  = 200 // characters
	maxMsg   = 800 // bytes
)

// around cuts a line to maxLine characters around a column.
func around(text string, col int) (part string, at int) {
	if len(text) <= maxLine {
		return text, col
	}
	const dots = "..."
	runes := []rune(text)
	begin, end := max(0, col-maxLine/2), min(len(runes), col+maxLine/2)
	if begin >= end {
		return "", 1
	}
	part, at = string(runes[begin:end]), col-begin
	if begin > 0 {
		part, at = dots+part, at+len(dots)
	}
	if end < len(runes) {
		part += dots
	}
	return part, at
}

// Problems returns the problems with their places, at most maxShown.
func (e *Errors) Problems() expr.ErrorList {
	var list expr.ErrorList
	for _, p := range e.List[:min(len(e.List), maxShown)] {
		line, col, _ := place(e.Text, p.Offset)
		list.Add(expr.Pos{File: e.What, Line: line, Col: col}, "", "%s", p.Msg)
	}
	return list
}

// place returns the line and the column of an offset, which count from 1 and in
// characters, and the line itself, in which a blank stands for each character
// that is not printable.
func place(text string, off int) (line, col int, src string) {
	line = 1
	start := 0
	for i := 0; i < off; i++ {
		if c := text[i]; c == '\n' || c == '\r' && !strings.HasPrefix(text[i+1:], "\n") {
			line++
			start = i + 1
		}
	}
	src = text[start:]
	if i := strings.IndexAny(src, "\r\n"); i >= 0 {
		src = src[:i]
	}
	col = utf8.RuneCountInString(text[start:off]) + 1
	src = strings.Map(func(r rune) rune {
		if !escape.Printable(r) {
			return ' '
		}
		return r
	}, src)
	return line, col, strings.TrimRight(src, " ")
}

// problems collects what is wrong.
type problems []Problem

func (p *problems) add(off int, format string, args ...any) {
	p.addKind(OtherProblem, off, format, args...)
}

func (p *problems) addKind(kind ProblemKind, off int, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if len(msg) > maxMsg { // it quotes a long text; what would be right is at its end
		msg = strings.ToValidUTF8(msg[:maxMsg/2]+"..."+msg[len(msg)-maxMsg/2:], "")
	}
	*p = append(*p, Problem{off, msg, kind})
}

// err returns the problems as an error; nil if there are none.
func (p problems) err(text string) error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int { return cmp.Compare(a.Offset, b.Offset) })
	return &Errors{"filter", text, slices.Compact(p)}
}
