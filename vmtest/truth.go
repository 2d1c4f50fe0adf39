// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/scaplab/scaplab/vmtest/judge"
)

// Truth counts the scenarios of a truth suite that a driver shows, of those that ran.
type Truth struct{ Shown, Of int }

func (s Truth) String() string {
	if s.Of == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", s.Shown, s.Of)
}

func (s *Truth) add(x *Result) {
	if x.Status == judge.Skip {
		return
	}
	s.Of++
	if x.Status == judge.Pass && x.Missed == "" {
		s.Shown++
	}
}

// Truth returns what a driver shows on a kernel: of a suite, or of all if suite is "".
func (r *Report) Truth(col judge.Column, suite string) (s Truth) {
	for i := range r.Results {
		if x := &r.Results[i]; x.Suite != "" && x.column() == col && (suite == "" || x.Suite == suite) {
			s.add(x)
		}
	}
	return s
}

// suites returns the names of the truth suites that have results.
func (r *Report) suites() (names []string) {
	for i := range r.Results {
		if name := r.Results[i].Suite; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// writeTruth prints a line for each truth suite, and one for all of them. That two drivers are
// equal is no score.
func (r *Report) writeTruth(w io.Writer) error {
	suites := r.suites()
	if len(suites) == 0 {
		return nil
	}
	var columns []judge.Column
	for i := range r.Results {
		x := &r.Results[i]
		if x.Suite != "" && !x.Drivers.Pair() && !slices.Contains(columns, x.column()) {
			columns = append(columns, x.column())
		}
	}
	gap := ""
	if !r.coverage.Empty() {
		gap = "\n"
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%ssuite\t%s\n", gap, strings.Join(judge.Heads(columns), "\t"))
	for _, suite := range append(suites, "") {
		fmt.Fprint(t, cmp.Or(suite, "truth"))
		for _, col := range columns {
			fmt.Fprintf(t, "\t%v", r.Truth(col, suite))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
