// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// Coverage is what a run proved: which params of which syscalls were compared,
// in calls that succeeded and in calls that failed, on which kernels.
type Coverage struct {
	columns []string
	rows    map[string]*coverageRow
}

type coverageRow struct {
	sc     *guest.Syscall
	cells  map[string]*CoverageCell
	params map[string]*proof // exit params by name
}

type proof struct{ success, failure bool }

// CoverageCell counts the cases of one syscall in one column.
type CoverageCell struct {
	Pass int `json:"pass"`
	Fail int `json:"fail"`
	Skip int `json:"skip"`
}

func (c CoverageCell) String() string {
	switch {
	case c.Fail > 0:
		return fmt.Sprintf("FAIL %d/%d", c.Fail, c.Pass+c.Fail)
	case c.Pass > 0:
		return fmt.Sprint(c.Pass)
	case c.Skip > 0:
		return "skip"
	}
	return "-"
}

// CoverageRow is one syscall's line of the report.
type CoverageRow struct {
	Syscall string                  `json:"syscall"`
	Cells   map[string]CoverageCell `json:"cells"` // by column
	Gaps    []CoverageGap           `json:"gaps,omitempty"`
}

// CoverageGap is an exit param that was not proven.
type CoverageGap struct {
	Param   string `json:"param"`
	Success bool   `json:"success"` // compared, and right, in a call that succeeded
	Failure bool   `json:"failure"` // the same in one that failed
}

// Add counts one case. The column says where it ran, e.g. "6.12 ebpf".
func (c *Coverage) Add(column string, sc *guest.Syscall, res *guest.CaseResult, v Verdict) {
	if !slices.Contains(c.columns, column) {
		c.columns = append(c.columns, column)
	}
	if c.rows == nil {
		c.rows = make(map[string]*coverageRow)
	}
	row, ok := c.rows[sc.Name]
	if !ok {
		row = &coverageRow{sc: sc, cells: make(map[string]*CoverageCell), params: make(map[string]*proof)}
		c.rows[sc.Name] = row
	}
	cell, ok := row.cells[column]
	if !ok {
		cell = new(CoverageCell)
		row.cells[column] = cell
	}
	switch v.Status {
	case Pass:
		cell.Pass++
	case Fail:
		cell.Fail++
	case Skip:
		cell.Skip++
	}
	if v.Status == Skip || res == nil || guest.IsPair(driverOf(column)) {
		return // that two drivers agree proves no value
	}
	failed := res.Return && res.Ret < 0 && res.Ret > -4096
	for _, p := range v.Params {
		if !p.OK || strings.HasPrefix(p.Name, EnterPrefix) {
			continue
		}
		pr, ok := row.params[p.Name]
		if !ok {
			pr = new(proof)
			row.params[p.Name] = pr
		}
		pr.success = pr.success || !failed
		pr.failure = pr.failure || failed
	}
}

// Columns are the columns in the order of their first case.
func (c *Coverage) Columns() []string { return slices.Clone(c.columns) }

// SortColumns puts the columns in the order of kernels, and of drivers in each.
func (c *Coverage) SortColumns(kernels, drivers []string) {
	place := func(column string) [2]int {
		d := driverOf(column)
		return [2]int{slices.Index(kernels, strings.TrimSuffix(column, " "+d)), slices.Index(drivers, d)}
	}
	slices.SortStableFunc(c.columns, func(a, b string) int {
		x, y := place(a), place(b)
		return slices.Compare(x[:], y[:])
	})
}

// Rows are the syscalls in order of their names.
func (c *Coverage) Rows() []CoverageRow {
	var rows []CoverageRow
	for _, r := range c.rows {
		row := CoverageRow{Syscall: r.sc.Name, Cells: make(map[string]CoverageCell), Gaps: r.gaps()}
		for col, cell := range r.cells {
			row.Cells[col] = *cell
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b CoverageRow) int { return cmp.Compare(a.Syscall, b.Syscall) })
	return rows
}

// gaps are the exit params without a proof in a success or in a failure, where
// the syscall can have one.
func (r *coverageRow) gaps() []CoverageGap {
	info := event.Lookup(event.Type(r.sc.Exit))
	if info == nil {
		return nil
	}
	var gaps []CoverageGap
	for i := range info.Params {
		g := CoverageGap{Param: info.Params[i].Name}
		if p := r.params[g.Param]; p != nil {
			g.Success, g.Failure = p.success, p.failure
		}
		if (g.Success || r.sc.NeverSucceeds != "") && (g.Failure || r.sc.NeverFails != "") {
			continue
		}
		gaps = append(gaps, g)
	}
	return gaps
}

// WriteTable prints syscall x column with the number of cases that passed, and
// the params nobody proved.
func (c *Coverage) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "syscall\t%s\tunproven\n", strings.Join(c.heads(), "\t"))
	for _, row := range c.Rows() {
		fmt.Fprint(t, row.Syscall)
		for _, col := range c.columns {
			fmt.Fprintf(t, "\t%v", row.Cells[col])
		}
		fmt.Fprintf(t, "\t%s\n", gapText(row.Gaps))
	}
	return t.Flush()
}

// driverOf is the driver of a column named "KERNEL DRIVER".
func driverOf(column string) string { return column[strings.LastIndexByte(column, ' ')+1:] }

// heads are the columns' titles: a kernel is named once, over the first of its
// columns, and the comparison of two drivers is called "equal".
func (c *Coverage) heads() []string {
	var heads []string
	last := ""
	for _, col := range c.columns {
		head := driverOf(col)
		kernel := strings.TrimSuffix(col, " "+head)
		if guest.IsPair(head) {
			head = "equal"
		}
		if kernel != last {
			head, last = kernel+" "+head, kernel
		}
		heads = append(heads, head)
	}
	return heads
}

func gapText(gaps []CoverageGap) string {
	lacks := map[string][]string{}
	for _, g := range gaps {
		switch {
		case g.Success:
			lacks["on failure"] = append(lacks["on failure"], g.Param)
		case g.Failure:
			lacks["on success"] = append(lacks["on success"], g.Param)
		default:
			lacks["at all"] = append(lacks["at all"], g.Param)
		}
	}
	var parts []string
	for _, when := range slices.Sorted(maps.Keys(lacks)) {
		parts = append(parts, fmt.Sprintf("%s: %s", when, strings.Join(lacks[when], " ")))
	}
	return strings.Join(parts, "; ")
}
