// SPDX-License-Identifier: Apache-2.0

// Package kmodbuild builds the kernel module for kernels other than the running
// one: from the header packages of their archive, with a compiler that is
// fetched the same way, as an ordinary user and without installing anything.
//
// The module depends on the sources, the header packages and the compiler
// only: the same of these give the same bytes on every machine. API
// differences between kernels are found by compiling the files of
// driver/kmod/probe, never by version.
package kmodbuild

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
)

// Version is the version that modules give of themselves.
const Version = "0.1.0"

// Builder builds modules and keeps them.
type Builder struct {
	Store *kernels.Store
	Log   func(format string, args ...any)
	// Tree is a prepared kernel tree or header directory to build against, in
	// place of the kernel's packages.
	Tree string

	source fs.FS // the C text; nil: driver.ModuleSource
}

// text is the C text.
func (b *Builder) text() fs.FS {
	if b.source != nil {
		return b.source
	}
	return driver.ModuleSource
}

// Module is a built module.
type Module struct {
	File    string // in the cache
	SHA256  string
	Release string
	Inputs  Inputs
	Probes  map[string]bool // what this kernel's API has
	Log     string          // what the compiler said
}

// Inputs are all that a module's bytes depend on.
type Inputs struct {
	Release  string            `json:"release"`
	Source   string            `json:"source_sha256"` // of the C text
	Headers  []kernels.Package `json:"headers"`
	Tree     string            `json:"tree_sha256,omitempty"` // of what tells a tree given in place of packages from others
	Compiler string            `json:"compiler"`
	Tools    string            `json:"tools_sha256"` // of the list of the tool packages
	Version  string            `json:"version"`      // that the module gives of itself
	Recipe   int               `json:"recipe"`       // of this package
}

// buildDir is where the compiler sees the sources.
const buildDir = "/build/src/"

// recipe changes when the way of building does.
const recipe = 2

func (in *Inputs) key() (string, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// Error is a module that did not compile.
type Error struct {
	Kernel string
	Probes map[string]bool
	Output string // the compiler's
}

func (e *Error) Error() string {
	text := fmt.Sprintf("module for kernel %s: %s", e.Kernel, e.firstErrors())
	if len(e.Probes) > 0 { // none were tried for a module of others
		text += "\nkernel API: " + probeText(e.Probes)
	}
	return text
}

// Format gives the whole output of the compiler with %+v.
func (e *Error) Format(f fmt.State, verb rune) {
	fmt.Fprint(f, e.Error())
	if verb == 'v' && f.Flag('+') {
		fmt.Fprintf(f, "\n%s", e.Output)
	}
}

// What compilers and the kernel's build system begin an error with; that of make only says that there was one.
var errorRE = regexp.MustCompile(`(?m)^.*(?:: (?:fatal )?error: |^ERROR: ).*$`)

// firstErrors are the lines of the compiler that say what is wrong, a few of them.
func (e *Error) firstErrors() string {
	const few = 10
	lines := errorRE.FindAllString(e.Output, -1)
	if len(lines) == 0 {
		return strings.TrimSpace(e.Output)
	}
	more := ""
	if len(lines) > few {
		more = fmt.Sprintf("\n(%d more)", len(lines)-few)
		lines = lines[:few]
	}
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], buildDir)
	}
	return strings.Join(lines, "\n") + more
}

func probeText(probes map[string]bool) string {
	var all []string
	for _, name := range sortedKeys(probes) {
		if probes[name] {
			all = append(all, "HAVE_"+strings.ToUpper(name))
		} else {
			all = append(all, "no "+name)
		}
	}
	return strings.Join(all, ", ")
}

