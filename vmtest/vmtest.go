// SPDX-License-Identifier: Apache-2.0

// Package vmtest proves the table's entries on real kernels: it boots each in
// a virtual machine with this program as init, has the guest make every call
// while a driver captures, and judges what came.
//
// No privilege, server or disk image is needed: QEMU runs as the current user,
// kernels come from packages, results over a serial port.
package vmtest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// Options says what to run and how.
type Options struct {
	Kernels []kernels.Kernel      // of one architecture
	Gone    []kernels.Unavailable // kernels asked for that cannot be had: their cases are skipped
	Drivers []string              // verdicts wanted: of "ebpf", of "kmod", of a pair compared, "ebpf=kmod"
	Cases   []string              // IDs
	Shard   Shard

	Guest    string // static program to be init, for the kernels' architecture; "" is this one
	Jobs     int    // machines at a time; 0 is one for each processor, 8 at most
	MemoryMB int    // of a machine; 0 is 768
	Accel    string // "kvm", "tcg"; "" or "auto" is by trial

	NoSnapshots bool
	Cache       string        // "" is env.CacheDir()
	CaseLimit   time.Duration // of one case; 0 leaves it to the guest
	BootLimit   time.Duration // until a guest is ready; 0 is 5 minutes, ten times and more what it takes
	Silence     time.Duration // without a word from the guest; 0 is 3 minutes

	Costs    bool   // measure what drivers add to calls, too
	Captures string // directory to write what each driver delivered on each kernel to; "" for none

	Console  io.Writer // where to copy what kernels say; nil for nowhere
	Log      func(format string, args ...any)
	Progress func(Progress)                                             // nil, or called after each case, one at a time
	OnResult func(k kernels.Kernel, driver string, r *guest.CaseResult) // nil, or called with each raw result, of a driver or a pair
}

// Progress is how far a run has come.
type Progress struct {
	Done, Total, Failed int
	Kernel, Driver      string // of the case that was finished last
	Case                string
}

// Shard is part Index (from 1) of Count equal parts of a run.
type Shard struct{ Index, Count int }

// ParseShard reads "i/n".
func ParseShard(s string) (Shard, error) {
	var sh Shard
	if s == "" {
		return Shard{1, 1}, nil
	}
	if n, err := fmt.Sscanf(s, "%d/%d", &sh.Index, &sh.Count); err != nil || n != 2 || sh.String() != s ||
		sh.Index < 1 || sh.Index > sh.Count {
		return Shard{}, fmt.Errorf("shard %q: want i/n with 1 <= i <= n", s)
	}
	return sh, nil
}

func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Count) }

// part returns this shard's part of n things, as a half-open range.
func (s Shard) part(n int) (from, to int) {
	if s.Count == 0 {
		return 0, n
	}
	return n * (s.Index - 1) / s.Count, n * s.Index / s.Count
}

const (
	mostJobs         = 8 // there are not many more pieces of work, and each takes memory
	defaultMemoryMB  = 768
	defaultBootLimit = 5 * time.Minute
	defaultSilence   = 3 * time.Minute
)

