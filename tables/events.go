// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

type codeOwner struct {
	pos  expr.Pos
	name string
}

type rawGroup struct {
	group *Group
	f     *file
	node  *yaml.Node
	used  bool
	open  bool // its params are being read
}

func (l *loader) group(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "group"), "entry", []string{"group", "params", "doc"}, &l.errs)
	if m == nil || !m.required("group", "group: task_common names it") || !m.required("params", "what the group stands for") {
		return
	}
	g := &Group{Pos: f.Pos(n), Name: m.text("group")}
	if old := l.groups[g.Name]; old != nil {
		m.errorf(m.byKey["group"], "group %s is described twice (first on line %d)", g.Name, old.group.Pos.Line)
		return
	}
	raw := &rawGroup{group: g, f: f, node: m.byKey["params"], open: true}
	l.groups[g.Name] = raw
	defer func() { raw.open = false }()
	g.Params = l.params(f, m.byKey["params"], &context{subject: g.Name, group: g.Name})
	l.table.Groups = append(l.table.Groups, g)
}

var eventKeys = []string{
	"event", "name", "class", "source", "from", "filler", "flags", "symbol", "fd", "drop", "lost", "differs", "differs_of", "params", "state",
}

func (l *loader) event(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "name"), "entry", eventKeys, &l.errs)
	if m == nil || !m.required("event", "event: 152 is its code") {
		return
	}
	ev := &Event{Pos: f.Pos(n), FDParam: -1, Name: m.text("name"), Differs: m.differs()}
	code := m.byKey["event"]
	m.subject = ev.Name
	c, ok := m.uint(code, "event code", 1<<16-1)
	if !ok {
		return
	}
	if ev.Name == "" {
		m.errorf(n, "name is missing (name: switch is what tools show)")
		return
	}
	if !expr.IsIdent(ev.Name) {
		m.errorf(n, "bad name %s (a C identifier is expected)", ev.Name)
		return
	}
	ev.Code = uint16(c)
	ev.Dir = dirOf(ev.Code)
	if !m.has("flags") {
		ev.Flags, _ = l.lockedFlags(ev.Code)
	} else {
		ev.Flags = m.words("flags", "event flag", l.table.Types.EventFlags)
	}
	old := l.locked(ev.Code) // has what the row leaves out
	unused := slices.Contains(ev.Flags, "unused")
	if ev.Class = m.oneOf("class", names(slices.Concat(l.table.Types.Classes, l.table.Types.OtherClasses)...)); !m.has("class") {
		ev.Class = "unknown"
		if old != nil {
			ev.Class = old.Class
		} else if !unused {
			m.required("class", "class: file is its category")
		}
	}
	if ev.From = m.text("from"); ev.From != "" {
		for _, tp := range strings.Split(ev.From, "|") {
			if tp = strings.TrimSpace(tp); !slices.Contains(tracepoints, tp) {
				m.errorf(m.byKey["from"], "unknown tracepoint %s%s", tp, hint.DidYouMean(tp, tracepoints))
			}
		}
		ev.From = strings.Join(strings.FieldsFunc(ev.From, func(r rune) bool { return r == '|' || r == ' ' }), "|")
	}
	ev.Source = m.oneOf("source", names(l.table.Types.Sources...))
	if !m.has("source") {
		switch {
		case old != nil:
			ev.Source = old.Source
		case unused:
			ev.Source = "unknown"
		case ev.From != "" && !strings.HasPrefix(ev.From, "sys_"):
			ev.Source = "tracepoint"
		default:
			ev.Source = "syscall"
		}
	}
	l.eventFacts(ev, m)
	ev.Filler = m.oneOf("filler", []string{"manual"})
	ev.Symbol = m.text("symbol")
	if ev.Symbol == "" && old != nil {
		ev.Symbol = old.Symbol
	} else if ev.Symbol == "" {
		ev.Symbol = strings.ToLower(ev.Name) + "_" + ev.Dir
		if unused || slices.Contains(ev.Flags, "old_version") {
			ev.Symbol += "_" + strconv.Itoa(int(ev.Code))
		}
	} else if !expr.IsIdent(ev.Symbol) || ev.Symbol != strings.ToLower(ev.Symbol) {
		m.errorf(m.byKey["symbol"], "bad symbol %s (a C identifier in lower case is expected)", ev.Symbol)
	}
	if p := m.byKey["params"]; p != nil {
		ev.Params = l.params(f, p, &context{subject: ev.Name, noSource: ev.From == "" || ev.Filler == "manual"})
	} else if old != nil && ev.From == "" {
		ev.Params = old.Params
	} else if !unused {
		m.required("params", "params: [] has none")
	}
	l.finish(ev, m, "fd")
	l.state(ev, m)
	l.own(ev, f.Pos(code), ev.Name)
	l.table.Events = append(l.table.Events, ev)
}