func sortedKeys(m map[string]bool) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Build returns the module for a kernel, from the cache or built now. The error
// wraps [kernels.ErrNoHeaders] when the archive has nothing to build it against, and is
// an [Error] when it does not compile. A full disk is neither, but an [env.Error].
func (b *Builder) Build(ctx context.Context, k kernels.Kernel) (_ *Module, err error) {
	defer func() { err = env.Disk(err) }()
	if k.Arch != "" && k.Arch != "amd64" {
		return nil, fmt.Errorf("modules for %s cannot be built here, only for amd64", k.Arch)
	}
	in := Inputs{Release: k.Release, Source: sourceSum(b.text()), Version: Version, Recipe: recipe}
	if b.Tree == "" {
		if in.Headers, err = b.Store.Headers(ctx, k); err != nil {
			return nil, err
		}
	} else {
		if in.Tree, err = b.checkTree(k); err != nil {
			return nil, err
		}
		if b.Store.Cache == "" {
			if b.Store.Cache, err = env.CacheDir(); err != nil {
				return nil, err
			}
		}
	}
	root, info, err := b.toolRoot(ctx)
	if err != nil {
		return nil, err
	}
	in.Compiler, in.Tools = info.Version, packageSum(info.Tools)
	key, err := in.key()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.Store.Cache, "module", key)
	if b.Tree == "" { // a tree may have changed under the same name
		if m, err := readModule(dir); err == nil {
			return m, nil
		}
	}
	m := &Module{Release: k.Release, Inputs: in}
	if err := b.build(ctx, root, dir, m); err != nil {
		var failed *Error
		if errors.As(err, &failed) {
			failed.Kernel = k.Name + " (" + k.Release + ")"
		}
		return nil, err
	}
	return m, nil
}

func readModule(dir string) (*Module, error) {
	text, err := os.ReadFile(filepath.Join(dir, "module.json"))
	if err != nil {
		return nil, err
	}
	m := new(Module)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, err
	}
	m.File = filepath.Join(dir, "scap.ko")
	b, err := os.ReadFile(m.File)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != m.SHA256 {
		return nil, fmt.Errorf("%s was changed", m.File)
	}
	return m, nil
}

