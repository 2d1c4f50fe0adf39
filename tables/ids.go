// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"

	"go.yaml.in/yaml/v4"
)

func (l *loader) id(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "syscall"), "entry", []string{"id", "syscall", "drop", "nr", "absent", "symbol", "hot", "probe"}, &l.errs)
	if m == nil || !m.required("id", "id: 3 is the syscall code") || !m.required("syscall", "syscall: read is its name") {
		return
	}
	id := &ID{Pos: f.Pos(n), Name: m.text("syscall"), Drop: m.oneOf("drop", dropClasses), Symbol: m.text("symbol")}
	m.subject = id.Name
	m.required("drop", "drop: sampled is an example")
	code, ok := m.uint(m.byKey["id"], "id", 1<<16-1)
	if !ok {
		return
	}
	id.Code = uint16(code)
	if ids := l.table.IDs; len(ids) > 0 && id.Code <= ids[len(ids)-1].Code {
		m.errorf(m.byKey["id"], "id %d comes after %d (ids ascend)", id.Code, ids[len(ids)-1].Code)
	}
	if m.has("nr") {
		id.NR = l.numbers(m)
	}
	id.Absent = absent(m, id.NR)
	id.Hot, id.Probe = l.hot(m, id.NR), l.probe(m, nil)
	l.table.IDs = append(l.table.IDs, id)
}

// absent reads the architectures that have a number for a call, but no kernel with the call.
func absent(m *mapping, nr map[string]int) (out []string) {
	n := m.byKey["absent"]
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		m.errorf(n, "absent is not a list of architectures (absent: [amd64] is an example)")
		return nil
	}
	for _, e := range n.Content {
		for _, arch := range expandArch(e.Value) {
			if _, ok := nr[arch]; !ok {
				m.errorf(e, "absent on %s, which has no number", arch)
				continue
			}
			out = append(out, arch)
		}
	}
	return out
}

// checkIDs checks all syscall codes.
func (l *loader) checkIDs() {
	l.ids = make(map[string]*ID, len(l.table.IDs))
	for _, id := range l.table.IDs {
		if old := l.ids[id.Name]; old != nil {
			l.errs.Add(id.Pos, id.Name, "%s has id %d already (line %d)", id.Name, old.Code, old.Pos.Line)
			continue
		}
		l.ids[id.Name] = id
	}
	l.checkForeign()
}

// identity sets the numbers and the drop class of an entry: from ids.yaml, or from the
// entry if the call has no code there.
func (l *loader) identity(s *Syscall, m *mapping) {
	if id := l.ids[s.Name]; id != nil {
		s.NR, s.Drop = maps.Clone(id.NR), id.Drop
		for _, key := range []string{"nr", "drop"} {
			if m.has(key) {
				m.errorf(m.keys[key], "%s of a call with a code (ids.yaml has it, line %d)", key, id.Pos.Line)
			}
		}
		return
	}
	if m.required("nr", "nr: {amd64: 257, generic: 56}, or one number when all agree; ids.yaml has no "+s.Name) {
		s.NR = l.numbers(m)
	}
	s.Drop = m.oneOf("drop", dropClasses)
}
