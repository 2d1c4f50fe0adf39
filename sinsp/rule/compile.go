// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/scaplab/scaplab/sinsp/filter"
	"github.com/scaplab/scaplab/sinsp/output"
)

// Rule is a compiled rule.
type Rule struct {
	Name, Desc string
	Output     string // template of package output, without an asterisk in front
	Priority   Priority
	Source     string
	Tags       []string // sorted
	Enabled    bool
	Condition  *filter.Filter
	Position   Position // of its first definition

	// ExceptionFields are the fields of the exceptions.
	ExceptionFields []string
	// Capture asks for a capture file of the events after a match; CaptureFor says of how
	// long, 0: the default.
	Capture    bool
	CaptureFor time.Duration
}

// Set is the rules of some files, in their order.
type Set struct {
	Rules []*Rule
	group *filter.Group
}

// maxTypes is the number of codes from which on a condition is said to have no
// restriction.
const maxTypes = 100

// old are fields that events no longer have, since enter events are not captured.
var old = map[string]string{
	"evt.dir":           "every event is the exit of its call, so it is always <",
	"evt.latency":       "there are no enter events to measure from",
	"evt.latency.s":     "there are no enter events to measure from",
	"evt.latency.ns":    "there are no enter events to measure from",
	"evt.latency.human": "there are no enter events to measure from",
	"evt.wait_latency":  "there are no enter events to measure from",
}

// compiler compiles what a Loader collected.
type compiler struct {
	*Loader
	group  *filter.Group
	broken []*macro // that the condition being compiled needs
}

// Load compiles the rules and reports all that is wrong. The set has the rules that are
// right; if the report has errors, they are not those that the files are meant to have.
func (l *Loader) Load() (*Set, *Report) {
	c := &compiler{Loader: l, group: filter.NewGroup()}
	set := &Set{group: c.group}
	macros := slices.SortedFunc(maps.Values(c.macros), func(a, b *macro) int { return a.first - b.first })
	lists := slices.SortedFunc(maps.Values(c.lists), func(a, b *list) int { return a.first - b.first })
	for _, m := range macros {
		m.expr = filter.Parse(m.condition.string)
		c.deprecated(m.place, "macro", m.condition, m.expr)
	}
	for _, m := range macros { // in their order: of a loop, the same macro is blamed each time
		c.compileMacro(m)
	}
	for _, d := range l.ordered {
		if r := c.rule(d); r != nil {
			set.Rules = append(set.Rules, r)
		}
	}
	for _, s := range lists {
		c.flatten(s)
	}
	for _, s := range lists {
		if !s.used {
			s.add(WarnUnusedList, "no condition and no list uses it")
		}
	}
	for _, m := range macros {
		if !m.used {
			m.add(WarnUnusedMacro, "no rule and no macro uses it")
		}
	}
	report := &Report{}
	for _, f := range l.files {
		report.Files = append(report.Files, f.report)
	}
	report.sort()
	return set, report
}

// scope is what the names in the condition of u stand for.
func (c *compiler) scope(u *defined, isMacro bool) filter.Scope {
	return filter.Scope{
		LazyHosts: true,
		List: func(word string) ([]string, bool) {
			s := c.lists[word]
			if s == nil {
				return nil, false
			}
			s.used = true
			return c.flatten(s), true
		},
		Macro: func(name string) (*filter.Filter, error) {
			m := c.macros[name]
			switch {
			case m == nil:
				return nil, fmt.Errorf("unknown macro %s%s", name, c.didYouMean(name))
			case isMacro && m.first >= u.changed && &m.defined != u:
				m.used = true
				return nil, fmt.Errorf("macro %s is defined after this one, at %s (move it before)", name, m.where[0].Position)
			case !isMacro && m.firstFile > u.file:
				m.used = true
				return nil, fmt.Errorf("macro %s is defined in a later file, at %s (load that file first)", name, m.where[0].Position)
			}
			m.used = m.used || &m.defined != u
			if m.state == compiling {
				return nil, fmt.Errorf("macro %s uses itself", name)
			}
			c.compileMacro(m)
			if m.filter == nil {
				c.broken = append(c.broken, m)
				return nil, filter.ErrReported
			}
			return m.filter, nil
		},
	}
}

