// SPDX-License-Identifier: Apache-2.0

package machineexec

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/session"
)

// Options describe machines. The zero value is a machine of the newest kernel with 768 MB and one CPU.
type Options struct {
	Kernel  string        // a series such as 6.1, newest, or a file: bzImage, vmlinux or .deb; "" is newest
	Arch    string        // GOARCH of the kernel; "" is this program's
	Mirror  string        // Debian archive to fetch from, URI[,SECURITY-URI]; "" is the one that apt is set up for
	MaxAge  time.Duration // look for a newer kernel when the last look is longer ago; 0 is a day
	Program string        // init of the machines: a static program that calls [Init] first; "" is this one

	MemoryMB    int           // 0 is 768; files of the machine are in it
	CPUs        int           // 0 is 1
	Accel       string        // kvm or tcg; "" or auto is by trial
	NoSnapshots bool          // boot each machine instead of restoring the state of one
	BootLimit   time.Duration // until a booted machine is ready; 0 is 20 minutes
	AtOnce      int           // machines at a time, of all programs of this user; 0 is one for each processor

	Console io.Writer                        // gets what the kernels write to their consoles; may be nil
	Log     func(format string, args ...any) // gets messages about what takes time; may be nil
}

const (
	defaultMemoryMB  = 768
	defaultBootLimit = 20 * time.Minute
	defaultMaxAge    = 24 * time.Hour
)

// Machines starts machines of one kernel. It may be used by several goroutines.
type Machines struct {
	o        Options
	kernel   kernels.Kernel
	cache    string
	dir      string // has the initramfs
	launcher *session.Machines
}

// Init runs the program as init of a machine, and does not return, if it was started as that. A program that is
// [Options.Program] calls it first.
func Init() { guest.Hook() }

// New fetches the kernel if necessary and prepares machines of it. Errors are an [env.Error] if this system lacks something.
func New(ctx context.Context, o Options) (_ *Machines, err error) {
	o.Arch = cmp.Or(o.Arch, runtime.GOARCH)
	o.MaxAge = cmp.Or(o.MaxAge, defaultMaxAge)
	o.CPUs = cmp.Or(o.CPUs, 1)
	o.AtOnce = cmp.Or(o.AtOnce, runtime.NumCPU())
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	m := &Machines{o: o}
	if m.cache, err = env.CacheDir(); err != nil {
		return nil, err
	}
	qemu, err := machine.FindQEMU(o.Arch)
	if err != nil {
		return nil, err
	}
	if m.kernel, err = findKernel(ctx, &o); err != nil {
		return nil, err
	}
	if m.dir, err = os.MkdirTemp("", "scaplab-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	initrd, err := writeInitramfs(m.dir, o.Program, o.Arch)
	if err != nil {
		return nil, err
	}
	config := machine.Config{
		Arch: o.Arch, QEMU: qemu, MemoryMB: cmp.Or(o.MemoryMB, defaultMemoryMB), CPUs: o.CPUs,
		Kernel: machine.Image{File: m.kernel.Image, Digest: m.kernel.Digest}, Initrd: initrd,
		Arguments: []string{guest.CommandArgument},
	}
	accel, err := session.ChooseAccel(ctx, m.cache, o.Accel, config)
	if err != nil {
		return nil, err
	}
	config.Accel = accel.Name
	config.SingleThread = accel.Name == machine.TCG && o.CPUs > 1 // see machine.Boot
	m.launcher = &session.Machines{Config: config, Kernel: m.kernel.Name, BootLimit: cmp.Or(o.BootLimit, defaultBootLimit), Log: o.Log, Console: o.Console}
	if !o.NoSnapshots {
		m.launcher.Snapshots = machine.Snapshots(filepath.Join(m.cache, "snapshot", "exec"))
	}
	return m, nil
}

// Of returns machines that launcher starts, whose kernel must have [guest.CommandArgument] among its arguments. As many as
// launcher's user starts run at a time.
func Of(launcher *session.Machines, cache string) *Machines {
	return &Machines{o: Options{Log: launcher.Log}, cache: cache, launcher: launcher}
}

// Release returns the kernel's release, uname -r, or "" if its image does not say it.
func (m *Machines) Release() string { return m.kernel.Release }

// Close removes files. Machines that run are not affected.
func (m *Machines) Close() error {
	if m.dir == "" {
		return nil
	}
	return os.RemoveAll(m.dir)
}

func findKernel(ctx context.Context, o *Options) (k kernels.Kernel, err error) {
	catalog, err := kernels.LoadCatalog()
	if err != nil {
		return k, err
	}
	requests, err := catalog.ParseRequests(cmp.Or(o.Kernel, "newest"))
	if err != nil {
		return k, err
	}
	if len(requests) != 1 {
		return k, fmt.Errorf("kernel %q is several (want one)", o.Kernel)
	}
	store := &kernels.Store{Catalog: catalog, Arch: o.Arch, Mirror: o.Mirror, MaxAge: o.MaxAge, Log: o.Log}
	found, gone, err := store.Resolve(ctx, requests)
	if err == nil && len(found) == 0 {
		err = env.Lacks(fmt.Sprintf("kernel %s is not available: %v", gone[0].Request, gone[0].Reason), "")
	}
	if err != nil {
		return k, err
	}
	for _, w := range found[0].Warnings {
		o.Log("kernel %s: %s", found[0].Name, w)
	}
	return found[0], nil
}

func writeInitramfs(dir, program, arch string) (image machine.Image, err error) {
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return image, err
		}
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return image, err
	}
	if err := machine.CheckInit(text, arch); err != nil {
		return image, env.Lacks(program+" cannot be init: "+err.Error(), "")
	}
	archive, err := machine.Initramfs(text, nil)
	if err != nil {
		return image, err
	}
	image = machine.Image{File: filepath.Join(dir, "initramfs"), Digest: files.Sum(archive)}
	return image, os.WriteFile(image.File, archive, 0o600)
}
