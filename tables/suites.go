// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

// suitesFile has the truth suites. A table may lack it.
const suitesFile = "suites.yaml"

// Suite is a group of scenarios: what somebody does who hides from a driver, or lies to it.
type Suite struct {
	Pos       expr.Pos
	Name      string // of no syscall: both name cases
	About     string
	Scenarios []*Scenario
}

// Scenario is one act, and what a driver must show of it.
type Scenario struct {
	Pos          expr.Pos
	Name         string // unique in the suite
	About        string
	Needs        []string
	Unsafe       bool
	Since, Until string
	Arch         string // GOARCH, if its calls exist on one only
	Given        []Binding
	Act          *expr.Node // a call of an act; its value is $act
	Shows        []*Shown   // in any order
	Never        []*Shown
}

// Shown is an event that a driver must show, or must never show.
type Shown struct {
	Pos    expr.Pos
	Event  *Event
	By     *expr.Node // thread, as the first pid namespace numbers it; nil: the process of the scenario
	With   []Binding  // some params, in wire order
	Missed map[string]string
}

// ActName is the variable that has the value of a scenario's act.
const ActName = "act"

// Drivers are the drivers of this project, by the names of the harness.
var Drivers = []string{"ebpf", "kmod"}

var (
	suiteKeys    = []string{"suite", "about", "scenarios"}
	scenarioKeys = []string{"name", "about", "needs", "unsafe", "since", "until", "arch", "given", "act", "shows", "never"}
	shownKeys    = []string{"event", "by", "with", "missed"}
)

func (l *loader) suite(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "suite"), "entry", suiteKeys, &l.errs)
	if m == nil || !m.required("suite", "suite: io_uring names it") || !m.required("about", "a sentence: what an attacker does, and why it matters") {
		return
	}
	s := &Suite{Pos: f.Pos(n), Name: m.text("suite"), About: m.text("about")}
	isSuite := func(t *Suite) bool { return t.Name == s.Name }
	switch {
	case !expr.IsIdent(s.Name):
		m.errorf(m.byKey["suite"], "bad name %q (a C identifier is expected)", s.Name)
	case l.ids[s.Name] != nil || slices.ContainsFunc(l.table.Syscalls, func(c *Syscall) bool { return c.Name == s.Name }):
		m.errorf(m.byKey["suite"], "suite %s has the name of a syscall (SUITE/SCENARIO and SYSCALL/CASE must differ)", s.Name)
	case slices.ContainsFunc(l.table.Suites, isSuite):
		old := l.table.Suites[slices.IndexFunc(l.table.Suites, isSuite)]
		m.errorf(m.byKey["suite"], "suite %s is described twice (first on line %d)", s.Name, old.Pos.Line)
		return
	}
	l.table.Suites = append(l.table.Suites, s)
	if !m.required("scenarios", "the acts of the suite") {
		return
	}
	names := map[string]expr.Pos{}
	for _, item := range m.items("scenarios") {
		c := l.scenario(s, f, item)
		if c == nil {
			continue
		}
		if old, ok := names[c.Name]; ok {
			l.errs.Add(c.Pos, s.Name, "scenario %s is described twice (first on line %d)", c.Name, old.Line)
		}
		names[c.Name] = c.Pos
		s.Scenarios = append(s.Scenarios, c)
	}
}

// items returns the items of a list that must have one.
func (m *mapping) items(key string) []*yaml.Node {
	n := m.byKey[key]
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		m.errorf(n, "%s is %s (a list is expected)", key, kindName(n))
	case len(n.Content) == 0:
		m.errorf(n, "%s is empty", key)
	default:
		return n.Content
	}
	return nil
}

func (l *loader) scenario(s *Suite, f *file, n *yaml.Node) *Scenario {
	m := f.mapping(n, s.Name, "scenario", scenarioKeys, &l.errs)
	if m == nil || !m.required("name", "name: opens a file") {
		return nil
	}
	c := &Scenario{Pos: f.Pos(n), Name: m.text("name"), About: m.text("about")}
	m.subject = s.Name + ": " + c.Name
	m.required("about", "what happens, and what a driver must show")
	c.Needs, c.Unsafe = m.needs(), m.bool("unsafe")
	c.Since, c.Until = l.versions(m)
	c.Arch = m.oneOf("arch", Arches)
	v := newValues(l, f, m.subject)
	delete(v.vars, "ret") // there is no call
	delete(v.vars, "child")
	v.vars[ActName] = false
	v.kinds = []string{"given"}
	c.Given = v.bindings(m, "given")
	if m.required("act", "act: open_blocked() is what happens") {
		if an := m.scalar("act"); an != nil {
			v.subject = m.subject + ": act"
			if c.Act = f.parse(an, v.subject, &l.errs); c.Act != nil {
				l.act(c.Act, v)
			}
		}
	}
	for _, h := range v.called {
		c.Needs = inheritNeeds(c.Needs, m, h)
	}
	v.vars[ActName], v.kinds, v.want = true, nil, true
	if !m.has("shows") && !m.has("never") {
		m.errorf(n, "shows is missing (the events that a driver must show)")
	}
	for _, key := range []string{"shows", "never"} {
		for _, item := range m.items(key) {
			sh := l.shown(m, item, key, v)
			switch {
			case sh == nil:
			case key == "shows":
				c.Shows = append(c.Shows, sh)
			default:
				c.Never = append(c.Never, sh)
			}
		}
	}
	return c
}

