// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// Result is one cell of the report: a case on a kernel under a driver.
type Result struct {
	Kernel  string        `json:"kernel"`
	Arch    string        `json:"arch"`
	Drivers guest.Drivers `json:"driver"`
	Syscall string        `json:"syscall"`
	Case    string        `json:"case"`
	Status  judge.Status  `json:"status"`
	Class   string        `json:"class"`
	Reason  string        `json:"reason"`
	Ret     *int64        `json:"ret,omitempty"` // what the call returned, -errno for an error; left out when it did not return
	Params  []judge.Param `json:"params"`
	Repro   string        `json:"repro"`
}

// Cell is the result's name on command lines.
func (r *Result) Cell() string {
	return r.Syscall + "/" + r.Case + "@" + r.Kernel + "/" + r.Drivers.String()
}

func (r *Result) column() judge.Column { return judge.Column{Kernel: r.Kernel, Drivers: r.Drivers} }

// failed reports whether the call returned an error.
func (r *Result) failed() bool { return r.Ret != nil && *r.Ret < 0 && *r.Ret > -4096 }

// ParseCell splits SYSCALL/CASE@KERNEL/DRIVER. A kernel may be a file.
func ParseCell(s string) (id, kernel string, drivers guest.Drivers, err error) {
	id, rest, ok := strings.Cut(s, "@")
	i := strings.LastIndexByte(rest, '/')
	if !ok || i <= 0 || i == len(rest)-1 || !strings.Contains(id, "/") {
		return "", "", guest.Drivers{}, fmt.Errorf("cell %q: want SYSCALL/CASE@KERNEL/DRIVER, e.g. openat/creates-a-file@6.12/ebpf", s)
	}
	drivers, err = guest.ParseDrivers(rest[i+1:])
	return id, rest[:i], drivers, err
}

// Report is the outcome of a run.
type Report struct {
	Kernels  []string
	Drivers  []guest.Drivers
	Results  []Result
	Warnings []Warning
	Costs    []Cost // when asked for
	Accel    machine.Accel
	Partial  string  // why results are missing, "" when it has all
	Missing  []Shard // of the run that was joined: parts that no report was given of

	captures *captures // nil when none are wanted
	running  bool      // more is to come

	mu       sync.Mutex
	opts     Options
	begun    time.Time
	coverage judge.Coverage
	guests   map[judge.Column]string // how they ran
	notes    []string
	total    int
	given    int // results that were known from the start
	failed   int
	active   []activity
	told     map[string]bool // reasons of failures that were named as they happened
}

func newReport(o Options) *Report {
	r := &Report{captures: newCaptures(o.Captures), Drivers: o.Drivers, Warnings: o.Warnings, opts: o, begun: time.Now(), guests: map[judge.Column]string{}}
	for _, k := range o.Kernels {
		r.Kernels = append(r.Kernels, k.Name)
	}
	for _, g := range o.Gone {
		r.Kernels = append(r.Kernels, g.Request.String())
	}
	return r
}

// expect notes how many results there will be, and skips the cases of kernels
// that cannot be had.
func (r *Report) expect(pieces []piece) {
	for _, p := range pieces {
		r.total += len(p.ids) * len(p.drivers)
	}
	r.total += len(r.opts.Gone) * len(r.opts.Drivers) * len(r.opts.Cases)
	arch := r.opts.Arch
	if len(r.opts.Kernels) > 0 {
		arch = r.opts.Kernels[0].Arch
	}
	for _, g := range r.opts.Gone {
		for _, d := range r.opts.Drivers {
			for _, id := range r.opts.Cases {
				r.add(Kernel{Kernel: kernels.Kernel{Name: g.Request.String(), Arch: arch}}, d, id, nil, judge.Verdict{Status: judge.Skip, Reason: "this kernel cannot be had: " + g.Reason.Error()})
			}
		}
	}
}

func (r *Report) setAccel(a machine.Accel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Accel = a
}

