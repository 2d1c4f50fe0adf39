// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

func TestFormat(t *testing.T) {
	src, err := os.ReadFile("testdata/unformatted.yaml")
	require.NoError(t, err)
	got, err := Format("t.yaml", src)
	require.NoError(t, err)
	testutil.Golden(t, "formatted.yaml", got)
	again, err := Format("t.yaml", got)
	require.NoError(t, err)
	require.Equal(t, string(got), string(again))
}

var place = regexp.MustCompile(`\S*\.yaml:\d+:\d+`)

// Format keeps the meaning and the comments of a good table.
func TestFormatKeepsTables(t *testing.T) {
	testutil.SkipUnderRace(t)
	for _, dir := range []string{".", "testdata/good", "testdata/base"} {
		fsys := fstest.MapFS{}
		for name, text := range tableFiles(t, dir) {
			src := []byte(text)
			if name == LockFile {
				fsys[name] = &fstest.MapFile{Data: src}
				continue
			}
			out, err := Format("t.yaml", src)
			require.NoError(t, err, "%s/%s", dir, name)
			again, err := Format("t.yaml", out)
			require.NoError(t, err)
			require.Equal(t, string(out), string(again), "%s/%s: formatting twice changes it", dir, name)
			require.ElementsMatch(t, words(string(src)), words(string(out)), "%s/%s", dir, name)
			fsys[name] = &fstest.MapFile{Data: out}
		}
		want := mustLoad(t, dir)
		got, err := LoadFS(fsys)
		require.NoError(t, err)
		require.Equal(t, place.ReplaceAllString(dump(want), ""), place.ReplaceAllString(dump(got), ""))
	}
}

// words returns the text without blanks and without the dashes that move.
func words(src string) []string {
	var out []string
	for _, w := range strings.Fields(src) {
		if w != "-" {
			out = append(out, w)
		}
	}
	return out
}

func TestFormatRefuses(t *testing.T) {
	_, err := Format("t.yaml", []byte("a: ["))
	require.ErrorContains(t, err, "bad YAML")
	_, err = Format("t.yaml", []byte("schema: 1\nsyscalls:\n- syscall: a()\n  differs: |\n    trailing  \n    \n    blanks\n"))
	require.EqualError(t, err, "t.yaml: this layout cannot be changed without changing its meaning")
}

func FuzzFormat(f *testing.F) {
	for _, src := range badTables(f) {
		f.Add(src)
	}
	for _, name := range []string{"testdata/unformatted.yaml", "testdata/good/syscalls.yaml", "testdata/good/syscalls/process.yaml", "testdata/good/events.yaml"} {
		src, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(string(src))
	}
	f.Fuzz(func(t *testing.T, src string) {
		out, err := Format("t.yaml", []byte(src))
		if err != nil {
			require.Nil(t, out)
			return
		}
		again, err := Format("t.yaml", out)
		require.NoError(t, err)
		require.Equal(t, string(out), string(again))
	})
}
