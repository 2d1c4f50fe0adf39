// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// findGuest returns what machines run as init: this program, unless it is of another
// architecture or was linked dynamically, as go run does where there is a C
// compiler. Then it is built again, which takes its source and Go. The function
// returned removes what was built.
func (f *runFlags) findGuest(ctx context.Context) (program string, remove func(), err error) {
	remove = func() {}
	if f.guest != "" {
		return f.guest, remove, nil
	}
	if f.arch == runtime.GOARCH {
		if program, err = os.Executable(); err != nil {
			return "", remove, cli.Lacking(err)
		}
		text, err := os.ReadFile(program)
		if err != nil {
			return "", remove, cli.Lacking(err)
		}
		if machine.CheckInit(text, f.arch) == nil {
			return program, remove, nil
		}
	}
	if _, err := machine.FindQEMU(f.arch); err != nil {
		return "", remove, cli.Lacking(err)
	}
	return buildGuest(ctx, f.arch)
}

// guestSource returns what a guest is built from, the project around the working
// directory, and with, Go.
func guestSource() (root, goTool string, err error) {
	if root, err = projectRoot(); err != nil {
		return "", "", err
	}
	if goTool, err = exec.LookPath("go"); err != nil {
		return "", "", cli.Lacking(fmt.Errorf("the go command is not installed: %w", err))
	}
	return root, goTool, nil
}

// buildGuest builds the project around the working directory.
func buildGuest(ctx context.Context, arch string) (file string, done func(), err error) {
	root, goTool, err := guestSource()
	if err != nil {
		return "", func() {}, fmt.Errorf("a static guest for %s is built from source, or given with --guest: %w", arch, err)
	}
	dir, err := os.MkdirTemp("", "scaplab-guest-")
	if err != nil {
		return "", func() {}, cli.Lacking(err)
	}
	done = func() { os.RemoveAll(dir) }
	file = filepath.Join(dir, "scaplab")
	build := exec.CommandContext(ctx, goTool, "build", "-trimpath", "-o", file, "./cmd/scaplab")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := build.CombinedOutput(); err != nil {
		done()
		if ctx.Err() != nil { // the go command was told to end
			return "", func() {}, environment(ctx.Err())
		}
		return "", func() {}, cli.Lacking(fmt.Errorf("build the guest for %s: %w\n%s", arch, err, out))
	}
	return file, done, nil
}
