// SPDX-License-Identifier: Apache-2.0

package rpm

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"
	"github.com/google/rpmpack"
	"github.com/stretchr/testify/require"
)

func mustPack(t *testing.T, compressor string, all ...rpmpack.RPMFile) []byte {
	t.Helper()
	p, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "kernel-devel", Version: "6.1.0", Release: "1", Arch: "x86_64", Compressor: compressor})
	require.NoError(t, err)
	for _, f := range all {
		p.AddFile(f)
	}
	var b bytes.Buffer
	require.NoError(t, p.Write(&b))
	return b.Bytes()
}

func TestPackagesAreUnpacked(t *testing.T) {
	for _, compressor := range []string{"gzip", "xz", "zstd", "lzma"} {
		text := mustPack(t, compressor,
			rpmpack.RPMFile{Name: "/usr/src/kernels/6.1.0", Mode: 0o40755},
			rpmpack.RPMFile{Name: "/usr/src/kernels/6.1.0/Makefile", Body: []byte("all:\n"), Mode: 0o100644},
			rpmpack.RPMFile{Name: "/usr/src/kernels/6.1.0/scripts/fixdep", Body: []byte("program"), Mode: 0o100755},
			rpmpack.RPMFile{Name: "/usr/src/kernels/6.1.0/link", Body: []byte("Makefile"), Mode: 0o120777},
		)
		require.True(t, Is(text))
		dir := t.TempDir()
		err := Unpack(bytes.NewReader(text), dir)
		if compressor == "lzma" { // of the last century's packages
			require.ErrorContains(t, err, "payload: unknown compression, it begins with 5d0000")
			continue
		}
		require.NoError(t, err, compressor)
		got, err := os.ReadFile(filepath.Join(dir, "usr/src/kernels/6.1.0/link"))
		require.NoError(t, err)
		require.Equal(t, "all:\n", string(got))
		st, err := os.Stat(filepath.Join(dir, "usr/src/kernels/6.1.0/scripts/fixdep"))
		require.NoError(t, err)
		require.EqualValues(t, 0o755, st.Mode().Perm())

		for n := range len(text) { // every proper prefix
			if n%7 == 0 {
				require.Error(t, Unpack(bytes.NewReader(text[:n]), t.TempDir()), "%s: %d bytes", compressor, n)
			}
		}
	}
}

// The payload of a package is an archive of cpio: of names of one file the last has the content.
func TestNamesOfOneFileShareItsContent(t *testing.T) {
	header := mustPack(t, "gzip", rpmpack.RPMFile{Name: "/x", Body: []byte("x"), Mode: 0o100644})
	header = header[:bytes.LastIndex(header, []byte{0x1f, 0x8b, 8})]
	var payload bytes.Buffer
	w := cpio.NewWriter(&payload)
	for _, h := range []cpio.Header{
		{Name: "./a", Inode: 7, Links: 3, Mode: cpio.TypeReg | 0o644},
		{Name: "./empty", Inode: 8, Links: 2, Mode: cpio.TypeReg | 0o644},
		{Name: "./b", Inode: 7, Links: 3, Mode: cpio.TypeReg | 0o644},
		{Name: "./c", Inode: 7, Links: 3, Mode: cpio.TypeReg | 0o644, Size: 4, ModTime: time.Unix(1234567890, 0)},
	} {
		require.NoError(t, w.WriteHeader(&h))
		if h.Size > 0 {
			_, err := w.Write([]byte("text"))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	dir := t.TempDir()
	require.NoError(t, Unpack(bytes.NewReader(append(header, payload.Bytes()...)), dir))
	for name, want := range map[string]string{"a": "text", "b": "text", "c": "text", "empty": ""} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, want, string(got), name)
	}
	for _, name := range []string{"a", "c"} {
		st, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.EqualValues(t, 1234567890, st.ModTime().Unix(), "make compares times")
	}
}

func TestNothingLeavesTheDirectory(t *testing.T) {
	outside := t.TempDir()
	dir := t.TempDir()
	text := mustPack(t, "gzip",
		rpmpack.RPMFile{Name: "/link", Body: []byte(outside), Mode: 0o120777},
		rpmpack.RPMFile{Name: "/link/file", Body: []byte("x"), Mode: 0o100644},
	)
	require.Error(t, Unpack(bytes.NewReader(text), dir))
	left, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, left)
	require.ErrorContains(t, Unpack(bytes.NewReader([]byte("!<arch>\n")), dir), "no RPM package")
}
