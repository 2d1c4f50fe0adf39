// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels/internal/apt"
	"github.com/scaplab/scaplab/internal/kernels/internal/kerneltest"
	"github.com/scaplab/scaplab/internal/testutil"
)

// released returns release n of series 6.1 in the archive of these tests, and the path of its file there.
func released(n int, data []byte) (p kerneltest.Package, file string) {
	name := fmt.Sprintf("linux-image-6.1.0-%d-x", n)
	return kerneltest.Package{Name: fmt.Sprintf("%s=6.1.%d-1", name, n), Data: data}, fmt.Sprintf("%s_6.1.%d-1_amd64.deb", name, n)
}

// bootable returns a package with a kernel, which is followed by some bytes.
func bootable(t *testing.T, n int, more []byte) []byte {
	release := fmt.Sprintf("6.1.0-%d-x", n)
	return kerneltest.Deb(t, "zst", map[string]string{"./boot/vmlinuz-" + release: string(append(testutil.TinyELF(t, "Xen", 18, ""), more...))})
}

// mustAsk resolves series 6.1 and returns the releases that were asked for, in order.
func mustAsk(t *testing.T, s *Store, a *kerneltest.Archive) (kernels []Kernel, gone []Unavailable, asked []string, err error) {
	t.Helper()
	a.Asked()
	kernels, gone, err = s.Resolve(t.Context(), []Request{{Series: "6.1"}})
	for _, f := range a.Asked() {
		f = strings.TrimPrefix(f, "linux-image-6.1.0-")
		n, _, ok := strings.Cut(f, "-x_")
		require.True(t, ok, f)
		asked = append(asked, n)
	}
	return kernels, gone, asked, err
}

