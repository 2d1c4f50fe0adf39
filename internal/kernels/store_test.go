// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels/internal/apt"
	"github.com/scaplab/scaplab/internal/kernels/internal/kerneltest"
	"github.com/scaplab/scaplab/internal/testutil"
)

func mustCatalog(t *testing.T) *Catalog {
	t.Helper()
	c, err := LoadCatalog()
	require.NoError(t, err)
	return c
}

func TestCatalogIsUsable(t *testing.T) {
	c := mustCatalog(t)
	wants, err := c.ParseRequests()
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
	got, err := c.ParseRequests()
	require.NoError(t, err)
	require.Equal(t, []Request{{Series: "5.10"}, {Newest: true}}, got)
	for in, want := range map[string][]Request{
		"6.1":                      {{Series: "6.1"}},
		"6.1, 5.10,6.1":            {{Series: "6.1"}, {Series: "5.10"}},
		"all":                      {{Series: "5.10"}, {Series: "6.1"}},
		"all,newest," + file:       {{Series: "5.10"}, {Series: "6.1"}, {Newest: true}, {File: file}},
		"./not/yet/there/bzImage,": {{File: "./not/yet/there/bzImage"}},
	} {
		got, err := c.ParseRequests(strings.Split(in, ",")...)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	_, err = c.ParseRequests("6.2")
	require.EqualError(t, err, `unknown kernel "6.2" (known: 5.10, 6.1, newest, all, or a file)`)
	_, err = c.ParseRequests("", " ")
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
		"linux-image-6.1-cloud-amd64":               false, // has no kernel itself, depends on the newest
		"linux-image-6.1.0-56-amd64":                false,
		"xlinux-image-6.1.0-56-cloud-amd64":         false,
	} {
		require.Equal(t, want, re.MatchString(name), name)
	}
}

func TestLocalKernels(t *testing.T) {
	dir := t.TempDir()
	var said strings.Builder
	s := &Store{Catalog: mustCatalog(t), Cache: filepath.Join(dir, "cache"), Arch: "amd64",
		Log: func(f string, a ...any) { fmt.Fprintf(&said, f+"\n", a...) }}
	pvh := testutil.TinyELF(t, "Xen", 18, "")
	packed := kerneltest.BzImage(t, "zst", pvh, "6.1.0-local")
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
		{write("k.deb", kerneltest.Deb(t, "xz", map[string]string{"./boot/vmlinuz-6.1.9": string(packed)})), "6.1.0-local", true, pvh},
	}
	odd := kerneltest.BzImage(t, "gz", testutil.TinyELF(t, "GNU", 18, ""), "6.1.0-nopvh")
	rows = append(rows, rows[0])
	rows[3].file, rows[3].release, rows[3].pvh, rows[3].content = write("nopvh", odd), "6.1.0-nopvh", false, odd
	for round := range 3 { // the second time from the cache, then again because the cache was damaged
		for _, row := range rows {
			kernels, gone, err := s.Resolve(t.Context(), []Request{{File: row.file}})
			require.NoError(t, err)
			require.Empty(t, gone)
			k := kernels[0]
			require.Equal(t, []any{row.file, row.release, row.pvh, "amd64", row.file}, []any{k.Name, k.Release, k.PVH, k.Arch, k.Source()})
			got, err := os.ReadFile(k.Image)
			require.NoError(t, err)
			require.True(t, bytes.Equal(row.content, got), row.file)
			require.Equal(t, files.Sum(got), k.Digest)
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
		"elf":      {testutil.TinyELF(t, "GNU", 18, ""), "without a PVH entry"},
		"empty.de": {kerneltest.Deb(t, "xz", nil), errNoKernel.Error()},
	} {
		kernels, gone, err := s.Resolve(t.Context(), []Request{{File: write(name, row.content)}})
		require.NoError(t, err)
		require.Empty(t, kernels)
		require.ErrorContains(t, gone[0].Reason, row.want, name)
	}
	_, gone, err := s.Resolve(t.Context(), []Request{{File: filepath.Join(dir, "none")}})
	require.NoError(t, err)
	require.ErrorIs(t, gone[0].Reason, os.ErrNotExist)
}

