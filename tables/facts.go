// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

// Fires says that another tracepoint reports the success of a call: a return
// of 0 makes no event at sys_exit.
type Fires struct {
	Pos        expr.Pos
	Tracepoint string
	Event      string   // the entry whose exit event the tracepoint makes
	On         []string // architectures, by GOARCH
}

// OfChild reports whether the event is about the task that the call made, not about its caller.
func (f *Fires) OfChild() bool { return f.Tracepoint == "sched_process_fork" }

// Kept are the calls of a syscall that dropping mode keeps: those whose argument Arg
// has one of Values.
type Kept struct {
	Arg    int
	Values []*expr.Node
}

// Probe restricts the cases that are derived from a signature. The zero value
// restricts nothing.
type Probe struct {
	Skip    string // why there are none
	NoZeros string // why no case passes zeros for everything
	Zero    string // the argument that is 0 in each of them
	Unsafe  bool   // they change the machine: never run by `scaplab host`
}

var (
	firedTracepoints = []string{"sched_process_exec", "sched_process_fork"}
	keptTracepoints  = []string{"task_newtask"}
	lostKinds        = []string{"clone_fork", "execve", "connect", "open", "dir_file", "other_interest", "close", "proc_exit"}
)

// facts reads what the drivers and the harness need to know about the call.
func (l *loader) facts(s *Syscall, m *mapping) {
	if id := l.ids[s.Name]; id != nil && (id.Hot != nil || id.Probe != (Probe{})) {
		m.errorf(m.node, "hot or probe of the call is in ids.yaml, line %d (it moves into the entry)", id.Pos.Line)
	}
	s.Hot = l.hot(m, s.NR)
	s.DropFailed = m.bool("drop_failed")
	s.Lost = m.oneOf("lost", lostKinds)
	s.Probe = l.probe(m, s)
	if n := m.byKey["socketcall"]; n != nil {
		switch v, ok := m.uint(n, "socketcall", abi.Socketcalls-1); {
		case ok && v == 0:
			m.errorf(n, "socketcall 0 is not a sub-call (they count from 1)")
		case ok:
			s.Socketcall = int(v)
		}
	}
	s.Keeps = m.oneOf("keeps", keptTracepoints)
	l.fires(s, m)
	l.dropUnless(s, m)
}

// hot reads the architectures where the eBPF dispatcher jumps to the call's program directly.
func (l *loader) hot(m *mapping, nr map[string]int) []string {
	n := m.byKey["hot"]
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		if !m.bool("hot") {
			return nil
		}
		return slices.DeleteFunc(slices.Clone(bpfArches), func(arch string) bool { _, ok := nr[arch]; return !ok })
	}
	var out []string
	for _, v := range m.list("hot") {
		if v = m.asScalar(v, "hot"); v == nil {
			continue
		}
		switch _, ok := nr[v.Value]; {
		case !slices.Contains(bpfArches, v.Value):
			m.errorf(v, "unknown architecture %s%s", v.Value, hint.DidYouMean(v.Value, bpfArches))
		case !ok:
			m.errorf(v, "hot on %s, where the call has no number", v.Value)
		default:
			out = append(out, v.Value)
		}
	}
	return out
}

// eventFacts reads how dropping mode treats the event and which counter of the module counts its losses.
func (l *loader) eventFacts(ev *Event, m *mapping) {
	ev.Drop, ev.Lost = m.oneOf("drop", dropClasses), m.oneOf("lost", lostKinds)
	if ev.From != "" && ev.Drop == "" {
		ev.Drop = "always"
	}
	for _, key := range []string{"drop", "lost"} {
		if m.has(key) && ev.From == "" {
			m.errorf(m.byKey[key], "%s of an event that no driver makes (from names what fires it)", key)
		}
	}
}

func (l *loader) fires(s *Syscall, m *mapping) {
	n := m.byKey["fires"]
	if n == nil {
		return
	}
	fm := m.f.mapping(n, m.subject, "fires", []string{"tracepoint", "event", "on"}, &l.errs)
	if fm == nil || !fm.required("tracepoint", "tracepoint: sched_process_exec reports the success") ||
		!fm.required("event", "event: execve is the entry whose event it makes") {
		return
	}
	s.Fires = &Fires{Pos: m.f.Pos(fm.byKey["event"]), Tracepoint: fm.oneOf("tracepoint", firedTracepoints), Event: fm.text("event"), On: Arches}
	if !fm.has("on") {
		return
	}
	s.Fires.On = nil
	all := append([]string{"generic"}, Arches...)
	for _, v := range fm.list("on") {
		if v = fm.asScalar(v, "on"); v == nil {
			continue
		}
		if !slices.Contains(all, v.Value) {
			fm.errorf(v, "unknown architecture %s%s", v.Value, hint.DidYouMean(v.Value, all))
			continue
		}
		s.Fires.On = append(s.Fires.On, expandArch(v.Value)...)
	}
}