func (r *Report) welcome(k Kernel, drivers guest.Drivers, h *guest.Hello, how string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := judge.Column{Kernel: k.Name, Drivers: drivers}
	if old, ok := r.guests[key]; ok {
		r.guests[key] = old + ", " + how
		return
	}
	r.guests[key] = h.Release + ", " + how
	for _, w := range h.Warnings {
		r.notes = append(r.notes, fmt.Sprintf("%s: guest: %s", k.Name, w))
	}
	for _, d := range h.Drivers {
		if drivers.Pair() || d.Name != drivers.A {
			continue
		}
		for _, x := range d.Refused {
			r.notes = append(r.notes, fmt.Sprintf("%s: %s: %s refused: %s", k.Name, d.Name, x.Program, firstLine(x.Reason)))
		}
	}
}

func (r *Report) note(k Kernel, drivers guest.Drivers, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf("%s: %s: %s", k.Name, drivers, text))
}

func (r *Report) add(k Kernel, drivers guest.Drivers, id string, raw *guest.CaseResult, v judge.Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name, c, _ := strings.Cut(id, "/")
	res := Result{Kernel: k.Name, Arch: k.Arch, Drivers: drivers, Syscall: name, Case: c,
		Status: v.Status, Class: v.Class, Reason: v.Reason, Params: v.Params}
	if res.Params == nil {
		res.Params = []judge.Param{}
	}
	res.Repro = "scaplab repro " + shellWord(res.Cell())
	if k.Arch != runtime.GOARCH {
		res.Repro += " --arch " + k.Arch
	}
	if k.Headers != "" && drivers.Has(guest.Kmod) {
		res.Repro += " --headers " + shellWord(k.Headers)
	}
	if raw != nil && raw.Return {
		ret := raw.Ret
		res.Ret = &ret
	}
	r.Results = append(r.Results, res)
	if v.Status == judge.Fail {
		r.failed++
		r.tell(&res)
	}
	if sc, _ := judge.FindCase(id); sc != nil {
		r.coverage.Add(res.column(), sc, res.failed(), v)
	}
	if raw != nil && r.captures != nil && !drivers.Pair() {
		r.captures.add(k, drivers.A, raw)
	}
	if r.total < len(r.Results) {
		r.total = len(r.Results) // calls that must be absent come on top
	}
}

// tell names a failure as it happens. What many cases share, such as a driver that does
// not load, is told once.
func (r *Report) tell(x *Result) {
	const enough = 100
	key := x.column().String() + x.Class + x.Reason
	if r.opts.Log == nil || r.told[key] || len(r.told) > enough {
		return
	}
	if r.told == nil {
		r.told = map[string]bool{}
	}
	r.told[key] = true
	if len(r.told) > enough {
		r.opts.Log("more failures are in the report")
		return
	}
	r.opts.Log("FAIL %s: %s: %s", x.Cell(), x.Class, firstLine(x.Reason))
}

// shellWord quotes a word for a shell when it needs it.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_-+=:,./") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// finish puts the results in the order of kernels, drivers and cases.
func (r *Report) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	cases := map[string]int{}
	for i, id := range r.opts.Cases {
		cases[id] = i + 1
		if _, ok := cases[syscallOf(id)]; !ok {
			cases[syscallOf(id)] = i
		}
	}
	place := func(x *Result) [3]int {
		c, ok := cases[x.Syscall+"/"+x.Case]
		if !ok { // absent: before the syscall's cases
			c = cases[x.Syscall]
		}
		return [3]int{slices.Index(r.Kernels, x.Kernel), slices.Index(r.Drivers, x.Drivers), c}
	}
	slices.SortStableFunc(r.Results, func(a, b Result) int {
		x, y := place(&a), place(&b)
		return slices.Compare(x[:], y[:])
	})
	slices.SortStableFunc(r.Costs, func(a, b Cost) int { return slices.Index(r.Kernels, a.Kernel) - slices.Index(r.Kernels, b.Kernel) })
	r.coverage.Sort(r.Kernels, r.Drivers)
	slices.Sort(r.notes)
	r.notes = slices.Compact(r.notes)
}

