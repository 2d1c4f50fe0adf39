// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/decimal"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

const (
	// markdownLimit is how long a comment on GitHub may be. It counts characters, we bytes, which are no fewer.
	markdownLimit = 65536
	// markdownReserve is kept free for what follows a list that is cut.
	markdownReserve = 4096
	// briefReason is the length in bytes of a failure's reason.
	briefReason = 400
	// costChange is the share of a cost from which on a change is told: runs agree within 0.3 %.
	costChange = 0.01
)

// WriteMarkdown writes a comment for a pull request: totals, what changed against the report old, which may be
// nil, and the failures. It fits into a comment: what is left out is counted.
func (r *Report) WriteMarkdown(w io.Writer, old *Report) error {
	m := &markdown{limit: markdownLimit - markdownReserve}
	failures := r.Failures()
	what := "nothing failed"
	if len(failures) > 0 {
		what = quantity(len(failures), "failure")
	}
	m.line("### scaplab: %s in %s", what, quantity(len(r.Results), "verdict"))
	if r.Partial != "" {
		m.line("\n**Incomplete:** %s", codeSpan(r.Partial))
	}
	r.markdownTotals(m)
	if old == nil {
		m.list("Failures", groupCells(failures))
		r.markdownCosts(m, nil)
	} else {
		c := compareReports(old, r)
		c.summary(m, old)
		m.list("New failures", groupCells(c.broken))
		m.list("Failures that the baseline has, too", groupCells(c.known))
		r.markdownCosts(m, old)
		m.list("Fixed", groupCells(c.fixed))
		m.list("Skipped now", groupCells(c.skipped))
		m.list("Calls with new cases", groupCases(c.added))
		m.list("Calls with cases that are gone", groupCases(c.removed))
	}
	for _, run := range r.RunInfos() {
		m.line("\n<sub>%s, %s</sub>", run.Started.UTC().Format("2006-01-02 15:04 UTC"), codeSpan(run.Tool))
	}
	_, err := io.WriteString(w, m.b.String())
	return err
}

// markdown collects text up to a limit.
type markdown struct {
	b     strings.Builder
	limit int // length in bytes from which on lists are cut
}

func (m *markdown) line(format string, args ...any) { fmt.Fprintf(&m.b, format+"\n", args...) }

// list writes items until the limit, and how many it leaves out.
func (m *markdown) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	m.line("\n#### %s (%s)\n", title, decimal.Thousands(len(items)))
	for i, item := range items {
		if m.b.Len()+len(item) > m.limit {
			m.line("\n%s more.", decimal.Thousands(len(items)-i))
			return
		}
		m.line("- %s", item)
	}
}

// markdownTotals writes a row for each kernel and a column for each driver.
func (r *Report) markdownTotals(m *markdown) {
	if len(r.Results) == 0 {
		return
	}
	type count struct{ pass, fail, skip int }
	counts := map[judge.Column]*count{}
	for i := range r.Results {
		x := &r.Results[i]
		n := counts[x.column()]
		if n == nil {
			n = new(count)
			counts[x.column()] = n
		}
		switch x.Status {
		case judge.Pass:
			n.pass++
		case judge.Fail:
			n.fail++
		case judge.Skip:
			n.skip++
		}
	}
	head, rule := "\n| kernel |", "|---|"
	for _, d := range r.Drivers {
		head += " " + d.String() + " |"
		rule += "---|"
	}
	m.line("%s\n%s", head, rule)
	for _, k := range r.Kernels {
		row := "| " + strings.ReplaceAll(codeSpan(k), "|", `\|`) + " |"
		for _, d := range r.Drivers {
			var parts []string
			if n := counts[judge.Column{Kernel: k, Drivers: d}]; n != nil {
				if n.fail > 0 {
					parts = append(parts, "**"+decimal.Thousands(n.fail)+" failed**")
				}
				parts = append(parts, decimal.Thousands(n.pass)+" passed")
				if n.skip > 0 {
					parts = append(parts, decimal.Thousands(n.skip)+" skipped")
				}
			}
			row += " " + strings.Join(parts, ", ") + " |"
		}
		m.line("%s", row)
	}
}

// changes is what differs between two reports.
type changes struct {
	broken  []Result // failed now, and not before
	known   []Result // failed now and before
	fixed   []Result // passed now, failed before
	skipped []Result // skipped now, and ran before
	added   []string // IDs of cases
	removed []string
	columns []string // that only one of them has
}

