// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/shell"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/htmlreport"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/shard"
)

// driverNames are what --driver takes; the guest says which work.
var driverNames = []string{guest.OnlyEBPF.String(), guest.OnlyKmod.String(), guest.Both.String()}

// runFlags are the flags of commands that run cases.
type runFlags struct {
	kernel    string
	arch      string
	guest     string
	driver    string
	syscall   string
	suite     string
	shard     string
	json      string
	junit     string
	html      string
	markdown  string
	baseline  string
	watch     bool
	mirror    string
	accel     string
	console   string
	jobs      int
	memory    int
	noSnaps   bool
	caseLimit time.Duration
	modules   string
	headers   []string // a directory, or packages
	headersOf string   // name of the kernel that these are for
	captures  string
	seen      string
	facts     string
	costs     bool
	verifier  bool

	cacheLimit string
	bootLimit  time.Duration
	maxAge     time.Duration

	talk  *talk          // to stderr
	old   *vmtest.Report // of baseline
	lacks []string       // what could not be run because of this machine or its network
}

// kernelFlags adds the flags that say which kernels and where from.
func (f *runFlags) kernelFlags(cmd *cobra.Command) {
	usual := ""
	if c, err := kernels.LoadCatalog(); err == nil { // its error comes when it is used
		usual = "; default " + strings.Join(c.Default, ",")
	}
	cmd.Flags().StringVar(&f.kernel, "kernel", "", "kernels: series, newest, all, or files (bzImage, vmlinux, .deb)"+usual)
	f.mirrorFlags(cmd)
}

func (f *runFlags) mirrorFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.mirror, "mirror", "", "Debian archive to fetch from, URI[,SECURITY-URI]; default is the one apt is set up for")
	cmd.Flags().DurationVar(&f.maxAge, "max-age", 24*time.Hour, "look for newer kernels when the last look is longer ago than this")
}

// guestFlags adds the flags of machines that run cases.
func (f *runFlags) guestFlags(cmd *cobra.Command) {
	f.machineFlags(cmd)
	f.caseFlags(cmd)
}

// machineFlags adds the flags that say how machines are run.
func (f *runFlags) machineFlags(cmd *cobra.Command) {
	cmd.Flags().IntVarP(&f.jobs, "jobs", "j", 0, "machines at a time; 0 is one for each processor, 8 at most")
	cmd.Flags().IntVar(&f.memory, "memory", 768, "memory of a machine in MB")
	cmd.Flags().StringVar(&f.accel, "accel", "auto", "auto, kvm or tcg; auto tries whether KVM really runs a guest")
	cmd.Flags().BoolVar(&f.noSnaps, "no-snapshots", false, "boot every machine instead of restoring its saved state")
	cmd.Flags().DurationVar(&f.bootLimit, "boot-limit", 0, "time a guest may take to become ready; 0 is 20m")
	f.consoleFlag(cmd)
}

func (f *runFlags) consoleFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.console, "console", "", "write what the guests' kernels say to this file (- is stderr)")
}

// archFlags adds the flags for machines of another architecture than this one.
func (f *runFlags) archFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.arch, "arch", runtime.GOARCH, "architecture of the machines: "+strings.Join(machine.Arches(), ", "))
	cmd.Flags().StringVar(&f.guest, "guest", "", "static scaplab for --arch, to be init; default is this program, or one built from the source around it")
}

func (f *runFlags) headersFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.headers, "headers", nil, "build the module of the kernel given by file against this tree or header directory, or these .deb or .rpm packages (repeated); other kernels have packages")
}

func (f *runFlags) modulesFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.modules, "modules", "", "take kernel modules from this directory, which build kmod or build release wrote; default is to build them")
}

func (f *runFlags) caseFlags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.caseLimit, "case-limit", guest.CaseLimit, "time a single case may take")
}

func (f *runFlags) selectFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.driver, "driver", "ebpf,kmod", "drivers to capture with: "+strings.Join(driverNames, ", ")+"; both of them are compared, too. kmod=X judges somebody else's module: a .ko file, a tree of sources, a .deb file, or NAME[/SUITE] of a Debian package; capture=FILE judges what another program recorded (see scaplab cases)")
	f.modulesFlag(cmd)
	f.chooseFlags(cmd)
	f.reportFlags(cmd)
}