// An older package is used only if the archive says that the newer one is gone, and with a warning.
func TestAnOlderKernelIsTakenOnTheArchivesWordOnly(t *testing.T) {
	testutil.SkipIfShort(t, "runs apt many times")
	a := kerneltest.NewArchive(t)
	var all []kerneltest.Package
	for n := 1; n <= 8; n++ {
		p, _ := released(n, bootable(t, n, nil))
		all = append(all, p)
	}
	with := func(n int, data []byte) []kerneltest.Package {
		var changed []kerneltest.Package
		for i, p := range all {
			if i+1 == n {
				p.Data = data
			}
			changed = append(changed, p)
		}
		return changed
	}
	_, newest := released(8, nil)
	noise := make([]byte, 3<<20)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	store := func(t *testing.T, cache string) *Store {
		return &Store{
			Catalog: &Catalog{Series: []Series{{"6.1", []string{"s"}}}, Packages: map[string][]string{"amd64": {"linux-image-{release}-x"}}},
			Cache:   cache, Arch: "amd64", Log: t.Logf,
			mirror: &apt.Mirror{Main: a.URL, Keyring: a.Keyring(), Pace: time.Millisecond},
		}
	}
	now := time.Now().Add(-time.Minute)
	for name, row := range map[string]struct {
		packages []kerneltest.Package
		end      string // of what the archive answers
		how      http.HandlerFunc
		small    bool // error of the disk
		asked    string
		release  string // the kernel that is used
		warning  string
		gone     string
		disk     bool
	}{
		"all is well":            {asked: "8", release: "8"},
		"gone":                   {end: newest, how: status(404), asked: "8 7", release: "7", warning: "404  Not Found"},
		"all gone":               {end: ".deb", how: status(404), asked: "8 7 6 5 4 3", gone: "none of the newest 6 packages"},
		"other bytes":            {end: newest, how: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("Please log in")) }, asked: "8 7", release: "7", warning: "File has unexpected size"},
		"broken package":         {packages: with(8, []byte("!<arch>\nand no more")), asked: "8 7", release: "7", warning: "6.1.8-1: read package: "},
		"no kernel in it":        {packages: with(8, kerneltest.Deb(t, "zst", nil)), asked: "8 7", release: "7", warning: "6.1.8-1: no kernel image in the package"},
		"cannot be booted":       {packages: with(8, kerneltest.Deb(t, "zst", map[string]string{"./boot/vmlinuz-6.1.0-8-x": "#!/bin/sh\n"})), asked: "8 7", release: "7", warning: "6.1.8-1: not a kernel"},
		"reset":                  {end: newest, how: a.Reset, asked: "8 8 8 8", gone: "tried 4 times: "},
		"busy":                   {end: newest, how: status(503), asked: "8 8 8 8", gone: "503  Service Unavailable"},
		"forbidden":              {end: newest, how: status(403), asked: "8", gone: "403  Forbidden"},
		"no list":                {end: "Packages", how: a.Reset, gone: "tried 4 times: "},
		"full disk":              {packages: with(8, bootable(t, 8, noise)), small: true, asked: "8", disk: true},
		"full disk to unpack on": {packages: with(8, bootable(t, 8, make([]byte, 3<<20))), small: true, asked: "8", disk: true},
	} {
		t.Run(name, func(t *testing.T) {
			if row.packages == nil {
				row.packages = all
			}
			a.Publish(now, row.packages...)
			a.Answer(row.end, row.how)
			defer a.Answer(row.end, nil)
			cache := ""
			if row.small {
				cache = testutil.SmallDisk(t, "2m")
			} else {
				cache = t.TempDir()
			}
			kernels, gone, asked, err := mustAsk(t, store(t, cache), a)
			require.Equal(t, row.asked, strings.Join(asked, " "), "%v %v", gone, err)
			if row.disk {
				require.ErrorIs(t, err, syscall.ENOSPC)
				require.True(t, env.IsDisk(err), err)
				require.ErrorContains(t, err, "kernel 6.1: cache "+cache+": ")
				require.ErrorContains(t, err, "(make room on the disk")
				return
			}
			require.NoError(t, err)
			if row.gone != "" {
				require.Empty(t, kernels)
				require.ErrorContains(t, gone[0].Reason, row.gone)
				require.Equal(t, name == "all gone", verdict(gone[0].Reason))
				return
			}
			require.Equal(t, "6.1.0-"+row.release+"-x", kernels[0].Release)
			if row.warning == "" {
				require.Empty(t, kernels[0].Warnings)
				return
			}
			require.Len(t, kernels[0].Warnings, 1)
			require.Contains(t, kernels[0].Warnings[0], "6.1.7-1 is older than the newest listed: ")
			require.Contains(t, kernels[0].Warnings[0], row.warning)

			again := store(t, cache) // which reads the record
			again.MaxAge = time.Hour
			kept, _, asked, err := mustAsk(t, again, a)
			require.NoError(t, err)
			require.Empty(t, asked)
			require.Equal(t, kernels, kept, "the warning is kept with it")
		})
	}

	t.Run("reset, with one in the cache", func(t *testing.T) {
		cache := t.TempDir()
		a.Publish(now, all[:7]...)
		_, _, _, err := mustAsk(t, store(t, cache), a)
		require.NoError(t, err)
		a.Publish(now.Add(time.Second), all...)
		a.Answer(newest, a.Reset)
		defer a.Answer(newest, nil)
		kernels, gone, asked, err := mustAsk(t, store(t, cache), a)
		require.NoError(t, err)
		require.Empty(t, gone)
		require.Equal(t, []string{"8", "8", "8", "8"}, asked)
		require.Equal(t, "6.1.0-7-x", kernels[0].Release)
		require.Len(t, kernels[0].Warnings, 1)
		require.Contains(t, kernels[0].Warnings[0], "6.1.0-7-x is from the cache and may not be the newest: fetch linux-image-6.1.0-8-x 6.1.8-1: tried 4 times: ")

		a.Answer(newest, nil)
		kernels, _, _, err = mustAsk(t, store(t, cache), a)
		require.NoError(t, err)
		require.Equal(t, "6.1.0-8-x", kernels[0].Release)
		require.Empty(t, kernels[0].Warnings)
	})
	t.Run("the list cannot be renewed", func(t *testing.T) {
		cache := t.TempDir()
		a.Publish(now, all...)
		_, _, _, err := mustAsk(t, store(t, cache), a)
		require.NoError(t, err)
		before := time.Now().Add(-time.Hour)
		looks, err := filepath.Glob(filepath.Join(cache, "apt/*/updated"))
		require.NoError(t, err)
		for _, f := range append(looks, store(t, cache).record("6.1")) {
			require.NoError(t, os.Chtimes(f, before, before))
		}
		a.Answer("Release", a.Reset)
		defer a.Answer("Release", nil)
		for range 2 { // the second one cannot rely on the first, which saw no list
			s := store(t, cache)
			s.MaxAge = time.Minute
			kernels, _, asked, err := mustAsk(t, s, a)
			require.NoError(t, err)
			require.Empty(t, asked)
			require.Equal(t, "6.1.0-8-x", kernels[0].Release)
			require.Len(t, kernels[0].Warnings, 1)
			require.Contains(t, kernels[0].Warnings[0], "the list of packages is of ")
		}
	})
	t.Run("gone from an old list", func(t *testing.T) {
		cache := t.TempDir()
		a.Publish(now, all...)
		s := store(t, cache)
		require.NoError(t, s.init())
		_, err := s.index(t.Context(), "s")
		require.NoError(t, err)
		next, _ := released(9, bootable(t, 9, nil))
		a.Publish(now.Add(time.Second), append([]kerneltest.Package{next}, all[:7]...)...)
		require.NoError(t, os.Remove(filepath.Join(a.Dir, newest)))
		s = store(t, cache)
		s.MaxAge = time.Hour
		kernels, _, asked, err := mustAsk(t, s, a)
		require.NoError(t, err)
		require.Equal(t, []string{"8", "9"}, asked)
		require.Equal(t, "6.1.0-9-x", kernels[0].Release)
		require.Empty(t, kernels[0].Warnings)
	})
	t.Run("a disk that cannot be written", func(t *testing.T) {
		cache := testutil.SmallDisk(t, "2m")
		a.Publish(now, all...)
		_, _, _, err := mustAsk(t, store(t, cache), a)
		require.NoError(t, err)
		testutil.ReadOnly(t, cache)
		_, _, asked, err := mustAsk(t, store(t, cache), a)
		require.ErrorIs(t, err, syscall.EROFS)
		require.True(t, env.IsDisk(err), err)
		require.Empty(t, asked)
		s := store(t, cache)
		s.MaxAge = time.Hour
		kernels, _, asked, err := mustAsk(t, s, a)
		require.NoError(t, err, "nothing need be written for what is there")
		require.Empty(t, asked)
		require.Equal(t, "6.1.0-8-x", kernels[0].Release)
	})
}

