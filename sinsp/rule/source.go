// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/yamltext"
)

// file is a rule file and what was found in it.
type file struct {
	*yamltext.Text
	index  int   // in the order of the files
	starts []int // offset of each line
	report *FileReport
}

func newFile(index int, name, text string) *file {
	f := &file{Text: yamltext.New(name, text), index: index, report: &FileReport{Name: name}}
	off := 0
	for line := range strings.SplitSeq(text, "\n") {
		f.starts = append(f.starts, off)
		off += len(line) + 1
	}
	return f
}

// position returns a place with its offset. The YAML package has places after the end.
func (f *file) position(p expr.Pos) Position {
	if last := len(f.Lines); p.Line > last {
		p.Line, p.Col = last, utf8.RuneCountInString(f.Lines[last-1])+1
	}
	pos := Position{File: f.Name, Line: p.Line, Col: p.Col}
	if p.Line >= 1 && p.Line <= len(f.starts) {
		pos.Offset = f.starts[p.Line-1] + len(f.Lines[p.Line-1]) - len(f.Rest(p.Line, p.Col))
	}
	return pos
}

func (f *file) of(n *yaml.Node) Position { return f.position(f.Pos(n)) }

const maxSnippet = 160 // characters

// snippet returns the line of a place with a caret below it.
func (f *file) snippet(p Position) string {
	if p.Line < 1 || p.Line > len(f.Lines) {
		return ""
	}
	line := []rune(strings.Map(func(r rune) rune {
		if !escape.Printable(r) {
			return ' '
		}
		return r
	}, f.Lines[p.Line-1]))
	at := min(max(p.Col-1, 0), len(line))
	before, after := "", ""
	if begin := at - maxSnippet/2; begin > 0 && len(line) > maxSnippet {
		line, at, before = line[begin:], maxSnippet/2, "..."
	}
	if len(line) > maxSnippet {
		line, after = line[:maxSnippet], "..."
	}
	text := before + strings.TrimRight(string(line), " ") + after
	caret := len(before) + at
	if trimmed := strings.TrimLeft(text, " "); len(text)-len(trimmed) <= caret {
		caret -= len(text) - len(trimmed)
		text = trimmed
	}
	if text == "" {
		return ""
	}
	return text + "\n" + strings.Repeat(" ", caret) + "^"
}

// place is where something is said of an item.
type place struct {
	file  *file
	where []Location
}

// at returns a place in the item of p.
func (p place) at(what string, n *yaml.Node) place { return p.in(what, p.file, p.file.of(n)) }

func (p place) in(what string, f *file, pos Position) place {
	return place{f, append(slices.Clone(p.where), Location{what, "", pos})}
}

// add reports a message.
func (p place) add(code Code, format string, args ...any) {
	m := &Message{Code: code, Text: fmt.Sprintf(format, args...), Where: p.where}
	m.Snippet = p.file.snippet(m.Position())
	list := &p.file.report.Warnings
	if code.IsError() {
		list = &p.file.report.Errors
	}
	*list = append(*list, m)
}

// text is a condition, or an output, made of parts of files.
type text struct {
	string
	parts []part
}

// part is a piece of a text that comes from a scalar.
type part struct {
	off   int // in the text
	file  *file
	node  *yaml.Node
	exact bool // the piece is the scalar's value
	trim  int  // bytes of the value before the piece
}

// textOf returns the value of a scalar, without the blanks around it.
func textOf(f *file, n *yaml.Node) text {
	left := strings.TrimLeft(n.Value, " \t\r\n")
	return text{strings.TrimRight(left, " \t\r\n"), []part{{0, f, n, true, len(n.Value) - len(left)}}}
}

// join returns t and o with a blank between them.
func (t text) join(o text) text {
	out := text{parts: slices.Clone(t.parts)}
	if t.string == "" {
		return o
	}
	out.string = t.string + " "
	for _, p := range o.parts {
		p.off += len(out.string)
		out.parts = append(out.parts, p)
	}
	out.string += o.string
	return out
}

// write appends a piece for a node, which is its value, quoted or changed.
func (t *text) write(f *file, n *yaml.Node, piece string) {
	t.parts = append(t.parts, part{off: len(t.string), file: f, node: n})
	t.string += piece
}

// position returns the place of a byte.
func (t text) position(off int) (*file, Position) {
	p := t.parts[0]
	for _, next := range t.parts {
		if next.off <= off {
			p = next
		}
	}
	if !p.exact {
		return p.file, p.file.of(p.node)
	}
	value := p.node.Value
	end := min(p.trim+off-p.off, len(value))
	chars := p.file.Positions(p.node)
	return p.file, p.file.position(chars[min(utf8.RuneCountInString(value[:end]), len(chars)-1)])
}
