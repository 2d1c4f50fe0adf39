// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/driver/bpf"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/internal/version"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// Files in the output directory of a kernel.
const (
	moduleFile   = "scap.ko"
	objectDir    = "bpf"
	manifestFile = "manifest.json"
	loadTestFile = "load-test.log"
)

// loadTestCases are the syscalls whose cases a module must pass to count as
// load-tested: one of each way into it.
var loadTestCases = []string{"openat", "close", "read", "connect", "execve", "clone", "getppid"}

func newBuildCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the drivers",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newBuildKmodCmd())
	return cmd
}

func newBuildKmodCmd() *cobra.Command {
	var f runFlags
	var out string
	var untested bool
	cmd := &cobra.Command{
		Use:   "kmod",
		Short: "Build the kernel module for many kernels and load it on each",
		Long: "Kmod builds the module against the header packages of each kernel, without privilege\n" +
			"and without installing anything, and loads it in a virtual machine of exactly that\n" +
			"kernel. The output has a directory for each kernel release: the module, the eBPF\n" +
			"objects, a manifest of what both were made of, and the log of the load test.\n\n" +
			"Without --kernel these are all kernels that the archive has headers of, which are\n" +
			"those it maintains; the others are named. One that is asked for and cannot be built\n" +
			"or loaded makes the exit status 1.",
		Example: "  scaplab build kmod --out out\n" +
			"  scaplab build kmod --kernel 6.1,newest --out out\n" +
			"  scaplab build kmod --kernel ./bzImage --headers ./linux --out out",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.driver = "kmod"
			o, done, err := f.options(cmd)
			if err != nil {
				return err
			}
			defer done()
			names := splitList(f.kernel)
			if len(names) == 0 && f.headers == "" {
				if names, err = f.withHeaders(cmd, o.Log); err != nil {
					return err
				}
			}
			kernels, gone, err := f.namedKernels(cmd, names, o.Log)
			if err != nil {
				return err
			}
			guest, removeGuest, err := f.findGuest(cmd.Context())
			if err != nil {
				return err
			}
			defer removeGuest()
			o.Guest = guest
			builder, err := f.builder(o.Log)
			if err != nil {
				return err
			}
			bad := len(gone)
			for _, k := range kernels {
				line, err := buildOne(cmd.Context(), builder(k), k, o, out, untested)
				if cmd.Context().Err() != nil {
					return environment(cmd.Context().Err())
				}
				if env.IsDisk(err) {
					return environment(fmt.Errorf("kernel %s: %w", k.Name, err))
				}
				if err != nil {
					bad++
					line = fmt.Sprintf("FAILED: %v", err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\t%s\n", k.Name, k.Release, line)
			}
			if bad > 0 {
				return cli.Found(nil)
			}
			return nil
		},
	}
	f.kernelFlags(cmd)
	cmd.Flags().Lookup("kernel").Usage = "kernels: series, newest, all, or files (bzImage, vmlinux, .deb); default all with headers"
	f.archFlags(cmd)
	f.guestFlags(cmd)
	cmd.Flags().StringVar(&out, "out", "out", "directory to write to")
	f.headersFlag(cmd)
	cmd.Flags().BoolVar(&untested, "allow-untested", false, "a module that could not be load-tested is not an error")
	return cmd
}

// withHeaders are the series that modules can be built for; it names the others.
func (f *runFlags) withHeaders(cmd *cobra.Command, log func(string, ...any)) ([]string, error) {
	store, err := f.store(log)
	if err != nil {
		return nil, err
	}
	with, without, err := store.HeaderSeries(cmd.Context())
	if err != nil {
		return nil, environment(err)
	}
	for _, series := range without {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\t-\tno headers in the archive, so no module\n", series)
	}
	if len(with) == 0 {
		return nil, cli.Lacking(errors.New("the archive has no headers of any kernel"))
	}
	return with, nil
}

// builder returns what builds the module of each kernel: with the tree of --headers for
// the one that this is for, with the archive's packages for others.
func (f *runFlags) builder(log func(string, ...any)) (func(kernels.Kernel) *kmodbuild.Builder, error) {
	store, err := f.store(log)
	if err != nil {
		return nil, err
	}
	return func(k kernels.Kernel) *kmodbuild.Builder {
		b := &kmodbuild.Builder{Store: store, Log: log}
		if f.headers != "" && k.Name == f.headersOf {
			b.Tree = f.headers
		}
		return b
	}, nil
}

// chooseHeaders finds the kernel that --headers is for: the only one, or the only one given by file.
func (f *runFlags) chooseHeaders(requests []kernels.Request) error {
	if f.headers == "" {
		return nil
	}
	if len(requests) == 1 {
		f.headersOf = requests[0].String()
		return nil
	}
	for _, r := range requests {
		if r.File == "" {
			continue
		}
		if f.headersOf != "" {
			return cli.Usage(fmt.Errorf("--headers is for one kernel, not for both %s and %s", f.headersOf, r.File))
		}
		f.headersOf = r.File
	}
	if f.headersOf == "" {
		return cli.Usage(errors.New("--headers is for one kernel: name it alone with --kernel, or one by file"))
	}
	return nil
}

// manifest says what is in an output directory and what it was made of. It
// holds no time and no path, so that the same inputs give the same bytes.
type manifest struct {
	Kernel    string            `json:"kernel"`
	Release   string            `json:"release"`
	Image     string            `json:"image"`
	Version   string            `json:"version"`
	API       []string          `json:"api"` // that the module can speak
	Module    string            `json:"module_sha256"`
	Objects   map[string]string `json:"objects_sha256"`
	Inputs    kmodbuild.Inputs  `json:"inputs"`
	KernelAPI map[string]bool   `json:"kernel_api"`
	LoadTest  string            `json:"load_test"` // passed, failed, not done: why
}

// buildOne builds, tests and writes what belongs to one kernel, and says how it went.
func buildOne(ctx context.Context, b *kmodbuild.Builder, k kernels.Kernel, o vmtest.Options, out string, untested bool) (string, error) {
	m, err := b.Build(ctx, k)
	if err != nil {
		return "", err
	}
	man := manifest{
		Kernel: k.Name, Release: k.Release, Image: k.Source(), Version: version.Number,
		Module: m.SHA256, Objects: make(map[string]string), Inputs: m.Inputs, KernelAPI: m.Probes,
	}
	for _, p := range event.Personas() {
		man.API = append(man.API, p.API+" with schema "+p.Schema)
	}
	log, testErr := loadTest(ctx, o, k, m)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	var lacking *env.Error
	switch {
	case testErr == nil:
		man.LoadTest = "passed"
	case errors.As(testErr, &lacking):
		man.LoadTest = "not done: " + testErr.Error()
	default:
		man.LoadTest = "failed"
	}
	dir := filepath.Join(out, k.Release)
	if err := os.MkdirAll(filepath.Join(dir, objectDir), 0o755); err != nil {
		return "", env.Disk(err)
	}
	files := map[string][]byte{loadTestFile: log}
	for _, name := range bpf.Names() {
		file := path.Join(objectDir, name+".o")
		if files[file], err = bpf.Object(name); err != nil {
			return "", err
		}
		sum := sha256.Sum256(files[file])
		man.Objects[file] = hex.EncodeToString(sum[:])
	}
	ko, err := os.ReadFile(m.File)
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(man, "", "\t")
	if err != nil {
		return "", err
	}
	files[moduleFile], files[manifestFile] = ko, append(text, '\n')
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), data, 0o644); err != nil {
			return "", env.Disk(err)
		}
	}
	switch {
	case testErr == nil:
		return "built, load test passed", nil
	case lacking != nil && untested:
		return "built, NOT LOAD-TESTED: " + testErr.Error(), nil
	}
	return "", fmt.Errorf("load test: %w (see %s)", testErr, filepath.Join(dir, loadTestFile))
}

