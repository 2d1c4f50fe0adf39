// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/internal/minisign"
	"github.com/scaplab/scaplab/internal/modsign"
	"github.com/scaplab/scaplab/internal/release"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// buildFlags are the flags of the build commands.
type buildFlags struct {
	runFlags
	release.Options
	oci                 string
	key, cert, minisign string // files
}

func newBuildCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the drivers",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newBuildBPFCmd(), newBuildKmodCmd(), newBuildReleaseCmd())
	return cmd
}

// aboutRelease ends the help of the build commands.
const aboutRelease = "DIR is replaced as a whole; docs/releases.md describes it: files named as falcoctl looks for\n" +
	"them, a manifest of what they were made of, checksums, a bill of materials, provenance,\n" +
	"and signatures if keys are given. Built again elsewhere, the files have the same bytes.\n\n" +
	"A kernel that is asked for and cannot be built for or loaded on is left out and makes the\n" +
	"exit status 1. ARCH:KERNEL is one of another architecture than --arch."

func newBuildBPFCmd() *cobra.Command {
	f := &buildFlags{Options: release.Options{Objects: true}}
	cmd := f.command("bpf", "Write the eBPF objects, loaded on many kernels",
		"Bpf writes the eBPF objects of this program for the architectures of the kernels asked\n"+
			"for, and loads every program of them in a virtual machine of each kernel.\n\n"+aboutRelease,
		"  scaplab build bpf --out out\n"+
			"  scaplab build bpf --kernel 5.10,newest,arm64:6.12 --out out")
	return cmd
}

func newBuildKmodCmd() *cobra.Command {
	f := &buildFlags{Options: release.Options{Modules: true}}
	cmd := f.command("kmod", "Build the kernel module for many kernels and load it on each",
		"Kmod builds the module against the header packages of each kernel, without privilege\n"+
			"and without installing anything, and loads it in a virtual machine of exactly that\n"+
			"kernel. Without --kernel these are all kernels that the archive has headers of, which are\n"+
			"those it maintains; the others are named.\n\n"+
			"A kernel given by file, or without an image, is built for against --headers: a prepared\n"+
			"tree, a directory of headers, or packages, .deb or .rpm, that are given together.\n\n"+aboutRelease,
		"  scaplab build kmod --out out\n"+
			"  scaplab build kmod --kernel 6.1,newest --out out\n"+
			"  scaplab build kmod --kernel ./bzImage --headers ./linux --out out\n"+
			"  scaplab build kmod --kernel ./vmlinuz --headers kernel-devel.rpm --target rocky --out out")
	f.moduleFlags(cmd)
	return cmd
}

func newBuildReleaseCmd() *cobra.Command {
	f := &buildFlags{Options: release.Options{Modules: true, Objects: true}}
	cmd := f.command("release", "Build both drivers for many kernels, load them on each, and sign them",
		"Release is build kmod and build bpf for the same kernels, and loads both drivers in one\n"+
			"virtual machine of each.\n\n"+aboutRelease,
		"  scaplab build release --out out\n"+
			"  scaplab build release --twice --kernel 5.10,6.1,6.12,newest,arm64:6.12 --sign-key key.pem \\\n"+
			"      --sign-cert cert.pem --minisign-key minisign.key --oci out.oci --out out")
	f.moduleFlags(cmd)
	return cmd
}

// command returns a build command.
func (f *buildFlags) command(use, short, long, example string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.build(cmd) },
	}
	f.kernelFlags(cmd)
	names := "kernels: series, newest, all, or files (bzImage, vmlinux, .deb), each with ARCH: before it if need be; default "
	if f.Modules {
		cmd.Flags().Lookup("kernel").Usage = names + "all with headers"
	} else {
		cmd.Flags().Lookup("kernel").Usage = names + "those of matrix"
	}
	f.archFlags(cmd)
	f.guestFlags(cmd)
	cmd.Flags().StringVar(&f.Dir, "out", "out", "directory to write to")
	cmd.Flags().StringVar(&f.Driver, "name", "scap", "first part of the modules' names; falcoctl asks for falco unless it is told another")
	cmd.Flags().StringVar(&f.Target, "target", "", "distribution of the kernels, as falcoctl calls it (ID of os-release, mostly); default is what the kernel's version names")
	cmd.Flags().BoolVar(&f.Untested, "allow-untested", false, "drivers that could not be load-tested are not an error")
	cmd.Flags().StringVar(&f.minisign, "minisign-key", "", "secret key of minisign that signs the checksums and the provenance; $MINISIGN_PASSWORD is its password")
	cmd.Flags().StringVar(&f.oci, "oci", "", "also write all files as an OCI image layout to this directory, which is new or empty")
	cmd.Flags().BoolVar(&f.Twice, "twice", false, "build everything a second time, elsewhere and without the cache, and demand the same bytes")
	return cmd
}

// moduleFlags adds the flags for modules.
func (f *buildFlags) moduleFlags(cmd *cobra.Command) {
	f.headersFlag(cmd)
	cmd.Flags().StringVar(&f.key, "sign-key", "", "private key (PEM) that signs modules in the kernel's format")
	cmd.Flags().StringVar(&f.cert, "sign-cert", "", "its X.509 certificate; default is the one in --sign-key")
}

