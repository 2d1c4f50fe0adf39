// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

// The committed objects are compiled from the C source as it is now.
func TestObjectsAreFresh(t *testing.T) {
	testutil.SkipIfShort(t, "compiles the eBPF objects")
	for _, tool := range []string{"clang-19", "llvm-objcopy-19"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: only who changes C needs it (make bpf installs it)", tool)
		}
	}
	doc, err := os.ReadFile("bpf/doc.go")
	require.NoError(t, err)
	_, line, ok := strings.Cut(string(doc), "//go:generate go ")
	require.True(t, ok, "bpf/doc.go says how the objects are made")
	line, _, _ = strings.Cut(line, "\n")
	dir := t.TempDir()
	cmd := exec.Command("go", append(strings.Fields(line), "-o", dir)...)
	cmd.Dir = "bpf"
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	made := glob(t, dir)
	require.NotEmpty(t, made)
	require.Equal(t, made, glob(t, "bpf"), "an object for each source and architecture (make bpf)")
	for _, path := range made {
		want, err := os.ReadFile(filepath.Join(dir, path))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join("bpf", path))
		require.NoError(t, err)
		if !bytes.Equal(want, got) {
			t.Errorf("bpf/%s is stale (make bpf)", path)
		}
	}
}

// glob lists the objects under dir, as ARCH/NAME.o.
func glob(tb testing.TB, dir string) []string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*.o"))
	require.NoError(tb, err)
	for i, path := range paths {
		paths[i], err = filepath.Rel(dir, path)
		require.NoError(tb, err)
	}
	return paths
}
