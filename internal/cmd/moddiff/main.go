// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
)

func main() {
	if runAsGuest() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the command line's.
type options struct {
	kernels string
	suite   string
	mirror  string
	keep    string
	refresh bool
	console bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("moddiff", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.kernels, "kernel", "6.1,6.12,newest", "kernels, as scaplab matrix takes them")
	flags.StringVar(&o.suite, "suite", "sid", "Debian release with sysdig and the reference module")
	flags.StringVar(&o.mirror, "mirror", "", "Debian archive (default: the one of this machine's apt)")
	flags.StringVar(&o.keep, "keep", "", "directory for what each client saw")
	flags.BoolVar(&o.refresh, "refresh", false, "fetch the packages again")
	flags.BoolVar(&o.console, "console", false, "show the machines' consoles")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "moddiff: unknown argument %q\n", flags.Arg(0))
		return 2
	}
	good, err := o.compare(ctx, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "moddiff:", err)
		return 3
	}
	if !good {
		return 1
	}
	return 0
}

func (o *options) compare(ctx context.Context, stdout, stderr io.Writer) (good bool, err error) {
	log := func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	catalog, err := kernels.LoadCatalog()
	if err != nil {
		return false, err
	}
	wants, err := catalog.ParseRequests(strings.Split(o.kernels, ",")...)
	if err != nil {
		return false, err
	}
	store := &kernels.Store{Catalog: catalog, Mirror: o.mirror, MaxAge: 24 * time.Hour, Log: log}
	if store.Cache, err = env.CacheDir(); err != nil {
		return false, err
	}
	sysdig, err := unpackInto(ctx, store.Cache, o.suite+"-sysdig", o.refresh, func() ([]kernels.Package, error) {
		log("fetching sysdig and what it needs from %s, once", o.suite)
		return store.Closure(ctx, o.suite, "sysdig")
	})
	if err != nil {
		return false, err
	}
	reference, err := unpackInto(ctx, store.Cache, o.suite+"-reference", o.refresh, func() ([]kernels.Package, error) {
		log("fetching the reference module from %s, once", o.suite)
		p, err := store.Package(ctx, o.suite, "falcosecurity-scap-dkms")
		return []kernels.Package{p}, err
	})
	if err != nil {
		return false, err
	}
	packed, err := sysdig.pack("usr/bin/sysdig")
	if err != nil {
		return false, fmt.Errorf("tree of sysdig: %w", err)
	}
	kernels, gone, err := store.Resolve(ctx, wants)
	if err != nil {
		return false, err
	}
	good = true
	for _, g := range gone {
		good = false
		fmt.Fprintf(stdout, "kernel %s is not available: %v\n", g.Request, g.Reason)
	}
	program, done, err := buildGuest(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	fmt.Fprintf(stdout, "sysdig %s, reference module %s of %s\n", sysdig.version("sysdig"), reference.version("falcosecurity-scap-dkms"), o.suite)
	builder := &kmodbuild.Builder{Store: store, Log: log}
	for _, k := range kernels {
		m := boot{kernel: k, program: program, tree: packed, reference: reference, builder: builder, log: log, options: o}
		if o.console {
			m.console = stderr
		}
		r, err := m.run(ctx)
		if err != nil {
			return false, fmt.Errorf("kernel %s: %w", k.Name, err)
		}
		v := verdict{kernel: k.Name, out: stdout}
		v.judge(r, m.whyNoReference)
		good = good && v.failures == 0
	}
	return good, nil
}

// buildGuest builds this program statically, so that it runs alone in a machine. With a
// C compiler, `go run` does not build it so.
func buildGuest(ctx context.Context) (file string, done func(), err error) {
	dir, err := os.MkdirTemp("", "moddiff-")
	if err != nil {
		return "", nil, err
	}
	file = filepath.Join(dir, "moddiff")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", file, "github.com/scaplab/scaplab/internal/cmd/moddiff")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", nil, fmt.Errorf("build the machine's program: %w: %s", err, bytes.TrimSpace(out))
	}
	return file, func() { os.RemoveAll(dir) }, nil
}

// boot is a run of the workload on one kernel.
type boot struct {
	kernel         kernels.Kernel
	program        string
	tree           []byte
	reference      *tree
	builder        *kmodbuild.Builder
	log            func(format string, args ...any)
	console        io.Writer
	options        *options
	whyNoReference error // why the reference's module could not be built
}

func (m *boot) run(ctx context.Context) (*results, error) {
	ours, err := m.builder.Build(ctx, m.kernel)
	if err != nil {
		return nil, err
	}
	module, err := os.ReadFile(ours.File)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{treeFile: m.tree, guest.ModuleFile[1:]: module}
	sources, err := filepath.Glob(filepath.Join(m.reference.Dir, "usr/src/scap-*"))
	if err != nil || len(sources) != 1 {
		return nil, fmt.Errorf("reference module: %d directories with its sources in %s (want 1)", len(sources), m.reference.Dir)
	}
	m.log("kernel %s: building the reference module", m.kernel.Release)
	ko, err := m.builder.BuildOther(ctx, m.kernel, sources[0])
	if _, ok := errors.AsType[*kmodbuild.Error](err); ok {
		m.whyNoReference = err
	} else if err != nil {
		return nil, err
	} else {
		files[referenceFile] = ko
	}
	m.log("kernel %s: running the workload", m.kernel.Release)
	console, err := machine.Boot{Arch: m.kernel.Arch, Kernel: m.kernel.Image, Program: m.program, Files: files, CPUs: 2, SingleThread: true, MemoryMB: 1024,
		Limit: 10 * time.Minute, Console: m.console}.Run(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, console)
	}
	r, err := parseResults(console)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, console)
	}
	return r, m.keep(r)
}

// parseResults returns the results that send wrote to a console.
func parseResults(console string) (*results, error) {
	var text strings.Builder
	whole := false
	for line := range strings.Lines(console) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasSuffix(line, lineEnd) {
			whole = true
			break
		}
		if _, piece, ok := strings.Cut(line, lineMark); ok {
			text.WriteString(piece)
		}
	}
	if !whole {
		return nil, errors.New("the machine ended without results")
	}
	gz, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text.String())))
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	r := new(results)
	if err := json.NewDecoder(gz).Decode(r); err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	return r, nil
}

// keep writes what the clients saw to the directory of -keep.
func (m *boot) keep(r *results) error {
	if m.options.keep == "" {
		return nil
	}
	for _, l := range r.Legs {
		dir := filepath.Join(m.options.keep, m.kernel.Name, strings.ReplaceAll(l.Name, " ", "-"))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		text, err := json.MarshalIndent(l.Account, "", "\t")
		if err != nil {
			return err
		}
		for name, data := range map[string][]byte{"sysdig.txt": []byte(l.Lines), "sysdig.err": []byte(l.Talk), "sysdig.scap": l.Saved, "wanted.json": text} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				return err
			}
		}
		if err := saveRecords(filepath.Join(dir, "ours.scap"), l.Records); err != nil {
			return err
		}
	}
	return nil
}
