// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

var caseKeys = []string{
	"name", "needs", "unsafe", "snaplen", "left_out", "since", "until", "given", "call", "after", "want", "child", "no_event", "no_enter",
}

func (l *loader) cases(s *Syscall, m *mapping) {
	n := m.byKey["cases"]
	if n == nil || n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		m.errorf(m.node, "cases are missing (an entry carries the cases that prove it)")
		return
	}
	if n.Kind != yaml.SequenceNode {
		m.errorf(n, "cases are %s (a list is expected)", kindName(n))
		return
	}
	names := map[string]expr.Pos{}
	var worked, failed, unknown int
	for _, item := range n.Content {
		c, outcome := l.oneCase(s, m.f, item, len(n.Content) == 1)
		if c == nil {
			unknown++
			continue
		}
		if old, ok := names[c.Name]; ok {
			l.errs.Add(c.Pos, s.Name, "case %s is described twice (first on line %d)", c.Name, old.Line)
		}
		names[c.Name] = c.Pos
		s.Cases = append(s.Cases, c)
		switch outcome {
		case "worked":
			worked++
		case "failed":
			failed++
		default:
			unknown++
		}
	}
	if unknown > 0 && (worked == 0 || failed == 0) && len(l.errs) > 0 {
		return // the case that seems missing may be a broken one
	}
	if s.Exit != nil && len(s.Exit.Params) == 0 && len(s.Cases) > 0 {
		return // an event without params is the same after a success and after a failure
	}
	l.outcome(s, m, worked, "never_succeeds", s.NeverSucceeds, "succeeds")
	l.outcome(s, m, failed, "never_fails", s.NeverFails, "fails (its first wanted value is a negative errno)")
	l.proven(s, m, "worked", "succeeds")
	l.proven(s, m, "failed", "fails")
}

// proven checks that each exit param has a wanted value other than any in at least
// one case that ends so, if there is such a case.
func (l *loader) proven(s *Syscall, m *mapping, outcome, what string) {
	var cases []*Case
	for _, c := range s.Cases {
		if c.NoEvent == "" && l.outcomeOf(s, c) == outcome {
			cases = append(cases, c)
		}
	}
	if len(cases) == 0 {
		return
	}
	for _, p := range s.Exit.Params {
		open := 0
		for _, c := range cases {
			if slices.ContainsFunc(c.Want, func(b Binding) bool { return b.Name == p.Name && isName(b.Expr, "any") }) {
				open++
			}
		}
		if open == len(cases) {
			m.errorf(m.keys["cases"], "param %s is any in each case that %s (one must give its value)", p.Name, what)
		}
	}
}

func (l *loader) outcome(s *Syscall, m *mapping, count int, key, why, what string) {
	switch {
	case count == 0 && why == "":
		m.errorf(m.keys["cases"], "no case %s (add one, or say why in %s:)", what, key)
	case count > 0 && why != "":
		m.errorf(m.byKey[key], "%s, but a case does", key)
	}
}