// Shard is the part of a run that this is the report of.
func (r *Report) Shard() Shard { return r.opts.Shard }

// Failures are the failed cells.
func (r *Report) Failures() []Result {
	var f []Result
	for _, x := range r.Results {
		if x.Status == judge.Fail {
			f = append(f, x)
		}
	}
	return f
}

// jsonReport is the form other programs read.
type jsonReport struct {
	Kernels  []string        `json:"kernels"`
	Drivers  []guest.Drivers `json:"drivers"`
	Results  []Result        `json:"results"`
	Warnings []Warning       `json:"warnings,omitempty"`
	Costs    []Cost          `json:"costs,omitempty"`
	Partial  string          `json:"partial,omitempty"` // why results are missing
	Shard    string          `json:"shard,omitempty"`   // i/n, of a run that was not all of it

	number, index int // of the file, of the shard
}

// WriteJSON writes all results.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	shard := ""
	if r.opts.Shard.Partial() {
		shard = r.opts.Shard.String()
	}
	return e.Encode(jsonReport{Kernels: orEmpty(r.Kernels), Drivers: orEmpty(r.Drivers), Results: orEmpty(r.Results),
		Warnings: r.Warnings, Costs: r.Costs, Partial: r.Partial, Shard: shard})
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// ReadJSON reads reports written by WriteJSON and joins them, e.g. the shards of one run.
func ReadJSON(files ...io.Reader) (*Report, error) {
	r := &Report{guests: map[judge.Column]string{}}
	shards := map[Shard]bool{}
	reports := make([]jsonReport, len(files))
	for i, f := range files {
		d := json.NewDecoder(f)
		d.DisallowUnknownFields()
		j := &reports[i]
		if err := d.Decode(j); err != nil {
			return nil, fmt.Errorf("read report %d: %w", i+1, err)
		}
		if j.Shard != "" {
			sh, err := ParseShard(j.Shard)
			if err != nil {
				return nil, fmt.Errorf("read report %d: %w", i+1, err)
			}
			if shards[sh] {
				return nil, fmt.Errorf("read report %d: shard %s was read already", i+1, sh)
			}
			shards[sh] = true
			j.index = sh.Index
		}
		j.number = i + 1
	}
	// As one run has its kernels and cases, in whatever order its shards are given.
	slices.SortStableFunc(reports, func(a, b jsonReport) int { return a.index - b.index })
	for _, j := range reports {
		for _, k := range j.Kernels {
			if !slices.Contains(r.Kernels, k) {
				r.Kernels = append(r.Kernels, k)
			}
		}
		for _, d := range j.Drivers {
			if !slices.Contains(r.Drivers, d) {
				r.Drivers = append(r.Drivers, d)
			}
		}
		for _, w := range j.Warnings {
			if !slices.Contains(r.Warnings, w) {
				r.Warnings = append(r.Warnings, w)
			}
		}
		r.Costs = append(r.Costs, j.Costs...)
		if j.Partial != "" {
			r.Partial = strings.TrimPrefix(fmt.Sprintf("%s; report %d is partial: %s", r.Partial, j.number, j.Partial), "; ")
		}
		for _, x := range j.Results {
			if x.Status != judge.Pass && x.Status != judge.Fail && x.Status != judge.Skip {
				return nil, fmt.Errorf("read report %d: %s: unknown status %q", j.number, x.Cell(), x.Status)
			}
			r.Results = append(r.Results, x)
			id := x.Syscall + "/" + x.Case
			sc, _ := judge.FindCase(id)
			if sc == nil {
				r.notes = append(r.notes, "the table has no case "+id+" any more")
				continue
			}
			r.coverage.Add(x.column(), sc, x.failed(), judge.Verdict{Status: x.Status, Class: x.Class, Reason: x.Reason, Params: x.Params})
			if !slices.Contains(r.opts.Cases, id) {
				r.opts.Cases = append(r.opts.Cases, id)
			}
		}
	}
	for _, sh := range slices.SortedFunc(maps.Keys(shards), func(a, b Shard) int { return a.Index - b.Index }) {
		for i := range sh.Count {
			other := Shard{i + 1, sh.Count}
			if !shards[other] && !slices.Contains(r.Missing, other) {
				r.Missing = append(r.Missing, other)
			}
		}
	}
	r.opts.Cases = slices.DeleteFunc(r.opts.Cases, func(id string) bool { _, c := guest.Find(id); return c == nil })
	r.finish()
	return r, nil
}

