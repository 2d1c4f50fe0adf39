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
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/vmtest"
)

// Version is the version that modules give of themselves.
const Version = "0.1.0"

// Builder builds modules and keeps them.
type Builder struct {
	Store *vmtest.Store
	Log   func(format string, args ...any)
	// Tree is a prepared kernel tree or header directory to build against, in
	// place of the kernel's packages.
	Tree string
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
	Release  string           `json:"release"`
	Source   string           `json:"source_sha256"` // of the C text
	Headers  []vmtest.Package `json:"headers"`
	Tree     string           `json:"tree,omitempty"` // given in place of packages, whose content is not known
	Compiler string           `json:"compiler"`
	Tools    string           `json:"tools_sha256"` // of the list of the tool packages
	Recipe   int              `json:"recipe"`       // of this package
}

// recipe changes when the way of building does.
const recipe = 1

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

// firstErrors are the compiler's lines that say error, a few of them.
func (e *Error) firstErrors() string {
	var lines []string
	for line := range strings.Lines(e.Output) {
		lower := strings.ToLower(line)
		if strings.Contains(lower, "error") && len(lines) < 10 {
			lines = append(lines, strings.TrimSpace(strings.TrimPrefix(line, "/build/src/")))
		}
	}
	if len(lines) == 0 {
		return strings.TrimSpace(e.Output)
	}
	return strings.Join(lines, "\n")
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
// wraps [vmtest.ErrNoHeaders] when the archive has nothing to build it against, and is
// an [Error] when it does not compile.
func (b *Builder) Build(ctx context.Context, k vmtest.Kernel) (*Module, error) {
	if k.Arch != "" && k.Arch != "amd64" {
		return nil, fmt.Errorf("modules for %s cannot be built here, only for amd64", k.Arch)
	}
	in := Inputs{Release: k.Release, Source: sourceSum(), Recipe: recipe}
	var err error
	if b.Tree == "" {
		if in.Headers, err = b.Store.Headers(ctx, k); err != nil {
			return nil, err
		}
	} else if in.Tree, err = filepath.Abs(b.Tree); err != nil {
		return nil, err
	} else if b.Store.Cache == "" {
		if b.Store.Cache, err = vmtest.CacheDir(); err != nil {
			return nil, err
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

func packageSum(packages []vmtest.Package) string {
	h := sha256.New()
	for _, p := range packages {
		fmt.Fprintln(h, p.Name, p.Version, p.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// sources are the files of the module's C text, by path from driver/.
func sources() []string {
	var files []string
	_ = fs.WalkDir(driver.ModuleSource, ".", func(name string, d fs.DirEntry, err error) error { // embedded: cannot fail
		if err == nil && !d.IsDir() {
			files = append(files, name)
		}
		return err
	})
	return files
}

func sourceSum() string {
	h := sha256.New()
	for _, name := range sources() {
		b, _ := driver.ModuleSource.ReadFile(name)
		fmt.Fprintln(h, name, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func writeSources(dir string) error {
	for _, name := range sources() {
		b, err := driver.ModuleSource.ReadFile(name)
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
	if err := writeSources(src); err != nil {
		return err
	}
	in := mounts{build: tmp}
	kernel := "/headers"
	if m.Inputs.Tree != "" {
		in.tree = m.Inputs.Tree
	} else {
		if in.headers, err = b.unpackHeaders(ctx, m.Inputs.Headers); err != nil {
			return err
		}
		kernel = "/usr/src/linux-headers-" + m.Release
	}
	b.Log("kernel %s: building the module", m.Release)
	var out bytes.Buffer
	run := func(args ...string) error {
		return enter(ctx, root, in, &out, append([]string{"make", "-C", kernel, "ARCH=x86", "CC=" + compiler, "HOSTCC=" + compiler,
			"KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_USER=scaplab", "KBUILD_BUILD_HOST=scaplab"}, args...)...)
	}
	if m.Probes, err = probe(src, run); err != nil {
		return fmt.Errorf("%w\n%s", err, out.String())
	}
	out.Reset()
	if err := run("M=/build/src/kmod", "modules"); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &Error{Kernel: m.Release, Probes: m.Probes, Output: out.String()}
	}
	built := filepath.Join(src, "kmod", "scap.ko")
	// Debug information is most of it, and has no use in a module that is loaded elsewhere.
	if err := enter(ctx, root, in, &out, "objcopy", "--strip-debug", "/build/src/kmod/scap.ko", "/build/scap.ko"); err != nil {
		return fmt.Errorf("strip %s: %w\n%s", built, err, out.String())
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
	return os.Rename(tmp, dir)
}

// probe compiles the probe files, each by itself, and writes probed.h.
func probe(src string, run func(args ...string) error) (map[string]bool, error) {
	found := map[string]bool{}
	var objects []string
	for _, name := range sources() {
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
	_ = run(append([]string{"-k", "M=/build/src/kmod/probe"}, objects...)...)
	var header strings.Builder
	header.WriteString("/* What this kernel's API has: which of probe/ compile. */\n")
	any := false
	for _, stem := range sortedKeys(found) {
		if found[stem] = exists(filepath.Join(dir, stem+".o")); found[stem] {
			any = true
			fmt.Fprintf(&header, "#define HAVE_%s 1\n", strings.ToUpper(stem))
		}
	}
	if !any && !exists(filepath.Join(dir, "always.o")) {
		return nil, errors.New("not even the probe that always compiles did: these headers or this compiler do not work")
	}
	fmt.Fprintf(&header, "#define SCAPLAB_VERSION %q\n", Version)
	if err := os.MkdirAll(filepath.Join(src, "kmod", "probed"), 0o755); err != nil {
		return nil, err
	}
	return found, os.WriteFile(filepath.Join(src, "kmod", "probed", "probed.h"), []byte(header.String()), 0o644)
}

// unpackHeaders returns the directory with the header packages unpacked.
func (b *Builder) unpackHeaders(ctx context.Context, packages []vmtest.Package) (string, error) {
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
