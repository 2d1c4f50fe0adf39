// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"

	"gopkg.in/yaml.v3"
)

func (l *loader) id(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "syscall"), "entry", []string{"id", "syscall", "drop", "nr", "ia32"}, &l.errs)
	if m == nil || !m.required("id", "id: 3 is the syscall code") || !m.required("syscall", "syscall: read is its name") {
		return
	}
	id := &ID{Pos: f.pos(n), Name: m.text("syscall"), Drop: m.oneOf("drop", dropClasses), IA32: m.text("ia32")}
	m.subject = id.Name
	m.required("drop", "drop: sampled tells what dropping mode does")
	code, ok := m.uint(m.byKey["id"], "id", 1<<16-1)
	if !ok {
		return
	}
	id.Code = uint16(code)
	if ids := l.table.IDs; len(ids) > 0 && id.Code <= ids[len(ids)-1].Code {
		m.errorf(m.byKey["id"], "id %d stands behind %d (ids ascend)", id.Code, ids[len(ids)-1].Code)
	}
	if m.has("nr") {
		id.NR = l.numbers(m)
	}
	l.table.IDs = append(l.table.IDs, id)
}

// checkIDs compares syscall codes with the entries of their names, and gives
// those their numbers for 32-bit tasks.
func (l *loader) checkIDs() {
	ids := make(map[string]*ID, len(l.table.IDs))
	for _, id := range l.table.IDs {
		if old := ids[id.Name]; old != nil {
			l.errs.add(id.Pos, id.Name, "%s has id %d already (line %d)", id.Name, old.Code, old.Pos.Line)
			continue
		}
		ids[id.Name] = id
	}
	for _, id := range l.table.IDs {
		if id.IA32 != "" && id.IA32 != "none" && ids[id.IA32] == nil {
			l.errs.add(id.Pos, id.Name, "ia32 names unknown syscall %s%s", id.IA32, didYouMean(id.IA32, slices.Sorted(maps.Keys(ids))))
		}
	}
	for _, s := range l.table.Syscalls {
		id := ids[s.Name]
		if id == nil {
			continue
		}
		for _, arch := range Arches {
			have, ok := s.NR[arch]
			want, wok := id.NR[arch]
			if ok && wok && have != want {
				l.errs.add(id.Pos, s.Name, "number on %s is %d, but %d in %s", arch, want, have, lineOf(s.Pos, id.Pos))
			} else if ok != wok {
				l.errs.add(id.Pos, s.Name, "number on %s is here or in %s, but not in both", arch, lineOf(s.Pos, id.Pos))
			}
		}
		if s.Drop != "" && id.Drop != "" && s.Drop != id.Drop {
			l.errs.add(id.Pos, s.Name, "drop is %s, but %s in %s", id.Drop, s.Drop, lineOf(s.Pos, id.Pos))
		}
		if nr, ok := id.NR["386"]; ok && s.NR != nil {
			if _, own := s.NR["386"]; !own {
				s.NR["386"] = nr
			}
		}
	}
}