// A store that cannot fetch its index uses the kernels in the cache, and says so.
func TestKeptKernelsAreUsedWhenTheMirrorIsGone(t *testing.T) {
	var said strings.Builder
	s := &Store{
		Catalog: &Catalog{Series: []Series{{"6.1", []string{"s"}}, {"6.2", []string{"s"}}}, Packages: map[string][]string{"amd64": {"linux-{release}"}}},
		Cache:   t.TempDir(), Arch: "amd64", Mirror: "not a mirror",
		Log: func(f string, a ...any) { fmt.Fprintf(&said, f+"\n", a...) },
	}
	image := filepath.Join(s.Cache, "vmlinux")
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	kept := Kernel{Name: "6.1", Release: "6.1.5", Arch: "amd64", Image: image, Digest: files.Sum(nil)}
	require.NoError(t, writeKernel(s.record("6.1"), kept))

	kernels, gone, err := s.Resolve(t.Context(), []Request{{Series: "6.1"}, {Series: "6.2"}})
	require.NoError(t, err)
	mustWarn := func(warning string) {
		t.Helper()
		require.Len(t, kernels, 1)
		require.Len(t, kernels[0].Warnings, 1)
		require.Contains(t, kernels[0].Warnings[0], warning)
		kernels[0].Warnings = nil
	}
	mustWarn(`6.1.5 is from the cache and may not be the newest: mirror "not a mirror": want URI`)
	require.Equal(t, []Kernel{kept}, kernels)
	require.Len(t, gone, 1)
	require.Equal(t, "6.2", gone[0].Request.String())
	require.ErrorContains(t, gone[0].Reason, "want URI")
	require.Contains(t, said.String(), "kernel 6.1: using 6.1.5 from the cache")

	said.Reset()
	kernels, gone, err = s.Resolve(t.Context(), []Request{{Newest: true}, {Series: "6.1"}})
	require.NoError(t, err)
	require.Empty(t, gone)
	mustWarn("6.1.5 is from the cache and may not be the newest: ")
	require.Equal(t, []Kernel{kept}, kernels, "newest is the newest that is available, and listed once")
	require.Contains(t, said.String(), "kernel 6.2 is not available")

	said.Reset()
	s.MaxAge = time.Hour
	kernels, _, err = s.Resolve(t.Context(), []Request{{Series: "6.1"}})
	require.NoError(t, err)
	require.Equal(t, []Kernel{kept}, kernels)
	require.Empty(t, said.String(), "a recent record is enough")

	require.NoError(t, os.WriteFile(image, []byte("rubbish"), 0o600))
	_, gone, err = s.Resolve(t.Context(), []Request{{Series: "6.1"}})
	require.NoError(t, err)
	require.Len(t, gone, 1, "nor is one whose file is another")

	require.NoError(t, os.Remove(image))
	_, gone, err = s.Resolve(t.Context(), []Request{{Series: "6.1"}})
	require.NoError(t, err)
	require.Len(t, gone, 1, "a record of a file that is gone is none")

	list, err := s.List()
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Nil(t, list[0].Kernel)
}

// mustHaveKeys skips a test where mirrors cannot be verified.
func mustHaveKeys(t *testing.T) {
	t.Helper()
	if _, err := apt.ArchiveKeyring(); err != nil {
		t.Skip(err)
	}
}

func TestKernelIsFoundInEveryPackageLayout(t *testing.T) {
	for _, row := range []struct{ method, name, release string }{
		{"xz", "./boot/vmlinuz-6.1.0-56-cloud-amd64", "6.1.0-56-cloud-amd64"},
		{"zst", "./usr/lib/modules/7.3.4+deb13-cloud-amd64/vmlinuz", "7.3.4+deb13-cloud-amd64"},
		{"gz", "./boot/vmlinux-6.12.107-riscv64", "6.12.107-riscv64"},
		{"", "./boot/vmlinuz-5.10.0", "5.10.0"},
	} {
		f, err := kernelFromDeb(bytes.NewReader(kerneltest.Deb(t, row.method, map[string]string{
			"./boot/": "", "./boot/config-6.1": "CONFIG_X=y", row.name: "the kernel", "./usr/share/doc/vmlinuz-readme": "no",
		})))
		require.NoError(t, err, row.name)
		require.Equal(t, "the kernel", string(f.Data))
		require.Equal(t, row.release, releaseOf(f.Name))
	}
}