func (l *loader) oneCase(s *Syscall, f *file, n *yaml.Node, only bool) (*Case, string) {
	m := f.mapping(n, s.Name, "case", caseKeys, &l.errs)
	if m == nil {
		return nil, ""
	}
	c := &Case{Pos: f.Pos(n), Syscall: s.Name, Name: m.text("name"), NoEvent: m.text("no_event"), NoEnter: m.text("no_enter")}
	if c.Name == "" {
		if !only {
			m.errorf(n, "case has no name (only an entry's single case may leave it out)")
		}
		c.Name = "works"
	}
	m.subject = s.Name + ": " + c.Name
	c.Needs = m.needs()
	c.Unsafe = m.bool("unsafe")
	if sn := m.byKey["snaplen"]; sn != nil {
		if v, ok := m.uint(sn, "snaplen", maxSnaplen); ok && v == 0 {
			m.errorf(sn, "snaplen 0 (1 to %d)", maxSnaplen)
		} else {
			c.Snaplen = int(v)
		}
	}
	if ln := m.byKey["left_out"]; ln != nil {
		if v, ok := m.uint(ln, "left_out", math.MaxInt32); ok && v == 0 {
			m.errorf(ln, "left_out 0 (that is so without it)")
		} else {
			c.LeftOut = int(v)
		}
	}
	c.Since, c.Until = l.versions(m)

	v := newValues(l, f, m.subject)
	v.kinds = []string{"given"}
	c.Given = v.bindings(m, "given")
	if m.required("call", "call: "+s.Name+"(...) is what the case does") {
		if cn := m.scalar("call"); cn != nil {
			c.Call = f.parse(cn, m.subject+": call", &l.errs)
			v.subject = m.subject + ": call"
			l.call(s, c.Call, v)
		}
	}
	v.vars["ret"], v.vars["child"] = true, true
	v.kinds = []string{"given", "after"}
	c.After = v.bindings(m, "after")
	for _, h := range v.called {
		c.Needs = inheritNeeds(c.Needs, m, h)
	}
	v.kinds = nil
	v.want = true
	c.Want = l.want(s, c, m, v, "want")
	c.Child = l.want(s, c, m, v, "child")
	if c.NoEnter != "" && s.Enter == nil {
		m.errorf(m.byKey["no_enter"], "no_enter in an entry without an enter event")
	}
	outcome := "worked"
	switch {
	case c.NoEvent == "":
		if m.required("want", "want: {res: 0} says what the event has") {
			outcome = l.covered(s, c, m)
		}
	case s.Enter != nil:
		l.enterCovered(s, c, m)
	case m.has("want"):
		m.errorf(m.byKey["want"], "want beside no_event")
	}
	return c, outcome
}

// versions reads since and until of a case.
func (l *loader) versions(m *mapping) (since, until string) {
	since, until = l.version(m, "since"), l.version(m, "until")
	if since != "" && until != "" && compareVersions(since, until) >= 0 {
		m.errorf(m.byKey["until"], "until %s is not after since %s", until, since)
	}
	return since, until
}

// inheritNeeds adds the needs of a function that the case calls.
func inheritNeeds(needs []string, m *mapping, h *Helper) []string {
	for _, need := range h.Needs {
		if !slices.Contains(needs, need) {
			needs = append(needs, need)
			continue
		}
		for _, n := range m.list("needs") {
			if n.Value == need {
				m.errorf(n, "need %s follows from %s (leave it out)", need, h.Name)
			}
		}
	}
	return needs
}

// covered checks that each exit param has a wanted value, written or as passed, and
// returns how the case ends.
func (l *loader) covered(s *Syscall, c *Case, m *mapping) string {
	wm := m.byKey["want"]
	if wm.Kind != yaml.MappingNode {
		return ""
	}
	missing := slices.DeleteFunc(l.asPassed(s, c), func(name string) bool { return slices.Contains(c.broken, name) })
	if len(missing) > 0 {
		m.errorf(wm, "want does not name %s, whose value does not follow from the call (every exit param is wanted; any accepts every value)", strings.Join(missing, ", "))
	}
	return l.outcomeOf(s, c)
}

// enterCovered leaves the wanted values of the enter event's params, in a case without an exit event.
func (l *loader) enterCovered(s *Syscall, c *Case, m *mapping) {
	enters := func(name string) bool {
		return slices.ContainsFunc(s.Enter.Params, func(p *Param) bool { return p.Name == name })
	}
	missing := slices.DeleteFunc(l.asPassed(s, c), func(name string) bool { return !enters(name) || slices.Contains(c.broken, name) })
	if len(missing) > 0 {
		m.errorf(m.byKey["no_event"], "want does not name %s of the enter event, whose value does not follow from the call", strings.Join(missing, ", "))
	}
	c.Want = slices.DeleteFunc(c.Want, func(b Binding) bool { return !enters(b.Name) })
}

