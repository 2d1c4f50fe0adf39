// SPDX-License-Identifier: Apache-2.0

//go:build unix

package env

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACacheThatOthersCanChangeIsRefused(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	dir, err := CacheDir()
	require.NoError(t, err)
	real, err := filepath.EvalSymlinks(home)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(real, "cache/scaplab"), dir)

	refused := func(want string) {
		t.Helper()
		_, err := CacheDir()
		require.ErrorContains(t, err, "the cache cannot be trusted: ")
		require.ErrorContains(t, err, want)
	}
	for _, open := range []string{dir, filepath.Dir(dir)} {
		require.NoError(t, os.Chmod(open, 0o775))
		refused("others can write to " + open + " (mode 0775)")
		require.NoError(t, os.Chmod(open, 0o755))
	}
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o777|os.ModeSticky))
	_, err = CacheDir()
	require.NoError(t, err, "as below /tmp")
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	refused("others can write to ")
	require.NoError(t, os.Chmod(dir, 0o755))

	if os.Geteuid() != 0 {
		t.Skip("the rest needs root, to give files away")
	}
	const other = 12345
	for _, theirs := range []string{dir, filepath.Dir(dir)} {
		require.NoError(t, os.Chown(theirs, other, other))
		refused(theirs + " belongs to user 12345, not to 0")
		require.NoError(t, os.Chown(theirs, 0, 0))
	}
	// A link is as good as its target.
	link := filepath.Join(home, "link")
	theirs := filepath.Join(home, "theirs")
	require.NoError(t, os.MkdirAll(filepath.Join(theirs, "scaplab"), 0o755))
	require.NoError(t, os.Chown(theirs, other, other))
	require.NoError(t, os.Symlink(theirs, link))
	t.Setenv("XDG_CACHE_HOME", link)
	refused("theirs belongs to user 12345")
}