// compileMacro compiles a macro once. Fields that are not known are reported for the
// rules that use the macro: those of sources that are not known do not matter.
func (c *compiler) compileMacro(m *macro) {
	if m.state != notCompiled {
		return
	}
	m.state = compiling
	outer := c.broken
	c.broken = nil
	m.filter, m.err = c.group.Compile(m.expr, c.scope(&m.defined, true))
	m.state = compiled
	m.needs, c.broken = c.broken, outer
	if m.err == nil {
		c.warnings(m.place, m.condition, m.filter)
		return
	}
	m.unknown = onlyUnknown(m.err) && !slices.ContainsFunc(m.needs, func(o *macro) bool { return !o.unknown })
	if !onlyUnknown(m.err) {
		c.reportMacro(m)
	}
}

// onlyUnknown reports whether err is about nothing but unknown fields and events.
func onlyUnknown(err error) bool {
	var list *filter.Errors
	return !errors.As(err, &list) || !slices.ContainsFunc(list.List, func(p filter.Problem) bool { return p.Kind != filter.UnknownProblem })
}

// reportMacro reports once what is wrong with a macro.
func (c *compiler) reportMacro(m *macro) {
	if m.reported {
		return
	}
	m.reported = true
	c.problems(m.place, m.condition, "condition expression", ErrCompileCondition, m.err)
	for _, o := range m.needs {
		c.reportMacro(o)
	}
}

// problems reports what is wrong with a text.
func (c *compiler) problems(at place, t text, what string, code Code, err error) {
	var list *filter.Errors
	if !errors.As(err, &list) {
		return // reported elsewhere
	}
	for _, p := range list.List {
		code := code
		if p.Kind == filter.NameProblem {
			code = ErrValidate
		}
		f, pos := t.position(p.Offset)
		place{f, at.in(what, f, pos).where}.add(code, "%s", p.Msg)
	}
}

func (c *compiler) warnings(at place, t text, f *filter.Filter) {
	if w := f.Warnings(); w != nil {
		c.problems(at, t, "condition expression", WarnCompileCondition, w)
	}
}

func (c *compiler) deprecated(at place, kind string, t text, e *filter.Expr) {
	e.Fields(func(name string, off int) {
		if why := old[name]; why != "" {
			f, pos := t.position(off)
			place{f, at.in("condition expression", f, pos).where}.add(WarnDeprecated, "%s of a %s: %s", name, kind, why)
		}
	})
}

// rule compiles a rule; nil if it is left out.
func (c *compiler) rule(d *definition) *Rule {
	expr := filter.Parse(d.condition.string)
	if !slices.Contains(Sources, d.source) {
		d.add(WarnUnknownSource, "source %s is not known here, so the rule is left out (known: %s)", d.source, strings.Join(Sources, ", "))
		c.uses(d, expr)
		return nil
	}
	c.deprecated(d.place, "rule", d.condition, expr)
	f, ok := c.condition(d, d.condition, expr)
	var excepts []*filter.Filter
	for _, e := range d.exceptions {
		t, has := e.condition(place{e.file, d.where})
		if !has {
			continue
		}
		x, good := c.condition(d, t, filter.Parse(t.string))
		if ok = ok && good; good {
			excepts = append(excepts, x)
		}
	}
	template, good := c.output(d)
	if !ok || !good {
		return nil
	}
	if excepts != nil {
		f = c.group.Except(f, excepts...)
	}
	codes := f.Codes()
	if codes.Len() > maxTypes && d.warnTypes {
		d.add(WarnNoEventType, "the condition may hold for more than %d types of events, which costs time (add evt.type, or say warn_evttypes: false)", maxTypes)
	}
	return &Rule{
		Name: d.name, Desc: d.desc.string, Output: template, Priority: d.priority, Source: d.source, Tags: d.tags,
		Enabled: d.enabled, Condition: f, Position: d.where[0].Position, ExceptionFields: fieldsOf(d.exceptions),
		Capture: d.capture, CaptureFor: time.Duration(d.captureFor) * time.Millisecond,
	}
}