// loadTest loads the module in a machine of its kernel and runs some cases.
// The log has the verdicts and what the kernel said.
func loadTest(ctx context.Context, o vmtest.Options, k kernels.Kernel, m *kmodbuild.Module) ([]byte, error) {
	var console, log bytes.Buffer
	o.Kernels, o.Gone, o.Drivers = []vmtest.Kernel{{Kernel: k, Module: m.File}}, nil, []guest.Drivers{guest.OnlyKmod}
	o.Cases = guest.IDs(loadTestCases...)
	o.Console, o.Jobs, o.NoSnapshots, o.Progress = &console, 1, true, nil
	rep, err := vmtest.Run(ctx, o)
	if err != nil {
		return []byte(err.Error() + "\n"), err
	}
	if err := rep.WriteText(&log); err != nil {
		return nil, err
	}
	fmt.Fprintf(&log, "\nconsole:\n%s", console.Bytes())
	if failures := rep.Failures(); len(failures) > 0 {
		return log.Bytes(), fmt.Errorf("%d of %d cases failed", len(failures), len(rep.Results))
	}
	if line := machine.Complaint(console.String()); line != "" {
		return log.Bytes(), fmt.Errorf("the kernel complained: %s", line)
	}
	return log.Bytes(), nil
}

func usesKmod(drivers []guest.Drivers) bool {
	return slices.ContainsFunc(drivers, func(d guest.Drivers) bool { return d.Has(guest.Kmod) })
}

