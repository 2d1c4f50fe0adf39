// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func mustCatalog(t *testing.T) *Catalog {
	t.Helper()
	c, err := LoadCatalog()
	require.NoError(t, err)
	return c
}

func TestCatalogIsUsable(t *testing.T) {
	c := mustCatalog(t)
	wants, err := c.ParseWants()
	require.NoError(t, err)
	require.NotEmpty(t, wants)
	require.NotEmpty(t, c.Packages["amd64"])
	require.True(t, slices.IsSortedFunc(c.Series, func(a, b Series) int { return compareSeries(a.Series, b.Series) }))
	require.Negative(t, compareSeries("6.1", "6.12"))
	require.Negative(t, compareSeries("5.10", "6.1"))
}

func TestBadCatalogsAreRefused(t *testing.T) {
	for in, want := range map[string]string{
		"schema: 2": "schema 2 (want 1)",
		"schema: 1\nseries: [{series: \"6.1\", suites: [a]}, {series: \"6.1\", suites: [b]}]": `series "6.1": want a version`,
		"schema: 1\nseries: [{series: \"6.x\", suites: [a]}]":                                 `series "6.x"`,
		"schema: 1\nseries: [{series: \"6.1\"}]":                                              "with suites",
		"schema: 1\npackages: {amd64: [linux-image]}":                                         "want {release} once",
		"schema: 1\nmirror: x":                                                                "field mirror not found",
		"":                                                                                    "EOF",
	} {
		_, err := parseCatalog([]byte(in))
		require.ErrorContains(t, err, want, in)
	}
}

