// SPDX-License-Identifier: Apache-2.0

package shell

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWordsAreQuotedWhenAShellWouldChangeThem(t *testing.T) {
	for word, want := range map[string]string{"a/b@6.1/ebpf": "a/b@6.1/ebpf", "my file": "'my file'", "it's": `'it'\''s'`, "$x": "'$x'", "": "''"} {
		require.Equal(t, want, Word(word))
	}
}

func TestACommandIsWhatTheUserTyped(t *testing.T) {
	module, elsewhere := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(module, "go.mod"), []byte("module example.com/m\n\ngo 1.26\n"), 0o600))
	inside := filepath.Join(module, "cmd", "deep")
	require.NoError(t, os.MkdirAll(inside, 0o700))
	installed := filepath.Join(elsewhere, "tool")
	require.NoError(t, os.WriteFile(installed, []byte("#!/bin/sh\n"), 0o700))
	t.Setenv("PATH", elsewhere)
	build := &debug.BuildInfo{Path: "example.com/m/cmd/tool", Main: debug.Module{Path: "example.com/m", Version: "(devel)"}}
	released := &debug.BuildInfo{Path: "example.com/m/cmd/tool", Main: debug.Module{Path: "example.com/m", Version: "v1.2.3"}}
	cache := "/c/aa/" + strings.Repeat("a1", 32) + "-d/tool"
	for name, row := range map[string]struct {
		process
		want string
	}{
		"go run, built":             {process{"/tmp/go-build12/b001/exe/tool", "/tmp/go-build12/b001/exe/tool", module, build}, "go run ./cmd/tool"},
		"go run, from the cache":    {process{cache, cache, module, build}, "go run ./cmd/tool"},
		"go run, deeper":            {process{cache, cache, inside, build}, "go run ../tool"},
		"go run, elsewhere":         {process{cache, cache, elsewhere, build}, "go run example.com/m/cmd/tool"},
		"go run of a release":       {process{cache, cache, elsewhere, released}, "go run example.com/m/cmd/tool@v1.2.3"},
		"by its path":               {process{"bin/tool", filepath.Join(module, "bin/tool"), module, build}, "bin/tool"},
		"found in PATH":             {process{"tool", installed, module, build}, "tool"},
		"not the one in PATH":       {process{"tool", "/opt/a tool", module, build}, "'/opt/a tool'"},
		"not built as a module":     {process{"./tool", "/x/tool", "/x", nil}, "./tool"},
		"a test is not by go run":   {process{"/tmp/go-build12/b001/tool.test", "/tmp/go-build12/b001/tool.test", module, build}, "/tmp/go-build12/b001/tool.test"},
		"its directory has a space": {process{"/my tools/tool", "/my tools/tool", module, build}, "'/my tools/tool'"},
	} {
		require.Equal(t, row.want, row.command(), name)
	}
}
