// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"

	"github.com/cilium/ebpf/btf"
	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/driver/bpf"
	"github.com/scaplab/scaplab/internal/bpfcheck"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernels"
)

func newBPFCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bpf",
		Short: "The eBPF programs: what they need of kernels",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newBPFCheckCmd(), newBPFLoadCmd(), newBPFLedgerCmd())
	return cmd
}

// bpfFlags are the flags of bpf check.
type bpfFlags struct {
	runFlags
	types  []string // files
	images []string
	asJSON bool
	all    bool
}

func newBPFCheckCmd() *cobra.Command {
	var f bpfFlags
	cmd := &cobra.Command{
		Use:   "check [OBJECT]...",
		Short: "Prove that kernels have what eBPF objects read and call",
		Long: "Check resolves every CO-RE relocation, kernel function, helper and attachment of the\n" +
			"objects, by default this program's own, against the types of kernels: those in the\n" +
			"cache, or --kernel, or files of types (BTF) of any vendor. Nothing is booted or loaded,\n" +
			"and the network is not used, but for a kernel named that was not fetched yet.\n\n" +
			"What a kernel does not have fails if the program can reach it there. Code behind a\n" +
			"question such as bpf_core_field_exists, or a constant, is not reached when the answer\n" +
			"excludes it, as the verifier sees it; --all lists that, too.\n\n" +
			"Which helpers a program of its type may call, and what else the verifier demands, only\n" +
			"loading shows: matrix does that. The exit status is 1 when something is missing.",
		Example: "  scaplab bpf check\n" +
			"  scaplab bpf check --kernel 5.10,6.1 probe.bpf.o\n" +
			"  scaplab bpf check --btf 5.14.0-70.el9.x86_64.btf",
		RunE: func(cmd *cobra.Command, args []string) error { return f.check(cmd, args) },
	}
	cmd.Flags().StringVar(&f.kernel, "kernel", "", "kernels: series, newest, all, or files; default is those in the cache")
	cmd.Flags().StringVar(&f.arch, "arch", runtime.GOARCH, "architecture of the kernels that --kernel names")
	cmd.Flags().StringArrayVar(&f.types, "btf", nil, "file of types (BTF); may be repeated")
	cmd.Flags().StringArrayVar(&f.images, "vmlinux", nil, "kernel image (vmlinux, bzImage) that has its types; may be repeated")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.all, "all", false, "also list what is missing and not reached")
	f.mirrorFlags(cmd)
	return cmd
}

// kernelTypes are the types of a kernel.
type kernelTypes struct {
	kernels.Kernel
	Types *btf.Spec
}

// typesOf reads the types of kernels, without names those in the cache. A kernel in the cache is not looked for anew.
func (f *runFlags) typesOf(cmd *cobra.Command, names ...string) (list []kernelTypes, err error) {
	catalog, err := kernels.LoadCatalog()
	if err != nil {
		return nil, err
	}
	store := &kernels.Store{Catalog: catalog, Arch: f.arch, Mirror: f.mirror, MaxAge: 1 << 62, Log: newTalk(cmd.ErrOrStderr()).say}
	var found []kernels.Kernel
	if len(names) == 0 {
		all, err := store.List()
		if err != nil {
			return nil, environment(err)
		}
		for _, k := range all {
			if k.Kernel != nil {
				found = append(found, *k.Kernel)
			}
		}
		if len(found) == 0 {
			return nil, cli.Lacking(errors.New("no kernel was fetched yet (scaplab kernels fetch), and no file of types is given (--btf)"))
		}
	} else {
		requests, err := catalog.ParseRequests(names...)
		if err != nil {
			return nil, cli.Usage(err)
		}
		of := requests[:0]
		for _, r := range requests {
			if r.File == "" {
				of = append(of, r)
			} else {
				found = append(found, kernels.Kernel{Name: r.File, Image: r.File, Arch: f.arch})
			}
		}
		more, gone, err := store.Resolve(cmd.Context(), of)
		if err != nil {
			return nil, environment(err)
		}
		for _, g := range gone {
			return nil, environment(fmt.Errorf("kernel %s is not available: %w", g.Request, g.Reason))
		}
		found = append(found, more...)
	}
	for _, k := range found {
		types, err := kernels.LoadBTF(k.Image)
		if err != nil {
			return nil, environment(err)
		}
		list = append(list, kernelTypes{k, types})
	}
	return list, nil
}