// reportFlags adds the flags that say which files are written.
func (f *runFlags) reportFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.json, "json", "", "write all results as JSON to this file (- is stdout, in place of the text)")
	cmd.Flags().StringVar(&f.junit, "junit", "", "write all results as JUnit XML to this file")
	cmd.Flags().StringVar(&f.html, "html", "", "write all results as a page to look at, in one file, to this file")
	cmd.Flags().StringVar(&f.markdown, "markdown", "", "write a summary for a pull request as Markdown to this file")
	cmd.Flags().StringVar(&f.baseline, "baseline", "", "say in --markdown what changed against this report, which --json wrote")
}

// chooseFlags adds the flags that choose cases.
func (f *runFlags) chooseFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.syscall, "syscall", "", "only these syscalls (openat), truth suites (io_uring) or cases (openat/missing-file)")
	cmd.Flags().StringVar(&f.suite, "suite", "", "only these truth suites, or all of them, beside what --syscall names")
}

func newMatrixCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "matrix",
		Short: "Run every syscall's cases on many kernels",
		Long: "Matrix boots each kernel in a virtual machine, makes the calls of every case while\n" +
			"the drivers capture, and compares each event with what really happened. Both drivers\n" +
			"capture the same call at once, and what they say of it is compared, too: a verdict\n" +
			"of its own (ebpf=kmod, the column \"equal\"). A kernel without headers has no module;\n" +
			"its cells of the kmod driver are skipped and say so. For a kernel given by file,\n" +
			"--headers names its tree or headers.\n\n" +
			"It prints syscall x kernel with the number of cases that passed, what was skipped\n" +
			"and why, and for each failure the command that replays it. The exit status is 0 when\n" +
			"all is fine, 1 when a case failed, 2 for wrong use, and 3 when this machine or its\n" +
			"network lacked something that was to be run.\n\n" +
			"Kernels are fetched from the Debian archive that apt is set up for, checked\n" +
			"against its keys and kept. No privilege is needed.\n\n" +
			"With --driver kmod=X somebody else's module is judged, by what its own tables have, and\n" +
			"with --driver capture=FILE what another program recorded while scaplab cases performed\n" +
			"the cases. The report then has a score: equal, different as the table lists, or a\n" +
			"defect, which makes the exit status 1.\n\n" +
			"With --shard i/n only part i is run, and only its kernels are fetched and have their\n" +
			"modules built: whole kernels, or some cases of one when there are more parts than\n" +
			"kernels. `scaplab report` joins what the parts write with --json.\n\n" +
			"With --cache-limit kernels run one after the other: each is fetched when it is its\n" +
			"turn, and what was not used for longest leaves the cache while that is too large.",
		Example: "  scaplab matrix\n" +
			"  scaplab matrix --syscall openat,connect --kernel 5.10,newest\n" +
			"  scaplab matrix --kernel all --shard 1/4 --junit report.xml\n" +
			"  scaplab matrix --kernel all --cache-limit 4GB\n" +
			"  scaplab matrix --kernel ./bzImage --headers ./linux\n" +
			"  scaplab matrix --arch arm64\n" +
			"  scaplab matrix --driver kmod=falcosecurity-scap-dkms --kernel 6.1,6.12\n" +
			"  scaplab matrix --driver capture=trace.scap --facts facts.json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, done, err := f.options(cmd)
			if err != nil {
				return err
			}
			defer done()
			if name, ok := strings.CutPrefix(f.driver, captureFile); ok {
				rep, err := f.judgeCapture(o, name)
				return f.report(cmd, rep, err)
			}
			if err := f.checkForeign(&o); err != nil {
				return err
			}
			if f.cacheLimit != "" {
				limit, err := parseSize(f.cacheLimit)
				if err != nil {
					return cli.Usage(fmt.Errorf("--cache-limit %s: %w", f.cacheLimit, err))
				}
				if o.Shard.Partial() {
					return cli.Usage(errors.New("--cache-limit runs one kernel after the other, --shard leaves that to several commands"))
				}
				guest, removeGuest, err := f.findGuest(cmd.Context())
				if err != nil {
					return err
				}
				defer removeGuest()
				o.Guest = guest
				return f.serially(cmd, o, limit)
			}
			if err := f.kernels(cmd, &o, splitList(f.kernel)...); err != nil {
				return err
			}
			if len(o.Kernels) > 0 { // a shard may have none
				guest, removeGuest, err := f.findGuest(cmd.Context())
				if err != nil {
					return err
				}
				defer removeGuest()
				o.Guest = guest
				removeModules, err := f.findModules(cmd.Context(), &o)
				defer removeModules()
				if err != nil {
					return err
				}
			}
			rep, err := vmtest.Run(cmd.Context(), o)
			if err == nil {
				err = f.writeSeen(rep)
			}
			return f.report(cmd, rep, err)
		},
	}
	f.kernelFlags(cmd)
	f.headersFlag(cmd)
	f.selectFlags(cmd)
	f.guestFlags(cmd)
	f.archFlags(cmd)
	f.watchFlag(cmd)
	cmd.Flags().StringVar(&f.captures, "captures", "", "write what each driver delivered to this directory, KERNEL-DRIVER.scap")
	cmd.Flags().BoolVar(&f.costs, "cost", false, "also measure what each driver adds to a call, in instructions")
	cmd.Flags().StringVar(&f.seen, "seen", "", "write what was seen of somebody else's module to this file, in a few lines: tables/seen.yaml is made so")
	cmd.Flags().StringVar(&f.facts, "facts", "", "with --driver capture=FILE: what the cases did while that was recorded, as scaplab cases wrote it")
	cmd.Flags().BoolVar(&f.verifier, "verifier", false, "also measure how much work each eBPF program is for each kernel's verifier")
	cmd.Flags().StringVar(&f.cacheLimit, "cache-limit", "", "run one kernel after the other, and keep the cache within this size between them: 4GB")
	cmd.Flags().StringVar(&f.shard, "shard", "", "run only part i of n: i/n")
	return cmd
}

