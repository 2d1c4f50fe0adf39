// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

var syscallKeys = []string{
	"syscall", "like", "class", "drop", "nr", "since", "until", "event", "name",
	"hot", "socketcall", "fires", "keeps", "drop_failed", "drop_unless", "lost", "probe", "flags", "first", "secret", "enter", "exit", "variants", "state", "filler",
	"fd", "differs", "differs_of", "grown", "never_fails", "never_succeeds", "cases",
}

func (l *loader) syscall(f *file, n *yaml.Node) {
	written := n
	n, like := l.like(f, n)
	if before := len(l.errs); like != "" {
		defer func() { l.inherited(before, f, written) }()
	}
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
		l.errs.Add(l.in(f, sigNode, serr.off), "syscall", "%s", serr.msg)
		return
	}
	s := &Syscall{Pos: f.Start(sigNode), Name: sig.Name, Params: sig.Params, like: like}
	l.table.Syscalls = append(l.table.Syscalls, s)
	m.subject = s.Name
	if m.required("class", "class: file is its category") {
		s.Class = m.oneOf("class", names(l.table.Types.Classes...))
		if s.Class != "" && l.class != "" && s.Class != l.class {
			m.errorf(m.byKey["class"], "class %s in the file of class %s (the entry belongs to %s/%s.yaml)", s.Class, l.class, partDir, s.Class)
		}
	}
	for i, p := range s.Params {
		if _, ok := cTypeOf(p.Type); !ok && !IsPointer(p.Type) {
			l.errs.Add(l.in(f, sigNode, sig.TypeAt[i]), s.Name+": "+p.Name, "unknown C type %s%s", p.Type, hint.DidYouMean(p.Type, cTypeNames()))
		}
	}
	s.Differs = m.differs()
	s.NeverFails, s.NeverSucceeds = m.text("never_fails"), m.text("never_succeeds")
	s.Grown = l.grown(s, m)
	l.identity(s, m)
	l.availability(s, m)
	l.facts(s, m)
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
		m.errorf(m.byKey["event"], "code %s is an enter code (event is the exit code, which is odd)", CodeText(uint16(code)))
		return
	case code >= oursEnd:
		m.errorf(m.byKey["event"], "code %s is not ours (ours are %#x to %#x)", CodeText(uint16(code)), oursFrom, oursEnd-1)
	case code > referenceLast && !ours:
		m.errorf(m.byKey["event"], "code %d is neither the reference's nor ours (the reference ends at %d, ours start at %#x)", code, referenceLast, oursFrom)
	}
	if s.Drop == "" {
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
		vs := l.readVariants(s, m)
		s.Exit.Params = l.params(f, ex, &context{subject: s.Name, sys: s, noSource: s.Exit.Filler != "", variants: vs, fixed: !ours})
		vs.check(l, s)
		if m.has("first") {
			m.errorf(m.byKey["first"], "first beside an exit list (it names the first param of an inferred one)")
		}
	} else {
		if m.has("variants") {
			m.errorf(m.byKey["variants"], "variants without an exit list (they give its params their sources)")
		}
		s.Exit.Params = l.inferExit(s, m.oneOf("first", []string{"res", "fd", "pid"}), l.sigAt(f, sigNode, sig))
	}
	l.eventFlags(s, m, ours)
	l.finish(s.Exit, m, "fd")
	l.own(s.Exit, f.Pos(m.byKey["event"]), s.Name)
	if en := m.byKey["enter"]; en != nil {
		s.Enter = &Event{
			Pos: f.Pos(en), Code: uint16(code - 1), Name: name, Symbol: name + "_enter", Dir: "enter", Class: s.Class, Source: "syscall",
			From: "sys_enter", FDParam: -1, Flags: slices.Clone(s.Exit.Flags),
		}
		if flags, ok := l.lockedFlags(s.Enter.Code); ok {
			s.Enter.Flags = flags
		}
		s.Enter.Params = l.params(f, en, &context{subject: s.Name, sys: s, enter: true, fixed: !ours})
		for _, p := range s.Enter.Params {
			if !slices.ContainsFunc(s.Exit.Params, func(q *Param) bool { return q.Name == p.Name }) && !slices.Contains(s.broken, p.Name) {
				l.errs.Add(p.Pos, s.Name+": "+p.Name, "no exit param has the name of this enter param (cases compare both with one wanted value)")
			}
		}
		l.finish(s.Enter, m, "fd")
		l.own(s.Enter, f.Pos(m.byKey["event"]), s.Name)
	}
	l.secret(s, m)
	l.state(s.Exit, m)
	l.cases(s, m)
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

// eventFlags reads `flags`. If they are left out, an event of the reference has the
// flags of the lock; those of our own events follow from params and state.
func (l *loader) eventFlags(s *Syscall, m *mapping, ours bool) {
	if flags, ok := l.lockedFlags(s.Exit.Code); ok && !m.has("flags") {
		s.Exit.Flags = flags
		return
	}
	if !m.has("flags") && ours {
		state := m.byKey["state"]
		s.Exit.Flags = inferFlags(s.Exit, state != nil && state.Kind == yaml.ScalarNode)
		return
	}
	s.Exit.Flags = m.words("flags", "event flag", l.table.Types.EventFlags)
}

// secret reads `secret`: the arguments that point to what an event must not have. They are
// told by their size, which is another argument or the result.
func (l *loader) secret(s *Syscall, m *mapping) {
	for _, n := range m.list("secret") {
		n = m.asScalar(n, "secret")
		if n == nil {
			continue
		}
		if !slices.ContainsFunc(s.Params, func(a CParam) bool { return a.Name == n.Value && IsPointer(a.Type) }) {
			m.errorf(n, "secret names no argument %s that is a pointer", n.Value)
			continue
		}
		told := func(p *Param, x *expr.Node) {
			if x == nil {
				return
			}
			expr.Walk(x, func(y *expr.Node) bool {
				if isName(y, n.Value) && (x != y || !l.typ(p.Type).Number()) { // a bare address is no secret
					l.errs.Add(y.Pos, s.Name+": "+p.Name, "the contents of %s are secret (send its size)", n.Value)
				}
				return true
			})
		}
		for _, p := range s.Exit.Params {
			told(p, p.From)
			told(p, p.Else)
			if p.Switch != nil {
				for _, a := range p.Switch.Arms {
					told(p, a.From)
				}
			}
		}
	}
}
