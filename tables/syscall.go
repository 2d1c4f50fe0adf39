// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/scaplab/scaplab/internal/expr"
)

var syscallKeys = []string{
	"syscall", "class", "drop", "nr", "since", "until", "event", "name", "flags", "first", "enter", "exit", "state", "filler", "fd",
	"differs", "never_fails", "never_succeeds", "cases",
}

func (l *loader) syscall(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "syscall"), "entry", syscallKeys, &l.errs)
	if m == nil || !m.required("syscall", "syscall: getppid() is its signature") {
		return
	}
	sigNode := m.scalar("syscall")
	if sigNode == nil {
		return
	}
	sig, serr := parseSignature(sigNode.Value)
	if serr != nil {
		l.errs.add(l.in(f, sigNode, serr.off), "syscall", "%s", serr.msg)
		return
	}
	s := &Syscall{Pos: f.start(sigNode), Name: sig.Name, Params: sig.Params}
	l.table.Syscalls = append(l.table.Syscalls, s)
	m.subject = s.Name
	if m.required("class", "class: file is its category") {
		s.Class = m.oneOf("class", syscallClasses)
	}
	s.Differs = m.text("differs")
	s.NeverFails, s.NeverSucceeds = m.text("never_fails"), m.text("never_succeeds")
	if m.required("nr", "nr: {amd64: 257, generic: 56}, or one number when all agree") {
		s.NR = l.numbers(m)
	}
	l.availability(s, m)

	if !m.required("event", "event: 307 is the code of its exit event") {
		return
	}
	code, ok := m.uint(m.byKey["event"], "event code", 1<<16-1)
	if !ok {
		return
	}
	ours := code >= oursFrom
	switch {
	case code%2 == 0:
		m.errorf(m.byKey["event"], "code %s is an enter code (event is the exit code, which is odd)", codeText(uint16(code)))
		return
	case code > referenceLast && !ours:
		m.errorf(m.byKey["event"], "code %d belongs to nobody (the reference ends at %d, ours start at %#x)", code, referenceLast, oursFrom)
	}
	if s.Drop = m.oneOf("drop", dropClasses); s.Drop == "" {
		s.Drop = "sampled"
		if ours {
			s.Drop = "always"
		}
	}
	name := s.Name
	if n := m.scalar("name"); n != nil {
		if name = n.Value; !expr.IsIdent(name) {
			m.errorf(n, "bad name %s (a C identifier is expected)", name)
			return
		}
	}
	s.Exit = &Event{
		Pos: s.Pos, Code: uint16(code), Name: name, Symbol: name + "_exit", Dir: "exit", Class: s.Class, Source: "syscall",
		From: "sys_exit", Filler: m.oneOf("filler", []string{"manual"}), FDParam: -1, Differs: s.Differs,
	}
	if ex := m.byKey["exit"]; ex != nil {
		s.Exit.Params = l.params(f, ex, &context{subject: s.Name, sys: s, noSource: s.Exit.Filler != ""})
		if m.has("first") {
			m.errorf(m.byKey["first"], "first beside an exit list (it names the first param of an inferred one)")
		}
	} else {
		s.Exit.Params = l.inferExit(s, m.oneOf("first", []string{"res", "fd", "pid"}), l.sigAt(f, sigNode, sig))
	}
	l.eventFlags(s, m, ours)
	l.finish(s.Exit, m, "fd")
	l.own(s.Exit, f.pos(m.byKey["event"]), s.Name)
	if en := m.byKey["enter"]; en != nil {
		s.Enter = &Event{
			Pos: f.pos(en), Code: uint16(code - 1), Name: name, Symbol: name + "_enter", Dir: "enter", Class: s.Class, Source: "syscall",
			From: "sys_enter", FDParam: -1, Flags: slices.Clone(s.Exit.Flags),
		}
		s.Enter.Params = l.params(f, en, &context{subject: s.Name, sys: s, enter: true})
		l.finish(s.Enter, m, "fd")
		l.own(s.Enter, f.pos(m.byKey["event"]), s.Name)
	}
	l.state(s, m)
	l.cases(s, m)
}

// sigAt makes the offsets of a signature's params columns of the file,
// relative to where the signature starts.
func (l *loader) sigAt(f *file, n *yaml.Node, sig *Signature) *Signature {
	out := *sig
	out.At = make([]int, len(sig.At))
	start := f.start(n)
	for i, off := range sig.At {
		if p := l.in(f, n, off); p.Line == start.Line {
			out.At[i] = p.Col - start.Col
		}
	}
	return &out
}