// options turns flags into what vmtest wants. The function returned closes the console file.
func (f *runFlags) options(cmd *cobra.Command) (o vmtest.Options, done func(), err error) {
	done = func() {}
	if len(guest.Syscalls()) == 0 {
		return o, done, cli.Lacking(errors.New("this build has no cases (run scaplab gen, then build again)"))
	}
	if o.Shard, err = shard.Parse(f.shard); err != nil {
		return o, done, cli.Usage(err)
	}
	if f.isForeign() {
		o.Drivers = []guest.Drivers{guest.OnlyKmod}
	} else if strings.HasPrefix(f.driver, captureFile) {
		o.Drivers = []guest.Drivers{guest.OnlyCaptured}
	} else if o.Drivers, err = parseDrivers(f.driver); err != nil {
		return o, done, cli.Usage(err)
	}
	if o.Cases, err = f.cases(); err != nil {
		return o, done, cli.Usage(err)
	}
	switch {
	case f.isForeign() && len(f.headers) > 0:
		return o, done, cli.Usage(errors.New("--headers is to build this project's module with, --driver names another"))
	case f.isForeign() && f.modules != "":
		return o, done, cli.Usage(errors.New("--modules has modules, and --driver names another"))
	case len(f.headers) == 0:
	case f.modules != "":
		return o, done, cli.Usage(errors.New("--headers is to build a module with, --modules has them built"))
	case !usesKmod(o.Drivers):
		return o, done, cli.Usage(errors.New("--headers is to build the module with, and --driver does not name kmod"))
	}
	if err := f.checkMachine(); err != nil {
		return o, done, err
	}
	if f.watch && f.console == "-" {
		return o, done, cli.Usage(errors.New("--watch and --console - both want the terminal (give --console a file)"))
	}
	if err := f.readBaseline(); err != nil {
		return o, done, err
	}
	o.Begun = time.Now()
	// A report of an earlier run is not to be taken for that of one that broke off.
	o.Tool = cli.Version()
	if err := f.save(vmtest.NotBegun(o)); err != nil {
		return o, done, cli.Usage(err)
	}
	o.Arch = f.arch
	o.Command, o.ReproFlags = shell.Command(), reproFlags(cmd)
	talk := newTalk(cmd.ErrOrStderr())
	o.Jobs, o.MemoryMB, o.Accel, o.NoSnapshots, o.CaseLimit = f.jobs, f.memory, f.accel, f.noSnaps, f.caseLimit
	o.BootLimit, o.Captures, o.Costs, o.Verifier = f.bootLimit, f.captures, f.costs, f.verifier
	o.Log, o.Progress, f.talk = talk.say, talk.progress, talk
	o.Save = func(rep *vmtest.Report) {
		if err := f.save(rep); err != nil {
			talk.say("%v", err)
		}
	}
	console, closeConsole, err := f.openConsole(cmd)
	if err != nil {
		return o, done, err
	}
	o.Console = console
	end := talk.end
	if f.watch {
		end = talk.watch(cmd.Context(), cmd.OutOrStdout())
	}
	return o, func() { end(); closeConsole() }, nil
}

