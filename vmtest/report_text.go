// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/shard"
)

// WriteText prints the matrix, what was skipped and why, and each failure with
// the command that repeats it.
func (r *Report) WriteText(w io.Writer) error {
	if o := &r.opts; o.Shard.Partial() {
		if _, err := fmt.Fprintf(w, "%s\n\n", shard.Text(o.Shard, r.Kernels, len(o.Cases), o.AllCases)); err != nil {
			return err
		}
	}
	if !r.coverage.Empty() || len(r.suites()) == 0 {
		if err := r.coverage.WriteTable(w); err != nil {
			return err
		}
	}
	if err := r.writeTruth(w); err != nil {
		return err
	}
	var b strings.Builder
	if len(r.Warnings) > 0 {
		b.WriteString("\nWarnings:\n")
		for _, x := range r.Warnings {
			fmt.Fprintf(&b, "  %s: %s\n", x.Kernel, x.Text)
		}
	}
	r.writeSkips(&b)
	if len(r.notes) > 0 {
		b.WriteString("\nNotes:\n")
		for _, n := range r.notes {
			fmt.Fprintf(&b, "  %s\n", n)
		}
	}
	if f := r.Failures(); len(f) > 0 {
		b.WriteString("\nFailures:\n")
		told := map[string]string{} // long reasons, and the cell under which they are printed
		for _, x := range f {
			lines := strings.Split(strings.TrimRight(x.Reason, "\n"), "\n")
			fmt.Fprintf(&b, "  %s: %s: %s\n", x.Cell(), x.Class, lines[0])
			if same, ok := told[x.Reason]; ok && len(lines) > 3 {
				fmt.Fprintf(&b, "      (the rest as for %s)\n", same)
				lines = lines[:1]
			}
			if _, ok := told[x.Reason]; !ok {
				told[x.Reason] = x.Cell()
			}
			for _, l := range lines[1:] {
				fmt.Fprintf(&b, "      %s\n", l)
			}
			if x.Place != "" {
				fmt.Fprintf(&b, "    %s\n", x.Place)
			}
			fmt.Fprintf(&b, "    %s\n", x.Repro)
		}
	}
	r.writeCosts(&b)
	r.writeConformance(&b)
	r.writeVerifier(&b)
	r.writeTotals(&b)
	if r.Partial != "" {
		fmt.Fprintf(&b, "PARTIAL: %s\n", r.Partial)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeSkips prints each reason once, with the number of cases and an example.
func (r *Report) writeSkips(b *strings.Builder) {
	type group struct{ cells []string }
	groups := map[string]*group{}
	for i := range r.Results {
		x := &r.Results[i]
		if x.Status != judge.Skip {
			continue
		}
		key := x.column().String() + ": " + firstLine(x.Reason)
		g := groups[key]
		if g == nil {
			g = new(group)
			groups[key] = g
		}
		g.cells = append(g.cells, x.Syscall+"/"+x.Case)
	}
	if len(groups) == 0 {
		return
	}
	b.WriteString("\nSkipped:\n")
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		c := groups[key].cells
		if len(c) > 3 {
			fmt.Fprintf(b, "  %s (%d cases: %s, ...)\n", key, len(c), strings.Join(c[:2], ", "))
			continue
		}
		fmt.Fprintf(b, "  %s (%s)\n", key, strings.Join(c, ", "))
	}
}

func (r *Report) writeTotals(b *strings.Builder) {
	b.WriteByte('\n')
	var all [3]int
	for _, k := range r.Kernels {
		for _, d := range r.Drivers {
			var n [3]int
			for _, x := range r.Results {
				if x.Kernel == k && x.Drivers == d {
					n[slices.Index([]judge.Status{judge.Pass, judge.Fail, judge.Skip}, x.Status)]++
				}
			}
			if n == [3]int{} {
				continue
			}
			for i := range n {
				all[i] += n[i]
			}
			fmt.Fprintf(b, "%s %s: %d passed, %d failed, %d skipped", k, d, n[0], n[1], n[2])
			if how := r.guests[judge.Column{Kernel: k, Drivers: d}]; how != "" {
				fmt.Fprintf(b, " (%s)", how)
			}
			b.WriteByte('\n')
		}
	}
	fmt.Fprintf(b, "total: %d passed, %d failed, %d skipped", all[0], all[1], all[2])
	if !r.begun.IsZero() {
		fmt.Fprintf(b, " in %s", time.Since(r.begun).Round(100*time.Millisecond))
	}
	b.WriteByte('\n')
	if r.Accel.Name != "" {
		fmt.Fprintf(b, "accelerator: %s\n", r.Accel)
	}
}
