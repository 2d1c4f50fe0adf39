// SPDX-License-Identifier: Apache-2.0

package gen

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/tables"
)

const mdHeader = "<!-- " + marker + " -->\n"

// pages makes docs/events.md, docs/syscalls.md, docs/differences.md and docs/truth.md.
func (m *model) pages(files map[string][]byte) error {
	files["docs/syscalls.md"] = m.syscallsPage()
	files["docs/events.md"] = m.eventsPage()
	files["docs/differences.md"] = m.differencesPage()
	files["docs/conformance.md"] = m.conformancePage()
	if len(m.table.Suites) > 0 {
		files["docs/truth.md"] = m.truthPage()
	}
	return nil
}

// eventsPage describes every event that a driver makes.
func (m *model) eventsPage() []byte {
	var b strings.Builder
	b.WriteString(mdHeader)
	driven := m.driven()
	fmt.Fprintf(&b, "# Events\n\n"+
		"The %d events the drivers make, by class. Codes from %#x on are this project's own. An even code is an enter\n"+
		"event or a tracepoint's, an odd one an exit event.\n\n"+
		"*Source* is where a value comes from: `ret` is what the call returned, a plain name is that argument, the rest are\n"+
		"helpers of both drivers (`tables/helpers.yaml`) and conversions (`tables/flags.yaml`). A param whose condition does\n"+
		"not hold is empty (length 0) unless the source says otherwise.\n\n"+
		"**\\*** marks a source in the caller's memory: an exit event reads it after the call, an enter event before it. Another\n"+
		"thread, or a child that shares the memory, can change it meanwhile, and then the event tells what is there, not what\n"+
		"the kernel acted on. What nobody can change comes from registers and from what the kernel keeps: numbers, the device\n"+
		"and inode of a file, the ends of connected sockets, the path of a successful exec and its executable, the flags of a\n"+
		"clone3 that made a task. For calls that may block for long the enter event is the better witness of a path or address.\n\n"+
		"Calls that do not return where they were made (exit, exit_group, rt_sigreturn, uprobe, uretprobe) have an enter event,\n"+
		"which drivers make for those who ask for enter events, and an exit event only if they were refused, as by seccomp.\n",
		len(driven), abi.FirstOwn)
	var classes []string
	byClass := make(map[string][]*event)
	for _, e := range driven {
		if byClass[e.Class] == nil {
			classes = append(classes, e.Class)
		}
		byClass[e.Class] = append(byClass[e.Class], e)
	}
	slices.Sort(classes)
	for _, class := range classes {
		fmt.Fprintf(&b, "\n## %s\n", class)
		events := byClass[class]
		slices.SortStableFunc(events, func(x, y *event) int {
			return strings.Compare(x.Name, y.Name)
		})
		for _, e := range events {
			fmt.Fprintf(&b, "\n### %s %s (%s)\n\n", e.Name, e.Dir, tables.CodeText(e.Code))
			for _, s := range e.calls {
				fmt.Fprintf(&b, "`%s`", s.Signature())
				if since := sinceText(s); since != "" {
					b.WriteString(", " + since)
				}
				b.WriteString("\n\n")
			}
			if len(e.calls) == 0 {
				fmt.Fprintf(&b, "From %s.\n\n", e.From)
			}
			if len(e.Flags) > 0 {
				fmt.Fprintf(&b, "Flags: %s.\n\n", strings.Join(e.Flags, ", "))
			}
			if len(e.Params) == 0 {
				b.WriteString("No params.\n")
				continue
			}
			b.WriteString("| # | param | type | source |\n|---|---|---|---|\n")
			for i, p := range e.Params {
				typ := p.Type
				if p.Names != "" {
					typ += " (" + p.Names + ")"
				}
				mark := ""
				if m.exposed(e, p) {
					mark = " **\\***"
				}
				fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", i, p.Name, typ, strings.ReplaceAll(sourceText(p), "|", "\\|")+mark)
			}
		}
	}
	return []byte(b.String())
}

