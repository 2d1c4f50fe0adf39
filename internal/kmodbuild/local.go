// SPDX-License-Identifier: Apache-2.0

package kmodbuild

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
)

// Local is what a module is built against when it is given by files instead of being fetched: a prepared kernel tree, a
// directory of headers, or packages that have such a directory.
type Local struct {
	Tree     string            // the directory that modules are built in, without symbolic links
	Release  string            // that it states, as `uname -r` prints it
	Packages []kernels.Package // that it was unpacked from; none for a directory

	usrSrc string // the directory that the build sees as /usr/src
	sum    string // identifies the tree: its configuration, and the symbols that modules may use
}

// releaseFile is the header with the release that modules must state: #define UTS_RELEASE "6.1.0".
const releaseFile = "include/generated/utsrelease.h"

// TreeError is the reason why modules of a kernel cannot be built against the given tree.
type TreeError struct{ error }

func (e *TreeError) Unwrap() error { return e.error }

// OpenLocal finds the headers in one directory, or in .deb and .rpm packages, which it unpacks. Packages that need each other,
// as linux-headers-X needs linux-headers-X-common and linux-kbuild-Y on Debian, are given together. The error is a
// [TreeError] if what is given is not enough, and then names the file that lacks something, and what that is.
func OpenLocal(ctx context.Context, store *kernels.Store, names ...string) (*Local, error) {
	if len(names) == 1 {
		st, err := os.Stat(names[0])
		if err != nil {
			return nil, &TreeError{err}
		}
		if st.IsDir() {
			return openTree(names[0])
		}
	}
	var packages []kernels.Package
	for _, name := range names {
		st, err := os.Stat(name)
		if err == nil && st.IsDir() {
			err = fmt.Errorf("%s: a directory is given alone, without packages", name)
		}
		if err != nil {
			return nil, &TreeError{err}
		}
		sum, err := files.SHA256(name)
		if err != nil {
			return nil, &TreeError{err}
		}
		packages = append(packages, kernels.Package{Name: filepath.Base(name), SHA256: sum, File: name})
	}
	slices.SortFunc(packages, func(a, b kernels.Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.SHA256, b.SHA256))
	})
	b := &Builder{Store: store}
	if err := b.findCache(); err != nil {
		return nil, err
	}
	dir, err := b.unpackHeaders(ctx, packages)
	if err != nil {
		if err = env.Disk(err); ctx.Err() == nil && !env.IsDisk(err) && !errors.As(err, new(*env.Error)) {
			err = &TreeError{err}
		}
		return nil, err
	}
	l, err := openUnpacked(dir, packages)
	if err != nil {
		return nil, &TreeError{err}
	}
	return l, nil
}

func openUnpacked(dir string, packages []kernels.Package) (*Local, error) {
	trees, err := findTrees(filepath.Join(dir, "usr/src"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, p := range packages {
		names = append(names, p.Name)
	}
	given := strings.Join(names, ", ")
	switch len(trees) {
	case 0:
		return nil, fmt.Errorf("%s: no usr/src/*/%s (want linux-headers-RELEASE, or kernel-devel)", given, releaseFile)
	case 1:
	default:
		for i := range trees {
			trees[i] = filepath.Base(trees[i])
		}
		return nil, fmt.Errorf("%s: headers of several kernels, %s (want those of one)", given, strings.Join(trees, " and "))
	}
	l := &Local{Tree: trees[0], Packages: packages, usrSrc: filepath.Join(dir, "usr/src")}
	if err := l.read(); err != nil {
		return nil, err
	}
	return l, l.complete(dir)
}

// findTrees returns the directories below dir that modules can be built in. Distributions have them in /usr/src, in a directory
// of it (kernels), or deeper (linux-X-obj/x86_64/default).
func findTrees(dir string) (trees []string, err error) {
	const deepest = 3
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if exists(filepath.Join(name, releaseFile)) {
			trees = append(trees, name)
			return fs.SkipDir
		}
		if below, _ := filepath.Rel(dir, name); strings.Count(below, "/") >= deepest-1 {
			return fs.SkipDir
		}
		return nil
	})
	return trees, err
}

func openTree(name string) (*Local, error) {
	dir, err := filepath.EvalSymlinks(name)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, &TreeError{err}
	}
	l := &Local{Tree: dir, usrSrc: filepath.Dir(dir)}
	if err := l.read(); err != nil {
		return nil, &TreeError{fmt.Errorf("%s is not what modules can be built against (a kernel's headers, or its tree after make modules_prepare): %w", name, err)}
	}
	if err := l.complete(""); err != nil {
		return nil, &TreeError{err}
	}
	return l, nil
}

