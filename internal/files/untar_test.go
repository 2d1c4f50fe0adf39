// SPDX-License-Identifier: Apache-2.0

//go:build unix

package files

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type entry struct {
	kind       byte
	name, text string // text of a file, target of a link
	mode       int64
}

func mustTar(tb testing.TB, entries ...entry) *bytes.Buffer {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Typeflag: e.kind, Name: e.name, Mode: e.mode, ModTime: time.Unix(1_700_000_000, 0)}
		if e.kind == tar.TypeReg {
			h.Size = int64(len(e.text))
		} else {
			h.Linkname = e.text
		}
		require.NoError(tb, w.WriteHeader(h))
		if e.kind == tar.TypeReg {
			_, err := w.Write([]byte(e.text))
			require.NoError(tb, err)
		}
	}
	require.NoError(tb, w.Close())
	return &b
}

func TestUntarKeepsWhatATreeNeeds(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Untar(mustTar(t,
		entry{tar.TypeDir, "./", "", 0o755}, entry{tar.TypeDir, "./usr/bin/", "", 0o755}, entry{tar.TypeSymlink, "bin", "usr/bin", 0},
		entry{tar.TypeReg, "./usr/bin/a", "one", 0o4755}, entry{tar.TypeReg, "no/dir/b", "two", 0o444}, entry{tar.TypeLink, "hard", "./usr/bin/a", 0},
		entry{tar.TypeSymlink, "etc", "/etc", 0}, entry{tar.TypeChar, "null", "", 0o666},
	), dir))
	require.NoError(t, Untar(mustTar(t, entry{tar.TypeDir, "bin/", "", 0o755}, entry{tar.TypeReg, "bin/a", "newer", 0o755}), dir), "through a link of another package")
	for name, want := range map[string]string{"usr/bin/a": "newer", "no/dir/b": "two", "hard": "one"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, want, string(b), name)
	}
	st, err := os.Lstat(filepath.Join(dir, "hard"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), st.Mode(), "no set-user-ID bit")
	require.Equal(t, time.Unix(1_700_000_000, 0), st.ModTime())
	require.NoFileExists(t, filepath.Join(dir, "null"))
}

func TestLinksOfAnArchiveDoNotLeadOut(t *testing.T) {
	for name, links := range map[string][]entry{
		"absolute":          {{tar.TypeSymlink, "out", "OUTSIDE", 0}},
		"relative":          {{tar.TypeSymlink, "a/out", "../../outside", 0}, {tar.TypeSymlink, "out", "a/out", 0}},
		"dots in a name":    {{tar.TypeSymlink, "a/../out", "OUTSIDE", 0}},
		"a link to a link":  {{tar.TypeSymlink, "first", "OUTSIDE", 0}, {tar.TypeSymlink, "out", "first", 0}},
		"a hard link to it": {{tar.TypeSymlink, "first", "OUTSIDE", 0}, {tar.TypeLink, "out", "first", 0}},
	} {
		base := t.TempDir()
		dir, outside := filepath.Join(base, "tree"), filepath.Join(base, "outside")
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.NoError(t, os.Mkdir(outside, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(outside, "there"), []byte("precious"), 0o600))
		for i := range links {
			if links[i].text == "OUTSIDE" {
				links[i].text = outside
			}
		}
		require.NoError(t, Untar(mustTar(t, links...), dir), name)
		for _, e := range []entry{
			{tar.TypeReg, "out/new", "evil", 0o644}, {tar.TypeReg, "out/there", "evil", 0o644}, {tar.TypeDir, "out/dir", "", 0o755},
			{tar.TypeSymlink, "out/link", "/", 0}, {tar.TypeLink, "stolen", "out/there", 0},
		} {
			require.Error(t, Untar(mustTar(t, e), dir), "%s: %s", name, e.name)
		}
		require.NoError(t, Untar(mustTar(t, entry{tar.TypeReg, "../../new", "kept inside", 0o644}), dir))
		require.FileExists(t, filepath.Join(dir, "new"))
		left, err := os.ReadDir(outside)
		require.NoError(t, err)
		require.Len(t, left, 1, name)
		b, err := os.ReadFile(filepath.Join(outside, "there"))
		require.NoError(t, err)
		require.Equal(t, "precious", string(b), name)
		require.NoFileExists(t, filepath.Join(base, "new"))
	}
}

// FuzzUntar unpacks what may be anything: nothing may be made outside of the directory.
func FuzzUntar(f *testing.F) {
	f.Add(mustTar(f, entry{tar.TypeDir, "a/", "", 0o755}, entry{tar.TypeReg, "a/b", "text", 0o644}, entry{tar.TypeLink, "c", "a/b", 0}).Bytes())
	f.Add(mustTar(f, entry{tar.TypeSymlink, "a", "../outside", 0}, entry{tar.TypeReg, "a/b", "text", 0o644}).Bytes())
	f.Add(mustTar(f, entry{tar.TypeSymlink, "a", ".", 0}, entry{tar.TypeReg, "a/a/../../../b", "text", 0o644}, entry{tar.TypeLink, "../x", "../outside/there", 0}).Bytes())
	f.Fuzz(func(t *testing.T, archive []byte) {
		base := t.TempDir()
		for _, dir := range []string{"tree", "outside"} {
			require.NoError(t, os.Mkdir(filepath.Join(base, dir), 0o755))
		}
		there := filepath.Join(base, "outside", "there")
		require.NoError(t, os.WriteFile(there, []byte("precious"), 0o600))
		_ = Untar(bytes.NewReader(archive), filepath.Join(base, "tree")) // an error is as good
		for dir, want := range map[string]int{base: 2, filepath.Join(base, "outside"): 1} {
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, left, want)
		}
		st, err := os.Stat(there)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), st.Mode())
		b, err := os.ReadFile(there)
		require.NoError(t, err)
		require.Equal(t, "precious", string(b))
	})
}