func TestBadPackagesAreRefused(t *testing.T) {
	good := kerneltest.Deb(t, "xz", map[string]string{"./boot/vmlinuz-6.1": strings.Repeat("kernel", 1000)})
	rows := []struct {
		name string
		in   []byte
		want string
	}{
		{"no archive", []byte("#!/bin/sh\n"), "no ar archive"},
		{"empty", nil, "no ar archive"},
		{"without data", good[:8+60+4+60+4], "no data.tar member"},
		{"bad size", bytes.Replace(good, []byte("4         `"), []byte("x         `"), 1), `bad header of member "debian-binary"`},
		{"cut", good[:len(good)-40], `member "data.tar.xz"`},
		{"without kernel", kerneltest.Deb(t, "xz", map[string]string{"./usr/share/doc/x": "meta"}), errNoKernel.Error()},
		{"odd compression", bytes.Replace(good, []byte("data.tar.xz "), []byte("data.tar.br "), 1), `unknown compression "br"`},
	}
	for _, row := range rows {
		_, err := kernelFromDeb(bytes.NewReader(row.in))
		require.ErrorContains(t, err, row.want, row.name)
	}
}

func TestTheNewestKernelThatCanBeFetchedIsTaken(t *testing.T) {
	dir := t.TempDir()
	image := func(release string) []byte {
		return kerneltest.Deb(t, "xz", map[string]string{"./boot/vmlinuz-" + release: string(kerneltest.BzImage(t, "zst", testutil.TinyELF(t, "Xen", 18, ""), release))})
	}
	mustHaveKeys(t)
	kerneltest.FakeApt(t, dir, map[string][]byte{
		"linux-image-6.1.0-9-x=6.1.9-1":   image("6.1.0-9-x"),
		"linux-image-6.1.0-20-x=6.1.20-1": kerneltest.Deb(t, "xz", map[string]string{"./usr/share/doc/x/readme": "a package without a kernel"}),
		"linux-image-6.1.0-8-x=6.1.8-1":   image("6.1.0-8-x"),
		"linux-image-6.12.0-1-x=6.12.1-1": image("6.12.0-1-x"),
	},
		"linux-image-6.1.0-8-x=6.1.8-1", "linux-image-6.1.0-9-x=6.1.9-1",
		"linux-image-6.1.0-20-x=6.1.20-1", // has no kernel
		"linux-image-6.1.0-30-x=6.1.30-1", // listed, but gone
		"linux-image-6.12.0-1-x=6.12.1-1",
		"linux-image-6.19.0-1-x=6.19.1-1", // the only one of its series, gone
	)
	var said strings.Builder
	s := &Store{
		Catalog: &Catalog{
			Series:   []Series{{"6.1", []string{"s"}}, {"6.12", []string{"s", "t"}}, {"6.19", []string{"s", "t"}}, {"7.0", []string{"s"}}},
			Packages: map[string][]string{"amd64": {"linux-image-{release}-x"}},
		},
		Cache: t.TempDir(), Arch: "amd64", Mirror: "file:/nowhere", MaxAge: time.Hour,
		Log: func(f string, a ...any) { fmt.Fprintf(&said, f+"\n", a...) },
	}
	kernels, gone, err := s.Resolve(t.Context(), []Request{{Series: "6.1"}})
	require.NoError(t, err)
	require.Empty(t, gone)
	require.Equal(t, "6.1.0-9-x", kernels[0].Release)
	require.Equal(t, "linux-image-6.1.0-9-x 6.1.9-1", kernels[0].Source())
	require.True(t, kernels[0].PVH)
	require.Contains(t, said.String(), "404  Not Found [IP: 10.0.0.1 80]; trying the next older one")
	const newer = "linux-image-6.1.0-9-x 6.1.9-1 is older than the newest listed: fetch linux-image-6.1.0-30-x 6.1.30-1: "
	require.Len(t, kernels[0].Warnings, 1)
	require.Contains(t, kernels[0].Warnings[0], newer)
	require.Contains(t, kernels[0].Warnings[0], "; linux-image-6.1.0-20-x 6.1.20-1: no kernel image in the package")
	require.Equal(t, strings.Fields("update download linux-image-6.1.0-30-x=6.1.30-1 download linux-image-6.1.0-20-x=6.1.20-1 download linux-image-6.1.0-9-x=6.1.9-1"), kerneltest.AptLog(t, dir))

	// A kernel that is gone is reported and does not affect the others.
	kernels, gone, err = s.Resolve(t.Context(), []Request{{Series: "6.19"}, {Series: "7.0"}, {Newest: true}})
	require.NoError(t, err)
	require.Equal(t, "6.12", kernels[0].Name)
	require.Len(t, kernels[0].Warnings, 1)
	require.Contains(t, kernels[0].Warnings[0], "linux-image-6.12.0-1-x 6.12.1-1 is older than the newest listed: 6.19: none of the newest 1 packages")
	require.NotContains(t, kernels[0].Warnings[0], "7.0", "which is not listed")
	require.Len(t, gone, 2)
	require.ErrorContains(t, gone[0].Reason, "404  Not Found")
	require.ErrorIs(t, gone[0].Reason, ErrNotInArchive)
	require.ErrorIs(t, gone[1].Reason, ErrNotInArchive)
	require.ErrorContains(t, gone[0].Reason, "of series 6.19 in s could be used")
	require.ErrorContains(t, gone[0].Reason, "of series 6.19 in t could be used", "the next suite is tried")
	require.ErrorContains(t, gone[1].Reason, "no package of series 7.0 in s")

	// Kernels are kept by hash: another store with the same cache fetches none of them again, even if it looks for newer ones.
	kerneltest.AptLog(t, dir)
	again := &Store{Catalog: s.Catalog, Cache: s.Cache, Arch: "amd64", Mirror: s.Mirror, Log: s.Log}
	kernels, _, err = again.Resolve(t.Context(), []Request{{Series: "6.12"}})
	require.NoError(t, err)
	require.Equal(t, "6.12.0-1-x", kernels[0].Release)
	require.Equal(t, []string{"update"}, kerneltest.AptLog(t, dir), "the first suite that has it is enough")

	// If the archive no longer has the suite, the last index is used, and the store says so.
	said.Reset()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broken"), nil, 0o600))
	again = &Store{Catalog: s.Catalog, Cache: s.Cache, Arch: "amd64", Mirror: s.Mirror, Log: s.Log}
	kernels, _, err = again.Resolve(t.Context(), []Request{{Series: "6.1"}})
	require.NoError(t, err)
	require.Equal(t, "6.1.0-9-x", kernels[0].Release)
	require.Len(t, kernels[0].Warnings, 2)
	require.Contains(t, kernels[0].Warnings[0], newer)
	require.Contains(t, kernels[0].Warnings[1], "the list of packages is of ")
	require.Contains(t, said.String(), "The repository has no Release file; using the index of")

	again = &Store{Catalog: s.Catalog, Cache: t.TempDir(), Arch: "amd64", Mirror: s.Mirror, Log: s.Log}
	_, gone, err = again.Resolve(t.Context(), []Request{{Series: "6.1"}})
	require.NoError(t, err)
	require.ErrorContains(t, gone[0].Reason, "suite s: apt-get update: exit status 100: The repository has no Release file")
	require.NotErrorIs(t, gone[0].Reason, ErrNotInArchive, "who knows")
}

