// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// Coverage is what a run proved: which params of which syscalls were compared on which
// kernels, in calls that succeeded and in calls that failed.
type Coverage struct {
	columns []Column
	rows    map[string]*coverageRow
}

// Column is a kernel and the driver, or the two compared drivers, that captured on it.
type Column struct {
	Kernel  string
	Drivers guest.Drivers
}

func (c Column) String() string { return c.Kernel + " " + c.Drivers.String() }

type coverageRow struct {
	sc     *guest.Syscall
	cells  map[Column]*cell
	params map[string]*proof // exit params by name
}

type proof struct{ success, failure bool }

// cell counts the cases of one syscall in one column.
type cell struct{ pass, fail, skip int }

func (c cell) String() string {
	switch {
	case c.fail > 0:
		return fmt.Sprintf("FAIL %d/%d", c.fail, c.pass+c.fail)
	case c.pass > 0:
		return fmt.Sprint(c.pass)
	case c.skip > 0:
		return "skip"
	}
	return "-"
}

// gap is an exit param without a proof.
type gap struct {
	param   string
	success bool // compared and equal in a call that succeeded
	failure bool // compared and equal in a call that failed
}

// Add counts a case, whose call failed or did not.
func (c *Coverage) Add(col Column, sc *guest.Syscall, failed bool, v Verdict) {
	if !slices.Contains(c.columns, col) {
		c.columns = append(c.columns, col)
	}
	if c.rows == nil {
		c.rows = make(map[string]*coverageRow)
	}
	row, ok := c.rows[sc.Name]
	if !ok {
		row = &coverageRow{sc: sc, cells: make(map[Column]*cell), params: make(map[string]*proof)}
		c.rows[sc.Name] = row
	}
	n, ok := row.cells[col]
	if !ok {
		n = new(cell)
		row.cells[col] = n
	}
	switch v.Status {
	case Pass:
		n.pass++
	case Fail:
		n.fail++
	case Skip:
		n.skip++
	}
	if v.Status == Skip || col.Drivers.Pair() {
		return // that two drivers agree does not prove a value
	}
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

// Sort sorts the columns by kernel, then by driver.
func (c *Coverage) Sort(kernels []string, drivers []guest.Drivers) {
	place := func(col Column) [2]int {
		return [2]int{slices.Index(kernels, col.Kernel), slices.Index(drivers, col.Drivers)}
	}
	slices.SortStableFunc(c.columns, func(a, b Column) int {
		x, y := place(a), place(b)
		return slices.Compare(x[:], y[:])
	})
}

// gaps returns the exit params without a proof in a success or in a failure, if
// the syscall can have one.
func (r *coverageRow) gaps() []gap {
	info := event.Lookup(event.Type(r.sc.Exit))
	if info == nil {
		return nil
	}
	var gaps []gap
	for i := range info.Params {
		g := gap{param: info.Params[i].Name}
		if p := r.params[g.param]; p != nil {
			g.success, g.failure = p.success, p.failure
		}
		if (g.success || r.sc.NeverSucceeds != "") && (g.failure || r.sc.NeverFails != "") {
			continue
		}
		gaps = append(gaps, g)
	}
	return gaps
}

// Empty reports whether no case was added.
func (c *Coverage) Empty() bool { return len(c.rows) == 0 }

// WriteTable prints the number of passed cases by syscall and column, and the params
// without a proof.
func (c *Coverage) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "syscall\t%s\tunproven\n", strings.Join(Heads(c.columns), "\t"))
	for _, name := range slices.Sorted(maps.Keys(c.rows)) {
		row := c.rows[name]
		fmt.Fprint(t, name)
		for _, col := range c.columns {
			n := row.cells[col]
			if n == nil {
				n = new(cell)
			}
			fmt.Fprintf(t, "\t%v", n)
		}
		fmt.Fprintf(t, "\t%s\n", gapText(row.gaps()))
	}
	return t.Flush()
}

// Proof says how much of a call's exit event is proven.
type Proof struct {
	Syscall string
	Params  int    // of the exit event
	Proven  int    // of them, in a success and in a failure
	Lacks   string // the params without a proof; "" if all have one
}

// Proofs returns the calls by name.
func (c *Coverage) Proofs() []Proof {
	var all []Proof
	for _, name := range slices.Sorted(maps.Keys(c.rows)) {
		row := c.rows[name]
		gaps := row.gaps()
		p := Proof{Syscall: name, Lacks: gapText(gaps)}
		if info := event.Lookup(event.Type(row.sc.Exit)); info != nil {
			p.Params, p.Proven = len(info.Params), len(info.Params)-len(gaps)
		}
		all = append(all, p)
	}
	return all
}

// Heads returns the titles of columns, which are sorted: a kernel is named once, over the first of its
// columns, and the comparison of two drivers is called "equal".
func Heads(columns []Column) []string {
	var heads []string
	last := ""
	for _, col := range columns {
		head := col.Drivers.String()
		if col.Drivers.Pair() {
			head = "equal"
		}
		if col.Kernel != last {
			head, last = col.Kernel+" "+head, col.Kernel
		}
		heads = append(heads, head)
	}
	return heads
}

func gapText(gaps []gap) string {
	lacks := map[string][]string{}
	for _, g := range gaps {
		switch {
		case g.success:
			lacks["on failure"] = append(lacks["on failure"], g.param)
		case g.failure:
			lacks["on success"] = append(lacks["on success"], g.param)
		default:
			lacks["at all"] = append(lacks["at all"], g.param)
		}
	}
	var parts []string
	for _, when := range slices.Sorted(maps.Keys(lacks)) {
		parts = append(parts, fmt.Sprintf("%s: %s", when, strings.Join(lacks[when], " ")))
	}
	return strings.Join(parts, "; ")
}
