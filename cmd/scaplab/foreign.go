// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/subject"
)

// foreignModule is what begins the value of --driver for somebody else's module.
const foreignModule = "kmod="

// defaultSuite is the release of Debian that a package named without one is taken from.
const defaultSuite = "sid"

// foreign is somebody else's module, to be judged on each kernel.
type foreign struct {
	source string // as given: a file, a directory or a package
	file   string // the module; "" if it is built
	tree   string // its sources; "" if they are not needed
	origin string // where it is from, for reports
	dir    string // for what is unpacked and built
}

// isForeign reports whether --driver names somebody else's module.
func (f *runFlags) isForeign() bool { return strings.HasPrefix(f.driver, foreignModule) }

// openForeign finds the module that --driver names. The caller closes it.
func (f *runFlags) openForeign(ctx context.Context, o *vmtest.Options) (_ *foreign, err error) {
	x := &foreign{source: strings.TrimPrefix(f.driver, foreignModule)}
	if x.dir, err = os.MkdirTemp("", "scaplab-module-"); err != nil {
		return nil, environment(env.Disk(err))
	}
	defer func() {
		if err != nil {
			x.close()
		}
	}()
	st, err := os.Stat(x.source)
	switch {
	case err == nil && st.IsDir():
		x.tree = x.source
		if path, err := filepath.Abs(x.source); err == nil {
			x.origin = filepath.Base(path)
		}
	case err == nil && strings.HasSuffix(x.source, ".deb"):
		x.origin = filepath.Base(x.source)
		err = x.unpack(ctx, x.source)
	case err == nil:
		x.file, x.origin = x.source, filepath.Base(x.source)
	case errors.Is(err, fs.ErrNotExist) && isPackage(x.source):
		name, suite, ok := strings.Cut(x.source, "/")
		if !ok {
			suite = defaultSuite
		}
		store, storeErr := f.store(o.Log)
		if storeErr != nil {
			return nil, storeErr
		}
		p, fetchErr := store.Package(ctx, suite, name)
		if fetchErr != nil {
			return nil, environment(fmt.Errorf("--driver %s: %w", f.driver, fetchErr))
		}
		x.origin = fmt.Sprintf("%s %s of Debian %s", p.Name, p.Version, suite)
		err = x.unpack(ctx, p.File)
	}
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("--driver %s: %w", f.driver, err))
	}
	return x, nil
}

// checkModule checks the value of --driver, so far as that needs no network.
func checkModule(driver string) error {
	source := strings.TrimPrefix(driver, foreignModule)
	st, err := os.Stat(source)
	switch {
	case strings.Contains(source, ","):
		return errors.New("somebody else's module is judged alone")
	case errors.Is(err, fs.ErrNotExist) && isPackage(source):
		return nil
	case err != nil:
		return fmt.Errorf("%w (want a module file, a tree of its sources, or a package: a .deb file, NAME or NAME/SUITE)", err)
	case st.IsDir() || strings.HasSuffix(source, ".deb"):
		return nil
	}
	_, err = readModinfo(source)
	return err
}

// readModinfo reads what a module file says of itself.
func readModinfo(name string) (map[string]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := subject.Modinfo(file)
	if err != nil {
		return nil, fmt.Errorf("no kernel module: %w", err)
	}
	return info, nil
}

func (x *foreign) close() { os.RemoveAll(x.dir) }

// isPackage reports whether s may be NAME or NAME/SUITE.
func isPackage(s string) bool {
	ok := s != "" && s[0] != '/' && s[0] != '.' && strings.Count(s, "/") <= 1
	return ok && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-./") == ""
}

// unpack unpacks a package of DKMS and finds the sources in it.
func (x *foreign) unpack(ctx context.Context, deb string) error {
	if err := kernels.Unpack(ctx, deb, x.dir); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(x.dir, "usr/src/*/dkms.conf"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%d trees of DKMS are in it (want 1: usr/src/NAME-VERSION/dkms.conf)", len(found))
	}
	x.tree = filepath.Dir(found[0])
	return nil
}

// give gives each kernel the module, built for it if there are sources.
func (x *foreign) give(ctx context.Context, f *runFlags, o *vmtest.Options) error {
	builder, err := f.builder(ctx, o.Log)
	if err != nil {
		return err
	}
	for i := range o.Kernels {
		k := &o.Kernels[i]
		if x.tree != "" {
			err = x.build(ctx, f, o, builder(k.Kernel), k)
		} else {
			err = x.take(k)
		}
		if err != nil {
			return err
		}
		if k.Module == "" {
			continue
		}
		if k.Subject, err = subject.ReadModule(k.Module, x.origin); err != nil {
			return cli.Usage(fmt.Errorf("--driver %s: %w", f.driver, err))
		}
	}
	return nil
}

// take gives a kernel the module file if it is for its release.
func (x *foreign) take(k *vmtest.Kernel) error {
	info, err := readModinfo(x.file)
	if err != nil {
		return cli.Usage(fmt.Errorf("--driver kmod=%s: %w", x.file, err))
	}
	release, _, _ := strings.Cut(info["vermagic"], " ")
	if release != k.Release {
		k.NoModule = fmt.Sprintf("%s is for kernel %s", x.file, release)
		return nil
	}
	k.Module = x.file
	return nil
}

// build builds the module for a kernel. One that does not compile is the result of all cases there.
func (x *foreign) build(ctx context.Context, f *runFlags, o *vmtest.Options, b *kmodbuild.Builder, k *vmtest.Kernel) error {
	built := f.doing(k.Name, "building the module")
	ko, err := b.BuildOther(ctx, k.Kernel, x.tree)
	built()
	if err != nil {
		return f.noModule(ctx, o, k, err)
	}
	k.Module = filepath.Join(x.dir, k.Release+".ko")
	return env.Disk(os.WriteFile(k.Module, ko, 0o600))
}

// store returns the store of kernels and of other packages of the archive.
func (f *runFlags) store(log func(string, ...any)) (*kernels.Store, error) {
	catalog, err := kernels.LoadCatalog()
	if err != nil {
		return nil, err
	}
	return &kernels.Store{Catalog: catalog, Arch: f.arch, Mirror: f.mirror, MaxAge: f.maxAge, Log: log}, nil
}
