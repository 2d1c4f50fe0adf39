// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/internal/release"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// openLocal opens the headers of --headers.
func openLocal(ctx context.Context, store *kernels.Store, names []string) (*kmodbuild.Local, error) {
	local, err := kmodbuild.OpenLocal(ctx, store, names...)
	if errors.As(err, new(*kmodbuild.TreeError)) {
		return nil, cli.Usage(fmt.Errorf("--headers: %w", err))
	}
	if err != nil {
		return nil, environment(err)
	}
	return local, nil
}

// builder returns what builds the module of each kernel: with --headers for the one that
// these are for, with the archive's packages for others.
func (f *runFlags) builder(ctx context.Context, log func(string, ...any)) (func(kernels.Kernel) *kmodbuild.Builder, error) {
	store, err := f.store(log)
	if err != nil {
		return nil, err
	}
	var local *kmodbuild.Local
	if len(f.headers) > 0 {
		if local, err = openLocal(ctx, store, f.headers); err != nil {
			return nil, err
		}
	}
	return func(k kernels.Kernel) *kmodbuild.Builder {
		b := &kmodbuild.Builder{Store: store, Log: log}
		if k.Name == f.headersOf {
			b.Local = local
		}
		return b
	}, nil
}

// chooseHeaders finds the kernel that --headers is for: the only one, or the only one given by file.
func (f *runFlags) chooseHeaders(requests []kernels.Request) error {
	if len(f.headers) == 0 {
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
	var built *release.Manifest
	var err error
	if f.modules != "" {
		if built, err = release.Read(f.modules); err != nil {
			return cli.Usage(fmt.Errorf("--modules: %w", err))
		}
	}
	builder, err := f.builder(ctx, o.Log)
	if err != nil {
		return err
	}
	for i := range o.Kernels {
		k := &o.Kernels[i]
		if f.modules != "" {
			if file := built.ModuleFor(k.Kernel); file != "" {
				k.Module = filepath.Join(f.modules, filepath.FromSlash(file))
			} else {
				k.NoModule = fmt.Sprintf("%s has no module for %s (%s)", f.modules, k.Release, k.Arch)
			}
			continue
		}
		b := builder(k.Kernel)
		if b.Local != nil {
			k.Headers = f.headers
		}
		ready := f.doing(k.Name, "building the module")
		m, err := b.Build(ctx, k.Kernel)
		ready()
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