func (o *Options) setDefaults() error {
	o.Jobs = cmp.Or(o.Jobs, min(runtime.GOMAXPROCS(0), mostJobs)) // each is bound by a processor
	o.MemoryMB = cmp.Or(o.MemoryMB, defaultMemoryMB)
	o.BootLimit = cmp.Or(o.BootLimit, defaultBootLimit)
	o.Silence = cmp.Or(o.Silence, max(defaultSilence, 2*o.CaseLimit)) // a guest says nothing while a case runs
	if o.Shard.Count == 0 {
		o.Shard = Shard{1, 1}
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	var err error
	if o.Cache == "" {
		o.Cache, err = env.CacheDir()
	}
	if o.Guest == "" && err == nil {
		o.Guest, err = os.Executable()
	}
	return err
}

// Arches are the architectures that machines can have, as GOARCH.
func Arches() []string { return slices.Sorted(maps.Keys(targets)) }

// FindQEMU returns the QEMU for guests of an architecture.
func FindQEMU(arch string) (string, error) {
	t, ok := targets[arch]
	if !ok {
		return "", env.Lacks("guests of "+arch+" are not supported", "supported: "+strings.Join(Arches(), ", "))
	}
	p, err := exec.LookPath(t.qemu)
	if err != nil {
		return "", env.Lacks(t.qemu+" is not installed", "install "+t.pkg+", e.g. apt-get install --no-install-recommends "+t.pkg)
	}
	return p, nil
}

// piece is what one lane runs.
type piece struct {
	kernel  int      // index in Options.Kernels
	drivers []string // whose verdicts come of it: a pair and its two come of one run
	cpus    int
	ids     []string
}

// lanes groups verdicts by the runs they come of.
func lanes(drivers []string) [][]string {
	var all [][]string
	rest := slices.Clone(drivers)
	for _, pair := range drivers {
		if !guest.IsPair(pair) {
			continue
		}
		var group []string
		rest = slices.DeleteFunc(rest, func(d string) bool {
			of := d == pair || slices.Contains(guest.Drivers(pair), d)
			if of {
				group = append(group, d)
			}
			return of
		})
		all = append(all, group)
	}
	for _, d := range rest {
		all = append(all, []string{d})
	}
	return all
}

// captureOf is what captures for a group of verdicts: the pair when it is among them.
func captureOf(group []string) string {
	if i := slices.IndexFunc(group, guest.IsPair); i >= 0 {
		return group[i]
	}
	return group[0]
}

// Run boots the kernels and runs the cases. The error is about the machine
// that runs it; what is wrong with kernels and drivers is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	if len(o.Kernels) == 0 {
		return nil, env.Lacks("no kernel to run on", goneText(o.Gone))
	}
	program, err := os.ReadFile(o.Guest)
	if err != nil {
		return nil, fmt.Errorf("guest program: %w", err)
	}
	if err := CheckGuest(program, o.Kernels[0].Arch); err != nil {
		return nil, env.Lacks(o.Guest+" cannot be a guest's init: "+err.Error(), "")
	}
	tmp, err := os.MkdirTemp("", "scaplab-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	initrds, err := writeInitramfs(tmp, program, o.Kernels)
	if err != nil {
		return nil, err
	}

	rep := newReport(o)
	if o.Captures != "" {
		rep.captures = newCaptures(o.Captures)
	}
	pieces := plan(o)
	rep.expect(pieces)
	pieces = skipWithoutModule(rep, o.Kernels, pieces)
	if len(pieces) > 0 {
		first := o.Kernels[pieces[0].kernel]
		qemu, err := FindQEMU(first.Arch)
		if err != nil {
			return nil, err
		}
		config := func(kernel, cpus int) machineConfig {
			k := o.Kernels[kernel]
			return machineConfig{arch: k.Arch, qemu: qemu, accel: accelerator(rep.Accel.Name), kernel: k.Image, initrd: initrds[kernel].file, memoryMB: o.MemoryMB, cpus: cpus}
		}
		if rep.Accel, err = o.accel(ctx, config(pieces[0].kernel, 1)); err != nil {
			return nil, err
		}
		snapshots := filepath.Join(o.Cache, "snapshot")
		if o.NoSnapshots {
			snapshots = ""
		}
		launchers := map[string]*vmLauncher{}
		run := func(p piece) error {
			k := o.Kernels[p.kernel]
			key := fmt.Sprint(p.kernel, " ", p.cpus)
			rep.mu.Lock()
			l := launchers[key]
			if l == nil {
				l = &vmLauncher{config: config(p.kernel, p.cpus), kernel: k, initrdSum: initrds[p.kernel].sum, snapshots: snapshots, bootLimit: o.BootLimit, log: o.Log, console: o.Console}
				launchers[key] = l
			}
			rep.mu.Unlock()
			if rep.captures != nil {
				return o.runPiece(ctx, rep, k, p, stateLauncher{l, k, rep.captures}, true)
			}
			return o.runPiece(ctx, rep, k, p, l, true)
		}
		if err := parallel(o.Jobs, pieces, run); err != nil {
			return nil, err
		}
		if o.Costs && o.Shard.Index == 1 {
			kernels := make([]int, len(o.Kernels))
			for i := range kernels {
				kernels[i] = i
			}
			if err := parallel(o.Jobs, kernels, func(i int) error {
				return rep.addCosts(ctx, o.Kernels[i], config(i, 1), o.Console)
			}); err != nil {
				return nil, err
			}
		}
	}
	rep.finish()
	if rep.captures != nil {
		return rep, rep.captures.write()
	}
	return rep, nil
}

// initramfs is what a kernel's machines start with.
type initramfs struct{ file, sum string }