func (f *buildFlags) build(cmd *cobra.Command) error {
	f.driver = guest.OnlyEBPF.String()
	if f.Modules {
		f.driver = guest.OnlyKmod.String()
	}
	o, done, err := f.options(cmd)
	if err != nil {
		return err
	}
	defer done()
	if err := f.openKeys(); err != nil {
		return err
	}
	if left, err := os.ReadDir(f.oci); f.oci != "" && err == nil && len(left) > 0 {
		return cli.Usage(fmt.Errorf("--oci %s: has files (want a new or an empty directory)", f.oci))
	}
	if err := f.Check(); err != nil {
		return cli.Usage(err)
	}
	f.Log = o.Log
	out := cmd.OutOrStdout()
	f.Done = func(k kernels.Kernel, line string) { fmt.Fprintf(out, "%s\t%s\t%s\n", k.Name, k.Release, line) }
	subjects, gone, removeGuests, err := f.subjects(cmd, o)
	defer removeGuests()
	if err != nil {
		return err
	}
	failed, err := release.Build(cmd.Context(), subjects, f.Options)
	if err != nil {
		return environment(err)
	}
	if failed+gone > 0 {
		return cli.Found(nil)
	}
	if f.oci != "" {
		if err := release.WriteOCI(f.Dir, f.oci); err != nil {
			return environment(err)
		}
	}
	return nil
}

func (f *buildFlags) openKeys() (err error) {
	if f.cert != "" && f.key == "" {
		return cli.Usage(errors.New("--sign-cert is the certificate of --sign-key, which is not given"))
	}
	if f.key != "" {
		if f.Signers.Modules, err = modsign.LoadKey(f.key, f.cert); err != nil {
			return cli.Usage(fmt.Errorf("--sign-key: %w", err))
		}
	}
	if f.minisign == "" {
		return nil
	}
	f.Signers.Files, err = minisign.LoadKey(f.minisign, minisign.Password)
	if lacking, ok := errors.AsType[*env.Error](err); ok {
		return cli.Lacking(lacking)
	}
	if err != nil {
		return cli.Usage(fmt.Errorf("--minisign-key: %w", err))
	}
	return nil
}

// kernelsByArch divides the kernels named by their architecture: arm64:6.12 has it in front.
func (f *buildFlags) kernelsByArch() (arches []string, names map[string][]string) {
	names = map[string][]string{}
	for _, name := range splitList(f.kernel) {
		arch := f.arch
		if before, after, ok := strings.Cut(strings.TrimSpace(name), ":"); ok && slices.Contains(machine.Arches(), before) {
			arch, name = before, after
		}
		if names[arch] == nil {
			arches = append(arches, arch)
		}
		names[arch] = append(names[arch], name)
	}
	if len(arches) == 0 {
		arches = []string{f.arch}
	}
	return arches, names
}

// subjects finds the kernels to build for, and counts those that are not available. The function returned removes programs
// that were built for their machines.
func (f *buildFlags) subjects(cmd *cobra.Command, o vmtest.Options) (all []release.Subject, gone int, remove func(), err error) {
	var guests []func()
	remove = func() {
		for _, r := range guests {
			r()
		}
	}
	arches, named := f.kernelsByArch()
	if len(f.headers) > 0 && len(arches) > 1 {
		return nil, 0, remove, cli.Usage(errors.New("--headers is for one kernel, not for several architectures"))
	}
	for _, arch := range arches {
		f.arch = arch
		if len(f.headers) > 0 && len(named[arch]) == 0 {
			s, err := f.withoutImage(cmd.Context())
			return append(all, s), 0, remove, err
		}
		names := named[arch]
		if len(names) == 0 && f.Modules {
			if names, err = f.withHeaders(cmd, o.Log); err != nil {
				return nil, 0, remove, err
			}
		}
		found, missing, err := f.namedKernels(cmd, names, o.Log)
		if err != nil {
			return nil, 0, remove, err
		}
		gone += len(missing)
		builder, err := f.builder(cmd.Context(), o.Log)
		if err != nil {
			return nil, 0, remove, err
		}
		machines := o
		guest, removeGuest, err := f.findGuest(cmd.Context())
		guests = append(guests, removeGuest)
		if err != nil {
			if !f.Untested {
				return nil, 0, remove, err
			}
			o.Log("%v", err)
		}
		machines.Guest = guest
		for _, k := range found {
			all = append(all, release.Subject{Kernel: k, Builder: builder(k), Machine: machines})
		}
	}
	return all, gone, remove, nil
}

// withoutImage is the kernel of --headers, of which no image was named.
func (f *buildFlags) withoutImage(ctx context.Context) (release.Subject, error) {
	if !f.Untested {
		return release.Subject{}, cli.Usage(errors.New("--headers is for one kernel, whose image --kernel FILE names; without it the module cannot be load-tested, which --allow-untested permits"))
	}
	store, err := f.store(f.Log)
	if err != nil {
		return release.Subject{}, err
	}
	local, err := openLocal(ctx, store, f.headers)
	if err != nil {
		return release.Subject{}, err
	}
	k := kernels.Kernel{Name: local.Release, Release: local.Release, Arch: f.arch}
	return release.Subject{Kernel: k, Builder: &kmodbuild.Builder{Store: store, Log: f.Log, Local: local}}, nil
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