// condition compiles a condition of a rule; ok is false after an error, or if the rule is
// left out.
func (c *compiler) condition(d *definition, t text, e *filter.Expr) (f *filter.Filter, ok bool) {
	c.broken = nil
	f, err := c.group.Compile(e, c.scope(&d.defined, false))
	if err == nil {
		c.warnings(d.place, t, f)
		return f, true
	}
	unknown := onlyUnknown(err) && !slices.ContainsFunc(c.broken, func(m *macro) bool { return !m.unknown })
	if unknown && d.skipUnknown {
		c.skip(d, t, "condition expression", err)
		return nil, false
	}
	c.problems(d.place, t, "condition expression", ErrCompileCondition, err)
	for _, m := range c.broken {
		c.reportMacro(m)
	}
	return nil, false
}

// skip reports that a rule is left out for a field that is not known.
func (c *compiler) skip(d *definition, t text, what string, err error) {
	var list *filter.Errors
	if errors.As(err, &list) {
		c.problems(d.place, t, what, WarnUnknownFilter, &filter.Errors{Text: list.Text, List: list.List[:1]})
		return
	}
	m := c.broken[0]
	d.add(WarnUnknownFilter, "macro %s has a field or an event that is not known", m.name)
}

// uses marks what a rule that is left out uses.
func (c *compiler) uses(d *definition, e *filter.Expr) {
	list := func(word string) {
		if s := c.lists[word]; s != nil {
			s.used = true
		}
	}
	e.Names(func(name string) {
		if m := c.macros[name]; m != nil {
			m.used = true
		}
	}, list)
	for _, x := range d.exceptions {
		for _, v := range x.values {
			list(v.node.Value)
		}
	}
}

// containerInfo is a field that outputs had in the past.
const containerInfo = "%container.info"

// output checks the output of a rule, with what the loader appends, and returns it.
func (c *compiler) output(d *definition) (template string, ok bool) {
	t := d.output
	if i := strings.Index(t.string, containerInfo); i >= 0 {
		f, pos := t.position(i)
		place{f, d.in("output", f, pos).where}.add(WarnDeprecated, "%s is old and left out (write the fields of container that are needed)", containerInfo)
	}
	// Blanks keep the offsets.
	t.string = strings.ReplaceAll(t.string, containerInfo, strings.Repeat(" ", len(containerInfo)))
	format, err := output.Compile("*"+t.string, output.Options{})
	if err != nil {
		var list *filter.Errors
		if !errors.As(err, &list) {
			return "", false
		}
		for i := range list.List {
			list.List[i].Offset = max(list.List[i].Offset-1, 0)
		}
		if d.skipUnknown && onlyUnknown(err) {
			c.skip(d, t, "output", err)
		} else {
			c.problems(d.place, t, "output", ErrCompileOutput, err)
		}
		return "", false
	}
	for _, ref := range format.Fields() {
		if why := old[ref.Name]; why != "" {
			f, pos := t.position(max(strings.Index(t.string, "%"+ref.Name), 0))
			place{f, d.in("output", f, pos).where}.add(WarnDeprecated, "%s of an output: %s", ref.Name, why)
		}
	}
	template = strings.Join(strings.Fields(strings.ReplaceAll(d.output.string, containerInfo, "")), " ")
	if !strings.Contains(d.output.string, containerInfo) {
		template = d.output.string
	}
	for _, a := range c.Append {
		if (a.Source == "" || a.Source == d.source) && (a.Rule == "" || a.Rule == d.name) && !slices.ContainsFunc(a.Tags, func(tag string) bool { return !slices.Contains(d.tags, tag) }) {
			template += " " + a.Output
		}
	}
	return template, true
}
