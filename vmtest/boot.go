// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
)

// Boot runs a program of its own as init of a machine.
type Boot struct {
	Kernel   kernels.Kernel
	Program  string            // static executable, /init in the machine
	Files    map[string][]byte // in its root directory
	CPUs     int               // 0 is 1
	MemoryMB int               // 0 is 512
	// OneThread emulates all CPUs in one thread of the host. With several of them QEMU 7.2
	// can leave a CPU for ever at an instruction that another is patching, as switching
	// tracepoints does all the time.
	OneThread bool
	Limit     time.Duration // until the machine must have ended
	Console   io.Writer     // where to copy its console; nil for nowhere
}

// Run starts the machine and returns what its console said when it has ended
// itself. The error is about the machine, not about what the program did.
func (b Boot) Run(ctx context.Context) (string, error) {
	qemu, err := FindQEMU(b.Kernel.Arch)
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(b.Program)
	if err != nil {
		return "", err
	}
	var files []guestFile
	for name, data := range b.Files {
		files = append(files, guestFile{name, data})
	}
	if b.Kernel.Module != "" {
		module, err := os.ReadFile(b.Kernel.Module)
		if err != nil {
			return "", err
		}
		files = append(files, guestFile{"scap.ko", module})
	}
	archive, err := newInitramfs(program, files...)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "scaplab-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initramfs")
	if err := os.WriteFile(initrd, archive, 0o600); err != nil {
		return "", err
	}
	config := machineConfig{arch: b.Kernel.Arch, qemu: qemu, kernel: b.Kernel.Image, initrd: initrd,
		memoryMB: cmp.Or(b.MemoryMB, 512), cpus: cmp.Or(b.CPUs, 1)}
	// KVM was tried when a matrix ran; without a verdict, emulation always works.
	config.accel = accelTCG
	if cache, err := env.CacheDir(); err == nil {
		if kept, ok := keptAccel(cache, config.arch); ok {
			config.accel = accelerator(kept.Name)
		}
	}
	if b.OneThread && config.accel == accelTCG {
		config.accel = "tcg,thread=single"
	}
	v, err := startVM(ctx, &config, nil, b.Console)
	if err != nil {
		return "", err
	}
	defer v.close()
	limit := time.NewTimer(cmp.Or(b.Limit, 10*time.Minute))
	defer limit.Stop()
	select {
	case <-v.proc.done:
		waitFor(v.console.finished, 5*time.Second)
		return v.console.text(), nil
	case <-limit.C:
		return v.console.text(), fmt.Errorf("the machine had not ended after %v", b.Limit)
	case <-ctx.Done():
		return v.console.text(), ctx.Err()
	}
}
