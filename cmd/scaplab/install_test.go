// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/internal/version"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// What go install leaves has the tables, the drivers and the guest in it.
func TestInstalledProgramsWorkOutsideTheCheckout(t *testing.T) {
	testutil.SkipIfShort(t, "builds both programs")
	bin := t.TempDir()
	install := exec.Command("go", "install", "./cmd/...")
	install.Dir = filepath.Join("..", "..")
	install.Env = append(os.Environ(), "GOBIN="+bin, "CGO_ENABLED=0")
	out, err := install.CombinedOutput()
	require.NoError(t, err, "%s", out)

	mustRun := func(t *testing.T, program string, args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, program), args...)
		cmd.Dir = t.TempDir()
		out, err := cmd.Output()
		require.NoError(t, err, "%s %s: %s", program, args, out)
		left, err := os.ReadDir(cmd.Dir)
		require.NoError(t, err)
		require.Empty(t, left)
		return string(out)
	}
	require.Contains(t, mustRun(t, "scap", "events", "openat"), "< openat(fd fd, ")
	require.Contains(t, mustRun(t, "scap", "fields"), "proc.name")
	require.Contains(t, mustRun(t, "scaplab", "table", "show", "openat"), "tables/syscalls/file.yaml:")
	require.Contains(t, mustRun(t, "scaplab", "table", "coverage"), "amd64: ")
	lock, err := os.ReadFile(filepath.Join("..", "..", "tables", "schema.lock"))
	require.NoError(t, err)
	require.Equal(t, string(lock), mustRun(t, "scaplab", "schema", "show"))
	require.Contains(t, mustRun(t, "scaplab", "cases"), "getppid/")
	for _, program := range []string{"scap", "scaplab"} {
		var build cli.Build
		require.NoError(t, json.Unmarshal([]byte(mustRun(t, program, "version", "--json")), &build))
		require.Equal(t, version.Number, build.Version)
		require.Equal(t, runtime.GOOS+"/"+runtime.GOARCH, build.Platform)
	}
	t.Run("host", func(t *testing.T) {
		testutil.SkipUnlessRoot(t)
		testutil.SkipUnlessKernel(t, "5.8", "ring buffers")
		testutil.SkipUnlessBTF(t)
		require.Contains(t, mustRun(t, "scaplab", "host", "--syscall", "getppid"), " 0 failed, 0 skipped")
	})
	t.Run("matrix", func(t *testing.T) {
		if _, err := machine.FindQEMU(runtime.GOARCH); err != nil {
			t.Skip(err)
		}
		catalog, err := kernels.LoadCatalog()
		require.NoError(t, err)
		list, err := (&kernels.Store{Catalog: catalog}).List()
		require.NoError(t, err)
		if !slices.ContainsFunc(list, func(k kernels.Available) bool { return k.Kernel != nil && k.Series == "6.12" }) {
			t.Skip("kernel 6.12 was not fetched yet (scaplab kernels fetch 6.12)")
		}
		require.Contains(t, mustRun(t, "scaplab", "matrix", "--kernel", "6.12", "--max-age", "1000000h", "--syscall", "getppid"), " 0 failed, 0 skipped")
	})
}
