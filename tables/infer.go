// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
)

var pathWords = []string{"path", "name", "file", "dir", "old", "new", "target", "link", "root"}

// inferType gives a param for a C argument its wire type and print format; prev is the
// argument before it, which may be the directory where a path starts. It returns
// false if the wire type does not follow from the C type.
func inferType(arg CParam, prev *CParam, p *Param) bool {
	t := strings.TrimPrefix(arg.Type, "const ")
	switch {
	case arg.Type == "const char *":
		p.Type = "charbuf"
		for _, w := range pathWords {
			if strings.Contains(arg.Name, w) {
				p.Type = "fspath"
			}
		}
		if p.Type == "fspath" && prev != nil && !IsPointer(prev.Type) && isDirFDName(prev.Name) {
			p.Type, p.Base = "fsrelpath", prev.Name
		}
	case IsPointer(t):
		p.Type, p.Show = "uint64", "hex"
	case (t == "int" || t == "unsigned int" || t == "unsigned") && IsFDName(arg.Name):
		p.Type = "fd"
	default:
		c, ok := cTypeOf(t)
		if !ok {
			return false
		}
		if p.Type = c.wireType(); t == "umode_t" || t == "mode_t" {
			p.Show = "oct"
		}
	}
	return p.Type != ""
}

// inferRet gives a param that carries the return value its type.
func inferRet(p *Param) {
	switch p.Name {
	case "fd":
		p.Type = "fd"
	case "pid":
		p.Type = "pid"
	default:
		p.Type = "errno"
	}
}

// inferExit makes the params of an entry without an exit list: the return value, typed
// by `first`, then one param per argument.
func (l *loader) inferExit(s *Syscall, first string, sig *Signature) []*Param {
	if first == "" {
		first = "res"
	}
	ret := &Param{Pos: s.Pos, typePos: s.Pos, Name: first, From: &expr.Node{Kind: expr.Name, Pos: s.Pos, Text: "ret"}}
	inferRet(ret)
	l.defaults(ret)
	params := []*Param{ret}
	for i, arg := range s.Params {
		pos := s.Pos
		pos.Col += sig.At[i]
		subject := s.Name + ": " + arg.Name
		if arg.Name == first {
			l.errs.Add(pos, subject, "argument has the name of the param for the return value (write an exit list)")
			continue
		}
		p := &Param{Pos: pos, typePos: pos, Name: arg.Name, From: &expr.Node{Kind: expr.Name, Pos: pos, Text: arg.Name}}
		var prev *CParam
		if i > 0 {
			prev = &s.Params[i-1]
		}
		if !inferType(arg, prev, p) {
			continue // reported already: the C type is unknown
		}
		l.defaults(p)
		params = append(params, p)
	}
	return params
}

// defaults fills in what follows from the type.
func (l *loader) defaults(p *Param) {
	if p.Show == "" {
		p.Show = l.typ(p.Type).Show
	}
}

// inferFlags gives one of our own events the flags that follow from its params.
func inferFlags(ev *Event, state bool) []string {
	var creates, uses bool
	for i, p := range ev.Params {
		switch {
		case p.Type != "fd":
		case i == 0 && isName(p.From, "ret"):
			creates = true
		default:
			uses = true
		}
	}
	var flags []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"creates_fd", creates}, {"uses_fd", uses}, {"modifies_state", state}} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	return flags
}

func isInt(n *expr.Node, v int64) bool { return n != nil && n.Kind == expr.Int && n.Num == v }

func isName(n *expr.Node, text string) bool {
	return n != nil && n.Kind == expr.Name && n.Text == text
}

// fdParam picks the param that is "the fd" of an event that has one: named fd,
// else the first descriptor.
func fdParam(ev *Event) int {
	about := false
	for _, f := range ev.Flags {
		switch f {
		case "creates_fd", "uses_fd", "destroys_fd", "reads_from_fd", "writes_to_fd":
			about = true
		}
	}
	if !about {
		return -1
	}
	first := -1
	for i, p := range ev.Params {
		if p.Type != "fd" && p.Type != "fd32" {
			continue
		}
		if p.Name == "fd" {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}
