// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite golden files with what the tests got")

// Golden compares got with testdata/golden/<name> beside the test. With
// -update the file is written instead.
func Golden(tb testing.TB, name string, got []byte) {
	tb.Helper()
	golden(tb, filepath.Join("testdata", "golden", filepath.FromSlash(name)), got, *update)
}

// GoldenFile is [Golden] with a file elsewhere, such as a page of docs.
func GoldenFile(tb testing.TB, path string, got []byte) {
	tb.Helper()
	golden(tb, filepath.FromSlash(path), got, *update)
}

func golden(tb testing.TB, path string, got []byte, write bool) {
	tb.Helper()
	want, err := os.ReadFile(path)
	if write {
		if err == nil && bytes.Equal(want, got) {
			return
		}
		require.NoError(tb, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(tb, os.WriteFile(path, got, 0o644))
		tb.Logf("%s written", path)
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		require.Fail(tb, path+" does not exist", "go test -run '^%s$' . -update writes it", tb.Name())
		return
	}
	require.NoError(tb, err)
	require.Equal(tb, string(want), string(got), "%s differs; when that is meant: go test -run '^%s$' . -update", path, tb.Name())
}
