// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
)

func TestCacheCommands(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	file := filepath.Join(home, "scaplab", "deb", "x.deb")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, make([]byte, 2<<20), 0o644))
	command := func(want int, args ...string) (string, string) {
		var out, stderr bytes.Buffer
		require.Equal(t, want, run(t.Context(), append([]string{"cache"}, args...), &out, &stderr), stderr.String())
		return out.String(), stderr.String()
	}
	out, _ := command(cli.ExitFine, "list")
	require.Regexp(t, `(?m)^package +1 +2\.0 MB +\d{4}-`, out)
	require.Contains(t, out, "2.0 MB in "+filepath.Join(home, "scaplab"))
	out, _ = command(cli.ExitFine, "list", "--all")
	require.Contains(t, out, file)
	out, _ = command(cli.ExitFine, "prune", "--max-size", "1MB", "--dry-run")
	require.Contains(t, out, "1 items, 2.0 MB, would be removed")
	require.FileExists(t, file)
	out, _ = command(cli.ExitFine, "prune", "--max-size", "1MB")
	require.Contains(t, out, "1 items, 2.0 MB, removed")
	require.NoFileExists(t, file)
	for _, row := range [][]string{
		{"--max-size many: not a size", "prune", "--max-size", "many"}, {"--max-size 0MB: not a size", "prune", "--max-size", "0MB"},
		{`--kind "x" (want snapshot, kernel,`, "prune", "--max-size", "1GB", "--kind", "x"}, {"nothing says what to remove", "prune"},
	} {
		_, stderr := command(cli.ExitUsage, row[1:]...)
		require.Contains(t, stderr, row[0])
	}
}

func TestSizesAreReadAndWritten(t *testing.T) {
	n, err := parseSize("1.5GB")
	require.NoError(t, err)
	require.Equal(t, "1.5 GB", sizeText(n))
	require.Equal(t, "1023 bytes", sizeText(1023))
	for _, bad := range []string{"", "5", "GB", "-1GB", "NaNGB", "1e30GB", "5 apples"} {
		_, err := parseSize(bad)
		require.Error(t, err, bad)
	}
}
