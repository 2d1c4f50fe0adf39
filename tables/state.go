// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"

	"github.com/scaplab/scaplab/internal/expr"
)

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