// read reads the release and what identifies the tree.
func (l *Local) read() error {
	text, err := os.ReadFile(filepath.Join(l.Tree, releaseFile))
	if err != nil {
		return err
	}
	_, quoted, _ := strings.Cut(strings.TrimSpace(string(text)), " UTS_RELEASE ")
	if l.Release, err = strconv.Unquote(quoted); err != nil {
		return fmt.Errorf("%s: %q (want #define UTS_RELEASE \"...\")", filepath.Join(l.Tree, releaseFile), strings.TrimSpace(string(text)))
	}
	h := sha256.New()
	for _, name := range []string{releaseFile, "include/generated/autoconf.h", "Module.symvers"} {
		text, err := os.ReadFile(filepath.Join(l.Tree, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		fmt.Fprintln(h, name, len(text))
		h.Write(text)
	}
	l.sum = hex.EncodeToString(h.Sum(nil))
	return nil
}

// of returns an error unless the tree belongs to a kernel.
func (l *Local) of(k kernels.Kernel) error {
	if k.Release != "" && k.Release != l.Release {
		return &TreeError{fmt.Errorf("%s belongs to kernel %q (want %q)", l.Tree, l.Release, k.Release)}
	}
	return nil
}

// inside returns the tree's path below /usr/src as the build sees it.
func (l *Local) inside() string {
	rel, err := filepath.Rel(l.usrSrc, l.Tree)
	if err != nil { // it is below
		panic(err)
	}
	return filepath.ToSlash(rel)
}

// includeLine matches an include of a fixed file in a Makefile: include /usr/src/linux-headers-6.1.0-57-common/Makefile
var includeLine = regexp.MustCompile(`^include\s+(/usr/[^\s$]+)\s*$`)

// complete returns an error for the first thing that a build in the tree needs and that is not there: a Makefile that its Makefile
// includes, the target of a link, a program of the build system. root is the directory that stands for /; "" means that of
// this machine, in which paths are shown whole.
func (l *Local) complete(root string) error {
	shown := func(name string) string {
		if rel, err := filepath.Rel(root, name); root != "" && err == nil {
			return rel
		}
		return name
	}
	lacks := func(place, what, missing string) error {
		at := path.Base(missing)
		for part := range strings.SplitSeq(missing, "/") { // the directory that a package would bring
			if strings.HasPrefix(part, "linux-") {
				at = part
				break
			}
		}
		return fmt.Errorf("%s: %s: %s is not there (give the package that has it, %s, with --headers, too)", place, what, missing, at)
	}
	dirs := []string{l.Tree}
	for i := 0; i < len(dirs); i++ {
		dir := dirs[i]
		makefile := filepath.Join(dir, "Makefile")
		text, err := os.ReadFile(makefile)
		if err != nil {
			return fmt.Errorf("%s: %w", shown(dir), errors.Join(err))
		}
		for n, lines := 1, bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); n++ {
			m := includeLine.FindStringSubmatch(lines.Text())
			if m == nil {
				continue
			}
			file := filepath.Join(l.usrSrc, strings.TrimPrefix(m[1], "/usr/src/"))
			if !strings.HasPrefix(m[1], "/usr/src/") {
				file = filepath.Join(root, m[1])
			}
			if !exists(file) {
				return lacks(fmt.Sprintf("%s:%d", shown(makefile), n), "includes", m[1])
			}
			if next := filepath.Dir(file); !slices.Contains(dirs, next) {
				dirs = append(dirs, next)
			}
		}
		for _, pattern := range []string{"*", "include/*", "arch/*"} {
			entries, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is good
			for _, entry := range entries {
				to, err := os.Readlink(entry)
				if err != nil || exists(entry) {
					continue
				}
				if path.IsAbs(to) && exists(filepath.Join(root, to)) {
					continue
				}
				if name := filepath.Base(entry); !slices.Contains([]string{"scripts", "tools", "include", "arch", "Makefile", "Kbuild", "kernel"}, name) && pattern == "*" {
					continue // documentation, and drivers whose headers no module outside the kernel needs
				}
				return lacks(shown(entry), "link", to)
			}
		}
	}
	return programs(l.Tree, dirs, shown)
}

// programs returns an error unless the programs of the build system are there and run on this machine.
func programs(tree string, dirs []string, shown func(string) string) error {
	for _, name := range []string{"scripts/basic/fixdep", "scripts/mod/modpost"} {
		at := ""
		for _, dir := range dirs {
			if file := filepath.Join(dir, name); exists(file) {
				at = file
				break
			}
		}
		if at == "" {
			return fmt.Errorf("%s: %s is not there (on Debian it is in linux-kbuild-*; in a tree, make modules_prepare builds it)", shown(tree), name)
		}
		f, err := elf.Open(at)
		if err != nil {
			return fmt.Errorf("%s: %w (want a program for this machine)", shown(at), err)
		}
		machine := f.Machine
		f.Close()
		if want := machines[runtime.GOARCH]; want != 0 && machine != want {
			return fmt.Errorf("%s: it is a program for %v (want %v, this machine's)", shown(at), machine, want)
		}
	}
	return nil
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// Config returns the configuration that the tree was made with.
func (l *Local) Config() ([]byte, error) { return os.ReadFile(filepath.Join(l.Tree, ".config")) }

// utsVersion matches the version in a generated header: #define UTS_VERSION "#1 SMP ..."
var utsVersion = regexp.MustCompile(`(?m)^#define UTS_VERSION "([^"]*)"`)

// UnameVersion returns what `uname -v` prints on the tree's kernel, or "" if the tree does not have it, as most do not: it is
// in a header that only the kernel's own build reads.
func (l *Local) UnameVersion() string {
	for _, name := range []string{"utsversion.h", "compile.h"} {
		text, err := os.ReadFile(filepath.Join(l.Tree, "include/generated", name))
		if err != nil {
			continue
		}
		if m := utsVersion.FindSubmatch(text); m != nil {
			return string(m[1])
		}
	}
	return ""
}