// Like TestAnOlderKernelIsTakenOnTheArchivesWordOnly, with a disk that is really full.
func TestAFullDiskEndsItAtOnce(t *testing.T) {
	dir := t.TempDir()
	listed := []string{"linux-image-6.1.0-8-x=6.1.8-1", "linux-image-6.1.0-9-x=6.1.9-1"}
	kerneltest.FakeApt(t, dir, nil, listed...)
	for _, nv := range listed {
		const said = "E: Failed to fetch http://archive/p.deb  Error writing to file - write (28: No space left on device) [IP: 10.0.0.1 80]\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, nv+".error"), []byte(said), 0o600))
	}
	s := &Store{
		Catalog: &Catalog{Series: []Series{{"6.1", []string{"s", "t"}}}, Packages: map[string][]string{"amd64": {"linux-image-{release}-x"}}},
		Cache:   t.TempDir(), Arch: "amd64", mirror: &apt.Mirror{Main: "file:/nowhere"},
	}
	_, _, err := s.Resolve(t.Context(), []Request{{Series: "6.1"}})
	require.True(t, env.IsDisk(err), err)
	require.Equal(t, strings.Fields("update download linux-image-6.1.0-9-x=6.1.9-1"), kerneltest.AptLog(t, dir))
	_, err = s.Headers(t.Context(), Kernel{Name: "6.1", Release: "6.1.0-9-x"})
	require.ErrorIs(t, err, ErrNoHeaders)
}

