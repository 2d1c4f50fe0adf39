// SPDX-License-Identifier: Apache-2.0

//go:build unix

package cache

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain makes the program hold a cache until its standard input ends, if it is told to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SCAPLAB_HOLD_CACHE"); dir != "" {
		if err := InUse(dir); err != nil {
			panic(err)
		}
		os.Stdout.WriteString("held\n")
		_, _ = os.Stdin.Read(make([]byte, 1))
		return
	}
	os.Exit(m.Run())
}

// mustFill makes a cache of 1000-byte items, the first of which was not used for longest.
func mustFill(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range names {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, make([]byte, 1000), 0o644))
		used := time.Now().Add(time.Duration(i-len(names)) * time.Hour)
		for p := file; p != dir; p = filepath.Dir(p) {
			require.NoError(t, os.Chtimes(p, used, used))
		}
	}
	return dir
}

func paths(dir string, list []Item) (names []string) {
	for _, i := range list {
		rel, _ := filepath.Rel(dir, i.Path)
		names = append(names, rel)
	}
	return names
}

func TestItemsAreListedBySizeAndLastUse(t *testing.T) {
	dir := mustFill(t, "deb/b.deb", "kernel/digest/vmlinux", "snapshot/s.state", "snapshot/exec/e.state", "module/key/scap.ko")
	for _, other := range []string{"kernel/amd64-6.1.json", "snapshot/s.json", "deb/.tmp-1", "headers/.tmp-2/x", "accel-amd64.json", "users/1-a"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, other)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, other), []byte("x"), 0o644))
	}
	past := time.Now().Add(-4 * time.Hour) // that of the directory changed with its new file
	require.NoError(t, os.Chtimes(filepath.Join(dir, "kernel", "digest"), past, past))
	list, err := List(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"deb/b.deb", "kernel/digest", "snapshot/s.state", "snapshot/exec/e.state", "module/key"}, paths(dir, list))
	for _, i := range list {
		require.EqualValues(t, 1000, i.Size, i.Path)
		require.Contains(t, Kinds(), i.Kind)
	}
	list, err = List(filepath.Join(dir, "none"))
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestPruneRemovesWhatWasNotUsedForLongest(t *testing.T) {
	names := []string{"deb/a.deb", "snapshot/s.state", "kernel/k/vmlinux", "module/m/scap.ko"} // 4, 3, 2, 1 hours ago
	for _, row := range []struct {
		limits Limits
		want   []string
	}{
		{Limits{MaxSize: 2500}, []string{"deb/a.deb", "snapshot/s.state"}},
		{Limits{MaxSize: 4000}, nil},
		{Limits{OlderThan: 150 * time.Minute}, []string{"deb/a.deb", "snapshot/s.state"}},
		{Limits{OlderThan: time.Minute, Kinds: []string{"kernel"}}, []string{"kernel/k"}},
		{Limits{MaxSize: 1, Kinds: []string{"module", "package"}}, []string{"deb/a.deb", "module/m"}},
		{Limits{}, nil},
	} {
		dir := mustFill(t, names...)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "snapshot", "s.json"), []byte("{}"), 0o644))
		would, err := Prune(dir, row.limits, true)
		require.NoError(t, err)
		require.Equal(t, row.want, paths(dir, would))
		all, err := List(dir)
		require.NoError(t, err)
		require.Len(t, all, 4, "it was a try")
		removed, err := Prune(dir, row.limits, false)
		require.NoError(t, err)
		require.Equal(t, would, removed)
		rest, err := List(dir)
		require.NoError(t, err)
		require.Len(t, rest, 4-len(removed))
		for _, i := range removed {
			require.NoFileExists(t, i.Path)
			if i.Kind == "snapshot" {
				require.NoFileExists(t, filepath.Join(dir, "snapshot", "s.json"))
			}
		}
	}
}

// What another process has used since it started stays as long as it runs.
func TestPruneKeepsWhatARunningCommandUses(t *testing.T) {
	dir := mustFill(t, "deb/a.deb", "deb/b.deb")
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), "SCAPLAB_HOLD_CACHE="+dir)
	stdin, err := holder.StdinPipe()
	require.NoError(t, err)
	stdout, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	_, err = stdout.Read(make([]byte, 5)) // it holds the cache
	require.NoError(t, err)
	Used(filepath.Join(dir, "deb", "a.deb"))
	removed, err := Prune(dir, Limits{MaxSize: 1}, false)
	require.NoError(t, err)
	require.Equal(t, []string{"deb/b.deb"}, paths(dir, removed))

	require.NoError(t, InUse(dir))
	removed, err = Prune(dir, Limits{MaxSize: 1, Own: true}, false)
	require.NoError(t, err)
	require.Empty(t, removed, "another command uses it, too")

	require.NoError(t, stdin.Close())
	require.NoError(t, holder.Wait())
	Used(filepath.Join(dir, "deb", "a.deb"))
	removed, err = Prune(dir, Limits{MaxSize: 1}, false)
	require.NoError(t, err)
	require.Empty(t, removed, "this process uses it")
	removed, err = Prune(dir, Limits{MaxSize: 1, Own: true}, false)
	require.NoError(t, err)
	require.Equal(t, []string{"deb/a.deb"}, paths(dir, removed))
	users, err := os.ReadDir(filepath.Join(dir, usersDir))
	require.NoError(t, err)
	require.Len(t, users, 1, "that of the command that has ended is gone")
}