// While the network fails nothing is known about the newest series, so no older one is fetched in its place.
func TestNewestIsNotAnOlderSeriesBecauseOfTheNetwork(t *testing.T) {
	testutil.SkipIfShort(t, "runs apt many times")
	a := kerneltest.NewArchive(t)
	image := func(release string) []byte {
		return kerneltest.Deb(t, "zst", map[string]string{"./boot/vmlinuz-" + release: string(testutil.TinyELF(t, "Xen", 18, ""))})
	}
	a.Publish(time.Now().Add(-time.Minute),
		kerneltest.Package{Name: "linux-image-6.1.0-1-x=6.1.1-1", Data: image("6.1.0-1-x")},
		kerneltest.Package{Name: "linux-image-6.12.0-1-x=6.12.1-1", Data: image("6.12.0-1-x")})
	a.Answer("linux-image-6.12.0-1-x_6.12.1-1_amd64.deb", a.Reset)
	cache := t.TempDir()
	resolve := func(r ...Request) ([]Kernel, []Unavailable) {
		s := &Store{
			Catalog: &Catalog{Series: []Series{{"6.1", []string{"s"}}, {"6.12", []string{"s"}}}, Packages: map[string][]string{"amd64": {"linux-image-{release}-x"}}},
			Cache:   cache, Arch: "amd64", Log: t.Logf,
			mirror: &apt.Mirror{Main: a.URL, Keyring: a.Keyring(), Pace: time.Millisecond},
		}
		kernels, gone, err := s.Resolve(t.Context(), r)
		require.NoError(t, err)
		return kernels, gone
	}
	kernels, gone := resolve(Request{Newest: true})
	require.Empty(t, kernels)
	require.ErrorContains(t, gone[0].Reason, "tried 4 times: ")
	for _, f := range a.Asked() {
		require.Contains(t, f, "6.12", "nothing else was asked for")
	}

	kernels, _ = resolve(Request{Series: "6.1"})
	require.Empty(t, kernels[0].Warnings)
	kernels, _ = resolve(Request{Newest: true})
	require.Equal(t, "6.1", kernels[0].Name)
	require.Len(t, kernels[0].Warnings, 1)
	require.Contains(t, kernels[0].Warnings[0], "6.1.0-1-x is from the cache and may not be the newest: ")

	kernels, _ = resolve(Request{Series: "6.1"}, Request{Newest: true})
	require.Len(t, kernels, 1)
	require.Len(t, kernels[0].Warnings, 1, "newest was asked for, too")
}
