// SPDX-License-Identifier: Apache-2.0

package htmlreport

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/decimal"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

// mostFailures is the number of failures in the summary: the map has the others.
const mostFailures = 200

// tables has what the page shows as tables. An empty one is not shown.
type tables struct {
	Runs     []run
	Totals   []total
	All      total
	Calls    int
	Cases    int
	Failures []vmtest.Result
	Skips    []skipped
	Warnings []vmtest.Warning
	Notes    []string
	Partial  string

	Cost        *costTable
	Verifier    []verifierRow
	Coverage    *coverageTable
	Conformance *conformanceTable
	Suites      *suiteTable
}

type verifierRow struct{ vmtest.Verifier }

// Milliseconds is the time to load the program.
func (v verifierRow) Milliseconds() float64 { return v.Seconds * 1000 }

type run struct {
	vmtest.RunInfo
	Started  string
	Duration string
}

// total counts verdicts.
type total struct {
	Name, Driver       string
	Pass, Failed, Skip int
}

func (t *total) add(s judge.Status) {
	switch s {
	case judge.Pass:
		t.Pass++
	case judge.Fail:
		t.Failed++
	case judge.Skip:
		t.Skip++
	}
}

// Verdicts returns how many there are.
func (t total) Verdicts() int { return t.Pass + t.Failed + t.Skip }

// Ran returns how many were not skipped.
func (t total) Ran() int { return t.Pass + t.Failed }

type skipped struct {
	Reason string
	Cells  int
	Where  string // the columns
}

func newTables(rep *vmtest.Report) *tables {
	t := &tables{Warnings: rep.Warnings, Notes: rep.Notes(), Failures: rep.Failures(), Partial: rep.Partial,
		Cost: newCostTable(rep.Costs), Coverage: newCoverageTable(rep), Conformance: newConformanceTable(rep), Suites: newSuiteTable(rep)}
	for _, v := range rep.Verifier {
		t.Verifier = append(t.Verifier, verifierRow{v})
	}
	for _, r := range rep.RunInfos() {
		t.Runs = append(t.Runs, run{r, r.Started.UTC().Format("2 January 2006, 15:04 UTC"),
			time.Duration(r.Seconds * float64(time.Second)).Round(time.Second).String()})
	}
	calls, cases := map[string]bool{}, map[string]bool{}
	for i := range rep.Results {
		x := &rep.Results[i]
		calls[x.Syscall] = true
		cases[x.Syscall+"/"+x.Case] = true
		t.All.add(x.Status)
		j := slices.IndexFunc(t.Totals, func(t total) bool { return t.Name == x.Kernel && t.Driver == x.Drivers.String() })
		if j < 0 {
			j = len(t.Totals)
			t.Totals = append(t.Totals, total{Name: x.Kernel, Driver: x.Drivers.String()})
		}
		t.Totals[j].add(x.Status)
	}
	t.Calls, t.Cases = len(calls), len(cases)
	t.Skips = skips(rep)
	return t
}

// More returns the number of failures that the summary does not show.
func (t *tables) More() int { return max(0, len(t.Failures)-mostFailures) }

// First returns those that it shows.
func (t *tables) First() []vmtest.Result { return t.Failures[:min(len(t.Failures), mostFailures)] }

// skips groups what was skipped by its reason, the most frequent first.
func skips(rep *vmtest.Report) []skipped {
	cells, where := map[string]int{}, map[string][]string{}
	for i := range rep.Results {
		x := &rep.Results[i]
		if x.Status != judge.Skip {
			continue
		}
		reason, _, _ := strings.Cut(x.Reason, "\n")
		cells[reason]++
		if !slices.Contains(where[reason], x.Kernel) {
			where[reason] = append(where[reason], x.Kernel)
		}
	}
	var all []skipped
	for _, reason := range slices.Sorted(maps.Keys(cells)) {
		all = append(all, skipped{reason, cells[reason], strings.Join(where[reason], ", ")})
	}
	slices.SortStableFunc(all, func(a, b skipped) int { return b.Cells - a.Cells })
	return all
}

// costTable has what drivers add to calls.
type costTable struct {
	Drivers []guest.Driver
	Calls   []costCall
	Errors  []vmtest.Cost
}

type costCall struct {
	Name string
	Rows []costRow
}

type costRow struct {
	Kernel string
	Bare   string
	Added  []added // of the drivers
}

type added struct {
	Text  string
	Share int // percent of the most of any call
}

func newCostTable(costs []vmtest.Cost) *costTable {
	if len(costs) == 0 {
		return nil
	}
	t := &costTable{}
	most := 0.0
	for _, c := range costs {
		if c.Error != "" {
			t.Errors = append(t.Errors, c)
			continue
		}
		if !slices.Contains(t.Drivers, c.Driver) {
			t.Drivers = append(t.Drivers, c.Driver)
		}
		most = max(most, c.Added)
	}
	for _, c := range costs {
		if c.Error != "" {
			continue
		}
		i := slices.IndexFunc(t.Calls, func(x costCall) bool { return x.Name == c.Call })
		if i < 0 {
			i = len(t.Calls)
			t.Calls = append(t.Calls, costCall{Name: c.Call})
		}
		rows := &t.Calls[i].Rows
		j := slices.IndexFunc(*rows, func(x costRow) bool { return x.Kernel == c.Kernel })
		if j < 0 {
			j = len(*rows)
			*rows = append(*rows, costRow{Kernel: c.Kernel, Bare: decimal.Thousands(int(c.Bare + 0.5)), Added: make([]added, len(t.Drivers))})
		}
		(*rows)[j].Added[slices.Index(t.Drivers, c.Driver)] = added{decimal.Thousands(int(c.Added + 0.5)), int(100 * max(c.Added, 0) / max(most, 1))}
	}
	return t
}

