// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/subject"
)

// Score says how somebody else's driver did on one kernel.
type Score struct {
	Kernel  string
	Cases   Tally
	Events  Tally // of kinds of events; the worst case of each counts
	Params  Tally // of their params
	Generic int   // cases of calls that the driver has no event for, and makes the generic event; not in Cases
	Skipped int   // cases that prove nothing on the kernel
	Broken  int   // cases that were not carried through
}

// Tally counts by conformance.
type Tally struct{ Equal, Listed, Defect int }

func (t *Tally) add(c judge.Conformance) {
	switch c {
	case judge.Equal:
		t.Equal++
	case judge.Listed:
		t.Listed++
	case judge.Defect:
		t.Defect++
	}
}

func (t Tally) String() string { return fmt.Sprintf("%d\t%d\t%d", t.Equal, t.Listed, t.Defect) }

// Deviation is a param of an event, or the whole event, in which somebody else's driver differs.
type Deviation struct {
	Event   string   // symbol
	Param   string   // "" for the whole event
	Differs string   // the table's text that lists it; "" for a defect
	Kernels []string // names
	Cases   int      // cells that show it
	Example *Result  // the first of them
}

// Subject returns somebody else's driver that was judged, or nil.
func (r *Report) Subject() *subject.Subject {
	for _, run := range r.RunInfos() {
		if run.Subject != nil {
			return run.Subject
		}
	}
	return nil
}

// row is a param of an event, or the whole event.
type row struct{ event, param string }

// rowOf returns what a row of a result's params is of.
func rowOf(sc *guest.Syscall, name string) row {
	if param, ok := strings.CutPrefix(name, judge.EnterPrefix); ok {
		return row{judge.Symbol(sc.Enter), param}
	}
	if param, ok := strings.CutPrefix(name, judge.GenericPrefix); ok {
		return row{judge.Symbol(uint16(event.TypeGenericExit)), param}
	}
	if name == judge.WholeEvent {
		name = ""
	}
	return row{judge.Symbol(sc.Exit), name}
}

// isGeneric reports whether the row is of calls that the driver has no event for. In a score it is only with a defect.
func (at row) isGeneric() bool { return at.event == judge.Symbol(uint16(event.TypeGenericExit)) }

// rows returns what a result says of each row: of a case that upset its machine, a defect of the whole event.
func (r *Result) rows(sc *guest.Syscall) map[row]judge.Param {
	rows := map[row]judge.Param{}
	for _, p := range r.Params {
		at := rowOf(sc, p.Name)
		if old, ok := rows[at]; !ok || conformance(p) > conformance(old) {
			rows[at] = p
		}
	}
	if judge.Upset(r.Class) {
		rows[rowOf(sc, judge.WholeEvent)] = judge.Param{Name: judge.WholeEvent}
	}
	return rows
}

// gravity orders conformances.
var gravity = []judge.Conformance{judge.Equal, judge.Listed, judge.Defect}

// conformance returns the index in gravity of what a param shows.
func conformance(p judge.Param) int {
	switch {
	case p.OK:
		return 0
	case p.Differs != "":
		return 1
	}
	return 2
}

// Conformance returns how somebody else's driver did on each kernel, and in what it differs, listed or
// not, in the order of the results.
func (r *Report) Conformance() (scores []Score, deviations []Deviation) {
	found := map[row]int{} // index in deviations
	for _, kernel := range r.Kernels {
		s := Score{Kernel: kernel}
		worst := map[row]int{}
		for i := range r.Results {
			x := &r.Results[i]
			sc := guest.FindSyscall(x.Syscall)
			if x.Kernel != kernel || sc == nil {
				continue
			}
			switch {
			case x.Status == judge.Skip:
				s.Skipped++
				continue
			case x.Conformance == "":
				s.Broken++
				continue
			}
			generic := slices.ContainsFunc(x.Params, func(p judge.Param) bool { return strings.HasPrefix(p.Name, judge.GenericPrefix) })
			if generic && x.Conformance == judge.Equal {
				s.Generic++
			} else {
				s.Cases.add(x.Conformance)
			}
			for at, p := range x.rows(sc) {
				c := conformance(p)
				if at.isGeneric() && c == 0 {
					continue
				}
				if old, ok := worst[at]; !ok || c > old {
					worst[at] = c
				}
				if c == 0 {
					continue
				}
				n, ok := found[at]
				if !ok {
					n = len(deviations)
					found[at] = n
					deviations = append(deviations, Deviation{Event: at.event, Param: at.param, Differs: p.Differs, Example: x})
				}
				d := &deviations[n]
				if d.Cases++; !slices.Contains(d.Kernels, kernel) {
					d.Kernels = append(d.Kernels, kernel)
				}
				if p.Differs == "" && d.Differs != "" { // a defect says more than what is listed
					d.Differs, d.Example = "", x
				}
			}
		}
		if s == (Score{Kernel: kernel}) {
			continue
		}
		events := map[string]int{}
		for at, c := range worst {
			events[at.event] = max(events[at.event], c)
			if at.param != "" {
				s.Params.add(gravity[c])
			}
		}
		for _, c := range events {
			s.Events.add(gravity[c])
		}
		scores = append(scores, s)
	}
	slices.SortFunc(deviations, func(a, b Deviation) int { return cmp.Or(cmp.Compare(a.Event, b.Event), cmp.Compare(a.Param, b.Param)) })
	return scores, deviations
}

// writeConformance prints the score of somebody else's driver.
func (r *Report) writeConformance(b *strings.Builder) {
	s := r.Subject()
	if s == nil {
		return
	}
	scores, deviations := r.Conformance()
	fmt.Fprintf(b, "\nConformance of %s (%s):\n", s, s.Long())
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  kernel\tcases equal\tlisted\tdefect\tevents equal\tlisted\tdefect\tparams equal\tlisted\tdefect\tgeneric\tskipped\tbroken")
	for _, s := range scores {
		fmt.Fprintf(t, "  %s\t%v\t%v\t%v\t%d\t%d\t%d\n", s.Kernel, s.Cases, s.Events, s.Params, s.Generic, s.Skipped, s.Broken)
	}
	t.Flush()
	listed := map[string][]string{} // what the table says -> where it is seen
	for _, d := range deviations {
		where := d.Event
		if d.Param != "" {
			where += " " + d.Param
		}
		if d.Differs != "" {
			listed[d.Differs] = append(listed[d.Differs], where)
			continue
		}
		fmt.Fprintf(b, "  defect: %s: %d cases, such as %s on %s\n", where, d.Cases, d.Example.Cell(), strings.Join(d.Kernels, ", "))
	}
	for _, text := range slices.Sorted(maps.Keys(listed)) {
		const few = 3
		where := listed[text]
		more := ""
		if len(where) > few {
			more = fmt.Sprintf(" and %d more", len(where)-few)
			where = where[:few]
		}
		fmt.Fprintf(b, "  listed: %s%s: %s\n", strings.Join(where, ", "), more, text)
	}
}