func TestAFullDiskIsNotForWantOfHeaders(t *testing.T) {
	dir := t.TempDir()
	const nv = "linux-headers-6.1.0-9-x=6.1.9-1"
	kerneltest.FakeApt(t, dir, nil, nv)
	require.NoError(t, os.WriteFile(filepath.Join(dir, nv+".error"), []byte("E: Failed to fetch http://archive/p.deb  Error writing to file - write (28: No space left on device)\n"), 0o600))
	s := &Store{
		Catalog: &Catalog{Series: []Series{{"6.1", []string{"s", "t"}}}},
		Cache:   t.TempDir(), Arch: "amd64", mirror: &apt.Mirror{Main: "file:/nowhere"},
	}
	k := Kernel{Name: "6.1", Release: "6.1.0-9-x"}
	_, err := s.Headers(t.Context(), k)
	require.True(t, env.IsDisk(err), err)
	require.NotErrorIs(t, err, ErrNoHeaders)

	// The same holds for packages of the compiler.
	_, err = s.Package(t.Context(), "s", "linux-headers-6.1.0-9-x")
	require.True(t, env.IsDisk(err), err)
}

func TestWhatTheArchiveLacksIsToldFromWhatDoesNotWork(t *testing.T) {
	no := apt.OfKind(errors.New("suite s: apt-get update: exit status 100: The repository 'u bullseye Release' does not have a Release file."), apt.ErrGone)
	lost := apt.OfKind(errors.New("fetch linux-a 1: apt-get download: exit status 100: Failed to fetch u  404  Not Found [IP: 10.0.0.1 80]"), apt.ErrGone)
	damaged := apt.OfKind(errors.New("fetch linux-a 1: Hash Sum mismatch"), errUnusable)
	down := errors.New("suite t: apt-get update: exit status 100: Failed to fetch u  Could not connect to h:80 (10.0.0.1). - connect (111: Connection refused)")
	err := join([]error{no, lost, fmt.Errorf("6.1: %w", ErrNotInArchive)})
	require.ErrorIs(t, err, ErrNotInArchive)
	require.NotErrorIs(t, err, errNotListed)
	require.True(t, verdict(err))
	require.ErrorIs(t, join([]error{apt.OfKind(no, errNotListed)}), errNotListed)
	require.True(t, verdict(join([]error{damaged, lost})))
	require.NotErrorIs(t, join([]error{damaged, lost}), ErrNotInArchive, "it has another one, perhaps whole")
	for _, errs := range [][]error{{down}, {no, down}, {fmt.Errorf("7.0: %w", ErrNotInArchive), down}} {
		err := join(errs)
		require.ErrorContains(t, err, "Connection refused")
		require.False(t, verdict(err))
		require.False(t, verdict(join([]error{err, lost})), "nor with another suite's word")
	}
}
