// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/shell"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/shard"
)

// Result is a cell of the report: a case on a kernel under a driver.
type Result struct {
	Run     string        `json:"run"` // id of the run
	Kernel  string        `json:"kernel"`
	Arch    string        `json:"arch"`
	Drivers guest.Drivers `json:"driver"`
	Syscall string        `json:"syscall"` // the suite of a scenario
	Case    string        `json:"case"`
	Place   string        `json:"place,omitempty"` // FILE:LINE of the case in the table
	Status  judge.Status  `json:"status"`
	Class   string        `json:"class"`
	Reason  string        `json:"reason"`
	Ret     *int64        `json:"ret,omitempty"` // the value that the call returned, -errno for an error; nil if it did not return
	Seconds float64       `json:"seconds"`       // time of the case in the guest; 0 if it did not run
	Params  []judge.Param `json:"params"`
	Repro   string        `json:"repro"`

	Suite  string `json:"suite,omitempty"`  // truth suite that the case belongs to
	Missed string `json:"missed,omitempty"` // of a case of a suite that passes: what the driver does not show, as the table says, and why

	// Conformance says how somebody else's driver did. "": it is ours, or the case proved nothing.
	Conformance judge.Conformance `json:"conformance,omitempty"`

	Events  []DriverEvents `json:"events,omitempty"`  // of a failure, and of the first kernel on which the case passed
	Console string         `json:"console,omitempty"` // of a failure: the end of what the kernel said while the case ran
}

// Cell returns the result's name on command lines.
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
	Costs    []Cost     // if they were requested
	Verifier []Verifier // if it was requested
	Runs     []RunInfo  // of a joined report; nil for the report of one run
	Accel    machine.Accel
	Partial  string        // why results are missing; "" if the report is complete
	Missing  []shard.Shard // of a joined report: shards without a report

	captures *captures // nil if none are wanted
	running  bool      // the run is not finished

	mu       sync.Mutex
	opts     Options
	id       string // of the run
	begun    time.Time
	planned  time.Time          // when the first machine could be started
	ended    time.Time          // zero while it runs
	starts   map[string][]Start // of guests, by the kernel's name
	coverage judge.Coverage
	guests   map[judge.Column]string // how they started
	notes    []string
	total    int
	given    int // number of results that were known at the start
	failed   int
	active   []activity
	told     map[string]bool // failures that were already logged, by their reason
}

func newReport(o Options) *Report {
	r := &Report{captures: newCaptures(o.Captures), Drivers: o.Drivers, Warnings: o.Warnings, opts: o, id: newRunID(), begun: o.Begun, planned: time.Now(), starts: map[string][]Start{}, guests: map[judge.Column]string{}}
	if r.begun.IsZero() {
		r.begun = r.planned
	}
	for _, k := range o.Kernels {
		r.Kernels = append(r.Kernels, k.Name)
	}
	for _, g := range o.Gone {
		r.Kernels = append(r.Kernels, g.Request.String())
	}
	return r
}

// expect computes the number of results, and skips the cases of kernels
// which are not available.
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
				r.add(Kernel{Kernel: kernels.Kernel{Name: g.Request.String(), Arch: arch}}, d, id, nil, judge.Verdict{Status: judge.Skip, Reason: "this kernel is not available: " + g.Reason.Error()})
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
	r.compareCalls(k, drivers, h)
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
	r.addResult(k, drivers, id, raw, v)
}