// outcomeOf returns how a case ends, from the wanted value of the first param; "" if
// that does not say.
func (l *loader) outcomeOf(s *Syscall, c *Case) string {
	if len(s.broken) > 0 {
		return "" // perhaps of the first param
	}
	if len(s.Exit.Params) == 0 {
		return "worked"
	}
	var first *expr.Node
	for _, b := range c.Want {
		if b.Name == s.Exit.Params[0].Name {
			first = b.Expr
		}
	}
	switch {
	case first == nil:
		return ""
	case first.Kind == expr.Neg && first.Args[0].Kind == expr.Name && l.isErrno(first.Args[0].Text):
		return "failed"
	case first.Kind == expr.Compare && first.Text == "<" && isInt(first.Args[0], 0):
		return "failed"
	}
	return "worked"
}

func (l *loader) call(s *Syscall, x *expr.Node, v *values) {
	if x == nil {
		return
	}
	if x.Kind == expr.Call && s.like != "" && l.calls(s.like, x.Text) {
		x.Text = s.Name
	}
	if x.Kind != expr.Call || x.Text != s.Name {
		l.errs.Add(x.Pos, v.subject, "call is %s (%s(...) is expected)", short(x), s.Name)
		return
	}
	if len(x.Args) != len(s.Params) {
		l.errs.Add(x.Pos, v.subject, "call has %d argument%s, the signature %d", len(x.Args), plural(len(x.Args)), len(s.Params))
	}
	for _, a := range x.Args {
		v.check(a, true)
	}
}

// calls reports whether the cases of an entry may call a syscall: the entry's own, or
// that of the entry it is like.
func (l *loader) calls(entry, syscall string) bool {
	for ; entry != "" && entry != syscall; entry = peek(l.raw[entry], "like") {
	}
	return entry != ""
}

func short(x *expr.Node) string {
	if x.Kind == expr.Call {
		return x.Text + "()"
	}
	return "a " + x.Kind.String()
}

func (l *loader) want(s *Syscall, c *Case, m *mapping, v *values, key string) []Binding {
	n := m.byKey[key]
	if n == nil {
		return nil
	}
	wm := m.f.mapping(n, m.subject, key, nil, &l.errs)
	if wm == nil {
		return nil
	}
	fields := l.usedFields(wm, nil)
	byName := map[string]*Param{}
	var names []string
	for _, p := range s.Exit.Params {
		byName[p.Name] = p
		names = append(names, p.Name)
	}
	var out []Binding
	for _, e := range fields {
		v.f = e.f
		p := byName[e.key.Value]
		if p == nil && slices.Contains(s.broken, e.key.Value) {
			continue
		}
		if p == nil {
			l.errs.Add(e.f.Pos(e.key), m.subject, "%s names no exit param %s%s", key, e.key.Value, hint.DidYouMean(e.key.Value, names))
			continue
		}
		v.subject = m.subject + ": " + p.Name
		v.names = l.sets[p.Names]
		x := v.value(e.val, l.typ(p.Type).As == "text")
		v.check(x, true)
		v.names = nil
		if x == nil {
			c.broken = append(c.broken, p.Name)
		}
		if x != nil && x.Kind == expr.Compare && x.Text == ">=" && isInt(x.Args[0], 0) && l.typ(p.Type).Number() && !l.typ(p.Type).Signed() {
			v.errorf(x.Pos, "a bound of >= 0 proves nothing for type %s (write any, or a better bound)", p.Type)
		}
		if x != nil {
			out = append(out, Binding{Pos: e.f.Pos(e.key), Name: p.Name, Expr: x})
		}
	}
	v.f = m.f
	slices.SortStableFunc(out, func(a, b Binding) int { return slices.Index(names, a.Name) - slices.Index(names, b.Name) })
	return out
}
