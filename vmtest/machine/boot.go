// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Boot runs a program as init of a machine of its own.
type Boot struct {
	Arch     string            // GOARCH
	Kernel   string            // file
	Program  string            // static executable, /init in the machine
	Files    map[string][]byte // in its root directory
	CPUs     int               // 0 is 1
	Offline  int               // CPUs besides, which the machine has but does not start
	MemoryMB int               // 0 is 512
	// SingleThread emulates all CPUs in one thread of the host. QEMU 7.2's multi-threaded
	// emulation can hang a CPU on an instruction that another CPU is patching; switching
	// tracepoints patches constantly.
	SingleThread bool
	Arguments    []string      // further ones of the kernel's command line
	Limit        time.Duration // time until the machine must have ended; 0 means 10 minutes
	Console      io.Writer     // destination of a copy of its console, or nil
}

// Run starts the machine, waits until it ends by itself, and returns the text of its
// console. The error is about the machine, not about the program.
func (b Boot) Run(ctx context.Context) (string, error) {
	qemu, err := FindQEMU(b.Arch)
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(b.Program)
	if err != nil {
		return "", err
	}
	archive, err := Initramfs(program, b.Files)
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
	config := Config{Arch: b.Arch, QEMU: qemu, Accel: KnownAccel(b.Arch), SingleThread: b.SingleThread, Kernel: Image{File: b.Kernel}, Initrd: Image{File: initrd},
		MemoryMB: cmp.Or(b.MemoryMB, 512), CPUs: cmp.Or(b.CPUs, 1), Arguments: b.Arguments}
	if b.Offline > 0 {
		config.Arguments = append(config.Arguments, fmt.Sprintf("maxcpus=%d", config.CPUs))
		config.CPUs += b.Offline
	}
	v, err := Start(ctx, &config, nil, b.Console)
	if err != nil {
		return "", err
	}
	defer v.Close()
	limit := time.NewTimer(cmp.Or(b.Limit, 10*time.Minute))
	defer limit.Stop()
	select {
	case <-v.Done():
		waitFor(v.Console.Finished(), 5*time.Second)
		return v.Console.Text(), nil
	case <-limit.C:
		return v.Console.Text(), fmt.Errorf("the machine had not ended after %v", cmp.Or(b.Limit, 10*time.Minute))
	case <-ctx.Done():
		return v.Console.Text(), ctx.Err()
	}
}