func dirOf(code uint16) string {
	if code%2 == 0 {
		return "enter"
	}
	return "exit"
}

// own registers an event's code and symbol.
func (l *loader) own(ev *Event, pos expr.Pos, name string) {
	ev.codePos = pos
	if old, ok := l.codes[ev.Code]; ok {
		l.errs.Add(pos, name, "code %s belongs to %s (%s)", CodeText(ev.Code), old.name, lineOf(old.pos, pos))
		return
	}
	l.codes[ev.Code] = codeOwner{pos, name}
	if old, ok := l.symbols[ev.Symbol]; ok {
		l.errs.Add(pos, name, "symbol %s belongs to %s (%s; symbol: gives another)", ev.Symbol, old.name, lineOf(old.pos, pos))
		return
	}
	l.symbols[ev.Symbol] = codeOwner{pos, name}
}

// lineOf names a line, with its file if that differs from at's.
func lineOf(pos, at expr.Pos) string {
	if pos.File == at.File {
		return fmt.Sprintf("line %d", pos.Line)
	}
	return fmt.Sprintf("%s:%d", pos.File, pos.Line)
}

// onLine is lineOf after a verb: "described on line 3", "described in file:3".
func onLine(pos, at expr.Pos) string {
	if pos.File == at.File {
		return "on " + lineOf(pos, at)
	}
	return "in " + lineOf(pos, at)
}

// CodeText writes an event code as in the table: our own codes in hexadecimal.
func CodeText(code uint16) string {
	if code >= oursFrom {
		return fmt.Sprintf("%#x", code)
	}
	return strconv.Itoa(int(code))
}

// finish checks a whole event and finds its fd.
func (l *loader) finish(ev *Event, m *mapping, fdKey string) {
	at := map[string]*Param{}
	for _, p := range ev.Params {
		if at[p.Name] != nil {
			l.errs.Add(p.Pos, m.subject+": "+p.Name, "param %s is repeated", p.Name)
		}
		at[p.Name] = p
	}
	for i, p := range ev.Params {
		if i > 0 && ev.Params[i-1].Newer && !p.Newer {
			l.errs.Add(p.Pos, m.subject+": "+p.Name, "param %s follows a newer one (params are added at the end, and so it is newer as well)", p.Name)
		}
	}
	if len(ev.Params) > maxParams {
		l.errs.Add(ev.Params[maxParams].Pos, m.subject, "%d params (at most %d)", len(ev.Params), maxParams)
	}
	for _, p := range ev.Params {
		l.checkParam(p, at, m.subject+": "+p.Name)
	}
	ev.FDParam = fdParam(ev)
	if n := m.scalar(fdKey); n != nil {
		ev.FDParam = -1
		for i, p := range ev.Params {
			if p.Name == n.Value {
				ev.FDParam = i
			}
		}
		switch p := at[n.Value]; {
		case p == nil:
			if ev.Dir == "exit" || fdKey == "" {
				m.errorf(n, "fd names no param %s%s", n.Value, hint.DidYouMean(n.Value, slices.Sorted(maps.Keys(at))))
			}
		case p.Type != "fd" && p.Type != "fd32":
			m.errorf(n, "fd names param %s of type %s (fd is expected)", n.Value, p.Type)
		}
	}
}
