// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/scaplab/scaplab/vmtest"
)

// guestProgram is what machines of f.arch run as init: "" is this program,
// which for another architecture is built anew, so that needs its source and Go.
// The function returned removes what was built.
func (f *runFlags) guestProgram(ctx context.Context) (file string, done func(), err error) {
	done = func() {}
	if f.guest != "" || f.arch == runtime.GOARCH {
		return f.guest, done, nil
	}
	if _, err := vmtest.FindQEMU(f.arch); err != nil {
		return "", done, lacking(err)
	}
	root, err := projectRoot()
	if err != nil {
		return "", done, fmt.Errorf("a guest for %s is built from source, or given with --guest: %w", f.arch, err)
	}
	dir, err := os.MkdirTemp("", "scaplab-guest-")
	if err != nil {
		return "", done, lacking(err)
	}
	done = func() { os.RemoveAll(dir) }
	file = filepath.Join(dir, "scaplab")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", file, "./cmd/scaplab")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+f.arch)
	if out, err := build.CombinedOutput(); err != nil {
		done()
		return "", func() {}, lacking(errors.Join(fmt.Errorf("build the guest for %s: %w", f.arch, err), errors.New(string(out))))
	}
	return file, done, nil
}