func compareReports(old, now *Report) changes {
	var c changes
	was := map[string]judge.Status{}
	ids := func(r *Report) (all []string, has map[string]bool) {
		has = map[string]bool{}
		for i := range r.Results {
			if id := r.Results[i].Syscall + "/" + r.Results[i].Case; !has[id] {
				has[id] = true
				all = append(all, id)
			}
		}
		return all, has
	}
	columns := func(r *Report) (all []string) {
		for i := range r.Results {
			if name := r.Results[i].column().String(); len(all) == 0 || all[len(all)-1] != name && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
		return all
	}
	for i := range old.Results {
		if x := &old.Results[i]; was[x.archCell()] != judge.Fail { // of several runs the failure counts
			was[x.archCell()] = x.Status
		}
	}
	oldColumns, newColumns := columns(old), columns(now)
	for _, name := range newColumns {
		if !slices.Contains(oldColumns, name) {
			c.columns = append(c.columns, name+" is not in the baseline")
		}
	}
	for _, name := range oldColumns {
		if !slices.Contains(newColumns, name) {
			c.columns = append(c.columns, name+" is in the baseline only")
		}
	}
	for _, x := range now.Results {
		before, there := was[x.archCell()]
		switch {
		case x.Status == judge.Fail && before == judge.Fail:
			c.known = append(c.known, x)
		case x.Status == judge.Fail:
			c.broken = append(c.broken, x)
		case x.Status == judge.Pass && before == judge.Fail:
			c.fixed = append(c.fixed, x)
		case x.Status == judge.Skip && there && before != judge.Skip:
			c.skipped = append(c.skipped, x)
		}
	}
	oldIDs, oldHas := ids(old)
	newIDs, newHas := ids(now)
	for _, id := range newIDs {
		if !oldHas[id] {
			c.added = append(c.added, id)
		}
	}
	for _, id := range oldIDs {
		if !newHas[id] {
			c.removed = append(c.removed, id)
		}
	}
	return c
}

// archCell names a cell in reports that may have several architectures.
func (r *Result) archCell() string { return r.Arch + " " + r.Cell() }

func (c *changes) summary(m *markdown, old *Report) {
	m.line("\nAgainst the baseline: **%s**, %s fixed, %s that the baseline has, too; %s and %s gone; %s skipped now.",
		quantity(len(c.broken), "new failure"), decimal.Thousands(len(c.fixed)), quantity(len(c.known), "failure"),
		quantity(len(c.added), "new case"), decimal.Thousands(len(c.removed)), decimal.Thousands(len(c.skipped)))
	if len(c.columns) > 0 {
		m.line("\nNot compared: %s.", strings.Join(c.columns, ", "))
	}
	if old.Partial != "" {
		m.line("\nThe baseline is incomplete: %s", codeSpan(old.Partial))
	}
}

// groupCells writes cells: those of a case that are alike in one item.
func groupCells(cells []Result) []string {
	type key struct{ id, class, reason string }
	where := map[key][]string{}
	var order []Result
	for _, x := range cells {
		k := key{x.Syscall + "/" + x.Case, x.Class, firstLine(x.Reason)}
		if where[k] == nil {
			order = append(order, x)
		}
		where[k] = append(where[k], x.column().String())
	}
	var items []string
	for _, x := range order {
		k := key{x.Syscall + "/" + x.Case, x.Class, firstLine(x.Reason)}
		item := codeSpan(k.id) + " on " + codeSpan(strings.Join(where[k], ", "))
		if k.class != "" {
			item += ": **" + k.class + "**"
		}
		if k.reason != "" {
			item += " " + codeSpan(judge.Brief(k.reason, briefReason))
		}
		if x.Status == judge.Fail {
			if x.Place != "" {
				item += "  \n  " + codeSpan(x.Place)
			}
			item += "  \n  " + codeSpan(x.Repro)
		}
		items = append(items, item)
	}
	return items
}

// groupCases writes the IDs of cases, an item for each call.
func groupCases(ids []string) []string {
	const most = 5 // names of a call's cases
	names := map[string][]string{}
	var calls []string
	for _, id := range ids {
		call, name, _ := strings.Cut(id, "/")
		if names[call] == nil {
			calls = append(calls, call)
		}
		names[call] = append(names[call], name)
	}
	var items []string
	for _, call := range calls {
		all := names[call]
		item := codeSpan(call) + ": " + codeSpan(strings.Join(all[:min(len(all), most)], " "))
		if more := len(all) - most; more > 0 {
			item += fmt.Sprintf(" and %d more", more)
		}
		items = append(items, item)
	}
	return items
}

// codeSpan writes text so that nothing in it is markup, a link or a mention.
func codeSpan(text string) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))), " ")
	if text == "" {
		return ""
	}
	longest, n := 0, 0
	for _, r := range text {
		if n++; r != '`' {
			n = 0
		}
		longest = max(longest, n)
	}
	fence, pad := strings.Repeat("`", longest+1), ""
	if longest > 0 {
		pad = " "
	}
	return fence + pad + text + pad + fence
}

// markdownCosts writes what drivers add to calls, as far as it differs from the baseline if there is one.
func (r *Report) markdownCosts(m *markdown, old *Report) {
	type key struct {
		kernel, arch, call string
		driver             guest.Driver
	}
	before := map[key]float64{}
	if old != nil {
		for _, c := range old.Costs {
			if c.Error == "" {
				before[key{c.Kernel, c.Arch, c.Call, c.Driver}] = c.Added
			}
		}
	}
	var rows []string
	for _, c := range r.Costs {
		row := fmt.Sprintf("| %s | %s | %s | ", c.Call, c.Kernel, c.Driver)
		was, known := before[key{c.Kernel, c.Arch, c.Call, c.Driver}]
		switch {
		case c.Error != "":
			rows = append(rows, row+"not measured |  |")
		case !known && len(before) == 0 || known && math.Abs(c.Added-was) < costChange*max(was, 1):
		case !known:
			rows = append(rows, row+fmt.Sprintf("%s | new |", decimal.Thousands(int(math.Round(c.Added)))))
		default:
			rows = append(rows, row+fmt.Sprintf("%s | %+.1f %% |", decimal.Thousands(int(math.Round(c.Added))), 100*(c.Added-was)/max(was, 1)))
		}
	}
	switch {
	case len(rows) > 0:
		m.line("\n#### Cost, in instructions added to a call\n\n| call | kernel | driver | adds | change |\n|---|---|---|--:|--:|\n%s", strings.Join(rows, "\n"))
	case len(r.Costs) > 0 && len(before) > 0:
		m.line("\nNo driver's cost changed by %d %% or more.", int(100*costChange))
	}
}

// quantity writes "1 failure", "2 failures".
func quantity(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return decimal.Thousands(n) + " " + noun + "s"
}