// writeInitramfs writes one for each kernel, the same for those without a module.
func writeInitramfs(dir string, program []byte, kernels []kernels.Kernel) ([]initramfs, error) {
	all := make([]initramfs, len(kernels))
	byModule := map[string]initramfs{}
	for i, k := range kernels {
		if have, ok := byModule[k.Module]; ok {
			all[i] = have
			continue
		}
		var extra []guestFile
		if k.Module != "" {
			module, err := os.ReadFile(k.Module)
			if err != nil {
				return nil, fmt.Errorf("module of kernel %s: %w", k.Name, err)
			}
			extra = append(extra, guestFile{strings.TrimPrefix(guest.ModuleFile, "/"), module})
		}
		archive, err := newInitramfs(program, extra...)
		if err != nil {
			return nil, err
		}
		all[i] = initramfs{filepath.Join(dir, fmt.Sprintf("initramfs-%d", i)), files.Sum(archive)}
		if err := os.WriteFile(all[i].file, archive, 0o600); err != nil {
			return nil, err
		}
		byModule[k.Module] = all[i]
	}
	return all, nil
}

// skipWithoutModule takes out what needs the kernel module where there is none,
// which is a failure when there could be one.
func skipWithoutModule(rep *Report, kernels []kernels.Kernel, pieces []piece) []piece {
	var kept []piece
	for _, p := range pieces {
		k := kernels[p.kernel]
		if k.Module != "" {
			kept = append(kept, p)
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(p.drivers), func(d string) bool { return slices.Contains(guest.Drivers(d), "kmod") })
		for _, d := range p.drivers {
			if slices.Contains(rest, d) {
				continue
			}
			v := Verdict{Status: Skip, Reason: "no module: " + cmp.Or(k.NoModule, "none was given")}
			if k.ModuleError != "" {
				v = Verdict{Status: Fail, Class: ClassBuild, Reason: k.ModuleError}
			}
			for _, id := range p.ids {
				rep.add(k, d, id, nil, v)
			}
		}
		if p.drivers = rest; len(rest) > 0 {
			kept = append(kept, p)
		}
	}
	return kept
}

