// SPDX-License-Identifier: Apache-2.0

package gen

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/tables"
)

// claim is a difference from the reference that the table states, of an event or of one of its params.
type claim struct {
	tables.Difference
	event *event
	param *tables.Param // nil: of the whole event
}

func (c *claim) name() string {
	if c.param == nil {
		return ""
	}
	return c.param.Name
}

// claims returns all differences, by event.
func (m *model) claims() []claim {
	var all []claim
	for _, e := range m.events {
		said := []tables.Difference{}
		add := func(d tables.Difference) {
			if d.Text != "" && !slices.Contains(said, d) {
				said = append(said, d)
				all = append(all, claim{d, e, nil})
			}
		}
		if e.Dir == "exit" {
			for _, s := range e.calls {
				add(s.Differs)
			}
		}
		add(e.Differs)
		for _, p := range e.Params {
			if p.Differs.Text != "" {
				all = append(all, claim{p.Differs, e, p})
			}
		}
	}
	return all
}

// seen returns where the judged module was seen to differ as claimed. A param that several events
// share is seen with one of them.
func (m *model) seen(c claim) (d tables.SeenDifference, ok bool) {
	for _, d := range m.table.Seen.Differs {
		if d.Event == c.event.Symbol && d.Param == c.name() && !d.String {
			return d, true
		}
	}
	if c.param == nil || c.param.Group == "" {
		return d, false
	}
	for _, d := range m.table.Seen.Differs {
		i := slices.IndexFunc(m.events, func(e *event) bool { return e.Symbol == d.Event })
		if i < 0 || d.Param != c.name() || d.String {
			continue
		}
		if slices.ContainsFunc(m.events[i].Params, func(p *tables.Param) bool { return p.Name == d.Param && p.Group == c.param.Group }) {
			return d, true
		}
	}
	return d, false
}

// seenOn says where a difference was seen.
func (m *model) seenOn(c claim) string {
	switch c.Of {
	case tables.OfEBPF:
		return "not judged: of the eBPF driver only"
	case tables.OfNewer:
		return "not judged: of newer versions only"
	case tables.OfUnmade:
		return "not judged: no case makes such a call"
	}
	d, ok := m.seen(c)
	if !ok {
		return "not seen"
	}
	_, version, _ := strings.Cut(m.table.Seen.Module, " ")
	text := version + " on " + strings.Join(d.Kernels, ", ")
	if d.Event != c.event.Symbol {
		text += " (in " + strings.TrimSuffix(d.Event, "_exit") + ")"
	}
	return text
}

// seenIntroduction says what the column of the page is about.
func (m *model) seenIntroduction() string {
	s := &m.table.Seen
	if s.Module == "" {
		return ""
	}
	return fmt.Sprintf("*Seen on* has the version of the reference's module (%s, API %s, schema %s; %s) and the kernels on which a case\n"+
		"of the table shows the difference. [conformance.md](conformance.md) says how the module does as a whole.\n\n", s.Module, s.API, s.Schema, s.Origin)
}

// stringsLost is the section about strings in the caller's memory, a difference of many params.
func (m *model) stringsLost() string {
	params, events := 0, map[string]bool{}
	for _, d := range m.table.Seen.Differs {
		if d.String {
			params++
			events[d.Event] = true
		}
	}
	if params == 0 {
		return ""
	}
	return fmt.Sprintf("\n# What the reference loses\n\n"+
		"Memory of the caller that ends less than 4 bytes before an unmapped page is read to its end. Buffers of the table's cases end\n"+
		"there, and the reference's module (%s) does not send %d params of %d events that are a string in them.\n", m.table.Seen.Module, params, len(events))
}

// howToScore says how somebody else's driver is judged.
//
//go:embed conformance.md
var howToScore string

// conformancePage has the score of the reference's module.
func (m *model) conformancePage() []byte {
	var b strings.Builder
	s := &m.table.Seen
	b.WriteString(mdHeader)
	b.WriteString("# Conformance of other drivers\n\n" + howToScore)
	if s.Module == "" {
		return []byte(b.String())
	}
	fmt.Fprintf(&b, "\n## The reference's module\n\n%s, API %s, schema %s; %s, built for each kernel. An event or a\n"+
		"param is equal if it is in every case.\n\n"+
		"| kernel | of | equal | listed | defect |\n|---|---|---|---|---|\n", s.Module, s.API, s.Schema, s.Origin)
	for _, k := range s.Kernels {
		if k.Build != "" {
			fmt.Fprintf(&b, "| %s (%s) | build | does not compile: %s | | |\n", k.Kernel, k.Release, k.Build)
			continue
		}
		row := func(what string, n [3]int) {
			fmt.Fprintf(&b, "| %s (%s) | %s | %d | %d | %d |\n", k.Kernel, k.Release, what, n[0], n[1], n[2])
		}
		row("cases", k.Cases)
		row("events", k.Events)
		row("params", k.Params)
	}
	b.WriteString("\n")
	for _, k := range s.Kernels {
		fmt.Fprintf(&b, "* On %s, %d more cases are of calls that the module has no event for: each makes the generic event with the call's number.\n"+
			"  %d prove nothing there.\n", k.Kernel, k.Generic, k.Skipped)
	}
	b.WriteString("\n## Its defects\n\nWhat no `differs` of the table lists.\n\n| event | param | kernels | case | what |\n|---|---|---|---|---|\n")
	for _, d := range s.Defects {
		fmt.Fprintf(&b, "| %s | %s | %s | `%s` | %s: %s |\n", d.Event, d.Param, strings.Join(d.Kernels, ", "), d.Example, d.Class, strings.ReplaceAll(d.Reason, "|", "\\|"))
	}
	return []byte(b.String())
}