// syscallsPage lists every syscall with its event, and those that have only generic events.
func (m *model) syscallsPage() []byte {
	var b strings.Builder
	b.WriteString(mdHeader)
	b.WriteString("# System calls\n\n" +
		"*Typed* calls have events with their arguments, and cases that prove each param. The others are generic events, which\n" +
		"carry the call's code. Some more have a number, but are on no kernel from 5.10 to 7.3. [events.md](events.md) says where the value of each param comes from, and\n" +
		"[differences.md](differences.md) what differs from the reference.\n\n" +
		"Params *in memory* are read from the caller's memory when the call returns, params *by descriptor* from the open file that\n" +
		"a descriptor then leads to: another thread can have changed either ([differences.md](differences.md#values-that-others-may-change)).\n\n" +
		"| architecture | calls | typed | generic | no kernel has |\n|---|---|---|---|---|\n")
	for _, arch := range tables.Arches {
		c := m.table.Coverage(arch)
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", arch, len(c.Typed)+len(c.Generic), len(c.Typed), len(c.Generic), len(c.Absent))
	}
	fmt.Fprintf(&b, "\n## Typed\n\n%d calls. Kernels: all supported ones unless the column says otherwise.\n\n"+
		"| call | event | params | in memory | by descriptor | kernels | cases |\n|---|---|---|---|---|---|---|\n", len(m.table.Syscalls))
	for _, s := range slices.SortedFunc(slices.Values(m.table.Syscalls), func(x, y *tables.Syscall) int { return strings.Compare(x.Name, y.Name) }) {
		var params, memory, looked []string
		exit := m.eventOf(s.Exit)
		for _, p := range s.Exit.Params {
			params = append(params, p.Name)
			if m.exposed(exit, p) {
				memory = append(memory, p.Name)
			}
			if m.lookedUp(exit, p) {
				looked = append(looked, p.Name)
			}
		}
		code := tables.CodeText(s.Exit.Code)
		if s.Enter != nil {
			code = tables.CodeText(s.Enter.Code) + ", " + code
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %d |\n", s.Name, code, strings.Join(params, ", "), strings.Join(memory, ", "),
			strings.Join(looked, ", "), sinceText(s), len(s.Cases))
	}
	m.listsSection(&b)
	b.WriteString("\n## Generic\n\n")
	for _, arch := range []string{"amd64", "arm64"} {
		c := m.table.Coverage(arch)
		fmt.Fprintf(&b, "On %s: %s. No kernel has: %s.\n\n", arch, strings.Join(c.Generic, ", "), strings.Join(c.Absent, ", "))
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// listsSection lists the calls whose events have a part of a list only.
func (m *model) listsSection(b *strings.Builder) {
	b.WriteString("\n## Lists\n\n" +
		"Of a list that the caller may make longer, events have so many elements; [differences.md](differences.md#values-that-are-cut) says what tells\n" +
		"of the others. `sendmmsg` and `recvmmsg` have events of the first 16 messages, with the data of 32 vectors of each.\n\n" +
		"| elements | calls, with their params |\n|---|---|\n")
	calls := make(map[int][]string)
	for _, s := range slices.SortedFunc(slices.Values(m.table.Syscalls), func(x, y *tables.Syscall) int { return strings.Compare(x.Name, y.Name) }) {
		params := make(map[int][]string)
		for _, p := range s.Exit.Params {
			if n := m.listed(p); n > 0 {
				params[n] = append(params[n], p.Name)
			}
		}
		for n, names := range params {
			calls[n] = append(calls[n], fmt.Sprintf("%s (%s)", s.Name, strings.Join(names, ", ")))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(calls)) {
		fmt.Fprintf(b, "| %d | %s |\n", n, strings.Join(calls[n], ", "))
	}
}

// listed returns how many elements of a list a param has at most; 0: it is no list, or whole.
func (m *model) listed(p *tables.Param) int {
	if p.From == nil || p.From.Kind != expr.Call || m.helpers[p.From.Text] == nil {
		return 0
	}
	return m.helpers[p.From.Text].First
}

// exposed reports whether a param comes from the caller's memory.
func (m *model) exposed(e *event, p *tables.Param) bool {
	texts := []string{"text", "bytes"}
	as := m.table.Types.Type(p.Type).As
	reads := func(n *expr.Node, as string) bool {
		found := false
		expr.Walk(n, func(n *expr.Node) bool {
			switch h := m.helpers[n.Text]; {
			case n.Kind == expr.Call && h != nil && h.User:
				// a tuple has its addresses from the socket if the call passes none
				found = found || h.Kind == "value" || len(n.Args) < 2 ||
					slices.ContainsFunc(n.Args[1:], func(a *expr.Node) bool { return a.Kind != expr.Int })
			case n.Kind == expr.Name && slices.Contains(texts, as) && n.Text != "empty":
				found = true // the address of a text
			case n.Kind == expr.Call && h != nil && h.Kind == "param":
				return false
			}
			return true
		})
		return found
	}
	readable := slices.ContainsFunc(p.When, func(c tables.Cond) bool { return c.Op == "readable" })
	if p.User || readable || reads(p.From, as) || reads(p.Else, as) || reads(p.Len, "") {
		return true
	}
	return p.Switch != nil && slices.ContainsFunc(p.Switch.Arms, func(a tables.SwitchArm) bool {
		as := as
		if a.Dyn != "" {
			as = m.table.Types.Type(a.Dyn).As
		}
		return reads(a.From, as)
	})
}

// lookedUp reports whether a param is read from the open file of a descriptor that may lead to
// another file than the call acted on. newFD answers for those that the call made.
func (m *model) lookedUp(e *event, p *tables.Param) bool {
	if e.Filler == "manual" {
		return p.Type == "socktuple"
	}
	found := false
	look := func(n *expr.Node) {
		expr.Walk(n, func(n *expr.Node) bool {
			if h := m.helpers[n.Text]; n.Kind == expr.Call && h != nil && h.Looks {
				found = found || n.Args[0].Kind != expr.Call || n.Args[0].Text != newFD
			}
			return true
		})
	}
	look(p.From)
	look(p.Else)
	if p.Switch != nil {
		for _, a := range p.Switch.Arms {
			look(a.From)
		}
	}
	return found
}

// sinceText returns since which kernel a call exists, "" if since before all supported ones.
func sinceText(s *tables.Syscall) string {
	var order []string
	arches := make(map[string][]string)
	n := 0
	for _, a := range tables.Arches {
		if _, ok := s.NR[a]; !ok {
			continue
		}
		n++
		if v := s.Since[a]; v != "" {
			if arches[v] == nil {
				order = append(order, v)
			}
			arches[v] = append(arches[v], a)
		}
	}
	var parts []string
	for _, v := range order {
		if len(arches[v]) == n {
			parts = append(parts, "since "+v)
		} else {
			parts = append(parts, fmt.Sprintf("since %s on %s", v, strings.Join(arches[v], ", ")))
		}
	}
	if s.Until != "" {
		parts = append(parts, "until "+s.Until)
	}
	return strings.Join(parts, "; ")
}

// sourceText describes where a param's value comes from, in words and expressions.
func sourceText(p *tables.Param) string {
	var text string
	switch {
	case p.Switch != nil:
		var arms []string
		for _, a := range p.Switch.Arms {
			var values []string
			for _, v := range a.Values {
				values = append(values, v.String())
			}
			arm := "otherwise "
			if len(values) > 0 {
				arm = "for " + strings.Join(values, ", ") + " "
			}
			arm += code(a.From)
			if a.Dyn != "" {
				arm += " as " + a.Dyn
			}
			arms = append(arms, arm)
		}
		text = "by " + p.Switch.On + ": " + strings.Join(arms, "; ")
	default:
		text = code(p.From)
	}
	if p.Len != nil {
		text += ", " + code(p.Len) + " bytes"
	}
	if p.Snaplen {
		text += ", at most snaplen"
	}
	if p.Base != "" {
		text += ", below " + p.Base
	}
	for i, c := range p.When {
		text += []string{", and ", ", when "}[b2i(i == 0)]
		if c.Op == "readable" {
			text += c.Var + " is readable"
			continue
		}
		var in []string
		for _, n := range c.In {
			in = append(in, n.String())
		}
		op := c.Op
		if op == "in" || op == "" {
			op = "is"
		}
		text += fmt.Sprintf("%s %s %s", c.Var, op, strings.Join(in, " or "))
	}
	if p.Else != nil {
		text += ", else " + code(p.Else)
	}
	return text
}

func code(n *expr.Node) string {
	if n == nil {
		return "nothing"
	}
	return "`" + n.String() + "`"
}

// driverLimits says what values of both drivers may not tell.
//
//go:embed drivers.md
var driverLimits string

// toolDifferences says where the command scap differs from sysdig.
//
//go:embed tools.md
var toolDifferences string

// differencesPage lists where events deliberately differ from the reference.
func (m *model) differencesPage() []byte {
	var b strings.Builder
	b.WriteString(mdHeader)
	b.WriteString("# Differences\n\n" +
		"Where what the drivers send deliberately differs from the reference drivers, from `differs:` of the\n" +
		"table. Everything not listed here is meant to be the same, byte for byte.\n\n" +
		m.seenIntroduction() +
		"| event | param | difference | seen on |\n|---|---|---|---|\n")
	for _, c := range m.claims() {
		name := fmt.Sprintf("%s %s (%s)", c.event.Name, c.event.Dir, tables.CodeText(c.event.Code))
		text := strings.ReplaceAll(strings.Join(strings.Fields(c.Text), " "), "|", "\\|")
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, c.name(), text, m.seenOn(c))
	}
	b.WriteString(m.stringsLost())
	b.WriteString(driverLimits)
	b.WriteString(toolDifferences)
	return []byte(b.String())
}