// findModules gives the kernels their modules when the kmod driver is asked
// for: from a directory, or built now, or somebody else's. The function returned removes
// those that are not kept.
func (f *runFlags) findModules(ctx context.Context, o *vmtest.Options) (remove func(), err error) {
	remove = func() {}
	if f.isForeign() {
		x, err := f.openForeign(ctx, o)
		if err != nil {
			return remove, err
		}
		return x.close, x.give(ctx, f, o)
	}
	return remove, f.findOwnModules(ctx, o)
}

func (f *runFlags) findOwnModules(ctx context.Context, o *vmtest.Options) error {
	if !usesKmod(o.Drivers) {
		return nil
	}
	if f.modules != "" {
		if _, err := os.ReadDir(f.modules); err != nil {
			return cli.Usage(err)
		}
	}
	builder, err := f.builder(o.Log)
	if err != nil {
		return err
	}
	for i := range o.Kernels {
		k := &o.Kernels[i]
		if f.modules != "" {
			file := filepath.Join(f.modules, k.Release, moduleFile)
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				k.NoModule = "there is no " + file
				continue
			}
			k.Module = file
			continue
		}
		b := builder(k.Kernel)
		k.Headers = b.Tree
		built := f.doing(k.Name, "building the module")
		m, err := b.Build(ctx, k.Kernel)
		built()
		if err != nil {
			err = f.noModule(ctx, o, k, err)
		} else {
			k.Module = m.File
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noModule notes why a kernel has no module. It returns an error if that ends the run.
func (f *runFlags) noModule(ctx context.Context, o *vmtest.Options, k *vmtest.Kernel, err error) error {
	var broken *kmodbuild.Error
	var tree *kmodbuild.TreeError
	switch {
	case ctx.Err() != nil:
		return environment(ctx.Err())
	case env.IsDisk(err):
		return environment(fmt.Errorf("kernel %s: %w", k.Name, err))
	case errors.As(err, &tree):
		return cli.Usage(fmt.Errorf("--headers: %w", err))
	case errors.As(err, &broken):
		k.ModuleError = err.Error()
	default: // no headers, or no way to get them
		k.NoModule = err.Error()
		o.Log("kernel %s: no module: %v", k.Name, err)
		if !errors.Is(err, kernels.ErrNoHeaders) {
			f.lacks = append(f.lacks, "module of kernel "+k.Name)
		}
	}
	return nil
}
