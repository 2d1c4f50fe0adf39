// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/tables"
)

// guestSuites makes vmtest/guest/suites_gen.txt: the truth suites with their scenarios, in the
// form of cases_gen.txt.
func (m *model) guestSuites(files map[string][]byte) error {
	t := &caseText{}
	t.line("#", marker)
	for _, s := range m.table.Suites {
		t.indent = ""
		t.line()
		t.line("suite", s.Name)
		t.line("place", m.guestPlace(s.Pos))
		for _, c := range s.Scenarios {
			m.guestScenario(t, s, c)
		}
	}
	files["vmtest/guest/suites_gen.txt"] = t.Bytes()
	return t.err
}

func (m *model) guestScenario(t *caseText, s *tables.Suite, c *tables.Scenario) {
	t.indent = ""
	t.line("case", c.Name)
	t.indent = "\t"
	t.line("below", strconv.Itoa(c.Pos.Line-s.Pos.Line))
	t.optional("needs", strings.Join(c.Needs, " "))
	if c.Unsafe {
		t.line("unsafe")
	}
	t.optional("since", c.Since)
	t.optional("until", c.Until)
	t.optional("arch", c.Arch)
	t.bindings("given", c.Given)
	t.line("act", c.Act.String())
	t.line(append([]string{"select"}, m.selected(c)...)...)
	for _, sh := range c.Shows {
		m.guestShown(t, "shows", sh)
	}
	for _, sh := range c.Never {
		m.guestShown(t, "never", sh)
	}
}

func (m *model) guestShown(t *caseText, key string, sh *tables.Shown) {
	by := "$tid"
	if sh.By != nil {
		by = sh.By.String()
	}
	t.line(key, tables.CodeText(sh.Event.Code), by)
	t.bindings("with", sh.With)
	for _, d := range tables.Drivers {
		if why := sh.Missed[d]; why != "" {
			t.line("missed", d, why)
		}
	}
}

// selected returns the calls that make the events of a scenario, sorted.
func (m *model) selected(c *tables.Scenario) []string {
	var calls []string
	for _, sh := range slices.Concat(c.Shows, c.Never) {
		e := m.eventOf(sh.Event)
		for _, s := range m.table.Syscalls {
			if slices.Contains(e.calls, s) || s.Fires != nil && s.Fires.Event == e.Name {
				calls = append(calls, s.Name)
			}
		}
	}
	slices.Sort(calls)
	return slices.Compact(calls)
}

// truthPage makes docs/truth.md: every scenario, and what the drivers of this project miss.
func (m *model) truthPage() []byte {
	var b strings.Builder
	scenarios, missed := 0, 0
	for _, s := range m.table.Suites {
		for _, c := range s.Scenarios {
			scenarios++
			if len(missedItems(c)) > 0 {
				missed++
			}
		}
	}
	b.WriteString(mdHeader)
	fmt.Fprintf(&b, "# Truth suites\n\n"+
		"How far can an attacker hide from a system-call driver, or lie to it? A scenario does a real thing in the guest; its facts say what\n"+
		"truly happened, and a driver must show it: the events named here, with these values, in any order. It must *never* make an event that\n"+
		"says something else. `tables/suites.yaml` has the scenarios, `scaplab matrix --suite NAME` runs them on every kernel, and\n"+
		"`scaplab repro SUITE/SCENARIO@KERNEL/DRIVER` shows everything of one.\n\n"+
		"The report scores each driver: scenarios that it shows, of those that ran. What the drivers of this project are known to *miss* is written\n"+
		"here with the reason. A scenario that is missed is no failure; one that is shown although the table says it is missed is, as is the reverse.\n"+
		"The drivers of this project show %d of %d scenarios.\n", scenarios-missed, scenarios)
	for _, s := range m.table.Suites {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| scenario | happens | must be shown | our drivers |\n|---|---|---|---|\n", s.Name, s.About)
		for _, c := range s.Scenarios {
			var shows []string
			for _, sh := range c.Shows {
				shows = append(shows, shownText(sh))
			}
			for _, sh := range c.Never {
				shows = append(shows, "never "+shownText(sh))
			}
			fmt.Fprintf(&b, "| %s | %s%s | %s | %s |\n", c.Name, cell(c.About), conditions(c), strings.Join(shows, "; "), verdictText(c))
		}
	}
	return []byte(b.String())
}

func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// conditions says where a scenario runs, if not everywhere.
func conditions(c *tables.Scenario) string {
	var list []string
	if c.Since != "" {
		list = append(list, "kernels from "+c.Since+" on")
	}
	if c.Until != "" {
		list = append(list, "kernels before "+c.Until)
	}
	if c.Arch != "" {
		list = append(list, "on "+c.Arch)
	}
	for _, n := range c.Needs {
		list = append(list, "needs "+n)
	}
	if c.Unsafe {
		list = append(list, "in guests only")
	}
	if list == nil {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

func shownText(sh *tables.Shown) string {
	var with []string
	for _, w := range sh.With {
		with = append(with, w.Name+"="+w.Expr.String())
	}
	text := "`" + sh.Event.Symbol
	if sh.By != nil {
		text += " of " + sh.By.String()
	}
	if with != nil {
		text += ": " + strings.Join(with, " ")
	}
	return cell(text + "`")
}

func missedItems(c *tables.Scenario) (items []*tables.Shown) {
	for _, sh := range slices.Concat(c.Shows, c.Never) {
		if len(sh.Missed) > 0 {
			items = append(items, sh)
		}
	}
	return items
}

func verdictText(c *tables.Scenario) string {
	var reasons []string
	for _, sh := range missedItems(c) {
		for _, d := range tables.Drivers {
			why := sh.Missed[d]
			if len(sh.Missed) < len(tables.Drivers) && why != "" {
				why = d + ": " + why
			}
			if why != "" && !slices.Contains(reasons, why) {
				reasons = append(reasons, why)
			}
		}
	}
	if reasons == nil {
		return "shown"
	}
	return "**missed**: " + cell(strings.Join(reasons, "; "))
}