type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string           `xml:"name,attr"`
		Tests      int              `xml:"tests,attr"`
		Failures   int              `xml:"failures,attr"`
		Errors     int              `xml:"errors,attr"`
		Skipped    int              `xml:"skipped,attr"`
		Properties *junitProperties `xml:"properties"`
		Cases      []junitCase      `xml:"testcase"`
	}
	junitProperties struct {
		List []junitProperty `xml:"property"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitFailure `xml:"failure"`
		Error   *junitFailure `xml:"error"`
		Skipped *junitSkipped `xml:"skipped"`
	}
	junitFailure struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes the results for CI systems: a suite for each kernel and driver.
func (r *Report) WriteJUnit(w io.Writer) error {
	var all junitSuites
	for _, x := range r.Results {
		name := x.column().String()
		i := slices.IndexFunc(all.Suites, func(s junitSuite) bool { return s.Name == name })
		if i < 0 {
			i = len(all.Suites)
			all.Suites = append(all.Suites, junitSuite{Name: name})
			var warnings junitProperties
			for _, w := range r.Warnings {
				if w.Kernel == x.Kernel {
					warnings.List = append(warnings.List, junitProperty{"warning", w.Text})
				}
			}
			if len(warnings.List) > 0 {
				all.Suites[i].Properties = &warnings
			}
		}
		s := &all.Suites[i]
		c := junitCase{Class: x.Syscall, Name: x.Case}
		s.Tests++
		switch x.Status {
		case judge.Fail:
			s.Failures++
			c.Failure = &junitFailure{x.Class, firstLine(x.Reason), x.Reason + "\n" + x.Repro + "\n"}
		case judge.Skip:
			s.Skipped++
			c.Skipped = &junitSkipped{x.Reason}
		}
		s.Cases = append(s.Cases, c)
	}
	if r.Partial != "" { // else what ran would pass for everything
		all.Suites = append(all.Suites, junitSuite{Name: "scaplab", Tests: 1, Errors: 1, Cases: []junitCase{
			{Class: "scaplab", Name: "the run is complete", Error: &junitFailure{Type: "partial", Message: r.Partial}},
		}})
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	return errors.Join(e.Encode(all), e.Close())
}

// WriteText prints the matrix, what was skipped and why, and each failure with
// the command that replays it.
func (r *Report) WriteText(w io.Writer) error {
	if o := &r.opts; o.Shard.Partial() {
		if _, err := fmt.Fprintf(w, "%s\n\n", ShareText(o.Shard, r.Kernels, len(o.Cases), o.AllCases)); err != nil {
			return err
		}
	}
	if err := r.coverage.WriteTable(w); err != nil {
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
		told := map[string]string{} // long reasons, and the cell they stand with
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
			fmt.Fprintf(&b, "    %s\n", x.Repro)
		}
	}
	r.writeCosts(&b)
	r.writeTotals(&b)
	if r.Partial != "" {
		fmt.Fprintf(&b, "PARTIAL: %s\n", r.Partial)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeSkips lists each reason once, with how often and an example.
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
