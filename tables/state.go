// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

// State is how an event changes the state of package sinsp: one of Reducer, Manual and
// None.
type State struct {
	Pos     expr.Pos
	Reducer *Reducer
	Args    []StateArg // one for each argument of the reducer
	Manual  bool       // a Go method of the event's own name reads the event
	None    string     // why nothing changes, where that is not obvious
	Text    string     // as in the table, with every argument written out
}

// StateArg is the source of an argument: a param or a constant.
type StateArg struct {
	Param int   // index of the param, or -1
	Value int64 // the constant, if Param is -1
}

// state reads `state` of an event.
func (l *loader) state(ev *Event, m *mapping) {
	n := m.byKey["state"]
	if n == nil {
		return
	}
	subject := m.subject + ": state"
	if n.Kind == yaml.MappingNode { // {none: why}
		nm := m.f.mapping(n, subject, "state", []string{"none"}, &l.errs)
		if nm.required("none", "none: why nothing changes") && nm.scalar("none") != nil {
			ev.State = &State{Pos: m.f.Pos(n), None: nm.text("none"), Text: "none: " + nm.text("none")}
		}
		return
	}
	if n = m.scalar("state"); n == nil {
		return
	}
	x := m.f.parse(n, subject, &l.errs)
	if x == nil {
		return
	}
	s := &State{Pos: x.Pos}
	switch {
	case isName(x, "manual"):
		s.Manual, s.Text = true, "manual"
	case isName(x, "none"):
		l.errs.Add(x.Pos, subject, "none without a reason (state: {none: why}, where that is not obvious)")
		return
	case x.Kind != expr.Call && x.Kind != expr.Name:
		l.errs.Add(x.Pos, subject, "state is a %s (a reducer such as open_file, or manual, is expected)", x.Kind)
		return
	default:
		if s.Reducer = l.reducers[x.Text]; s.Reducer == nil {
			l.errs.Add(x.Pos, subject, "unknown reducer %s%s", x.Text, hint.DidYouMean(x.Text, slices.Sorted(maps.Keys(l.reducers))))
			return
		}
		s.Reducer.used = true
		if x.Kind == expr.Name {
			l.stateByName(ev, s, subject)
		} else {
			l.stateArgs(ev, s, x, subject)
		}
		var args []string
		for _, a := range s.Args {
			if a.Param >= 0 {
				args = append(args, ev.Params[a.Param].Name)
			} else {
				args = append(args, strconv.FormatInt(a.Value, 10))
			}
		}
		s.Text = s.Reducer.Name + "(" + strings.Join(args, ", ") + ")"
	}
	ev.State = s
}

// stateByName takes each argument from the param of its name.
func (l *loader) stateByName(ev *Event, s *State, subject string) {
	for _, a := range s.Reducer.Args {
		i := slices.IndexFunc(ev.Params, func(p *Param) bool { return p.Name == a.Name })
		if a.Name == "ret" && len(ev.Params) > 0 {
			i = 0
		}
		switch {
		case i >= 0:
			l.stateFits(ev.Params[i], a, s, s.Pos, subject)
			s.Args = append(s.Args, StateArg{Param: i})
		case a.Default != "":
			v, _ := l.stateConstant(a, constantNode(a.Default))
			s.Args = append(s.Args, StateArg{Param: -1, Value: v})
		default:
			l.errs.Add(s.Pos, subject, "no param is called %s (%s is declared; write the arguments where the names differ)", a.Name, s.Reducer)
		}
	}
}

// stateArgs reads written arguments: params, constants, ret.
func (l *loader) stateArgs(ev *Event, s *State, x *expr.Node, subject string) {
	known := []string{"ret"}
	for _, p := range ev.Params {
		known = append(known, p.Name)
	}
	for i, a := range s.Reducer.Args {
		if i >= len(x.Args) {
			if a.Default == "" {
				l.errs.Add(x.Pos, subject, "argument %s is missing (%s is declared)", a.Name, s.Reducer)
				continue
			}
			v, _ := l.stateConstant(a, constantNode(a.Default))
			s.Args = append(s.Args, StateArg{Param: -1, Value: v})
			continue
		}
		arg := x.Args[i]
		if v, ok := l.stateConstant(a, arg); ok {
			s.Args = append(s.Args, StateArg{Param: -1, Value: v})
			continue
		}
		if arg.Kind != expr.Name {
			l.errs.Add(arg.Pos, subject, "argument is a %s (a param or a constant of type %s is expected)", arg.Kind, a.Type)
			continue
		}
		at := slices.IndexFunc(ev.Params, func(p *Param) bool { return p.Name == arg.Text })
		if at < 0 && arg.Text == "ret" && len(ev.Params) > 0 {
			at = 0
		}
		if at < 0 {
			l.errs.Add(arg.Pos, subject, "unknown param %s%s", arg.Text, hint.DidYouMean(arg.Text, known))
			continue
		}
		p := ev.Params[at]
		if other := slices.IndexFunc(s.Reducer.Args, func(b ReducerArg) bool { return b.Name == p.Name }); other >= 0 && other != i {
			l.errs.Add(arg.Pos, subject, "param %s is passed as %s (%s is declared)", p.Name, a.Name, s.Reducer)
		}
		l.stateFits(p, a, s, arg.Pos, subject)
		s.Args = append(s.Args, StateArg{Param: at})
	}
	if len(x.Args) > len(s.Reducer.Args) {
		l.errs.Add(x.Args[len(s.Reducer.Args)].Pos, subject, "%d arguments (%s is declared)", len(x.Args), s.Reducer)
	}
}

// stateFits checks a param against the type of the argument that it becomes.
func (l *loader) stateFits(p *Param, a ReducerArg, s *State, pos expr.Pos, subject string) {
	if a.namesSet() {
		t := l.typ(p.Type)
		if p.Names != a.Type && (p.Names != "" || !t.Number() || t.Size > 4) {
			has := p.Type
			if p.Names != "" {
				has = "values of " + p.Names
			}
			l.errs.Add(pos, subject, "param %s has %s (%s is declared)", p.Name, has, s.Reducer)
		}
		return
	}
	// The reference types some results that are descriptors as errno.
	if fits := ReducerTypes[a.Type]; !slices.Contains(fits, p.Type) && !(a.Name == "ret" && p.Type == "errno" && a.Type == "fd") {
		l.errs.Add(pos, subject, "param %s is of type %s, argument %s of type %s (%s)", p.Name, p.Type, a.Name, a.Type,
			strings.Join(append([]string{"it takes"}, fits...), " "))
	}
}

// String returns Text; "" if the event changes no state.
func (s *State) String() string {
	if s == nil {
		return ""
	}
	return s.Text
}