// parallel runs f on each item, at most n at a time, and returns the first error.
func parallel[T any](n int, items []T, f func(T) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := 0
	for range min(n, len(items)) {
		wg.Go(func() {
			for {
				mu.Lock()
				if next == len(items) || first != nil {
					mu.Unlock()
					return
				}
				item := items[next]
				next++
				mu.Unlock()
				if err := f(item); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return first
}

func (o *Options) accel(ctx context.Context, m machineConfig) (Accel, error) {
	switch o.Accel {
	case "", "auto":
		return chooseAccel(ctx, o.Cache, m)
	case string(accelKVM):
		a, err := chooseAccel(ctx, o.Cache, m)
		if err == nil && a.Name != o.Accel {
			err = env.Lacks("KVM was asked for: "+a.Reason, "--accel auto emulates where it has to")
		}
		return a, err
	case string(accelTCG):
		return Accel{o.Accel, "asked for"}, nil
	}
	return Accel{}, fmt.Errorf("accelerator %q: want auto, kvm or tcg", o.Accel)
}

// plan cuts the run into pieces: one for each kernel and run of drivers, cases
// that need two processors apart, and more when there are machines to spare.
func plan(o Options) []piece {
	groups := lanes(o.Drivers)
	total := len(o.Kernels) * len(groups) * len(o.Cases)
	from, to := o.Shard.part(total)
	var pieces []piece
	n := 0
	for k := range o.Kernels {
		for _, g := range groups {
			one, two := piece{k, g, 1, nil}, piece{k, g, 2, nil}
			for _, id := range o.Cases {
				if n >= from && n < to {
					if needsSMP(id) {
						two.ids = append(two.ids, id)
					} else {
						one.ids = append(one.ids, id)
					}
				}
				n++
			}
			for _, p := range []piece{one, two} {
				if len(p.ids) > 0 {
					pieces = append(pieces, p)
				}
			}
		}
	}
	// A machine more costs a fraction of a second, restored; worth it for many cases.
	const worthSplitting = 60
	for len(pieces) < o.Jobs {
		i := largest(pieces)
		if i < 0 || len(pieces[i].ids) < worthSplitting {
			break
		}
		rest := pieces[i]
		half := len(rest.ids) / 2
		for half < len(rest.ids) && syscallOf(rest.ids[half]) == syscallOf(rest.ids[half-1]) {
			half++ // a syscall's cases stay together
		}
		if half == len(rest.ids) {
			break
		}
		pieces[i].ids, rest.ids = rest.ids[:half], rest.ids[half:]
		pieces = slices.Insert(pieces, i+1, rest)
	}
	return pieces
}

func syscallOf(id string) string {
	name, _, _ := strings.Cut(id, "/")
	return name
}

func largest(pieces []piece) int {
	best := -1
	for i, p := range pieces {
		if best < 0 || len(p.ids) > len(pieces[best].ids) {
			best = i
		}
	}
	return best
}

func needsSMP(id string) bool {
	_, c := guest.Find(id)
	return c != nil && slices.Contains(c.Needs, "smp")
}

// runPiece runs a piece's cases and, one driver at a time, those with which a
// guest ended that had both: whose doing that was cannot be told else.
func (o *Options) runPiece(ctx context.Context, rep *Report, k kernels.Kernel, p piece, l launcher, unsafe bool) error {
	w := &wiring{o: o, rep: rep, kernel: k, drivers: p.drivers, judges: map[string]*Machine{}, broken: map[string]string{}}
	if err := w.lane(l, unsafe).run(ctx, p.ids); err != nil {
		return err
	}
	if len(w.fatal) == 0 {
		return nil
	}
	for _, d := range p.drivers {
		if guest.IsPair(d) {
			for _, f := range w.fatal {
				rep.add(k, d, f.id, nil, f.verdict)
			}
			continue
		}
		alone := &wiring{o: o, rep: rep, kernel: k, drivers: []string{d}, judges: map[string]*Machine{}, broken: map[string]string{}}
		var ids []string
		for _, f := range w.fatal {
			ids = append(ids, f.id)
		}
		if err := alone.lane(l, unsafe).run(ctx, ids); err != nil {
			return err
		}
	}
	return nil
}

// wiring connects a lane to the report: each of its results is a verdict for
// every driver, and one for their comparison.
type wiring struct {
	o       *Options
	rep     *Report
	kernel  kernels.Kernel
	drivers []string            // verdicts wanted
	judges  map[string]*Machine // by driver or pair
	broken  map[string]string   // driver -> why it does not work on this kernel
	fatal   []fatality
}

// fatality is a case with which the guest ended while two drivers captured.
type fatality struct {
	id      string
	verdict Verdict
}

func (w *wiring) lane(l launcher, unsafe bool) *lane {
	o, capture := w.o, captureOf(w.drivers)
	ln := &lane{
		driver: capture, launcher: l, caseLimit: o.CaseLimit, silence: o.Silence, grace: 5 * time.Second, unsafe: unsafe,
		log:     func(f string, a ...any) { o.Log("kernel %s, %s: %s", w.kernel.Name, capture, fmt.Sprintf(f, a...)) },
		plan:    w.plan,
		judge:   w.judge,
		note:    func(text string) { w.rep.note(w.kernel, capture, text) },
		started: func(id string) { w.rep.started(w.kernel, capture, id) },
		emit:    w.emit,
	}
	ln.onHello = func(h *guest.Hello, how string) error {
		if err := w.welcome(h, how); err != nil {
			return err
		}
		// A driver that does not work leaves the other to be proven alone.
		if left := slices.DeleteFunc(guest.Drivers(capture), func(d string) bool { return w.broken[d] != "" }); len(left) == 1 {
			ln.driver = left[0]
		}
		return nil
	}
	return ln
}

func (w *wiring) welcome(h *guest.Hello, how string) error {
	for _, s := range h.Drivers {
		if s.Error != "" {
			w.broken[s.Name] = s.Error
		}
	}
	for _, d := range w.drivers {
		m, err := NewMachine(h, d)
		if err != nil {
			return err
		}
		w.judges[d] = m
		w.rep.welcome(w.kernel, d, h, how)
	}
	return nil
}

// plan asks for what any of the verdicts needs.
func (w *wiring) plan(ids []string) (run []string, skip map[string]string, absent []string) {
	var all []*Machine
	for _, d := range w.drivers {
		all = append(all, w.judges[d])
	}
	return planCases(all, ids)
}

// verdict is what one driver's events, or the comparison of two, say of a case.
func (w *wiring) verdict(driver string, r *guest.CaseResult) Verdict {
	for _, d := range guest.Drivers(driver) {
		if why := w.broken[d]; why != "" {
			return failure(ClassDriver, "driver %s: %s", d, why)
		}
	}
	return judge(w.judges[driver], r)
}

// judge gives the first of the drivers' verdicts that is no pass, that of the
// comparison last: when a driver is wrong they differ because of that.
func (w *wiring) judge(r *guest.CaseResult) Verdict {
	var v Verdict
	for _, d := range w.drivers {
		if !guest.IsPair(d) {
			if v = w.verdict(d, r); v.Status == Fail {
				return v
			}
		}
	}
	if i := slices.IndexFunc(w.drivers, guest.IsPair); i >= 0 {
		return w.verdict(w.drivers[i], r)
	}
	return v
}

// emit reports a case for each of the drivers.
func (w *wiring) emit(id string, r *guest.CaseResult, v Verdict) {
	if r == nil && (v.Class == ClassCrash || v.Class == ClassHang) && len(w.drivers) > 1 {
		w.fatal = append(w.fatal, fatality{id, v})
		return
	}
	for _, d := range w.drivers {
		own := v
		if r != nil && v.Class != ClassChannel && v.Class != ClassKernel {
			own = w.verdict(d, r)
		}
		w.rep.add(w.kernel, d, id, r, own)
		if w.rep.captures != nil && r != nil && !guest.IsPair(d) {
			w.rep.captures.add(w.kernel, d, r)
		}
	}
	if r != nil && w.o.OnResult != nil {
		w.o.OnResult(w.kernel, captureOf(w.drivers), r)
	}
}

// findCase looks up a case, or the syscall alone when id is that of a call
// that should be absent.
func findCase(id string) (*guest.Syscall, *guest.Case) {
	if sc, c := guest.Find(id); sc != nil {
		return sc, c
	}
	name, rest, _ := strings.Cut(id, "/")
	if sc := guest.FindSyscall(name); sc != nil && guest.AbsentID(name) == name+"/"+rest {
		return sc, nil
	}
	return nil, nil
}

// judge compares a result with what the table wants.
func judge(m *Machine, r *guest.CaseResult) Verdict {
	sc, c := findCase(r.Case)
	switch {
	case sc == nil:
		return failure(ClassHarness, "the table has no case %s", r.Case)
	case c == nil:
		return CompareAbsent(sc, r, m)
	case guest.IsPair(m.Driver):
		return CompareDrivers(sc, c, r, m)
	}
	own := r.By(m.Driver)
	if own == nil {
		if v, done := judgeOutcome(c, r); done {
			return v // it ended before anything was captured
		}
		return failure(ClassHarness, "the guest did not capture with %s", m.Driver)
	}
	return Compare(sc, c, own, m)
}

// planCases splits cases by what a guest's kernel has, for several verdicts of
// it. Of a syscall it should not have, the cases are skipped and the call
// itself must fail with ENOSYS.
func planCases(machines []*Machine, ids []string) (run []string, skip map[string]string, absent []string) {
	skip = map[string]string{}
	for _, id := range ids {
		sc, c := findCase(id)
		if c == nil {
			skip[id] = "the table has no such case"
			continue
		}
		reason := ""
		for _, m := range machines {
			if reason = m.SkipReason(sc, c); reason == "" {
				break
			}
		}
		if reason == "" {
			run = append(run, id)
			continue
		}
		skip[id] = reason
		m := machines[0]
		_, onArch := sc.Number(m.Arch)
		if ok, _ := m.Available(sc); !ok && onArch && !slices.Contains(absent, sc.Name) {
			absent = append(absent, sc.Name)
		}
	}
	return run, skip, absent
}

// HostKernel is the name under which the running kernel stands in reports.
const HostKernel = "host"

// RunHost runs the cases on the running kernel, in a child process. Cases that
// would change the machine are skipped.
func RunHost(ctx context.Context, o Options) (*Report, error) {
	o.Cache = cmp.Or(o.Cache, os.TempDir()) // nothing is kept
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	if runtime.GOOS != "linux" {
		return nil, env.Lacks("this is no Linux kernel: "+runtime.GOOS, "use scaplab matrix")
	}
	for _, c := range []Check{checkRights(), checkBTF()} {
		if !c.OK {
			return nil, env.Lacks("no eBPF programs can be loaded here: "+c.Detail, c.Fix)
		}
	}
	k := kernels.Kernel{Name: HostKernel, Arch: runtime.GOARCH, Source: "the running kernel"}
	o.Kernels, o.Gone, o.Jobs = []kernels.Kernel{k}, nil, 1
	rep := newReport(o)
	rep.Accel = Accel{"none", "the running kernel"}
	pieces := plan(o)
	rep.expect(pieces)
	for _, p := range pieces {
		l := &processLauncher{program: o.Guest, env: guest.Environ(), limit: o.BootLimit, log: o.Console}
		if err := o.runPiece(ctx, rep, k, p, l, false); err != nil {
			return nil, err
		}
	}
	rep.finish()
	return rep, nil
}

func goneText(gone []kernels.Unavailable) string {
	var s []string
	for _, g := range gone {
		s = append(s, fmt.Sprintf("%s: %v", g.Request, g.Reason))
	}
	return strings.Join(s, "; ")
}