// numbers reads `nr`: one number for all architectures, or one by architecture.
func (l *loader) numbers(m *mapping) map[string]int {
	nr := map[string]int{}
	n := m.byKey["nr"]
	if n.Kind != yaml.MappingNode {
		if v, ok := m.uint(n, "nr", maxNR); ok {
			for _, a := range Arches {
				nr[a] = int(v)
			}
		}
		return nr
	}
	am := m.f.mapping(n, m.subject, "nr", append([]string{"generic", "386"}, Arches...), &l.errs)
	for _, e := range am.fields {
		v, ok := am.uint(e.val, "nr", maxNR)
		if !ok {
			continue
		}
		for _, arch := range expandArch(e.key.Value) {
			if e.key.Value == "generic" && am.has(arch) {
				continue
			}
			nr[arch] = int(v)
		}
	}
	if len(am.fields) == 0 {
		am.errorf(n, "nr is empty (a syscall has a number on some architecture)")
	}
	return nr
}

// availability reads since and until.
func (l *loader) availability(s *Syscall, m *mapping) {
	s.Until = l.version(m, "until")
	s.Since = map[string]string{}
	for arch := range s.NR {
		s.Since[arch] = ""
	}
	n := m.byKey["since"]
	switch {
	case n == nil:
		return
	case n.Kind == yaml.MappingNode:
		am := m.f.mapping(n, s.Name, "since", append([]string{"all", "generic"}, Arches...), &l.errs)
		for _, e := range am.fields {
			v := l.version(am, e.key.Value)
			for _, arch := range expandArch(e.key.Value) {
				if _, ok := s.NR[arch]; !ok {
					if arch == e.key.Value {
						am.errorf(e.key, "since for %s, which has no number", arch)
					}
					continue
				}
				if e.key.Value != arch && am.has(arch) || e.key.Value == "all" && am.has("generic") && slices.Contains(expandArch("generic"), arch) {
					continue
				}
				s.Since[arch] = v
			}
		}
	default:
		v := l.version(m, "since")
		for arch := range s.Since {
			s.Since[arch] = v
		}
	}
	for _, arch := range slices.Sorted(maps.Keys(s.Since)) {
		if v := s.Since[arch]; s.Until != "" && v != "" && compareVersions(v, s.Until) >= 0 {
			m.errorf(m.byKey["until"], "until %s is not after since %s", s.Until, v)
			break
		}
	}
}

// eventFlags reads `flags`. Events of the reference have what is written;
// ours, without it, what follows from params and state.
func (l *loader) eventFlags(s *Syscall, m *mapping, ours bool) {
	if !m.has("flags") && ours {
		s.Exit.Flags = inferFlags(s.Exit, m.has("state"))
		return
	}
	s.Exit.Flags = m.names("flags", "event flag", func(f string) bool { return slices.Contains(eventFlags, f) }, eventFlags)
	slices.SortFunc(s.Exit.Flags, func(a, b string) int { return slices.Index(eventFlags, a) - slices.Index(eventFlags, b) })
}

func (l *loader) state(s *Syscall, m *mapping) {
	n := m.scalar("state")
	if n == nil {
		return
	}
	x := m.f.parse(n, s.Name+": state", &l.errs)
	if x == nil {
		return
	}
	s.State = x
	subject := s.Name + ": state"
	if isName(x, "manual") {
		return
	}
	if x.Kind != expr.Call {
		l.errs.add(x.Pos, subject, "state is a %s (a reducer such as open_file(fd, name), or manual, is expected)", x.Kind)
		return
	}
	if h := l.helpers["reducer"][x.Text]; h == nil {
		l.errs.add(x.Pos, subject, "unknown reducer %s%s", x.Text, didYouMean(x.Text, slices.Sorted(maps.Keys(l.helpers["reducer"]))))
	} else {
		l.arity(x, h, subject)
	}
	known := []string{}
	for _, p := range s.Exit.Params {
		known = append(known, p.Name)
	}
	for _, a := range x.Args {
		switch {
		case a.Kind == expr.Int || a.Kind == expr.Neg && a.Args[0].Kind == expr.Int:
		case a.Kind == expr.Name && l.isConstant(a.Text) && !slices.Contains(known, a.Text):
		case a.Kind != expr.Name:
			l.errs.add(a.Pos, subject, "argument is a %s (a param of the exit event or a constant is expected)", a.Kind)
		case !slices.Contains(known, a.Text):
			l.errs.add(a.Pos, subject, "unknown param %s%s", a.Text, didYouMean(a.Text, known))
		}
	}
}

