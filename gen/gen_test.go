// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/tables"
)

const root = ".."

func mustLoad(tb testing.TB, dir string) *tables.Table {
	tb.Helper()
	t, err := tables.Load(dir)
	require.NoError(tb, err)
	return t
}

func mustFiles(tb testing.TB, t *tables.Table) map[string][]byte {
	tb.Helper()
	files, err := Files(t)
	require.NoError(tb, err)
	return files
}

func TestGolden(t *testing.T) {
	files := mustFiles(t, mustLoad(t, "testdata/table"))
	for path, text := range files {
		// With .golden the go command does not see packages there.
		t.Run(path, func(t *testing.T) { testutil.Golden(t, path+".golden", text) })
	}
	golden := filepath.Join("testdata", "golden")
	var kept []string
	require.NoError(t, filepath.WalkDir(golden, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(golden, path)
			kept = append(kept, strings.TrimSuffix(filepath.ToSlash(rel), ".golden"))
		}
		return err
	}))
	require.ElementsMatch(t, slices.Collect(maps.Keys(files)), kept, "remove golden files that nothing makes any more")
}

func TestEveryRunGivesTheSameBytes(t *testing.T) {
	first := mustFiles(t, mustLoad(t, "testdata/table"))
	for range 5 {
		require.Equal(t, first, mustFiles(t, mustLoad(t, "testdata/table")))
	}
}

// The committed files are what the table gives.
func TestGeneratedFilesAreFresh(t *testing.T) {
	diff, err := Check(root, mustFiles(t, mustLoad(t, filepath.Join(root, "tables"))))
	require.NoError(t, err, diff)
}

func TestWriteTouchesOnlyWhatChanges(t *testing.T) {
	dir := t.TempDir()
	files := map[string][]byte{"a/x_gen.h": []byte("/* " + marker + " */\none\n"), "a/y_gen.go": []byte("// " + marker + "\ntwo\n")}
	changed, err := Write(dir, files)
	require.NoError(t, err)
	require.Equal(t, []string{"a/x_gen.h", "a/y_gen.go"}, changed)
	diff, err := Check(dir, files)
	require.NoError(t, err)
	require.Empty(t, diff)

	before, err := os.Stat(filepath.Join(dir, "a/x_gen.h"))
	require.NoError(t, err)
	files["a/y_gen.go"] = []byte("// " + marker + "\nthree\n")
	changed, err = Write(dir, files)
	require.NoError(t, err)
	require.Equal(t, []string{"a/y_gen.go"}, changed)
	after, err := os.Stat(filepath.Join(dir, "a/x_gen.h"))
	require.NoError(t, err)
	require.Equal(t, before.ModTime(), after.ModTime())
}

func TestFilesNoLongerMadeAreRemoved(t *testing.T) {
	dir := t.TempDir()
	all := map[string][]byte{"a/x_gen.h": []byte("/* " + marker + " */\n"), "a/old_gen.h": []byte("/* " + marker + " */\n"),
		"a/old_gen_test.go": []byte("// " + marker + "\n")}
	_, err := Write(dir, all)
	require.NoError(t, err)
	byHand := filepath.Join(dir, "a/hand_gen.h")
	require.NoError(t, os.WriteFile(byHand, []byte("/* by hand */\n"), 0o644))
	delete(all, "a/old_gen.h")
	delete(all, "a/old_gen_test.go")

	diff, err := Check(dir, all)
	require.ErrorIs(t, err, ErrStale)
	require.Contains(t, diff, "a/old_gen.h: no entry of the table makes it any more")
	changed, err := Write(dir, all)
	require.NoError(t, err)
	require.Equal(t, []string{"a/old_gen.h", "a/old_gen_test.go"}, changed)
	require.NoFileExists(t, filepath.Join(dir, "a/old_gen.h"))
	require.FileExists(t, byHand)
}

func TestCheckShowsTheDifferenceAndTheRepair(t *testing.T) {
	dir := t.TempDir()
	_, err := Write(dir, map[string][]byte{"d/f_gen.h": []byte("one\ntwo\nthree\nfour\nfive\n")})
	require.NoError(t, err)
	diff, err := Check(dir, map[string][]byte{"d/f_gen.h": []byte("one\ntwo\n3\nfour\nfive\nsix\n")})
	require.ErrorIs(t, err, ErrStale)
	require.Equal(t, `--- d/f_gen.h
+++ d/f_gen.h (as it should be)
@@ -1,5 +1,6 @@
 one
 two
-three
+3
 four
 five
+six

repair: go run ./cmd/scaplab gen
`, diff)
	diff, err = Check(t.TempDir(), map[string][]byte{"d/f_gen.h": []byte("one\n")})
	require.ErrorIs(t, err, ErrStale)
	require.Contains(t, diff, "+one")
}

func BenchmarkGen(b *testing.B) {
	t := mustLoad(b, filepath.Join(root, "tables"))
	var size int
	for b.Loop() {
		size = 0
		for _, text := range mustFiles(b, t) {
			size += len(text)
		}
	}
	b.ReportMetric(float64(size), "bytes")
}
