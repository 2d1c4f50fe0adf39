// SPDX-License-Identifier: Apache-2.0

package kmodbuild

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/scaplab/scaplab/internal/cache"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
)

// unpack extracts packages into dir, over existing files. It follows links to
// directories in dir, like package managers do; no link leads out of dir.
func unpack(ctx context.Context, dir string, packages []kernels.Package) error {
	for _, p := range packages {
		if err := kernels.Unpack(ctx, p.File, dir); err != nil {
			return fmt.Errorf("unpack %s: %w", strings.TrimSpace(p.Name+" "+p.Version), err)
		}
	}
	return nil
}

// rootInfo describes a finished tree.
type rootInfo struct {
	Tools   []kernels.Package `json:"tools"`
	Version string            `json:"version"` // of the compiler
}

const rootInfoFile = "scaplab.json"

// toolRoot returns the directory with the build tools. It fetches and unpacks them
// if necessary.
func (b *Builder) toolRoot(ctx context.Context, t *toolchain) (string, *rootInfo, error) {
	dir := filepath.Join(b.Store.Cache, "toolroot", t.dir())
	info := new(rootInfo)
	if text, err := os.ReadFile(filepath.Join(dir, rootInfoFile)); err == nil && json.Unmarshal(text, info) == nil {
		cache.Used(dir)
		return dir, info, nil
	}
	b.Log("fetching %s and what it needs from %s, once", t.compiler(), toolSuite)
	packages, err := b.Store.ForThisMachine().Closure(ctx, toolSuite, t.packages...)
	if err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", nil, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".tmp-")
	if err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(tmp)
	// The scripts of the packages would make these.
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.MkdirAll(filepath.Join(tmp, "usr", name), 0o755); err != nil {
			return "", nil, err
		}
		if err := os.Symlink("usr/"+name, filepath.Join(tmp, name)); err != nil {
			return "", nil, err
		}
	}
	for _, name := range []string{"proc", "dev", "tmp", "build", "usr/src"} {
		if err := os.MkdirAll(filepath.Join(tmp, name), 0o755); err != nil {
			return "", nil, err
		}
	}
	if err := unpack(ctx, tmp, packages); err != nil {
		return "", nil, err
	}
	for link, target := range map[string]string{"usr/bin/sh": "dash", "usr/bin/awk": "gawk"} {
		link = filepath.Join(tmp, link)
		if _, err := os.Lstat(link); errors.Is(err, fs.ErrNotExist) {
			if err := os.Symlink(target, link); err != nil {
				return "", nil, err
			}
		}
	}
	info = &rootInfo{Tools: packages}
	var out bytes.Buffer
	if err := enter(ctx, tmp, mounts{}, &out, t.compiler(), "--version"); err != nil {
		return "", nil, env.DiskSaid(fmt.Errorf("%s of the unpacked tree does not run: %w: %s", t.compiler(), err, out.String()), out.String())
	}
	info.Version, _, _ = strings.Cut(out.String(), "\n")
	text, err := json.MarshalIndent(info, "", "\t")
	if err != nil {
		return "", nil, err
	}
	if err := os.WriteFile(filepath.Join(tmp, rootInfoFile), text, 0o644); err != nil {
		return "", nil, err
	}
	if err := os.Rename(tmp, dir); err != nil && !exists(filepath.Join(dir, rootInfoFile)) {
		return "", nil, err
	}
	return dir, info, nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// mounts are directories of this machine that the tree sees at fixed paths: paths in
// the compiler's output are then the same everywhere.
type mounts struct {
	build   string // at /build, writable
	headers string // at /usr/src: a directory of header directories, which may use each other
}

// enter runs a program inside the tree, in its own user namespace: it needs no
// privilege, and mounts nothing outside.
func enter(ctx context.Context, root string, m mounts, out io.Writer, args ...string) error {
	var script strings.Builder
	script.WriteString("set -e\nmount --rbind /proc \"$ROOT/proc\"\nmount --rbind /dev \"$ROOT/dev\"\n")
	if m.build != "" {
		script.WriteString("mount --bind \"$BUILD\" \"$ROOT/build\"\n")
	}
	if m.headers != "" {
		// Some of Debian's headers have links to ../lib/linux-kbuild-*.
		script.WriteString("mount --bind \"$HEADERS\" \"$ROOT/usr/src\"\n" +
			"for d in \"$HEADERS\"/../lib/linux-kbuild-*; do\n[ -d \"$d\" ] || continue\n" +
			"mkdir -p \"$ROOT/usr/lib/${d##*/}\"\nmount --bind \"$d\" \"$ROOT/usr/lib/${d##*/}\"\ndone\n")
	}
	script.WriteString("exec chroot \"$ROOT\" /usr/bin/env -i PATH=/usr/bin:/bin LC_ALL=C HOME=/ \"$@\"\n")
	// The program is the init of a process namespace: when unshare is killed, all that it
	// started is. make, told to end, would leave compilers behind.
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"-rmn", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script.String(), "sh"}, args...)...)
	// chroot is in a directory that is not in the PATH of plain users.
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "ROOT="+root, "BUILD="+m.build, "HEADERS="+m.headers)
	var said opening
	both := io.MultiWriter(out, &said)
	cmd.Stdout, cmd.Stderr = both, both
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return &env.Error{What: "unshare is not installed", Fix: "install util-linux"}
	case err != nil && strings.Contains(said.String(), "unshare: "):
		return &env.Error{What: "users may not create namespaces on this machine:  " + strings.TrimSpace(said.String()),
			Fix: "allow it: sysctl kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0"}
	}
	return err
}

// opening keeps the first bytes that are written to it.
type opening struct{ bytes.Buffer }

func (o *opening) Write(p []byte) (int, error) {
	const enough = 512
	if left := enough - o.Len(); left > 0 {
		o.Buffer.Write(p[:min(len(p), left)])
	}
	return len(p), nil
}
