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
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// factFlags are the flags of kernels facts and diff.
type factFlags struct {
	runFlags
	asJSON bool
}

func (f *factFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.arch, "arch", runtime.GOARCH, "architecture of the kernel")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	f.mirrorFlags(cmd)
}

func newKernelsFactsCmd() *cobra.Command {
	var f factFlags
	var calls bool
	cmd := &cobra.Command{
		Use:   "facts KERNEL",
		Short: "Say what a kernel offers, from its image",
		Long: "Facts reads a kernel's image and prints its system calls with their arguments, the\n" +
			"tracepoints and BPF helpers, the types and fields that our programs read of it, and its\n" +
			"configuration. Nothing is booted. KERNEL is a series, newest, or a file: an image,\n" +
			"types (BTF) alone, which have less, or facts that --json has printed.\n\n" +
			"Calls are those that the kernel lists for its tracepoints. Where an image does not have\n" +
			"that list ready, as on arm64, they are the functions of its types: some of them only\n" +
			"return ENOSYS, and of many the arguments are not known.",
		Example: "  scaplab kernels facts 6.1\n  scaplab kernels facts --json newest",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			facts, err := f.facts(cmd, args[0])
			if err != nil {
				return err
			}
			if calls {
				facts = facts.OfCalls()
			}
			if f.asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				if !calls {
					e.SetIndent("", " ")
				}
				return e.Encode(facts)
			}
			return writeKernelFacts(cmd.OutOrStdout(), facts)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&calls, "calls", false, "only the system calls, with the types of their arguments; as JSON on one line")
	return cmd
}

// facts collects the facts of one kernel.
func (f *factFlags) facts(cmd *cobra.Command, name string) (*kernelfacts.Facts, error) {
	if strings.HasSuffix(name, ".json") {
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, cli.Lacking(err)
		}
		facts := new(kernelfacts.Facts)
		if err := json.Unmarshal(src, facts); err != nil || facts.Kernel == "" {
			return nil, cli.Usage(fmt.Errorf("%s: no facts of a kernel (scaplab kernels facts --json prints them): %w", name, cmp.Or(err, errors.New("no kernel is named"))))
		}
		return facts, nil
	}
	found, err := f.typesOf(cmd, name)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, cli.Usage(fmt.Errorf("kernel %q is several (want one)", name))
	}
	k := found[0]
	list, _, err := objects(nil)
	if err != nil {
		return nil, err
	}
	image, err := os.ReadFile(k.Image)
	if err != nil {
		return nil, cli.Lacking(err)
	}
	facts, err := kernelfacts.Of(image, cmp.Or(k.Arch, f.arch), k.Types, list)
	if err != nil {
		return nil, cli.Lacking(fmt.Errorf("%s: %w", name, err))
	}
	facts.Kernel, facts.Release = k.Name, k.Release
	if facts.Config, err = kernels.Config(k.Kernel); errors.Is(err, kernels.ErrNoConfig) {
		facts.NoConfig, err = kernels.ErrNoConfig.Error(), nil
	}
	if err != nil {
		return nil, cli.Lacking(err)
	}
	return facts, nil
}

