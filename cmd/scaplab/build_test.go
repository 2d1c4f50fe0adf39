// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
)

func TestHeadersAreForOneKernel(t *testing.T) {
	for _, kernels := range [][]string{nil, {"--kernel", "5.10,6.1"}, {"--kernel", "amd64:6.1,arm64:6.1"}} {
		_, stderr, code := scaplab(t, append([]string{"build", "kmod", "--headers", t.TempDir(), "--out", t.TempDir()}, kernels...)...)
		require.Equal(t, cli.ExitUsage, code, stderr)
		require.Contains(t, stderr, "--headers is for one kernel")
	}
}

func TestBuildSaysWhatIsWrong(t *testing.T) {
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "x"), nil, 0o644))
	for args, want := range map[string]string{
		"build kmod --name a_b --out " + full + "/new":                                `name "a_b": want letters, digits, . and -`,
		"build kmod --target ../x --out " + full + "/new":                             `target "../x": want the name of a distribution`,
		"build release --sign-cert x":                                                 "--sign-cert is the certificate of --sign-key, which is not given",
		"build release --sign-key " + full + "/x":                                     "--sign-key: " + full + "/x: ",
		"build bpf --minisign-key " + full + "/x":                                     "--minisign-key: " + full + "/x: not a secret key of minisign",
		"build kmod --out " + full:                                                    full + " has files and is no release, which would be replaced (want a new or an empty directory)",
		"build release --oci " + full:                                                 "--oci " + full + ": has files (want a new or an empty directory)",
		"build kmod --headers " + full + "/x --allow-untested":                        "--headers: unpack x: " + full + "/x: EOF (want a .deb or .rpm package)",
		"build kmod --headers " + full + " --allow-untested":                          "--headers: " + full + " is not what modules can be built against",
		"build kmod --headers x --headers " + full + " --kernel 6.1 --allow-untested": "--headers: stat x: no such file or directory",
		"matrix --kernel 6.1 --modules " + full:                                       "--modules: " + full + " is no release: there is no manifest.json (scaplab build writes it)",
	} {
		_, stderr, code := scaplab(t, strings.Fields(args)...)
		require.Contains(t, stderr, want, args)
		require.Equal(t, cli.ExitUsage, code, args)
	}
}

func TestAKernelMayHaveItsArchitectureInFront(t *testing.T) {
	f := &buildFlags{runFlags: runFlags{arch: "amd64", kernel: "5.10,arm64:6.12, amd64:6.1,arm64:newest,./a:b"}}
	arches, names := f.kernelsByArch()
	require.Equal(t, []string{"amd64", "arm64"}, arches)
	require.Equal(t, map[string][]string{"amd64": {"5.10", "6.1", "./a:b"}, "arm64": {"6.12", "newest"}}, names)
	f.kernel = ""
	arches, names = f.kernelsByArch()
	require.Equal(t, []string{"amd64"}, arches)
	require.Empty(t, names)
}

func TestAKernelGivenByFileHasNoModuleWithoutHeaders(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("modules are built for amd64 only")
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	file := filepath.Join(t.TempDir(), "bzImage")
	o := func() vmtest.Options {
		k := kernels.Kernel{Name: file, Release: "6.1.9", Arch: "amd64"}
		return vmtest.Options{Kernels: []vmtest.Kernel{{Kernel: k}}, Drivers: []guest.Drivers{guest.OnlyKmod}, Log: t.Logf}
	}
	var f runFlags
	run := o()
	require.NoError(t, f.findOwnModules(t.Context(), &run))
	require.Contains(t, run.Kernels[0].NoModule, "it is not from the archive (give its tree: --headers DIR)")
	require.Empty(t, f.lacks, "this machine lacks nothing")
	// What the reason names is there.
	require.NotNil(t, newMatrixCmd().Flags().Lookup("headers"))
	require.NotNil(t, newReproCmd().Flags().Lookup("headers"))
	require.NotNil(t, newBuildKmodCmd().Flags().Lookup("headers"))

	other := t.TempDir()
	release := filepath.Join(other, "include/generated/utsrelease.h")
	require.NoError(t, os.MkdirAll(filepath.Dir(release), 0o755))
	require.NoError(t, os.WriteFile(release, []byte("#define UTS_RELEASE \"6.2.0\"\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(other, "Makefile"), nil, 0o644))
	program, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	for _, name := range []string{"scripts/basic/fixdep", "scripts/mod/modpost"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(other, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(other, name), program, 0o755))
	}
	f = runFlags{headers: []string{other}}
	require.NoError(t, f.chooseHeaders([]kernels.Request{{Series: "6.1"}, {File: file}}))
	require.Equal(t, file, f.headersOf)
	run = o()
	err = f.findOwnModules(t.Context(), &run)
	require.EqualError(t, err, "--headers: "+other+" belongs to kernel \"6.2.0\" (want \"6.1.9\")")
	var e *cli.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, cli.ExitUsage, e.Code)

	builder, err := f.builder(t.Context(), t.Logf)
	require.NoError(t, err)
	require.Nil(t, builder(kernels.Kernel{Name: "6.1"}).Local, "which has packages")
}
