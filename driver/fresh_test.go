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

// The committed objects and bindings are what the C gives now.
func TestObjectsAreFresh(t *testing.T) {
	testutil.SkipIfShort(t, "compiles the eBPF objects")
	for _, tool := range []string{"clang-19", "llvm-strip-19"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: only who changes C needs it (make bpf installs it)", tool)
		}
	}
	doc, err := os.ReadFile("bpf/doc.go")
	require.NoError(t, err)
	_, line, ok := strings.Cut(string(doc), "//go:generate go run ")
	require.True(t, ok, "bpf/doc.go says how the objects are made")
	line, _, _ = strings.Cut(line, "\n")
	dir := t.TempDir()
	tool, args, _ := strings.Cut(line, " ")
	// The shell takes the quoted flags apart, as go generate does.
	cmd := exec.Command("sh", "-c", "go run "+tool+" -output-dir \"$0\" "+args, dir)
	cmd.Dir = "bpf"
	cmd.Env = append(os.Environ(), "GOPACKAGE=bpf")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	made, err := filepath.Glob(filepath.Join(dir, "probe_*"))
	require.NoError(t, err)
	require.Len(t, made, 4, "an object and a binding for each architecture")
	for _, path := range made {
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join("bpf", filepath.Base(path)))
		require.NoError(t, err)
		if !bytes.Equal(want, got) {
			t.Errorf("bpf/%s is stale (make bpf)", filepath.Base(path))
		}
	}
}