// checkMachine checks the flags that say how machines are run.
func (f *runFlags) checkMachine() error {
	if f.jobs < 0 || f.memory < 0 {
		return cli.Usage(errors.New("--jobs and --memory must be positive"))
	}
	if !slices.Contains([]string{"", "auto", "kvm", "tcg"}, f.accel) {
		return cli.Usage(fmt.Errorf("accelerator %q: want auto, kvm or tcg", f.accel))
	}
	f.arch = cmp.Or(f.arch, runtime.GOARCH)
	if !slices.Contains(machine.Arches(), f.arch) {
		return cli.Usage(fmt.Errorf("architecture %q: want %s", f.arch, strings.Join(machine.Arches(), " or ")))
	}
	return nil
}

// openConsole returns where the consoles of machines are copied to, nil for nowhere.
func (f *runFlags) openConsole(cmd *cobra.Command) (w io.Writer, done func(), err error) {
	switch f.console {
	case "":
		return nil, func() {}, nil
	case "-":
		return cmd.ErrOrStderr(), func() {}, nil
	}
	file, err := os.Create(f.console)
	if err != nil {
		return nil, nil, cli.Usage(err)
	}
	return file, func() { file.Close() }, nil
}

// reproFlags returns the flags of a run that decide what a case meets, so far as they were
// given: repro is to have them, too. The report adds those that differ by kernel.
func reproFlags(cmd *cobra.Command) (words []string) {
	names := []string{"mirror", "accel", "memory", "no-snapshots", "boot-limit", "case-limit", "guest", "modules", "facts"}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch {
		case !slices.Contains(names, f.Name):
		case f.Value.Type() == "bool":
			words = append(words, "--"+f.Name+"="+f.Value.String())
		default:
			words = append(words, "--"+f.Name, f.Value.String())
		}
	})
	if driver := cmd.Flags().Lookup("driver"); driver != nil && (strings.HasPrefix(driver.Value.String(), foreignModule) || strings.HasPrefix(driver.Value.String(), captureFile)) {
		words = append(words, "--driver", driver.Value.String())
	}
	return words
}

// parseDrivers reads --driver. Two drivers asked for are compared, too.
func parseDrivers(s string) ([]guest.Drivers, error) {
	var list []guest.Drivers
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		d, err := guest.ParseDrivers(name)
		if err != nil {
			return nil, fmt.Errorf("%w%s", err, hint.DidYouMean(name, driverNames))
		}
		if !slices.Contains(list, d) {
			list = append(list, d)
		}
	}
	if slices.Contains(list, guest.OnlyEBPF) && slices.Contains(list, guest.OnlyKmod) && !slices.Contains(list, guest.Both) {
		list = append(list, guest.Both)
	}
	return list, nil
}

// cases returns the IDs that --syscall and --suite choose.
func (f *runFlags) cases() ([]string, error) {
	if f.suite == "" {
		return parseCases(f.syscall)
	}
	var known []string
	for _, s := range guest.Suites() {
		known = append(known, s.Name)
	}
	names := splitList(f.suite)
	if f.suite == "all" {
		names = known
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("--suite: the table has no truth suite %q (all, or one of %s)%s", name, strings.Join(known, ", "), hint.DidYouMean(name, known))
		}
	}
	if f.syscall != "" {
		names = append(names, f.syscall) // the last: a case in it may have commas in its name
	}
	return parseCases(strings.Join(names, ","))
}

// parseCases returns the IDs of the cases named, in table order. A case may
// have commas in its name; then it is the whole value, or the last in it.
func parseCases(s string) ([]string, error) {
	if strings.TrimSpace(s) == "" {
		return guest.IDs(), nil
	}
	want := map[string]bool{}
	for rest := s; rest != ""; {
		name := rest
		if sc, _ := guest.Find(rest); sc == nil {
			name, rest, _ = strings.Cut(rest, ",")
		} else {
			rest = ""
		}
		name = strings.TrimSpace(name)
		if strings.Contains(name, "/") {
			if sc, _ := guest.Find(name); sc == nil {
				return nil, fmt.Errorf("unknown case %q%s", name, casesOf(name))
			}
			want[name] = true
			continue
		}
		if guest.FindEntry(name) == nil {
			return nil, errors.New(noSyscall(name))
		}
		for _, id := range guest.IDs(name) {
			want[id] = true
		}
	}
	return slices.DeleteFunc(guest.IDs(), func(id string) bool { return !want[id] }), nil
}