func packageSum(packages []kernels.Package) string {
	h := sha256.New()
	for _, p := range packages {
		fmt.Fprintln(h, p.Name, p.Version, p.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// sources are the files of the module's C text, by path from driver/.
func sources(text fs.FS) []string {
	var files []string
	_ = fs.WalkDir(text, ".", func(name string, d fs.DirEntry, err error) error { // in memory: cannot fail
		if err == nil && !d.IsDir() {
			files = append(files, name)
		}
		return err
	})
	return files
}

func sourceSum(text fs.FS) string {
	h := sha256.New()
	for _, name := range sources(text) {
		b, _ := fs.ReadFile(text, name)
		fmt.Fprintln(h, name, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func writeSources(dir string, text fs.FS) error {
	for _, name := range sources(text) {
		b, err := fs.ReadFile(text, name)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// build compiles into dir of the cache.
func (b *Builder) build(ctx context.Context, root, dir string, m *Module) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".tmp-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	src := filepath.Join(tmp, "src")
	if err := writeSources(src, b.text()); err != nil {
		return err
	}
	in := mounts{build: tmp}
	kernel := "linux-headers-" + m.Release
	if m.Inputs.Tree != "" {
		in.headers, kernel = filepath.Split(b.Tree)
	} else {
		unpacked, err := b.unpackHeaders(ctx, m.Inputs.Headers)
		if err != nil {
			return err
		}
		in.headers = filepath.Join(unpacked, "usr/src")
	}
	b.Log("kernel %s: building the module", m.Release)
	var out bytes.Buffer
	run := func(args ...string) error {
		err := enter(ctx, root, in, &out, append([]string{"make", "-C", "/usr/src/" + kernel, "-Otarget", "-j" + strconv.Itoa(runtime.NumCPU()),
			"ARCH=x86", "CC=" + compiler, "HOSTCC=" + compiler,
			"KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_USER=scaplab", "KBUILD_BUILD_HOST=scaplab"}, args...)...)
		if err != nil {
			err = env.DiskSaid(err, out.String())
		}
		return err
	}
	if m.Probes, err = probe(src, sources(b.text()), run); err != nil {
		if env.IsDisk(err) {
			return cmp.Or(ctx.Err(), err)
		}
		return cmp.Or(ctx.Err(), fmt.Errorf("%w\n%s", err, out.String()))
	}
	out.Reset()
	if err := run("M="+buildDir+"kmod", "modules"); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			return err
		}
		return &Error{Kernel: m.Release, Probes: m.Probes, Output: out.String()}
	}
	built := filepath.Join(src, "kmod", "scap.ko")
	// Debug information is most of it, and has no use in a module that is loaded elsewhere.
	if err := enter(ctx, root, in, &out, "objcopy", "--strip-debug", "/build/src/kmod/scap.ko", "/build/scap.ko"); err != nil {
		return env.DiskSaid(fmt.Errorf("strip %s: %w\n%s", built, err, out.String()), out.String())
	}
	ko, err := os.ReadFile(filepath.Join(tmp, "scap.ko"))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(ko)
	m.SHA256, m.Log, m.File = hex.EncodeToString(sum[:]), out.String(), filepath.Join(dir, "scap.ko")
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, "module.json"), text, 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(src); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		// Another process may have been faster: it has built the same.
		if other, _ := readModule(dir); other == nil || other.SHA256 != m.SHA256 {
			return err
		}
	}
	return nil
}

// releaseFile is where a kernel's headers say what modules must give as their release: #define UTS_RELEASE "6.1.0".
const releaseFile = "include/generated/utsrelease.h"

// TreeError says why modules of a kernel cannot be built against the tree given.
type TreeError struct{ error }

func (e *TreeError) Unwrap() error { return e.error }

// checkTree makes Tree absolute and returns what tells it from other trees: the
// configuration, and the symbols that modules may use.
func (b *Builder) checkTree(k kernels.Kernel) (string, error) {
	dir, err := filepath.EvalSymlinks(b.Tree)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return "", &TreeError{err}
	}
	text, err := os.ReadFile(filepath.Join(dir, releaseFile))
	if err != nil {
		return "", &TreeError{fmt.Errorf("%s is not what modules can be built against (a kernel's headers, or its tree after make modules_prepare): %w", b.Tree, err)}
	}
	if _, release, _ := strings.Cut(strings.TrimSpace(string(text)), " UTS_RELEASE "); k.Release != "" && release != strconv.Quote(k.Release) {
		return "", &TreeError{fmt.Errorf("%s is of kernel %s (want %q)", b.Tree, release, k.Release)}
	}
	h := sha256.New()
	for _, name := range []string{releaseFile, "include/generated/autoconf.h", "Module.symvers"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		fmt.Fprintln(h, name, len(text))
		h.Write(text)
	}
	b.Tree = dir
	return hex.EncodeToString(h.Sum(nil)), nil
}

// probe compiles the probe files, each by itself, and writes probed.h.
func probe(src string, files []string, run func(args ...string) error) (map[string]bool, error) {
	found := map[string]bool{}
	var objects []string
	for _, name := range files {
		if path.Dir(name) == "kmod/probe" {
			stem := strings.TrimSuffix(path.Base(name), ".c")
			found[stem] = false
			objects = append(objects, stem+".o")
		}
	}
	dir := filepath.Join(src, "kmod", "probe")
	kbuild := "obj-m := " + strings.Join(objects, " ") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "Kbuild"), []byte(kbuild), 0o644); err != nil {
		return nil, err
	}
	// It fails as soon as one does; what counts is which objects there are.
	// But on a full disk there are none of what the kernel has, either.
	if err := run(append([]string{"-k", "M=" + buildDir + "kmod/probe"}, objects...)...); errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil, err
	}
	var header strings.Builder
	header.WriteString("/* What this kernel's API has: which of probe/ compile. */\n")
	for _, stem := range sortedKeys(found) {
		if found[stem] = exists(filepath.Join(dir, stem+".o")); found[stem] {
			fmt.Fprintf(&header, "#define HAVE_%s 1\n", strings.ToUpper(stem))
		}
	}
	if !found["always"] {
		return nil, errors.New("not even the probe that always compiles did: these headers or this compiler do not work")
	}
	fmt.Fprintf(&header, "#define SCAPLAB_VERSION %q\n", Version)
	if err := os.MkdirAll(filepath.Join(src, "kmod", "probed"), 0o755); err != nil {
		return nil, err
	}
	return found, os.WriteFile(filepath.Join(src, "kmod", "probed", "probed.h"), []byte(header.String()), 0o644)
}

// unpackHeaders returns the directory with the header packages unpacked.
func (b *Builder) unpackHeaders(ctx context.Context, packages []kernels.Package) (string, error) {
	dir := filepath.Join(b.Store.Cache, "headers", packageSum(packages)[:24])
	if exists(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".tmp-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := unpack(ctx, tmp, packages); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, dir); err != nil && !exists(dir) {
		return "", err
	}
	return dir, nil
}
