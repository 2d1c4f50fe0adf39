// SPDX-License-Identifier: Apache-2.0

package kmodbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
)

// BuildOther builds somebody else's module for a kernel, with the same headers and
// compiler as this project's module. dir has its sources and their Kbuild file or
// Makefile, which make one module. It writes nothing to dir
// and keeps nothing. Errors are those of [Builder.Build].
func (b *Builder) BuildOther(ctx context.Context, k kernels.Kernel, dir string) (_ []byte, err error) {
	defer func() { err = env.Disk(err) }()
	tools, err := toolchainFor(k.Arch)
	if err != nil {
		return nil, err
	}
	headers, err := b.Headers(ctx, k)
	if err != nil {
		return nil, err
	}
	root, _, err := b.toolRoot(ctx, tools)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(filepath.Join(b.Store.Cache, "headers"), ".tmp-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	if err := os.CopyFS(filepath.Join(tmp, "src"), os.DirFS(dir)); err != nil {
		return nil, err
	}
	in := mounts{build: tmp, headers: headers}
	var out bytes.Buffer
	if err := enter(ctx, root, in, &out, slices.Concat([]string{"make", "-C", "/usr/src/linux-headers-" + k.Release}, tools.variables(),
		[]string{"M=/build/src", "modules"})...); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			return nil, err
		}
		if disk := env.DiskSaid(err, out.String()); env.IsDisk(disk) {
			return nil, disk
		}
		return nil, &Error{Kernel: k.Name + " (" + k.Release + ")", Output: out.String()}
	}
	built, err := filepath.Glob(filepath.Join(tmp, "src", "*.ko"))
	if err != nil || len(built) != 1 {
		return nil, &Error{Kernel: k.Name + " (" + k.Release + ")", Output: fmt.Sprintf("%s makes %d modules (want 1)", dir, len(built))}
	}
	name := filepath.Base(built[0])
	out.Reset()
	if err := enter(ctx, root, in, &out, tools.prefix+"objcopy", "--strip-debug", "/build/src/"+name, "/build/"+name); err != nil {
		return nil, fmt.Errorf("strip %s: %w\n%s", name, err, out.String())
	}
	return os.ReadFile(filepath.Join(tmp, name))
}