// ---- cases

var caseKeys = []string{
	"name", "needs", "unsafe", "snaplen", "since", "until", "given", "call", "after", "want", "child", "no_event", "except",
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
			l.errs.add(c.Pos, s.Name, "case %s is described twice (first on line %d)", c.Name, old.Line)
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
		return // a broken case may be the one that would be missing
	}
	if s.Exit != nil && len(s.Exit.Params) == 0 && len(s.Cases) > 0 {
		return // an event that says nothing is the same after a success and after a failure
	}
	l.outcome(s, m, worked, "never_succeeds", s.NeverSucceeds, "succeeds")
	l.outcome(s, m, failed, "never_fails", s.NeverFails, "fails (its first wanted value is a negative errno)")
	l.proven(s, m, "worked", "succeeds")
	l.proven(s, m, "failed", "fails")
}

// proven checks that each exit param has a value that is looked at in some case
// that ends so, if there is one.
func (l *loader) proven(s *Syscall, m *mapping, outcome, what string) {
	var cases []*Case
	for _, c := range s.Cases {
		if c.NoEvent == "" && outcomeOf(s, c) == outcome {
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
			m.errorf(m.keys["cases"], "param %s is any in each case that %s (one must tell what it holds)", p.Name, what)
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
	c := &Case{Pos: f.pos(n), Syscall: s.Name, Name: m.text("name"), NoEvent: m.text("no_event")}
	if c.Name == "" {
		if !only {
			m.errorf(n, "case has no name (only a single case may do without)")
		}
		c.Name = "works"
	}
	m.subject = s.Name + ": " + c.Name
	c.Needs = m.names("needs", "need", func(s string) bool { return Needs[s] != "" }, slices.Sorted(maps.Keys(Needs)))
	c.Unsafe = m.bool("unsafe")
	if sn := m.byKey["snaplen"]; sn != nil {
		if v, ok := m.uint(sn, "snaplen", maxSnaplen); ok && v == 0 {
			m.errorf(sn, "snaplen 0 (1 to %d)", maxSnaplen)
		} else {
			c.Snaplen = int(v)
		}
	}
	c.Since, c.Until = l.version(m, "since"), l.version(m, "until")
	if c.Since != "" && c.Until != "" && compareVersions(c.Since, c.Until) >= 0 {
		m.errorf(m.byKey["until"], "until %s is not after since %s", c.Until, c.Since)
	}
	c.Except = l.except(m)

	v := &values{l: l, f: f, subject: m.subject, vars: map[string]bool{}}
	for name := range expr.Vars {
		v.vars[name] = name != "ret" && name != "child"
	}
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
	v.kinds = nil
	v.want = true
	c.Want = l.want(s, m, v, "want")
	c.Child = l.want(s, m, v, "child")
	outcome := "worked"
	if c.NoEvent == "" {
		if m.required("want", "want: {res: 0} tells what the event carries") {
			outcome = l.covered(s, c, m)
		}
	} else if m.has("want") {
		m.errorf(m.byKey["want"], "want beside no_event")
	}
	return c, outcome
}

// covered checks that each exit param is wanted, and tells how the case ends.
func (l *loader) covered(s *Syscall, c *Case, m *mapping) string {
	wm := m.byKey["want"]
	if wm.Kind != yaml.MappingNode {
		return ""
	}
	var missing []string
	for _, p := range s.Exit.Params {
		if !slices.ContainsFunc(wm.Content, func(n *yaml.Node) bool { return n.Value == p.Name }) {
			missing = append(missing, p.Name)
		}
	}
	if len(missing) > 0 {
		m.errorf(wm, "want does not name %s (every exit param is wanted; any leaves it open)", strings.Join(missing, ", "))
	}
	return outcomeOf(s, c)
}

// outcomeOf tells how a case ends by what it wants of the first param; "" when
// it does not say.
func outcomeOf(s *Syscall, c *Case) string {
	if len(s.broken) > 0 {
		return "" // perhaps the first one
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
	case first.Kind == expr.Neg && first.Args[0].Kind == expr.Name && errnos[first.Args[0].Text]:
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
	if x.Kind != expr.Call || x.Text != s.Name {
		l.errs.add(x.Pos, v.subject, "call is %s (%s(...) is expected)", short(x), s.Name)
		return
	}
	if len(x.Args) != len(s.Params) {
		l.errs.add(x.Pos, v.subject, "call has %d argument%s, the signature %d", len(x.Args), plural(len(x.Args)), len(s.Params))
	}
	for _, a := range x.Args {
		v.check(a, true)
	}
}

func short(x *expr.Node) string {
	if x.Kind == expr.Call {
		return x.Text + "()"
	}
	return "a " + x.Kind.String()
}

func (l *loader) want(s *Syscall, m *mapping, v *values, key string) []Binding {
	n := m.byKey[key]
	if n == nil {
		return nil
	}
	wm := m.f.mapping(n, m.subject, key, nil, &l.errs)
	if wm == nil {
		return nil
	}
	byName := map[string]*Param{}
	var names []string
	for _, p := range s.Exit.Params {
		byName[p.Name] = p
		names = append(names, p.Name)
	}
	var out []Binding
	for _, e := range wm.fields {
		p := byName[e.key.Value]
		if p == nil && slices.Contains(s.broken, e.key.Value) {
			continue
		}
		if p == nil {
			wm.errorf(e.key, "%s names no exit param %s%s", key, e.key.Value, didYouMean(e.key.Value, names))
			continue
		}
		v.subject = m.subject + ": " + p.Name
		v.names = l.sets[p.Names]
		x := v.value(e.val, wireTypes[p.Type].shape == "text")
		v.check(x, true)
		v.names = nil
		if x != nil && x.Kind == expr.Compare && x.Text == ">=" && isInt(x.Args[0], 0) && !signedTypes[p.Type] {
			v.errorf(x.Pos, ">= 0 proves nothing of type %s (any says so; a bound is better)", p.Type)
		}
		if x != nil {
			out = append(out, Binding{Pos: m.f.pos(e.key), Name: p.Name, Expr: x})
		}
	}
	return out
}

// values reads and checks what cases are made of.
type values struct {
	l       *loader
	f       *file
	subject string
	vars    map[string]bool // true: has a value here
	kinds   []string        // of functions that may be called
	want    bool
	names   *FlagSet // of the wanted param
}

func (v *values) errorf(pos expr.Pos, format string, args ...any) {
	v.l.errs.add(pos, v.subject, format, args...)
}

func (v *values) bindings(m *mapping, key string) []Binding {
	n := m.byKey[key]
	if n == nil {
		return nil
	}
	bm := m.f.mapping(n, m.subject, key, nil, &v.l.errs)
	if bm == nil {
		return nil
	}
	var out []Binding
	for _, e := range bm.fields {
		name := e.key.Value
		v.subject = m.subject + ": " + name
		if !expr.IsIdent(name) {
			v.errorf(m.f.pos(e.key), "bad variable name %q (a C identifier is expected)", name)
			continue
		}
		if _, ok := v.vars[name]; ok {
			v.errorf(m.f.pos(e.key), "variable %s has a value already", name)
			continue
		}
		x := v.value(e.val, false)
		v.check(x, true)
		v.vars[name] = true
		if x != nil {
			out = append(out, Binding{Pos: m.f.pos(e.key), Name: name, Expr: x})
		}
	}
	return out
}

// value turns a YAML value into an expression: collections into lists and
// structs, scalars by parsing. Wanted text needs no quotes.
func (v *values) value(n *yaml.Node, text bool) *expr.Node {
	pos := v.f.pos(n)
	switch n.Kind {
	case yaml.SequenceNode:
		x := &expr.Node{Kind: expr.List, Pos: pos}
		for _, c := range n.Content {
			a := v.value(c, text)
			if a == nil {
				return nil
			}
			x.Args = append(x.Args, a)
		}
		return x
	case yaml.MappingNode:
		m := v.f.mapping(n, v.subject, "value", nil, &v.l.errs)
		x := &expr.Node{Kind: expr.Struct, Pos: pos}
		for _, e := range m.fields {
			if !expr.IsIdent(e.key.Value) {
				v.errorf(v.f.pos(e.key), "bad field name %q (a C identifier is expected)", e.key.Value)
				return nil
			}
			a := v.value(e.val, false)
			if a == nil {
				return nil
			}
			x.Names, x.Args = append(x.Names, e.key.Value), append(x.Args, a)
		}
		return x
	}
	if n.Value == "" && n.Style&quotedStyle == 0 {
		v.errorf(pos, "value is missing")
		return nil
	}
	if text && !isExpression(n.Value) {
		x, err := expr.Parse(expr.Quote(n.Value), pos)
		if err != nil {
			addAll(&v.l.errs, v.subject, err, func(expr.Pos) expr.Pos { return pos })
			return nil
		}
		x.Pos = pos
		return x
	}
	return v.f.parse(n, v.subject, &v.l.errs)
}

// isExpression tells wanted text that is computed from text that is meant as it stands.
func isExpression(s string) bool {
	if s == "empty" || s == "any" || strings.HasPrefix(s, `"`) {
		return true
	}
	if name, args, ok := strings.Cut(s, "("); ok && expr.Functions[name] != "" && strings.HasSuffix(args, ")") {
		return true
	}
	if !strings.HasPrefix(s, "$") {
		return false
	}
	x, err := expr.Parse(s, expr.Pos{})
	return err == nil && x.Kind == expr.Var
}

// check walks a value; top is where a comparison, empty, any or a tuple may stand.
func (v *values) check(n *expr.Node, top bool) {
	if n == nil {
		return
	}
	switch n.Kind {
	case expr.Var:
		v.variable(n.Pos, n.Text)
	case expr.Str:
		for _, r := range expr.Refs(n.Text) {
			v.variable(v.f.find(n.Pos, r.Name), r.Name)
		}
	case expr.Name:
		v.name(n, top)
		return
	case expr.Neg:
		if a := n.Args[0]; a.Kind == expr.Name && strings.HasPrefix(a.Text, "E") {
			if !errnos[a.Text] {
				v.errorf(a.Pos, "unknown errno %s%s", a.Text, didYouMean(a.Text, errnoNames))
			}
			return
		}
	case expr.Call:
		v.function(n)
	case expr.Compare:
		if !v.want {
			v.errorf(n.Pos, "comparison outside want")
		}
	case expr.Arrow:
		if !v.want {
			v.errorf(n.Pos, "tuple outside want")
		}
	}
	inside := n.Kind == expr.List || n.Kind == expr.Struct
	for _, a := range n.Args {
		v.check(a, inside)
	}
}

func (v *values) variable(pos expr.Pos, name string) {
	ready, ok := v.vars[name]
	switch {
	case !ok:
		v.errorf(pos, "unknown variable $%s%s", name, strings.Replace(didYouMean(name, slices.Sorted(maps.Keys(v.vars))), "mean ", "mean $", 1))
	case !ready:
		v.errorf(pos, "variable $%s has no value before the call", name)
	}
}

func (v *values) name(n *expr.Node, top bool) {
	name := n.Text
	switch {
	case name == "NULL":
	case name == "empty" || name == "any":
		if !v.want || !top {
			v.errorf(n.Pos, "%s outside want", name)
		}
	case v.names != nil:
		if !v.names.has(name) {
			v.errorf(n.Pos, "%s is not in flag set %s%s", name, v.names.Name, didYouMean(name, v.names.names()))
		}
	case v.l.isConstant(name) || errnos[name]:
	case name[0] >= 'a' && name[0] <= 'z':
		hint := " (constants are in upper case)"
		if _, ok := v.vars[name]; ok {
			hint = " (did you mean $" + name + "?)"
		}
		v.errorf(n.Pos, "unknown name %s%s", name, hint)
	}
}

func (v *values) function(n *expr.Node) {
	if expr.Functions[n.Text] != "" {
		if n.Text == "between" {
			if !v.want {
				v.errorf(n.Pos, "between outside want")
			}
			if len(n.Args) != 2 {
				v.errorf(n.Pos, "between has %d argument%s (between(low, high) is expected)", len(n.Args), plural(len(n.Args)))
			}
		}
		return
	}
	var names []string
	for _, kind := range v.kinds {
		if h := v.l.helpers[kind][n.Text]; h != nil {
			v.l.arity(n, h, v.subject)
			return
		}
		names = slices.AppendSeq(names, maps.Keys(v.l.helpers[kind]))
	}
	slices.Sort(names)
	if v.want {
		v.errorf(n.Pos, "function %s in want (it compares with facts of given and after; between and bytes are known)", n.Text)
		return
	}
	if h := v.l.helpers["after"][n.Text]; h != nil {
		v.errorf(n.Pos, "function %s before the call (it belongs to after)", n.Text)
		return
	}
	v.errorf(n.Pos, "unknown function %s%s", n.Text, didYouMean(n.Text, names))
}