// objects opens the objects named, by default this program's own.
func objects(files []string) (list []*bpfcheck.Object, own bool, err error) {
	open := func(name string, text []byte, err error) error {
		if err != nil {
			return err
		}
		o, err := bpfcheck.Open(name, text)
		list = append(list, o)
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err := open(file, text, err); err != nil {
			return nil, false, cli.Usage(err)
		}
	}
	if len(files) > 0 {
		return list, false, nil
	}
	for _, name := range bpf.Names() {
		text, err := bpf.Object(name)
		if err := open(name+".o", text, err); err != nil {
			return nil, false, err
		}
	}
	for _, o := range list {
		o.Dir = "driver/bpf"
	}
	if len(list) == 0 {
		return nil, false, cli.Lacking(fmt.Errorf("there are no eBPF objects of our own for %s: name some", runtime.GOARCH))
	}
	return list, true, nil
}

// fit gives our own objects the constants that they are loaded with on a kernel.
func fit(list []*bpfcheck.Object, kernel *btf.Spec) error {
	constants := driver.Constants(kernel)
	for _, o := range list {
		for _, name := range slices.Sorted(maps.Keys(constants)) {
			if v := o.Spec.Variables[name]; v != nil {
				if err := v.Set(constants[name]); err != nil {
					return fmt.Errorf("%s: %s: %w", o.Name, name, err)
				}
			}
		}
	}
	return nil
}

// bpfResult is what bpf check says of one kernel.
type bpfResult struct {
	Kernel   string          `json:"kernel"`
	Release  string          `json:"release,omitempty"`
	Programs int             `json:"programs"`
	Checked  map[string]int  `json:"checked"` // by kind
	Guarded  int             `json:"guarded"` // missing, and not reached
	Failed   []bpfcheck.Need `json:"failed"`
	Excluded []bpfcheck.Need `json:"excluded,omitempty"` // with --all: those that are guarded
	Errors   []string        `json:"errors,omitempty"`   // programs that could not be checked
}

func (f *bpfFlags) check(cmd *cobra.Command, args []string) error {
	list, own, err := objects(args)
	if err != nil {
		return err
	}
	var targets []kernelTypes
	files := slices.Concat(f.types, f.images)
	if f.kernel != "" || len(files) == 0 {
		if targets, err = f.typesOf(cmd, splitList(f.kernel)...); err != nil {
			return err
		}
	}
	for _, file := range files {
		types, err := kernels.LoadBTF(file)
		if err != nil {
			return cli.Usage(err)
		}
		targets = append(targets, kernelTypes{kernels.Kernel{Name: file, Image: file}, types})
	}
	var results []bpfResult
	failed := false
	for _, k := range targets {
		if own {
			if err := fit(list, k.Types); err != nil {
				return err
			}
		}
		r, err := checkObjects(list, k, f.all)
		if err != nil {
			return cli.Lacking(fmt.Errorf("%s: %w", k.Name, err))
		}
		failed = failed || len(r.Failed) > 0 || len(r.Errors) > 0
		results = append(results, r)
	}
	if f.asJSON {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", " ")
		err = e.Encode(results)
	} else {
		err = writeBPFResults(cmd.OutOrStdout(), results)
	}
	if err != nil {
		return cli.Lacking(err)
	}
	if failed {
		return cli.Found(nil)
	}
	return nil
}

func checkObjects(list []*bpfcheck.Object, of kernelTypes, all bool) (bpfResult, error) {
	r := bpfResult{Kernel: of.Name, Release: of.Release, Checked: map[string]int{}, Failed: []bpfcheck.Need{}}
	k, err := bpfcheck.NewKernel(of.Types)
	if err != nil {
		return r, err
	}
	for _, o := range list {
		for _, program := range o.Programs() {
			r.Programs++
			needs, err := o.Check(program, k)
			if err != nil {
				r.Errors = append(r.Errors, fmt.Sprintf("%s: %v", o.Name, err))
			}
			for _, n := range needs {
				r.Checked[n.Kind]++
				switch {
				case n.Fails():
					r.Failed = append(r.Failed, n)
				case n.Missing:
					r.Guarded++
					if all {
						r.Excluded = append(r.Excluded, n)
					}
				}
			}
		}
	}
	return r, nil
}

func writeBPFResults(w io.Writer, results []bpfResult) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "kernel\trelease\tprograms\treads\tkfuncs\thelpers\tattachments\tmissing, not reached\tfailed")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.Kernel, cmp.Or(r.Release, "-"), r.Programs, r.Checked[bpfcheck.NeedRead], r.Checked[bpfcheck.NeedKfunc],
			r.Checked[bpfcheck.NeedHelper], r.Checked[bpfcheck.NeedAttach], r.Guarded, len(r.Failed)+len(r.Errors))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		last := ""
		for _, n := range slices.Concat(r.Failed, r.Excluded) {
			text := n.String()
			if text == last { // several instructions of a line
				continue
			}
			last = text
			if _, err := fmt.Fprintf(w, "%s: %s\n", r.Kernel, text); err != nil {
				return err
			}
		}
		for _, text := range r.Errors {
			if _, err := fmt.Fprintf(w, "%s: %s\n", r.Kernel, text); err != nil {
				return err
			}
		}
	}
	return nil
}
