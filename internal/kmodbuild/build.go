// SPDX-License-Identifier: Apache-2.0

// Package kmodbuild builds the kernel module for kernels other than the running
// one. It uses the header packages of the kernel's archive and a compiler that is
// fetched from there, too. It runs as an ordinary user and installs nothing.
//
// The module depends only on the sources, the header packages and the compiler:
// equal inputs give equal bytes on every machine. API differences between kernels
// are found by compiling the files of driver/kmod/probe, not by version.
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
	"github.com/scaplab/scaplab/internal/cache"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/version"
)

// Builder builds and keeps modules.
type Builder struct {
	Store *kernels.Store
	Log   func(format string, args ...any)
	// Local is what to build against instead of the kernel's packages; nil: those.
	Local *Local
	// Fresh is a directory to build in, and in which modules are left. They are compiled even if
	// the cache has them, and do not enter it. "" means the cache.
	Fresh string

	source fs.FS // the C files; nil means driver.ModuleSource
}

// text returns the C files.
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
	Probes  map[string]bool // the results of driver/kmod/probe
	Log     string          // output of the compiler
}

// Inputs are everything that a module's bytes depend on.
type Inputs struct {
	Release  string            `json:"release"`
	Source   string            `json:"source_sha256"` // of the C files
	Headers  []kernels.Package `json:"headers"`
	Tree     string            `json:"tree_sha256,omitempty"` // identifies a tree that is used instead of packages
	Compiler string            `json:"compiler"`
	Tools    string            `json:"tools_sha256"` // of the list of the tool packages
	Version  string            `json:"version"`      // that the module states
	Recipe   int               `json:"recipe"`       // of this package
}

// buildDir is the directory in which the compiler sees the sources.
const buildDir = "/build/src/"

// recipe changes when the build steps change.
const recipe = 2

func (in *Inputs) key() (string, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// Error is a compile error of a module.
type Error struct {
	Kernel string
	Probes map[string]bool
	Output string // output of the compiler
}

func (e *Error) Error() string {
	text := fmt.Sprintf("module for kernel %s: %s", e.Kernel, e.firstErrors())
	if len(e.Probes) > 0 { // somebody else's module has no probes
		text += "\nkernel API: " + probeText(e.Probes)
	}
	return text
}

// Format prints the whole output of the compiler for %+v.
func (e *Error) Format(f fmt.State, verb rune) {
	fmt.Fprint(f, e.Error())
	if verb == 'v' && f.Flag('+') {
		fmt.Fprintf(f, "\n%s", e.Output)
	}
}

// errorRE matches an error line of a compiler or of the kernel's build system. Errors of make only say that there was another one.
var errorRE = regexp.MustCompile(`(?m)^.*(?:: (?:fatal )?error: |^ERROR: ).*$`)

// firstErrors returns the first lines of the compiler's output that describe an error.
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

// Build returns the module for a kernel, from the cache or newly built. The error
// wraps [kernels.ErrNoHeaders] if the archive has no headers, and is an [Error] if
// the module does not compile. A full disk is an [env.Error].
func (b *Builder) Build(ctx context.Context, k kernels.Kernel) (_ *Module, err error) {
	defer func() { err = env.Disk(err) }()
	tools, err := toolchainFor(k.Arch)
	if err != nil {
		return nil, err
	}
	in := Inputs{Release: k.Release, Source: sourceSum(b.text()), Version: version.Number, Recipe: recipe}
	if b.Local == nil {
		if in.Headers, err = b.Store.Headers(ctx, k); err != nil {
			return nil, err
		}
	} else {
		if err := b.Local.of(k); err != nil {
			return nil, err
		}
		in.Headers, in.Tree = b.Local.Packages, b.Local.sum
		if err := b.findCache(); err != nil {
			return nil, err
		}
	}
	root, info, err := b.toolRoot(ctx, tools)
	if err != nil {
		return nil, err
	}
	in.Compiler, in.Tools = info.Version, packageSum(info.Tools)
	key, err := in.key()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cmp.Or(b.Fresh, filepath.Join(b.Store.Cache, "module")), key)
	mayChange := b.Local != nil && len(b.Local.Packages) == 0 // a tree
	if !mayChange && b.Fresh == "" {
		if m, err := readModule(dir); err == nil {
			cache.Used(dir)
			return m, nil
		}
	}
	m := &Module{Release: k.Release, Inputs: in}
	if err := b.build(ctx, tools, root, dir, m); err != nil {
		var failed *Error
		if errors.As(err, &failed) {
			failed.Kernel = k.Name + " (" + k.Release + ")"
		}
		return nil, err
	}
	return m, nil
}

