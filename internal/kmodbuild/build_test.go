// SPDX-License-Identifier: Apache-2.0

package kmodbuild

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/testutil"
)

func TestEveryInputIsInTheKey(t *testing.T) {
	full := Inputs{Release: "r", Source: "s", Headers: []kernels.Package{{Name: "n", Version: "v", SHA256: "h"}}, Tree: "t", Compiler: "c", Tools: "o", Version: "1", Recipe: 1}
	want, err := full.key()
	require.NoError(t, err)
	again, err := full.key()
	require.NoError(t, err)
	require.Equal(t, want, again)
	for i := range reflect.TypeFor[Inputs]().NumField() {
		other := full
		reflect.ValueOf(&other).Elem().Field(i).SetZero()
		got, err := other.key()
		require.NoError(t, err)
		require.NotEqual(t, want, got, reflect.TypeFor[Inputs]().Field(i).Name)
	}
	other := full
	other.Headers = []kernels.Package{{Name: "n", Version: "v", SHA256: "other"}}
	got, err := other.key()
	require.NoError(t, err)
	require.NotEqual(t, want, got, "the same version with other bytes")
}

func TestSourceSumSeesNamesAndBytes(t *testing.T) {
	text := func(files ...string) fs.FS {
		m := fstest.MapFS{}
		for i := 0; i < len(files); i += 2 {
			m[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
		}
		return m
	}
	want := sourceSum(text("a", "1", "b", "2"))
	require.Equal(t, want, sourceSum(text("b", "2", "a", "1")))
	for _, other := range []fs.FS{text("a", "1", "b", "3"), text("a", "1", "c", "2"), text("a", "1"), text("a", "12", "b", ""), text("a", "", "b", "12")} {
		require.NotEqual(t, want, sourceSum(other))
	}
	require.Contains(t, sources(driver.ModuleSource), "kmod/main.c")
	require.Contains(t, sources(driver.ModuleSource), "fillers/task.h")
}

// A probe without a question is dead code, and a question without a probe is always answered no.
func TestProbesAreAskedForAndExist(t *testing.T) {
	probes, asked := map[string]bool{}, map[string]bool{}
	for _, name := range sources(driver.ModuleSource) {
		if path.Dir(name) == "kmod/probe" {
			probes["HAVE_"+strings.ToUpper(strings.TrimSuffix(path.Base(name), ".c"))] = true
			continue
		}
		if path.Dir(name) != "kmod" {
			continue
		}
		text, err := driver.ModuleSource.ReadFile(name)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`(?m)^#\s*(?:el)?if.*?\b(HAVE_[A-Z0-9_]+)`).FindAllSubmatch(text, -1) {
			asked[string(m[1])] = true
		}
	}
	require.NotEmpty(t, asked)
	asked["HAVE_ALWAYS"] = true // by probe itself
	require.Equal(t, asked, probes)
}

func TestErrorShowsLinesAndProbes(t *testing.T) {
	e := &Error{
		Kernel: "6.1 (6.1.0-56-cloud-amd64)",
		Probes: map[string]bool{"vm_flags_mod": false, "always": true},
		Output: "make: Entering directory '/usr/src/linux-headers-6.1.0-56-cloud-amd64'\n" +
			"  CC [M]  /build/src/kmod/main.o\n" +
			"/build/src/kmod/main.c: In function 'scap_open':\n" +
			"/build/src/kmod/main.c:7:9: error: implicit declaration of function 'nothing' [-Wimplicit-function-declaration]\n" +
			"    7 |  return nothing();\n" +
			"/build/src/kmod/tp.c:3:10: fatal error: linux/gone.h: No such file or directory\n" +
			"ERROR: modpost: \"missing\" [/build/src/kmod/scap.ko] undefined!\n" +
			"make[2]: *** [/usr/src/scripts/Makefile.build:250: /build/src/kmod/main.o] Error 1\n",
	}
	require.Equal(t, "module for kernel 6.1 (6.1.0-56-cloud-amd64): "+
		"kmod/main.c:7:9: error: implicit declaration of function 'nothing' [-Wimplicit-function-declaration]\n"+
		"kmod/tp.c:3:10: fatal error: linux/gone.h: No such file or directory\n"+
		"ERROR: modpost: \"missing\" [/build/src/kmod/scap.ko] undefined!\n"+
		"kernel API: HAVE_ALWAYS, no vm_flags_mod", e.Error())
	require.Equal(t, e.Error()+"\n"+e.Output, fmt.Sprintf("%+v", e))
	require.Equal(t, e.Error(), fmt.Sprintf("%v", e))

	e.Output = strings.Repeat("a.c:1:1: error: no\n", 14)
	require.Equal(t, 10, strings.Count(e.Error(), "error: no"))
	require.Contains(t, e.Error(), "(4 more)")

	e.Output, e.Probes = "make: gcc-14: not found\n", nil
	require.Equal(t, "module for kernel 6.1 (6.1.0-56-cloud-amd64): make: gcc-14: not found", e.Error(), "what it is when nothing looks like an error")
}

func TestModuleChangedInTheCacheIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("scap.ko", "code")
	write("module.json", `{"SHA256": "5694d08a2e53ffcae0c3103e5ad6f6076abd960eb1f8a56577040bc1028f702b", "Release": "r"}`)
	m, err := readModule(dir)
	require.NoError(t, err)
	require.Equal(t, "r", m.Release)
	require.Equal(t, filepath.Join(dir, "scap.ko"), m.File)
	write("scap.ko", "cod2")
	_, err = readModule(dir)
	require.ErrorContains(t, err, "was changed")
}

func TestAFullDiskIsNoBadPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip(err)
	}
	tree := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "DEBIAN"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "DEBIAN/control"), []byte("Package: a\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: a\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "big"), make([]byte, 3<<20), 0o644))
	deb := filepath.Join(t.TempDir(), "a.deb")
	out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--build", "--root-owner-group", tree, deb).CombinedOutput()
	require.NoError(t, err, "%s", out)

	b := &Builder{Store: &kernels.Store{Cache: testutil.SmallDisk(t, "1m")}}
	_, err = b.unpackHeaders(t.Context(), []kernels.Package{{Name: "a", Version: "1", SHA256: "00", File: deb}})
	require.True(t, env.IsDisk(err), err)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "unpack a 1: ")
	left, err := os.ReadDir(filepath.Join(b.Store.Cache, "headers"))
	require.NoError(t, err)
	require.Empty(t, left, "a part of a package is not taken for one")
}

// A probe that does not compile means that the kernel lacks something, unless no probe could compile.
func TestAFullDiskIsNoAnswerOfAProbe(t *testing.T) {
	src := t.TempDir()
	files := []string{"kmod/probe/always.c", "kmod/probe/wanted.c"}
	require.NoError(t, os.MkdirAll(filepath.Join(src, "kmod/probe"), 0o755))
	compile := func(err error) func(...string) error {
		return func(...string) error {
			require.NoError(t, os.WriteFile(filepath.Join(src, "kmod/probe/always.o"), nil, 0o644))
			return err
		}
	}
	failed := errors.New("exit status 2")
	found, err := probe(src, files, compile(failed))
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"always": true, "wanted": false}, found)

	full := env.DiskSaid(failed, "/build/src/kmod/probe/wanted.c:1:1: fatal error: error writing to /tmp/cc1.s: No space left on device\n")
	_, err = probe(src, files, compile(full))
	require.True(t, env.IsDisk(err), err)
}

// mustKernel returns a kernel that has headers, fetched if necessary, and a builder for it.
func mustKernel(t *testing.T) (*Builder, kernels.Kernel) {
	t.Helper()
	testutil.SkipIfShort(t, "fetches packages and compiles a module")
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("modules are built on linux/amd64 only")
	}
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	b := &Builder{Store: &kernels.Store{Catalog: catalog, MaxAge: 1 << 62, Log: t.Logf}, Log: t.Logf}
	wants, err := catalog.ParseRequests("6.1")
	require.NoError(t, err)
	kernels, gone, err := b.Store.Resolve(t.Context(), wants)
	var env *env.Error
	if errors.As(err, &env) {
		t.Skip(env)
	}
	require.NoError(t, err)
	if len(gone) > 0 {
		t.Skipf("kernel %s is not available: %v", gone[0].Request, gone[0].Reason)
	}
	tools, err := toolchainFor(kernels[0].Arch)
	require.NoError(t, err)
	if _, _, err := b.toolRoot(t.Context(), tools); errors.As(err, &env) {
		t.Skip(env)
	}
	return b, kernels[0]
}