// casesOf suggests the case that an unknown one was meant to be, or lists those of
// its syscall.
func casesOf(id string) string {
	name := guest.SyscallOf(id)
	sc := guest.FindEntry(name)
	if sc == nil {
		return " (" + noSyscall(name) + ")"
	}
	var ids []string
	for i := range sc.Cases {
		ids = append(ids, sc.ID(&sc.Cases[i]))
	}
	if near := hint.DidYouMean(id, ids); strings.Contains(near, "did you mean") {
		return near
	}
	return " (cases: " + strings.Join(ids, ", ") + ")"
}

// noSyscall says that the table has no such syscall, and which might be meant.
func noSyscall(name string) string {
	var names []string
	for _, sc := range slices.Concat(guest.Syscalls(), guest.Suites()) {
		names = append(names, sc.Name)
	}
	return fmt.Sprintf("the table has no syscall %q%s", name, hint.DidYouMean(name, names))
}

// splitList splits the value of a flag at commas.
func splitList(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// kernels fetches the kernels to run on: those of the shard, which has its share of the cases then.
func (f *runFlags) kernels(cmd *cobra.Command, o *vmtest.Options, names ...string) error {
	catalog, all, err := f.requests(names)
	if err != nil {
		return err
	}
	share := o.Shard.Share(len(all), o.Cases)
	own := all[share.From:share.To]
	o.AllCases, o.Cases = len(o.Cases), share.Cases
	o.Costs, o.Verifier = o.Costs && share.First, o.Verifier && share.First
	if o.Shard.Partial() {
		var names []string
		for _, r := range own {
			names = append(names, r.String())
		}
		o.Log("%s", shard.Text(o.Shard, names, len(o.Cases), o.AllCases))
	}
	found, gone, err := f.resolve(cmd, catalog, own, o.Log)
	if err != nil {
		return err
	}
	others := slices.Concat(all[:share.From], all[share.To:])
	for _, k := range found {
		for _, w := range k.Warnings {
			o.Warnings = append(o.Warnings, vmtest.Warning{Kernel: k.Name, Text: w})
		}
		if slices.Contains(others, kernels.Request{Series: k.Name}) {
			o.Log("shard %s: kernel %s is newest, too; another shard has it", o.Shard, k.Name)
			continue
		}
		o.Kernels = append(o.Kernels, vmtest.Kernel{Kernel: k})
	}
	if o.Gone = gone; len(found) == 0 && !o.Shard.Partial() {
		return errNoKernels
	}
	return nil
}

var errNoKernels = cli.Lacking(errors.New("none of the kernels is available"))

// requests reads the names of kernels; without any they are those that matrix has by default.
func (f *runFlags) requests(names []string) (*kernels.Catalog, []kernels.Request, error) {
	catalog, err := kernels.LoadCatalog()
	if err != nil {
		return nil, nil, err
	}
	requests, err := catalog.ParseRequests(names...)
	if err != nil {
		return nil, nil, cli.Usage(err)
	}
	return catalog, requests, f.chooseHeaders(requests)
}

// resolve fetches kernels, and says which are not available.
func (f *runFlags) resolve(cmd *cobra.Command, catalog *kernels.Catalog, requests []kernels.Request, log func(string, ...any)) ([]kernels.Kernel, []kernels.Unavailable, error) {
	store := &kernels.Store{Catalog: catalog, Arch: f.arch, Mirror: f.mirror, MaxAge: f.maxAge, Log: log}
	found, gone, err := store.Resolve(cmd.Context(), requests)
	if err != nil {
		return nil, nil, environment(err)
	}
	if f.headersOf == (kernels.Request{Newest: true}).String() && len(found) == 1 {
		f.headersOf = found[0].Name
	}
	for _, k := range found {
		for _, w := range k.Warnings {
			fmt.Fprintf(cmd.ErrOrStderr(), "KERNEL %s WARNING: %s\n", k.Name, w)
		}
	}
	for _, g := range gone {
		fmt.Fprintf(cmd.ErrOrStderr(), "KERNEL %s SKIPPED: %v\n", g.Request, g.Reason)
		if !errors.Is(g.Reason, kernels.ErrNotInArchive) {
			f.lacks = append(f.lacks, "kernel "+g.Request.String())
		}
	}
	return found, gone, nil
}

// namedKernels fetches the kernels named, of which there must be one.
func (f *runFlags) namedKernels(cmd *cobra.Command, names []string, log func(string, ...any)) ([]kernels.Kernel, []kernels.Unavailable, error) {
	catalog, requests, err := f.requests(names)
	if err != nil {
		return nil, nil, err
	}
	found, gone, err := f.resolve(cmd, catalog, requests, log)
	if err == nil && len(found) == 0 {
		err = errNoKernels
	}
	return found, gone, err
}

// report writes what a run found where the flags say. With err the run ended early.
func (f *runFlags) report(cmd *cobra.Command, rep *vmtest.Report, err error) error {
	if rep == nil {
		return environment(err)
	}
	if f.talk != nil {
		f.talk.end() // the table does not stand behind a line of progress
	}
	var failed error // to write
	switch {
	case f.json == "-":
		failed = rep.WriteJSON(cmd.OutOrStdout())
	case err == nil || len(rep.Results) > 0:
		failed = rep.WriteText(cmd.OutOrStdout())
	}
	// One that fails keeps none of the others away, nor the exit status of what was found.
	failed = errors.Join(failed, f.save(rep))
	if err == nil && failed == nil {
		return f.outcome(rep)
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New(rep.Partial)
	}
	if err = errors.Join(err, failed); len(rep.Failures()) > 0 {
		return cli.Found(err)
	}
	return environment(err)
}

// outcome is the exit status of a finished run. What a kernel does not have is
// skipped and fine; what this machine could not get or do is not.
func (f *runFlags) outcome(rep *vmtest.Report) error {
	ran := func(r vmtest.Result) bool { return r.Status != judge.Skip }
	switch {
	case len(rep.Failures()) > 0, slices.ContainsFunc(rep.Costs, func(c vmtest.Cost) bool { return c.Error != "" }),
		slices.ContainsFunc(rep.Verifier, func(v vmtest.Verifier) bool { return v.Error != "" }):
		return cli.Found(nil)
	case len(f.lacks) > 0:
		return cli.Lacking(fmt.Errorf("not everything was run: no %s", strings.Join(f.lacks, ", no ")))
	case len(rep.Results) > 0 && !slices.ContainsFunc(rep.Results, ran) && !rep.Shard().Partial(): // what is joined of all shards says so
		return cli.Lacking(errors.New("nothing was proven: every case was skipped"))
	}
	return nil
}

// save writes the files of a report.
func (f *runFlags) save(rep *vmtest.Report) error {
	var err error
	if f.json != "-" {
		err = writeTo(f.json, rep, rep.WriteJSON)
	}
	err = errors.Join(err, writeTo(f.junit, rep, rep.WriteJUnit))
	if rep.Running() && len(rep.Results) > 0 {
		return err // what is for readers can wait for the end; a page takes a second
	}
	return errors.Join(err,
		writeTo(f.html, rep, func(w io.Writer) error { return htmlreport.Write(w, rep) }),
		writeTo(f.markdown, rep, func(w io.Writer) error { return rep.WriteMarkdown(w, f.old) }))
}

// writeTo writes a report to a file, whole or not at all. What is not a file, such as a
// pipe, is given the report of a run that has ended only.
func writeTo(name string, rep *vmtest.Report, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	st, err := os.Stat(name)
	switch {
	case err == nil && !st.Mode().IsRegular():
		if rep.Running() {
			return nil
		}
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	case err == nil:
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return err
		}
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(name)); err != nil {
			return err
		}
	default:
		return err
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return files.WriteAtomic(name, b.Bytes())
}

// readBaseline reads the report that --baseline names.
func (f *runFlags) readBaseline() error {
	switch {
	case f.baseline == "":
		return nil
	case f.markdown == "":
		return cli.Usage(errors.New("--baseline is for --markdown, which is not given"))
	}
	file, err := os.Open(f.baseline)
	if err != nil {
		return cli.Usage(fmt.Errorf("--baseline: %w", err))
	}
	defer file.Close()
	if f.old, err = vmtest.ReadJSON(file); err != nil {
		return cli.Usage(fmt.Errorf("--baseline: %w", err))
	}
	return nil
}

func (f *runFlags) watchFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.watch, "watch", false, "show on the terminal what each machine does; lines where stdout is no terminal")
}

// environment gives errors of the harness their exit status: what is wrong
// with kernels and drivers is in reports, so the rest is about this machine.
func environment(err error) error {
	if errors.Is(err, context.Canceled) {
		return cli.Lacking(errors.New("interrupted"))
	}
	return cli.Lacking(err)
}
