// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/session"
)

// fleet describes the machines of a run: what each of them starts from, and how.
type fleet struct {
	o       *Options
	dir     string // for the files of this run
	qemu    string
	initrds []machine.Image // of the kernels
	accel   machine.Accel

	mu        sync.Mutex
	launchers map[launcherKey]*session.Machines
}

type launcherKey struct{ kernel, cpus int }

// newFleet prepares the machines of the kernels. It tries the accelerator with the kernel first.
func newFleet(ctx context.Context, o *Options, first int) (_ *fleet, err error) {
	program, err := os.ReadFile(o.Guest)
	if err != nil {
		return nil, fmt.Errorf("guest program: %w", err)
	}
	arch := o.Kernels[first].Arch
	if err := machine.CheckInit(program, arch); err != nil {
		return nil, env.Lacks(o.Guest+" cannot be a guest's init: "+err.Error(), "")
	}
	f := &fleet{o: o, launchers: map[launcherKey]*session.Machines{}}
	if f.qemu, err = machine.FindQEMU(arch); err != nil {
		return nil, err
	}
	if f.dir, err = os.MkdirTemp("", "scaplab-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.initrds, err = writeInitramfs(f.dir, program, o.Kernels); err != nil {
		return nil, err
	}
	f.accel, err = session.ChooseAccel(ctx, o.Cache, o.Accel, f.config(first, 1))
	return f, err
}

func (f *fleet) close() { os.RemoveAll(f.dir) }

// config returns the configuration of a kernel's machines with a number of processors.
func (f *fleet) config(kernel, cpus int) machine.Config {
	k := &f.o.Kernels[kernel]
	return machine.Config{
		Arch: k.Arch, QEMU: f.qemu, Accel: f.accel.Name, MemoryMB: f.o.MemoryMB, CPUs: cpus,
		Kernel: machine.Image{File: k.Image, Digest: k.Digest}, Initrd: f.initrds[kernel],
	}
}

// launcher returns what starts a kernel's machines with a number of processors.
func (f *fleet) launcher(kernel, cpus int) *session.Machines {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := launcherKey{kernel, cpus}
	l := f.launchers[key]
	if l == nil {
		l = &session.Machines{Config: f.config(kernel, cpus), Kernel: f.o.Kernels[kernel].Name, BootLimit: f.o.BootLimit, Log: f.o.Log, Console: f.o.Console}
		if !f.o.NoSnapshots {
			l.Snapshots = machine.Snapshots(filepath.Join(f.o.Cache, "snapshot"))
		}
		f.launchers[key] = l
	}
	return l
}

// writeInitramfs writes an initramfs for each kernel. Kernels without a module share one.
func writeInitramfs(dir string, program []byte, list []Kernel) ([]machine.Image, error) {
	all := make([]machine.Image, len(list))
	byModule := map[string]machine.Image{}
	for i, k := range list {
		if have, ok := byModule[k.Module]; ok {
			all[i] = have
			continue
		}
		extra := map[string][]byte{}
		if k.Module != "" {
			module, err := os.ReadFile(k.Module)
			if err != nil {
				return nil, fmt.Errorf("module of kernel %s: %w", k.Name, err)
			}
			extra[strings.TrimPrefix(guest.ModuleFile, "/")] = module
		}
		archive, err := machine.Initramfs(program, extra)
		if err != nil {
			return nil, err
		}
		all[i] = machine.Image{File: filepath.Join(dir, fmt.Sprintf("initramfs-%d", i)), Digest: files.Sum(archive)}
		if err := os.WriteFile(all[i].File, archive, 0o600); err != nil {
			return nil, err
		}
		byModule[k.Module] = all[i]
	}
	return all, nil
}
