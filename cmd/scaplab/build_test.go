// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
)

func TestHeadersAreForOneKernel(t *testing.T) {
	for _, kernels := range [][]string{nil, {"--kernel", "5.10,6.1"}} {
		_, stderr, code := scaplab(t, append([]string{"build", "kmod", "--headers", t.TempDir(), "--out", t.TempDir()}, kernels...)...)
		require.Equal(t, cli.ExitUsage, code, stderr)
		require.Contains(t, stderr, "--headers is for one kernel")
	}
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
	f = runFlags{headers: other}
	require.NoError(t, f.chooseHeaders([]kernels.Request{{Series: "6.1"}, {File: file}}))
	require.Equal(t, file, f.headersOf)
	run = o()
	err := f.findOwnModules(t.Context(), &run)
	require.EqualError(t, err, "--headers: "+other+" belongs to kernel \"6.2.0\" (want \"6.1.9\")")
	var e *cli.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, cli.ExitUsage, e.Code)

	builder, err := f.builder(t.Logf)
	require.NoError(t, err)
	require.Empty(t, builder(kernels.Kernel{Name: "6.1"}).Tree, "which has packages")
}
