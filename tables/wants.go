// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/hint"
)

// wantGroup is a named run of wanted values: `want: {use: NAME}` stands for them.
type wantGroup struct {
	f      *file
	node   *yaml.Node
	values *yaml.Node
	used   bool
}

func (l *loader) wantGroup(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "want"), "entry", []string{"want", "doc", "values"}, &l.errs)
	if m == nil || !m.required("want", "want: caller names it") || !m.required("values", "what it stands for") {
		return
	}
	name := m.scalar("want")
	if name == nil {
		return
	}
	if old := l.wants[name.Value]; old != nil {
		m.errorf(name, "want %s is described twice (first %s)", name.Value, onLine(old.f.Pos(old.node), f.Pos(n)))
		return
	}
	l.wants[name.Value] = &wantGroup{f: f, node: n, values: m.byKey["values"]}
}

// wantField is one wanted value with its file.
type wantField struct {
	field
	f *file
}

// usedFields returns the values of a want: those of the groups it uses, in order, and
// its own, which override a group's. open are the groups being read.
func (l *loader) usedFields(m *mapping, open []string) []wantField {
	var out []wantField
	set := func(v wantField) {
		if i := slices.IndexFunc(out, func(w wantField) bool { return w.key.Value == v.key.Value }); i >= 0 {
			out[i] = v
			return
		}
		out = append(out, v)
	}
	for _, n := range m.list("use") {
		if n = m.asScalar(n, "use"); n == nil {
			continue
		}
		g := l.wants[n.Value]
		switch {
		case g == nil:
			m.errorf(n, "unknown want %s%s", n.Value, hint.DidYouMean(n.Value, slices.Sorted(maps.Keys(l.wants))))
			continue
		case slices.Contains(open, n.Value):
			m.errorf(n, "want %s uses itself", n.Value)
			continue
		}
		g.used = true
		if gm := g.f.mapping(g.values, m.subject, "values", nil, &l.errs); gm != nil {
			for _, v := range l.usedFields(gm, append(open, n.Value)) {
				set(v)
			}
		}
	}
	for _, e := range m.fields {
		if e.key.Value != "use" {
			set(wantField{e, m.f})
		}
	}
	return out
}