func TestKernelsAreNamedInManyWays(t *testing.T) {
	c := &Catalog{Default: []string{"5.10", "newest"}, Series: []Series{{"5.10", []string{"a"}}, {"6.1", []string{"b"}}}}
	file := filepath.Join(t.TempDir(), "bzImage")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	got, err := c.ParseWants()
	require.NoError(t, err)
	require.Equal(t, []Want{{Series: "5.10"}, {Newest: true}}, got)
	for in, want := range map[string][]Want{
		"6.1":                      {{Series: "6.1"}},
		"6.1, 5.10,6.1":            {{Series: "6.1"}, {Series: "5.10"}},
		"all":                      {{Series: "5.10"}, {Series: "6.1"}},
		"all,newest," + file:       {{Series: "5.10"}, {Series: "6.1"}, {Newest: true}, {File: file}},
		"./not/yet/there/bzImage,": {{File: "./not/yet/there/bzImage"}},
	} {
		got, err := c.ParseWants(strings.Split(in, ",")...)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	_, err = c.ParseWants("6.2")
	require.EqualError(t, err, `unknown kernel "6.2" (known: 5.10, 6.1, newest, all, or a file)`)
	_, err = c.ParseWants("", " ")
	require.EqualError(t, err, "no kernel is named")
}

func TestPackageNamesOfASeries(t *testing.T) {
	re := packagePattern("linux-image-{release}-cloud-amd64", "6.1")
	for name, want := range map[string]bool{
		"linux-image-6.1.0-56-cloud-amd64":          true,
		"linux-image-6.1.0-0.deb11.50-cloud-amd64":  true,
		"linux-image-6.1.0-56-cloud-amd64-dbg":      false,
		"linux-image-6.1.0-56-cloud-amd64-unsigned": false,
		"linux-image-6.12.117+deb13-cloud-amd64":    false,
		"linux-image-6.1-cloud-amd64":               false, // depends on the newest, has nothing
		"linux-image-6.1.0-56-amd64":                false,
		"xlinux-image-6.1.0-56-cloud-amd64":         false,
	} {
		require.Equal(t, want, re.MatchString(name), name)
	}
}

func TestVersionsAreOrderedAsDpkgDoes(t *testing.T) {
	sorted := []string{"6.1~rc1-1", "6.1-1", "6.1.99-1", "6.1.192-1", "6.1.192-2~bpo1", "6.1.192-2", "6.1.192-2+b1", "6.12.1-1", "7.3.4-1~bpo13+1", "7.3.4-1", "1:1.0-1"}
	for i, a := range sorted {
		for j, b := range sorted {
			got := compareDebVersions(a, b)
			switch {
			case i < j:
				require.Negative(t, got, "%s < %s", a, b)
			case i > j:
				require.Positive(t, got, "%s > %s", a, b)
			default:
				require.Zero(t, got, a)
			}
		}
	}
	require.Zero(t, compareDebVersions("1.02-1", "1.2-1"))
	require.Negative(t, compareDebVersions("1.a-1", "1.+-1"), "letters come before other characters")
}

func TestMirrorIsTheMachinesOwn(t *testing.T) {
	debian := map[string]string{"ID": "debian", "VERSION_CODENAME": "bookworm"}
	targets := "file:/other/vendor stable-x\nfile:/sec/ bookworm-security\nfile:/main/ bookworm\nfile:/main/ bookworm-updates\nfile:/late/ bookworm\nfile:/v/ nodistro\nbroken\n"
	m, err := mirrorFromTargets(targets, debian)
	require.NoError(t, err)
	require.Equal(t, Mirror{Main: "file:/main", Security: "file:/sec"}, m)
	require.Equal(t, "file:/sec", m.base("bullseye-security"))
	require.Equal(t, "file:/main", m.base("trixie-backports"))

	m, err = mirrorFromTargets("file:/a/debian bookworm\n", debian)
	require.NoError(t, err)
	require.Equal(t, "file:/a/debian-security", m.Security, "beside the main archive when apt has none")

	for _, others := range []string{
		"file:/brave stable Brave Software\nfile:/docker bookworm Docker\nfile:/d/ bookworm Debian\nfile:/ds bookworm-security Debian\n",
		"file:/vendor stable $(ORIGIN)\nfile:/d/ bookworm Debian\nfile:/ds bookworm-security Debian\n",
		"file:/d bookworm $(ORIGIN)\nfile:/ds bookworm-security $(ORIGIN)\n",
	} {
		m, err = mirrorFromTargets(others, debian)
		require.NoError(t, err)
		require.Equal(t, Mirror{Main: "file:/d", Security: "file:/ds"}, m, others)
	}

	_, err = mirrorFromTargets(targets, map[string]string{"ID": "ubuntu"})
	require.ErrorContains(t, err, "apt on ubuntu is not set up for the Debian archive")
	_, err = mirrorFromTargets("file:/v/ nodistro\n", debian)
	require.ErrorContains(t, err, "not set up for the Debian archive's bookworm")
	_, err = mirrorFromTargets("", nil)
	require.ErrorContains(t, err, "unknown system")
}

func TestMirrorFlag(t *testing.T) {
	if _, err := archiveKeyring(); err != nil {
		t.Skip(err)
	}
	m, err := ParseMirror("file:/m/debian/")
	require.NoError(t, err)
	require.Equal(t, []string{"file:/m/debian", "file:/m/debian-security"}, []string{m.Main, m.Security})
	m, err = ParseMirror("file:/a,file:/b/")
	require.NoError(t, err)
	require.Equal(t, []string{"file:/a", "file:/b"}, []string{m.Main, m.Security})
	for _, bad := range []string{"", "nourl", "file:", "file:/a b", "file:/a\nTypes: deb", "file:/a,"} {
		_, err := ParseMirror(bad)
		require.ErrorContains(t, err, "want URI", bad)
	}
}

func TestIndexIsReadWhateverItsPacking(t *testing.T) {
	index := []byte("Package: linux-image-6.1\nVersion: 6.1-1\nDescription: a\n kernel: with colon\nSize: 10\nSHA256: aa\n\n" +
		"Package: other\nVersion: 1\nSHA256: bb\n\nPackage: linux-no-sum\nVersion: 1\n\nPackage: linux-last\nVersion: 2\nSHA256: cc\n")
	match := func(n string) bool { return strings.HasPrefix(n, "linux-") }
	want := []debPackage{{Name: "linux-image-6.1", Version: "6.1-1", SHA256: "aa", Size: "10"}, {Name: "linux-last", Version: "2", SHA256: "cc"}}
	for _, method := range []string{"", "gz", "xz", "zst"} {
		name := "dists_main_binary-amd64_Packages"
		if method != "" {
			name += "." + method
		}
		got, err := readIndex(bytes.NewReader(compressed(t, method, index)), name, match)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
	_, err := readIndex(bytes.NewReader([]byte("no gzip")), "x_Packages.gz", match)
	require.ErrorContains(t, err, "read index: ")
}

func TestAptErrorsAreShort(t *testing.T) {
	err := explainApt("Hit:1 x\nE: Unable to locate package y\nErr:2 z 404\nW: noise\n", os.ErrInvalid)
	require.ErrorIs(t, err, os.ErrInvalid)
	require.EqualError(t, err, "invalid argument: Unable to locate package y; Err:2 z 404")
	require.Equal(t, os.ErrInvalid, explainApt("", os.ErrInvalid))
}

func TestLocalKernels(t *testing.T) {
	dir := t.TempDir()
	var said strings.Builder
	s := &Store{Catalog: mustCatalog(t), Cache: filepath.Join(dir, "cache"), Arch: "amd64",
		Log: func(f string, a ...any) { fmt.Fprintf(&said, f+"\n", a...) }}
	pvh := tinyELF(t, "Xen", 18, "")
	packed := bzImage(t, "zst", pvh, "6.1.0-local")
	write := func(name string, b []byte) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, b, 0o600))
		return file
	}
	rows := []struct {
		file, release string
		pvh           bool
		content       []byte
	}{
		{write("vmlinux", pvh), "", true, pvh},
		{write("bzImage", packed), "6.1.0-local", true, pvh},
		{write("k.deb", deb(t, "xz", map[string]string{"./boot/vmlinuz-6.1.9": string(packed)})), "6.1.0-local", true, pvh},
	}
	odd := bzImage(t, "gz", tinyELF(t, "GNU", 18, ""), "6.1.0-nopvh")
	rows = append(rows, rows[0])
	rows[3].file, rows[3].release, rows[3].pvh, rows[3].content = write("nopvh", odd), "6.1.0-nopvh", false, odd
	for round := range 3 { // the second time from the cache, then from one that was damaged
		for _, row := range rows {
			kernels, gone, err := s.Resolve(t.Context(), []Want{{File: row.file}})
			require.NoError(t, err)
			require.Empty(t, gone)
			k := kernels[0]
			require.Equal(t, []any{row.file, row.release, row.pvh, "amd64", row.file}, []any{k.Name, k.Release, k.PVH, k.Arch, k.Source})
			got, err := os.ReadFile(k.Image)
			require.NoError(t, err)
			require.True(t, bytes.Equal(row.content, got), row.file)
			require.Equal(t, sha256Hex(got), k.Digest)
			require.Equal(t, round == 2, strings.Contains(said.String(), k.Image+" is damaged"), row.file)
			if round == 1 {
				require.NoError(t, os.Truncate(k.Image, 8))
			}
		}
	}
	for name, row := range map[string]struct {
		content []byte
		want    string
	}{
		"text":     {[]byte("hello"), "neither bzImage nor ELF"},
		"elf":      {tinyELF(t, "GNU", 18, ""), "without a PVH entry"},
		"empty.de": {deb(t, "xz", nil), errNoKernel.Error()},
	} {
		kernels, gone, err := s.Resolve(t.Context(), []Want{{File: write(name, row.content)}})
		require.NoError(t, err)
		require.Empty(t, kernels)
		require.ErrorContains(t, gone[0].Reason, row.want, name)
	}
	_, gone, err := s.Resolve(t.Context(), []Want{{File: filepath.Join(dir, "none")}})
	require.NoError(t, err)
	require.ErrorIs(t, gone[0].Reason, os.ErrNotExist)
}

