// SPDX-License-Identifier: Apache-2.0

//go:build unix

package files

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnArchiveOfATreeUnpacksToTheSame(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	large := bytes.Repeat([]byte("0123456789"), 100_000)
	require.NoError(t, os.MkdirAll(filepath.Join(from, "a", "b"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(from, "a", ".git"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(from, "a", "b", "large"), large, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(from, "a", ".git", "x"), nil, 0o644))
	require.NoError(t, os.Symlink("b/large", filepath.Join(from, "a", "link")))
	require.NoError(t, os.Symlink("a", filepath.Join(from, "itself")))

	var archive bytes.Buffer
	chunks := Chunks(func(part []byte) error {
		require.NotEmpty(t, part)
		require.LessOrEqual(t, len(part), chunkSize)
		archive.Write(part)
		return nil
	})
	w := NewTarWriter(chunks)
	w.Skip = func(name string) bool { return name == ".git" }
	require.NoError(t, w.Add(filepath.Join(from, "itself"), "x/y"), "a link that is named is followed")
	require.NoError(t, w.Add(filepath.Join(from, "a", "link"), "one"))
	require.ErrorIs(t, w.Add(filepath.Join(from, "none"), "z"), os.ErrNotExist)
	require.NoError(t, w.Close())
	require.NoError(t, chunks.Close())
	require.NoError(t, Untar(&archive, to))

	for _, name := range []string{"x/y/b/large", "x/y/link", "one"} {
		b, err := os.ReadFile(filepath.Join(to, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(large, b), name)
	}
	target, err := os.Readlink(filepath.Join(to, "x", "y", "link"))
	require.NoError(t, err)
	require.Equal(t, "b/large", target)
	st, err := os.Stat(filepath.Join(to, "x", "y", "b", "large"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o750), st.Mode())
	require.NoDirExists(t, filepath.Join(to, "x", "y", ".git"))
}

func TestNoMoreThanSlotsAreTaken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "slots")
	first, err := Slot(t.Context(), dir, 2)
	require.NoError(t, err)
	second, err := Slot(t.Context(), dir, 2)
	require.NoError(t, err)
	defer second()
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockPace)
	defer cancel()
	_, err = Slot(ctx, dir, 2)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	time.AfterFunc(lockPace, first)
	third, err := Slot(t.Context(), dir, 2)
	require.NoError(t, err, "it waits until another is done")
	third()
}