func (b *Builder) findCache() (err error) {
	if b.Store.Cache == "" {
		b.Store.Cache, err = env.CacheDir()
	}
	return err
}

// Tools returns the packages that have the compiler and all that modules for an architecture (GOARCH) are built with, besides
// headers. It fetches them if necessary.
func (b *Builder) Tools(ctx context.Context, arch string) (_ []kernels.Package, compiler string, err error) {
	defer func() { err = env.Disk(err) }()
	t, err := toolchainFor(arch)
	if err != nil {
		return nil, "", err
	}
	if err := b.findCache(); err != nil {
		return nil, "", err
	}
	_, info, err := b.toolRoot(ctx, t)
	if err != nil {
		return nil, "", err
	}
	return info.Tools, info.Version, nil
}

// SourceSum returns what identifies the module's sources: the digest of their names and contents.
func SourceSum() string { return sourceSum(driver.ModuleSource) }

// Sources returns the names of the module's sources, relative to driver/.
func Sources() []string { return sources(driver.ModuleSource) }

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

// sources returns the paths of the module's C files, relative to driver/.
func sources(text fs.FS) []string {
	var files []string
	_ = fs.WalkDir(text, ".", func(name string, d fs.DirEntry, err error) error { // in memory, cannot fail
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

// build compiles into a directory of the cache.
func (b *Builder) build(ctx context.Context, tools *toolchain, root, dir string, m *Module) error {
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
	if b.Local != nil {
		in.headers, kernel = b.Local.usrSrc, b.Local.inside()
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
		err := enter(ctx, root, in, &out, slices.Concat([]string{"make", "-C", "/usr/src/" + kernel, "-Otarget", "-j" + strconv.Itoa(runtime.NumCPU()),
			"KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_USER=scaplab", "KBUILD_BUILD_HOST=scaplab"}, tools.variables(), args)...)
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
	// Debug information is most of the file, and is not used on other machines.
	if err := enter(ctx, root, in, &out, tools.prefix+"objcopy", "--strip-debug", "/build/src/kmod/scap.ko", "/build/scap.ko"); err != nil {
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
		// Another process may have built the same module first.
		if other, _ := readModule(dir); other == nil || other.SHA256 != m.SHA256 {
			return err
		}
	}
	return nil
}

// probe compiles each probe file by itself and writes probed.h.
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
	// make fails if one of them does; the object files show which succeeded.
	// On a full disk no object is written, whatever the kernel has.
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
		return nil, errors.New("the probe that must always compile failed: these headers or this compiler do not work")
	}
	fmt.Fprintf(&header, "#define SCAPLAB_VERSION %q\n", version.Number)
	if err := os.MkdirAll(filepath.Join(src, "kmod", "probed"), 0o755); err != nil {
		return nil, err
	}
	return found, os.WriteFile(filepath.Join(src, "kmod", "probed", "probed.h"), []byte(header.String()), 0o644)
}

// Headers returns a directory with the headers of a kernel, as they are in /usr/src of a
// machine that has them installed; it fetches them if necessary. Errors are those of
// [kernels.Store.Headers].
func (b *Builder) Headers(ctx context.Context, k kernels.Kernel) (string, error) {
	packages, err := b.Store.Headers(ctx, k)
	if err != nil {
		return "", err
	}
	dir, err := b.unpackHeaders(ctx, packages)
	return filepath.Join(dir, "usr/src"), err
}

// unpackHeaders returns the directory that contains the unpacked header packages.
func (b *Builder) unpackHeaders(ctx context.Context, packages []kernels.Package) (string, error) {
	dir := filepath.Join(b.Store.Cache, "headers", packageSum(packages)[:24])
	if exists(dir) {
		cache.Used(dir)
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