// addResult is add for callers that hold the lock.
func (r *Report) addResult(k Kernel, drivers guest.Drivers, id string, raw *guest.CaseResult, v judge.Verdict) {
	name, c, _ := strings.Cut(id, "/")
	res := Result{Run: r.id, Kernel: k.Name, Arch: k.Arch, Drivers: drivers, Syscall: name, Case: c,
		Status: v.Status, Class: v.Class, Reason: v.Reason, Params: v.Params, Conformance: v.Conformance, Console: v.Console, Missed: v.Missed}
	if k.Subject != nil && judge.Upset(v.Class) {
		res.Conformance = judge.Defect
	}
	if res.Params == nil {
		res.Params = []judge.Param{}
	}
	sc, cs := guest.Find(id)
	res.Repro = cmp.Or(r.opts.Command, "scaplab") + " repro " + shell.Word(res.Cell())
	switch {
	case drivers == guest.OnlyCaptured: // it is not run again, but looked at
		res.Place = sc.Place(cs)
		res.Repro = cmp.Or(r.opts.Command, "scaplab") + " matrix --syscall " + shell.Word(id)
	case sc != nil:
		res.Place = sc.Place(cs)
		if sc.Suite {
			res.Suite = sc.Name
		}
	case c == kernelList: // every run on the kernel compares it
		res.Repro = cmp.Or(r.opts.Command, "scaplab") + " matrix --kernel " + shell.Word(k.Name) + " --driver " + drivers.String() + " --syscall getppid"
	}
	if k.Arch != runtime.GOARCH {
		res.Repro += " --arch " + k.Arch
	}
	if drivers.Has(guest.Kmod) {
		for _, h := range k.Headers {
			res.Repro += " --headers " + shell.Word(h)
		}
	}
	for _, f := range r.opts.ReproFlags {
		res.Repro += " " + shell.Word(f)
	}
	if raw != nil {
		res.Seconds = raw.Took.Seconds()
	}
	if raw != nil && raw.Return {
		ret := raw.Ret
		res.Ret = &ret
	}
	if raw != nil && v.Status != judge.Skip {
		res.Events = eventsOf(raw, drivers)
	}
	r.Results = append(r.Results, res)
	if v.Status == judge.Fail {
		r.failed++
		r.tell(&res)
	}
	if sc != nil && !sc.Suite { // scenarios prove no params
		r.coverage.Add(res.column(), sc, res.failed(), v)
	}
	if raw != nil && r.captures != nil && !drivers.Pair() {
		r.captures.add(k, drivers.A, raw)
	}
	if r.total < len(r.Results) {
		r.total = len(r.Results) // failures of the comparison with the kernel's list are additional
	}
}

// tell logs a failure as it happens. A reason that many cases share, such as a driver that
// does not load, is logged once.
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

// finish sorts the results by kernel, driver and case.
func (r *Report) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	cases := map[string]int{}
	for i, id := range r.opts.Cases {
		cases[id] = i + 1
		if _, ok := cases[guest.SyscallOf(id)]; !ok {
			cases[guest.SyscallOf(id)] = i
		}
	}
	place := func(x *Result) [3]int {
		c, ok := cases[x.Syscall+"/"+x.Case]
		if !ok { // a call as the kernel lists it: before the syscall's cases
			c = cases[x.Syscall]
		}
		return [3]int{slices.Index(r.Kernels, x.Kernel), slices.Index(r.Drivers, x.Drivers), c}
	}
	slices.SortStableFunc(r.Results, func(a, b Result) int {
		x, y := place(&a), place(&b)
		return slices.Compare(x[:], y[:])
	})
	slices.SortStableFunc(r.Costs, func(a, b Cost) int { return slices.Index(r.Kernels, a.Kernel) - slices.Index(r.Kernels, b.Kernel) })
	r.trimEvents()
	slices.SortStableFunc(r.Verifier, func(a, b Verifier) int {
		return slices.Index(r.Kernels, a.Kernel) - slices.Index(r.Kernels, b.Kernel)
	})
	r.coverage.Sort(r.Kernels, r.Drivers)
	slices.Sort(r.notes)
	r.notes = slices.Compact(r.notes)
}

// Shard returns the part of a run that this report describes.
func (r *Report) Shard() shard.Shard { return r.opts.Shard }

// Failures returns the failed cells.
func (r *Report) Failures() []Result {
	var f []Result
	for _, x := range r.Results {
		if x.Status == judge.Fail {
			f = append(f, x)
		}
	}
	return f
}

// Notes returns what is worth knowing besides the results, such as programs that a kernel refused.
func (r *Report) Notes() []string { return r.notes }

// Proofs returns, for each call by name, which of its params the run proved.
func (r *Report) Proofs() []judge.Proof { return r.coverage.Proofs() }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
