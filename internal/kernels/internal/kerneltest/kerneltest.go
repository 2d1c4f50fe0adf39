// SPDX-License-Identifier: Apache-2.0

// Package kerneltest makes kernels, packages and an archive for tests.
package kerneltest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"github.com/scaplab/scaplab/internal/files"
)

// Compressed packs data with a method: gz, xz, zst, lz4 or none.
func Compressed(tb testing.TB, method string, data []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch method {
	case "":
		return data
	case "gz":
		w = gzip.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	case "zst":
		w, err = zstd.NewWriter(&b)
	case "lz4":
		z := lz4.NewWriter(&b)
		err = z.Apply(lz4.LegacyOption(true))
		w = z
	}
	require.NoError(tb, err)
	_, err = w.Write(data)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return b.Bytes()
}

// BzImage packs vmlinux like the kernel's build does.
func BzImage(tb testing.TB, method string, vmlinux []byte, release string) []byte {
	tb.Helper()
	const setup = 5 * 512 // 4 sectors and the boot sector
	payload := Compressed(tb, method, vmlinux)
	if method != "gz" {
		payload = binary.LittleEndian.AppendUint32(payload, uint32(len(vmlinux)))
	}
	b := make([]byte, setup)
	b[0x1f1] = 4
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x20f)
	binary.LittleEndian.PutUint16(b[0x20e:], 0x400-0x200)
	copy(b[0x400:], release+" (builder) #1 SMP\x00")
	binary.LittleEndian.PutUint32(b[0x248:], 16)
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(len(payload)))
	return append(append(append(b, make([]byte, 16)...), payload...), "trailing sections"...)
}

// Deb makes a Debian package that contains the files.
func Deb(tb testing.TB, method string, files map[string]string) []byte {
	tb.Helper()
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	for name, text := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}
		if strings.HasSuffix(name, "/") {
			h.Typeflag, h.Size = tar.TypeDir, 0
		}
		require.NoError(tb, w.WriteHeader(h))
		if h.Size > 0 {
			_, err := io.WriteString(w, text)
			require.NoError(tb, err)
		}
	}
	require.NoError(tb, w.Close())
	member := "data.tar"
	if method != "" {
		member += "." + method
	}
	b := []byte("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.xz", []byte("odd")}, {member, Compressed(tb, method, data.Bytes())}} {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		b = append(b, m.data...)
		if len(m.data)%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

// FakeApt puts an apt-get into PATH that serves dir: files named like packages,
// and an index per suite. A package that is listed but has no file is a 404. If there is a
// file of its name with .error, apt-get prints its text instead of fetching the package.
func FakeApt(tb testing.TB, dir string, packages map[string][]byte, listed ...string) {
	tb.Helper()
	var index strings.Builder
	for nv, b := range packages {
		require.NoError(tb, os.WriteFile(filepath.Join(dir, nv), b, 0o600))
	}
	for _, nv := range listed {
		name, version, ok := strings.Cut(nv, "=")
		require.True(tb, ok)
		sum := strings.Repeat("0", 64)
		if b, ok := packages[nv]; ok {
			sum = files.Sum(b)
		}
		fmt.Fprintf(&index, "Package: %s\nVersion: %s\nSHA256: %s\n\n", name, version, sum)
	}
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "x_Packages"), []byte(index.String()), 0o600))
	script := `#!/bin/sh
dir='` + dir + `'
for last; do :; done
case "$*" in
*" update") echo update >> "$dir/log"
	[ -e "$APT_CONFIG" ] || { echo "E: no private configuration" >&2; exit 100; }
	[ ! -e "$dir/broken" ] || { echo "E: The repository has no Release file" >&2; exit 100; }
	echo "Date: Thu, 26 Nov 2026 21:03:35 UTC" > "${APT_CONFIG%/*}/state/lists/x_InRelease" ;;
*" indextargets "*) echo "$dir/x_Packages" ;;
*" install "*) cp "$dir/$last=1" "${APT_CONFIG%/*}/cache/archives/${last}_1%3a1_amd64.deb" ;;
*" download "*) echo "download $last" >> "$dir/log"
	[ ! -e "$dir/$last.error" ] || { cat "$dir/$last.error" >&2; exit 100; }
	[ -e "$dir/$last" ] || { echo "E: Failed to fetch http://archive/$last.deb  404  Not Found [IP: 10.0.0.1 80]" >&2; exit 100; }
	cp "$dir/$last" "./${last%%=*}_x.deb" ;;
esac
`
	bin := tb.TempDir()
	require.NoError(tb, os.WriteFile(filepath.Join(bin, "apt-get"), []byte(script), 0o700))
	tb.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// AptLog returns the arguments with which that apt-get was called since the last call of AptLog.
func AptLog(tb testing.TB, dir string) []string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "log"))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(tb, err)
	}
	require.NoError(tb, os.RemoveAll(filepath.Join(dir, "log")))
	return strings.Fields(string(b))
}