// The module is built twice without the cache, in directories of other lengths and under other umasks, locales and time zones.
func TestSameInputsGiveTheSameBytes(t *testing.T) {
	b, k := mustKernel(t)
	var built [2]*Module
	for i, at := range []string{"a", "a/much/longer/path/than/the/first"} {
		b.Fresh = filepath.Join(t.TempDir(), at)
		require.NoError(t, os.MkdirAll(b.Fresh, 0o755))
		if i == 1 {
			testutil.Umask(t, 0o077)
			t.Setenv("LC_ALL", "C.UTF-8")
			t.Setenv("TZ", "Pacific/Chatham")
			t.Setenv("KBUILD_BUILD_USER", "somebody")
			t.Setenv("KCFLAGS", "-DSOMETHING")
		}
		m, err := b.Build(t.Context(), k)
		require.NoError(t, err)
		require.Equal(t, b.Fresh, filepath.Dir(filepath.Dir(m.File)), "it is not from the cache")
		built[i] = m
	}
	require.Equal(t, built[0].SHA256, built[1].SHA256)
	require.Equal(t, built[0].Probes, built[1].Probes)
	require.Equal(t, built[0].Inputs, built[1].Inputs)
	want, err := os.ReadFile(built[0].File)
	require.NoError(t, err)
	got, err := os.ReadFile(built[1].File)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// small is a module of a few lines, which compiles quickly.
func small(main string) fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		"kmod/Kbuild":         file("obj-m := scap.o\nscap-y := main.o\nccflags-y := -I$(src)/probed\n"),
		"kmod/main.c":         file("#include <linux/module.h>\n#include <probed.h>\n" + main + "\nMODULE_LICENSE(\"GPL\");\nMODULE_DESCRIPTION(\"test\");\n"),
		"kmod/probe/always.c": file("int probe(void);\nint probe(void) { return 0; }\n"),
		"kmod/probe/never.c":  file("int probe(void);\nint probe(void) { return no_kernel_has_this(); }\n"),
	}
}

func TestCompileErrorsAndProbes(t *testing.T) {
	b, k := mustKernel(t)
	packages, err := b.Store.Headers(t.Context(), k)
	require.NoError(t, err)
	headers, err := b.unpackHeaders(t.Context(), packages)
	require.NoError(t, err)
	// As users give it with --headers, which is always compiled again.
	b.Local, err = OpenLocal(t.Context(), b.Store, filepath.Join(headers, "usr/src/linux-headers-"+k.Release))
	require.NoError(t, err)

	b.source = small("#if !defined(HAVE_ALWAYS) || defined(HAVE_NEVER)\n#error the probes\n#endif")
	m, err := b.Build(t.Context(), k)
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(m.File)) })
	require.Equal(t, map[string]bool{"always": true, "never": false}, m.Probes)
	require.FileExists(t, m.File)
	require.Empty(t, m.Inputs.Headers)
	require.NotEmpty(t, m.Inputs.Tree)

	b.source = small("int wrong(void);\nint wrong(void)\n{\n\treturn nothing_like_it();\n}")
	_, err = b.Build(t.Context(), k)
	var failed *Error
	require.ErrorAs(t, err, &failed)
	require.Contains(t, err.Error(), "module for kernel 6.1 ("+k.Release+"): kmod/main.c:6:16: error: ")
	require.Contains(t, err.Error(), "nothing_like_it")
	require.Contains(t, err.Error(), "kernel API: HAVE_ALWAYS, no never")

	broken := small("")
	broken["kmod/probe/always.c"] = broken["kmod/probe/never.c"]
	b.source = broken
	_, err = b.Build(t.Context(), k)
	require.ErrorContains(t, err, "the probe that must always compile failed")
	require.ErrorContains(t, err, "no_kernel_has_this", "and why")
}

// The Makefile of the DKMS package asks the kernel the same, and hears the same.
func TestTheMakefileOfDKMSProbesAlike(t *testing.T) {
	b, k := mustKernel(t)
	m, err := b.Build(t.Context(), k)
	require.NoError(t, err)
	packages, err := b.Store.Headers(t.Context(), k)
	require.NoError(t, err)
	headers, err := b.unpackHeaders(t.Context(), packages)
	require.NoError(t, err)
	tools, err := toolchainFor(k.Arch)
	require.NoError(t, err)
	root, _, err := b.toolRoot(t.Context(), tools)
	require.NoError(t, err)

	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	require.NoError(t, writeSources(src, driver.ModuleSource))
	text, err := os.ReadFile("../../packaging/dkms/Makefile")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(src, "Makefile"), text, 0o644))
	var out bytes.Buffer
	err = enter(t.Context(), root, mounts{build: dir, headers: filepath.Join(headers, "usr/src")}, &out, slices.Concat(
		[]string{"make", "-C", buildDir, "KDIR=/usr/src/linux-headers-" + k.Release, "SCAPLAB_VERSION=1.2.3"}, tools.variables(), []string{"kmod/probed/probed.h"})...)
	require.NoError(t, err, "%s", out.String())
	header, err := os.ReadFile(filepath.Join(src, "kmod/probed/probed.h"))
	require.NoError(t, err)
	require.Contains(t, string(header), "#define SCAPLAB_VERSION \"1.2.3\"\n")
	heard := map[string]bool{}
	for name := range m.Probes {
		heard[name] = strings.Contains(string(header), "#define HAVE_"+strings.ToUpper(name)+" 1\n")
	}
	require.Equal(t, m.Probes, heard)
}