func (l *loader) dropUnless(s *Syscall, m *mapping) {
	n := m.byKey["drop_unless"]
	if n == nil {
		return
	}
	dm := m.f.mapping(n, m.subject, "drop_unless", nil, &l.errs)
	if dm == nil {
		return
	}
	if len(dm.fields) != 1 {
		m.errorf(n, "drop_unless has %d arguments (one, with the values that are kept: {cmd: [F_DUPFD]})", len(dm.fields))
		return
	}
	key := dm.fields[0].key
	s.DropUnless = &Kept{Arg: s.argument(key.Value)}
	if s.DropUnless.Arg < 0 {
		dm.errorf(key, "drop_unless tests unknown %s%s", key.Value, hint.DidYouMean(key.Value, s.arguments()))
	}
	for _, v := range dm.list(key.Value) {
		if v = dm.asScalar(v, "drop_unless"); v == nil {
			continue
		}
		if x := m.f.parse(v, m.subject, &l.errs); x != nil && l.constant(x, m.subject) {
			s.DropUnless.Values = append(s.DropUnless.Values, x)
		}
	}
}

// probe reads the restriction of generated cases; s is nil in ids.yaml, where arguments are unknown.
func (l *loader) probe(m *mapping, s *Syscall) Probe {
	n := m.byKey["probe"]
	if n == nil {
		return Probe{}
	}
	pm := m.f.mapping(n, m.subject, "probe", []string{"skip", "no_zeros", "zero", "unsafe"}, &l.errs)
	if pm == nil {
		return Probe{}
	}
	p := Probe{Skip: pm.text("skip"), NoZeros: pm.text("no_zeros"), Zero: pm.text("zero"), Unsafe: pm.bool("unsafe")}
	if p == (Probe{}) {
		pm.errorf(n, "probe is empty (probe: {skip: why} is an example)")
	}
	if p.Skip != "" && p != (Probe{Skip: p.Skip}) {
		pm.errorf(pm.byKey["skip"], "skip beside other keys (there are no cases then)")
	}
	if p.Zero != "" && s != nil && s.argument(p.Zero) < 0 {
		pm.errorf(pm.byKey["zero"], "zero names no argument %s%s", p.Zero, hint.DidYouMean(p.Zero, s.arguments()))
	}
	return p
}

// argument returns the index of the argument of that name, or -1.
func (s *Syscall) argument(name string) int {
	return slices.IndexFunc(s.Params, func(p CParam) bool { return p.Name == name })
}

func (s *Syscall) arguments() []string {
	var names []string
	for _, p := range s.Params {
		names = append(names, p.Name)
	}
	return names
}

// checkFacts applies the rules about facts that need the whole table.
func (l *loader) checkFacts() {
	entries := map[string]*Syscall{}
	socketcalls := map[int]*Syscall{}
	for _, s := range l.table.Syscalls {
		entries[s.Name] = s
		if s.Socketcall == 0 {
			continue
		}
		if old := socketcalls[s.Socketcall]; old != nil {
			l.errs.Add(s.Pos, s.Name, "socketcall %d belongs to %s (%s)", s.Socketcall, old.Name, lineOf(old.Pos, s.Pos))
			continue
		}
		socketcalls[s.Socketcall] = s
	}
	if ids := l.table.IDs; len(socketcalls) > 0 && len(ids) > 0 && !slices.ContainsFunc(ids, func(id *ID) bool {
		return id.Name == "socketcall" && id.NR["386"] != 0
	}) {
		l.errs.Add(ids[0].Pos, "socketcall", "number for 32-bit tasks is missing (nr: {386: 102}; entries are sub-calls of it)")
	}
	for _, s := range l.table.Syscalls {
		if f := s.Fires; f != nil && entries[f.Event] == nil {
			l.errs.Add(f.Pos, s.Name, "event of unknown syscall %s%s", f.Event, hint.DidYouMean(f.Event, slices.Sorted(maps.Keys(entries))))
		}
	}
}