func writeKernelFacts(w io.Writer, f *kernelfacts.Facts) error {
	var b strings.Builder
	fmt.Fprintf(&b, "kernel %s, %s, %s\n\n%d system calls\n", f.Kernel, cmp.Or(f.Release, "release not known"), f.Arch, len(f.Syscalls))
	for _, s := range f.Syscalls {
		fmt.Fprintf(&b, "  %s\n", signature(s))
	}
	for _, l := range []struct {
		what string
		list []string
	}{{"tracepoints", f.Tracepoints}, {"BPF helpers", f.Helpers}, {"kernel functions for BPF", f.Kfuncs}} {
		fmt.Fprintf(&b, "\n%d %s\n", len(l.list), l.what)
		for _, name := range l.list {
			fmt.Fprintf(&b, "  %s\n", name)
		}
	}
	fmt.Fprintf(&b, "\n%d types, fields and values that our programs ask for\n", len(f.Reads))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range f.Reads {
		switch {
		case !r.There:
			fmt.Fprintf(t, "  %s\tnot there\n", r.What)
		case r.Type != "":
			fmt.Fprintf(t, "  %s\t%s\tbyte %d\n", r.What, r.Type, r.Offset/8)
		default:
			fmt.Fprintf(t, "  %s\tthere\n", r.What)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if f.NoConfig != "" {
		fmt.Fprintf(&b, "\nno configuration: %s\n", f.NoConfig)
	} else {
		fmt.Fprintf(&b, "\n%d options\n", len(f.Config))
		for _, name := range slices.Sorted(maps.Keys(f.Config)) {
			fmt.Fprintf(&b, "  %s=%s\n", name, f.Config[name])
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// signature writes a call as a C prototype.
func signature(s kernelfacts.Syscall) string {
	if s.Args == nil {
		return s.Name + "(arguments not known)"
	}
	var args []string
	for _, a := range s.Args {
		args = append(args, strings.TrimSuffix(a.Type, " ")+" "+a.Name)
	}
	return s.Name + "(" + strings.Join(args, ", ") + ")"
}

func newKernelsDiffCmd() *cobra.Command {
	var f factFlags
	cmd := &cobra.Command{
		Use:   "diff KERNEL KERNEL",
		Short: "Say what changed between two kernels, and what of ours that touches",
		Long: "Diff compares the facts of two kernels: calls that came, went or have other arguments,\n" +
			"with their entry of the table, and structs of arguments; fields that our programs read\n" +
			"and that came, went or have another type, with the lines of source that read them and\n" +
			"the entries whose programs do; tracepoints, BPF helpers and options. Fields that only\n" +
			"moved are counted: programs find them. What this means for the table alone is\n" +
			"scaplab table diff.",
		Example: "  scaplab kernels diff 6.1 newest",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var both [2]*kernelfacts.Facts
			for i := range both {
				var err error
				if both[i], err = f.facts(cmd, args[i]); err != nil {
					return err
				}
			}
			d := kernelfacts.Compare(both[0], both[1])
			touch(&d)
			if f.asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", " ")
				return e.Encode(d)
			}
			return writeDiff(cmd.OutOrStdout(), &d)
		},
	}
	f.add(cmd)
	return cmd
}

// touch adds the entries of the table that changes are about.
func touch(d *kernelfacts.Diff) {
	entries := map[string]string{} // by call
	byEvent := map[uint16][]string{}
	for _, s := range guest.Syscalls() {
		entries[s.Name] = fmt.Sprintf("%s (%s:%d)", s.Name, s.File, s.Line)
		for _, code := range append([]uint16{s.Exit, s.Enter, s.Child}, s.Extra...) {
			if code != 0 {
				byEvent[code] = append(byEvent[code], s.Name)
			}
		}
	}
	byProgram := map[string][]string{}
	for _, e := range driver.Events() {
		byProgram[e.Program] = append(byProgram[e.Program], byEvent[e.Code]...)
	}
	for i := range d.Syscalls {
		if at, ok := entries[d.Syscalls[i].Name]; ok {
			d.Syscalls[i].Entries = []string{at}
		}
	}
	for i := range d.Reads {
		for _, program := range d.Reads[i].Programs {
			d.Reads[i].Entries = append(d.Reads[i].Entries, byProgram[program]...)
		}
		slices.Sort(d.Reads[i].Entries)
		d.Reads[i].Entries = slices.Compact(d.Reads[i].Entries)
	}
}

func writeDiff(w io.Writer, d *kernelfacts.Diff) error {
	var b strings.Builder
	section := func(what string, list []kernelfacts.Change) {
		if len(list) == 0 {
			return
		}
		fmt.Fprintf(&b, "%d %s\n", len(list), what)
		for _, c := range list {
			switch {
			case c.Before == "":
				fmt.Fprintf(&b, "  + %s\n", c.After)
			case c.After == "":
				fmt.Fprintf(&b, "  - %s\n", c.Before)
			default:
				fmt.Fprintf(&b, "  - %s\n  + %s\n", c.Before, c.After)
			}
			if len(c.Source) > 0 {
				fmt.Fprintf(&b, "      read at %s\n", some(c.Source, 6))
			}
			if n := len(c.Programs); n > 0 {
				fmt.Fprintf(&b, "      by %d programs", n)
				if len(c.Entries) > 0 {
					fmt.Fprintf(&b, ", of %s", some(c.Entries, 8))
				}
				b.WriteByte('\n')
			} else if len(c.Entries) > 0 {
				fmt.Fprintf(&b, "      entry %s\n", strings.Join(c.Entries, ", "))
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "from %s to %s\n\n", d.From, d.To)
	section("system calls", d.Syscalls)
	section("structs of their arguments", d.Structs)
	section("fields, types and values that our programs ask for", d.Reads)
	section("tracepoints", d.Tracepoints)
	section("BPF helpers", d.Helpers)
	section("kernel functions for BPF", d.Kfuncs)
	section("options", d.Config)
	fmt.Fprintf(&b, "%d fields that our programs read moved\n", d.Moved)
	_, err := io.WriteString(w, b.String())
	return err
}

// some joins the first n names of a list, and says how many more there are.
func some(list []string, n int) string {
	if len(list) <= n {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:n], ", "), len(list)-n)
}