// coverageTable has what is proven of the calls, by class.
type coverageTable struct {
	Classes []classProof
	All     classProof
	Lacking []judge.Proof
}

type classProof struct {
	Name                         string
	Calls, Cases, Params, Proven int
}

func newCoverageTable(rep *vmtest.Report) *coverageTable {
	proofs := rep.Proofs()
	if len(proofs) == 0 {
		return nil
	}
	cases := map[string]map[string]bool{}
	classes := map[string]string{}
	for i := range rep.Results {
		x := &rep.Results[i]
		if cases[x.Syscall] == nil {
			cases[x.Syscall], classes[x.Syscall] = map[string]bool{}, className(x)
		}
		cases[x.Syscall][x.Case] = true
	}
	t := &coverageTable{}
	byClass := map[string]*classProof{}
	for _, p := range proofs {
		c := byClass[classes[p.Syscall]]
		if c == nil {
			c = &classProof{Name: classes[p.Syscall]}
			byClass[c.Name] = c
		}
		for _, c := range []*classProof{c, &t.All} {
			c.Calls++
			c.Cases += len(cases[p.Syscall])
			c.Params += p.Params
			c.Proven += p.Proven
		}
		if p.Lacks != "" {
			t.Lacking = append(t.Lacking, p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byClass)) {
		t.Classes = append(t.Classes, *byClass[name])
	}
	return t
}

// conformanceTable has the score of somebody else's driver.
type conformanceTable struct {
	Kernels []conformance
	Rows    []conformanceRow // what is not equal
}

type conformance struct{ vmtest.Score }

// Judged returns how many cases of calls were judged that the driver has an event for.
func (c conformance) Judged() int { return c.Cases.Equal + c.Cases.Listed + c.Cases.Defect }

// Known returns how many of them have no defect.
func (c conformance) Known() int { return c.Cases.Equal + c.Cases.Listed }

type conformanceRow struct {
	Cell, Kind, Param, Want, Got, Differs string
}

func newConformanceTable(rep *vmtest.Report) *conformanceTable {
	t := &conformanceTable{}
	scores, _ := rep.Conformance()
	for _, s := range scores {
		t.Kernels = append(t.Kernels, conformance{s})
	}
	for i := range rep.Results {
		x := &rep.Results[i]
		if x.Conformance == "" || x.Conformance == judge.Equal {
			continue
		}
		row := conformanceRow{Cell: x.Cell(), Kind: string(x.Conformance)}
		before := len(t.Rows)
		for _, p := range x.Params {
			if p.Differs != "" || !p.OK {
				row.Param, row.Want, row.Got, row.Differs = p.Name, p.Want, p.Got, p.Differs
				t.Rows = append(t.Rows, row)
			}
		}
		if len(t.Rows) == before { // no param differs, e.g. there was no event
			row.Differs, _, _ = strings.Cut(x.Reason, "\n")
			t.Rows = append(t.Rows, row)
		}
	}
	if rep.Subject() == nil {
		return nil
	}
	slices.SortStableFunc(t.Rows, func(a, b conformanceRow) int { return cmp.Compare(a.Kind, b.Kind) }) // defects first
	return t
}

// suiteTable has what drivers show of the truth suites. That two drivers are equal is no score.
type suiteTable struct {
	Columns []string
	Suites  []suite
	Missed  []missed
}

type suite struct {
	Name   string
	Scores []score // by column
}

// score counts the cases of a suite that ran. What failed, and what the driver does not show, is not shown.
type score struct{ Shown, Failed, Of int }

// Less reports whether something is not shown.
func (s score) Less() bool { return s.Shown < s.Of }

func (s score) String() string {
	if s.Of == 0 {
		return "–"
	}
	return fmt.Sprintf("%d of %d", s.Shown, s.Of)
}

// missed is what drivers do not show of a case.
type missed struct{ Case, Why, Where string }

func newSuiteTable(rep *vmtest.Report) *suiteTable {
	t := &suiteTable{}
	for i := range rep.Results {
		x := &rep.Results[i]
		if x.Suite == "" || x.Drivers.Pair() {
			continue
		}
		name := x.Kernel + " " + x.Drivers.String()
		if !slices.Contains(t.Columns, name) {
			t.Columns = append(t.Columns, name)
		}
		if !slices.ContainsFunc(t.Suites, func(s suite) bool { return s.Name == x.Suite }) {
			t.Suites = append(t.Suites, suite{Name: x.Suite})
		}
	}
	if len(t.Suites) == 0 {
		return nil
	}
	for i := range t.Suites {
		t.Suites[i].Scores = make([]score, len(t.Columns))
	}
	for i := range rep.Results {
		x := &rep.Results[i]
		j := slices.IndexFunc(t.Suites, func(s suite) bool { return s.Name == x.Suite })
		if j < 0 || x.Drivers.Pair() || x.Status == judge.Skip {
			continue
		}
		name := x.Kernel + " " + x.Drivers.String()
		s := &t.Suites[j].Scores[slices.Index(t.Columns, name)]
		s.Of++
		switch {
		case x.Status == judge.Fail:
			s.Failed++
		case x.Missed == "":
			s.Shown++
		default:
			t.miss(x.Syscall+"/"+x.Case, x.Missed, name)
		}
	}
	return t
}

func (t *suiteTable) miss(id, why, where string) {
	for i := range t.Missed {
		if m := &t.Missed[i]; m.Case == id && m.Why == why {
			m.Where += ", " + where
			return
		}
	}
	t.Missed = append(t.Missed, missed{id, why, where})
}