// A store whose index cannot be had goes on with what it has, and says so.
func TestKeptKernelsAreUsedWhenTheMirrorIsGone(t *testing.T) {
	var said strings.Builder
	s := &Store{
		Catalog: &Catalog{Series: []Series{{"6.1", []string{"s"}}, {"6.2", []string{"s"}}}, Packages: map[string][]string{"amd64": {"linux-{release}"}}},
		Cache:   t.TempDir(), Arch: "amd64", Mirror: "not a mirror",
		Log: func(f string, a ...any) { fmt.Fprintf(&said, f+"\n", a...) },
	}
	image := filepath.Join(s.Cache, "vmlinux")
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	kept := Kernel{Name: "6.1", Release: "6.1.5", Arch: "amd64", Image: image, Digest: sha256Hex(nil)}
	require.NoError(t, writeKernel(s.record("6.1"), kept))

	kernels, gone, err := s.Resolve(t.Context(), []Want{{Series: "6.1"}, {Series: "6.2"}})
	require.NoError(t, err)
	require.Equal(t, []Kernel{kept}, kernels)
	require.Len(t, gone, 1)
	require.Equal(t, "6.2", gone[0].Want.String())
	require.ErrorContains(t, gone[0].Reason, "want URI")
	require.Contains(t, said.String(), "kernel 6.1: using 6.1.5 from the cache")

	said.Reset()
	kernels, gone, err = s.Resolve(t.Context(), []Want{{Newest: true}, {Series: "6.1"}})
	require.NoError(t, err)
	require.Empty(t, gone)
	require.Equal(t, []Kernel{kept}, kernels, "newest is the newest that can be had, and listed once")
	require.Contains(t, said.String(), "kernel 6.2 cannot be had")

	said.Reset()
	s.MaxAge = time.Hour
	_, _, err = s.Resolve(t.Context(), []Want{{Series: "6.1"}})
	require.NoError(t, err)
	require.Empty(t, said.String(), "a recent record is enough")

	require.NoError(t, os.WriteFile(image, []byte("rubbish"), 0o600))
	_, gone, err = s.Resolve(t.Context(), []Want{{Series: "6.1"}})
	require.NoError(t, err)
	require.Len(t, gone, 1, "nor is one whose file is another")

	require.NoError(t, os.Remove(image))
	_, gone, err = s.Resolve(t.Context(), []Want{{Series: "6.1"}})
	require.NoError(t, err)
	require.Len(t, gone, 1, "a record of a file that is gone is none")

	list, err := s.List()
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Nil(t, list[0].Kernel)
}