// act checks that a scenario's act is the call of one.
func (l *loader) act(x *expr.Node, v *values) {
	h := l.helpers["act"][x.Text]
	if x.Kind != expr.Call || h == nil {
		var known []string
		for name := range l.helpers["act"] {
			known = append(known, name)
		}
		slices.Sort(known)
		l.errs.Add(x.Pos, v.subject, "act is %s (a call of an act of helpers.yaml is expected)%s", short(x), hint.DidYouMean(x.Text, known))
		return
	}
	v.kinds = []string{"given", "act"}
	v.check(x, true)
}

func (l *loader) shown(m *mapping, n *yaml.Node, key string, v *values) *Shown {
	sm := m.f.mapping(n, m.subject, key, shownKeys, &l.errs)
	if sm == nil || !sm.required("event", "event: openat_exit, the event and its direction") {
		return nil
	}
	symbol := sm.text("event")
	sh := &Shown{Pos: m.f.Pos(n), Event: l.callEvent(symbol)}
	if sh.Event == nil {
		var known []string
		for _, s := range l.table.Syscalls {
			for _, e := range []*Event{s.Enter, s.Exit} {
				if e != nil {
					known = append(known, e.Symbol)
				}
			}
		}
		sm.errorf(sm.byKey["event"], "%s is not an event of a syscall's entry%s", symbol, hint.DidYouMean(symbol, known))
		return nil
	}
	if by := sm.scalar("by"); by != nil {
		v.subject = m.subject + ": by"
		if sh.By = m.f.parse(by, v.subject, &l.errs); sh.By != nil {
			v.check(sh.By, false)
		}
	}
	if sm.has("with") {
		sh.With = l.with(sm, sh.Event, v)
	}
	sh.Missed = l.missed(sm)
	return sh
}

// callEvent returns the event of that symbol, if it is of a syscall's entry.
func (l *loader) callEvent(symbol string) *Event {
	for _, s := range l.table.Syscalls {
		for _, e := range []*Event{s.Enter, s.Exit} {
			if e != nil && e.Symbol == symbol {
				return e
			}
		}
	}
	return nil
}

// with reads the wanted values of some params of an event.
func (l *loader) with(m *mapping, e *Event, v *values) []Binding {
	wm := m.f.mapping(m.byKey["with"], m.subject, "with", nil, &l.errs)
	if wm == nil {
		return nil
	}
	out, names := []Binding(nil), make([]string, len(e.Params))
	for i, p := range e.Params {
		names[i] = p.Name
	}
	for _, f := range wm.fields {
		i := slices.Index(names, f.key.Value)
		if i < 0 {
			wm.errorf(f.key, "%s has no param %s%s", e.Symbol, f.key.Value, hint.DidYouMean(f.key.Value, names))
			continue
		}
		p := e.Params[i]
		v.subject = m.subject + ": " + e.Symbol + ": " + p.Name
		x := v.value(f.val, l.typ(p.Type).As == "text")
		v.names = l.sets[p.Names]
		v.check(x, true)
		v.names = nil
		switch {
		case x == nil:
		case isName(x, "any"):
			v.errorf(x.Pos, "any compares nothing (leave the param out)")
		default:
			out = append(out, Binding{Pos: m.f.Pos(f.key), Name: p.Name, Expr: x})
		}
	}
	slices.SortStableFunc(out, func(a, b Binding) int { return slices.Index(names, a.Name) - slices.Index(names, b.Name) })
	return out
}

// missed reads why drivers do not show an event: one reason for all, or by driver.
func (l *loader) missed(m *mapping) map[string]string {
	n := m.byKey["missed"]
	if n == nil {
		return nil
	}
	out := map[string]string{}
	if n.Kind == yaml.MappingNode {
		mm := m.f.mapping(n, m.subject, "missed", Drivers, &l.errs)
		for _, f := range mm.fields {
			out[f.key.Value] = mm.text(f.key.Value)
		}
		return out
	}
	for _, d := range Drivers {
		out[d] = m.text("missed")
	}
	return out
}
