// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels/internal/apt"
	"github.com/scaplab/scaplab/internal/kernels/internal/kerneltest"
)

func TestHeaderPackages(t *testing.T) {
	index := []apt.Package{
		{Name: "linux-headers-6.1.0-5-cloud-amd64", Version: "6.1.5-1", Depends: "linux-compiler-gcc-12-x86, linux-headers-6.1.0-5-common (= 6.1.5-1), linux-kbuild-6.1 (>= 6.1.5-1), linux-image-6.1.0-5-cloud-amd64 (= 6.1.5-1)"},
		{Name: "linux-headers-6.1.0-5-common", Version: "6.1.5-1"},
		{Name: "linux-kbuild-6.1", Version: "6.1.4-1"},
		{Name: "linux-kbuild-6.1", Version: "6.1.5-1"},
		{Name: "linux-headers-6.12.0-1-cloud-amd64", Version: "6.12.1-1", Depends: "linux-kbuild-6.12"},
		{Name: "linux-headers-6.16.1-rt-amd64", Version: "6.16.1-1"},
	}
	got, ok := headerPackages(index, index, "linux-headers-6.1.0-5-cloud-amd64")
	require.True(t, ok)
	var names []string
	for _, p := range got {
		names = append(names, p.Name+" "+p.Version)
	}
	require.Equal(t, []string{"linux-headers-6.1.0-5-cloud-amd64 6.1.5-1", "linux-headers-6.1.0-5-common 6.1.5-1", "linux-kbuild-6.1 6.1.5-1"}, names)
	_, ok = headerPackages(index, index, "linux-headers-6.12.0-1-cloud-amd64")
	require.False(t, ok, "its build system is not there")
	_, ok = headerPackages(index, index, "linux-headers-6.1.0-6-cloud-amd64")
	require.False(t, ok)

	patterns := []string{"linux-binary-{release}-cloud-amd64", "linux-image-{release}-cloud-amd64"}
	require.True(t, hasHeaders(index, patterns, "6.1"))
	require.True(t, hasHeaders(index, patterns, "6.12"))
	require.False(t, hasHeaders(index, patterns, "6.16"), "another flavour's")
}

func TestTwoRunsMayFetchTheSameAtOnce(t *testing.T) {
	dir := t.TempDir()
	mustHaveKeys(t)
	kerneltest.FakeApt(t, dir, map[string][]byte{"gcc=1": []byte("a compiler")})
	cache := t.TempDir()
	fetch := func() []Package {
		s := &Store{Catalog: mustCatalog(t), Cache: cache, Arch: "amd64", Mirror: "file:/nowhere", MaxAge: time.Hour}
		got, err := s.Closure(t.Context(), "trixie", "gcc")
		require.NoError(t, err)
		return got
	}
	first := fetch()
	require.Equal(t, []Package{{"gcc", "1:1", files.Sum([]byte("a compiler")), first[0].File}}, first)
	fetch()
	b, err := os.ReadFile(first[0].File)
	require.NoError(t, err, "what the first is still to unpack")
	require.Equal(t, "a compiler", string(b))
}
