// SPDX-License-Identifier: Apache-2.0

package apt

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels/internal/kerneltest"
	"github.com/scaplab/scaplab/internal/testutil"
)

func TestAnErrorIsOfTheArchiveTheNetworkOrThisMachine(t *testing.T) {
	const u = "E: Failed to fetch http://a/linux-a_1_amd64.deb  "
	disk := errors.New("disk")
	for said, want := range map[string]error{
		u + "404  Not Found [IP: 10.0.0.1 80]":                                                                                                           ErrGone,
		"E: Failed to fetch file:/a/p.deb  File not found - /a/p.deb (2: No such file or directory)":                                                     ErrGone,
		"Err:2 http://a s Release\n  404  Not Found [IP: 10.0.0.1 80]\nE: The repository 'http://a s Release' does not have a Release file.":             ErrGone,
		"Err:2 http://a s Release\n  503  Service Unavailable [IP: 10.0.0.1 80]\nE: The repository 'http://a s Release' does not have a Release file.":   errPassing,
		u + "Hash Sum mismatch\n   Hashes of expected file:\n    - SHA256:11":                                                                            ErrDamaged,
		u + "File has unexpected size (10 != 20). Mirror sync in progress? [IP: 10.0.0.1 80]":                                                            ErrDamaged,
		u + "404  Not Found\n" + u + "Hash Sum mismatch":                                                                                                 ErrDamaged,
		u + "404  Not Found\n" + u + "Connection failed":                                                                                                 errPassing,
		u + "Error reading from server - read (104: Connection reset by peer) [IP: 10.0.0.1 80]":                                                         errPassing,
		u + "Could not connect to a:80 (10.0.0.1), connection timed out\nE: Some index files failed to download. They have been ignored":                 errPassing,
		u + "Temporary failure resolving 'a'":                                                                                                            errPassing,
		u + "429  Too Many Requests":                                                                                                                     errPassing,
		u + "503  Service Unavailable [IP: 10.0.0.1 80]\nE: The repository 'http://a s InRelease' is not signed.":                                        errPassing,
		"E: The repository 'http://a s Release' is not signed.":                                                                                          nil,
		"E: The repository 'http://a s Release' does not have a Release file.":                                                                           ErrGone,
		u + "403  Forbidden [IP: 10.0.0.1 80]":                                                                                                           nil,
		"Err:1 http://a s InRelease\n  The following signatures were invalid: X\nE: The repository 'http://a s InRelease' is not signed.":                nil,
		"E: Unable to locate package linux-404  Not":                                                                                                     nil,
		u + "Error writing to file - write (28: No space left on device) [IP: 10.0.0.1 80]":                                                              disk,
		u + "Could not open file /d/linux-a_1_amd64.deb - open (30: Read-only file system) [IP: 10.0.0.1 80]":                                            disk,
		"E: You don't have enough free space in /d/cache/archives/.":                                                                                     disk,
		"E: List directory /d/state/lists/partial is missing. - Acquire (13: Permission denied)":                                                         disk,
		"Err:1 http://a s InRelease\n  Error writing to file - write (122: Disk quota exceeded)\nE: Some index files failed to download. They have been": disk,
	} {
		err := explain("Hit:1 http://a s InRelease\n"+said+"\nW: a warning\n", os.ErrInvalid)
		if want == disk {
			require.True(t, env.IsDisk(err), said)
			continue
		}
		require.ErrorIs(t, err, os.ErrInvalid, said)
		require.False(t, env.IsDisk(err), said)
		for _, kind := range []error{ErrGone, ErrDamaged, errPassing} {
			require.Equal(t, kind == want, errors.Is(err, kind), "%s: %v", said, kind)
		}
	}
	err := explain("Err:1 http://a s/main amd64 linux-a amd64 1\n  404  Not Found [IP: 10.0.0.1 80]\n"+u+"404  Not Found [IP: 10.0.0.1 80]\n", os.ErrInvalid)
	require.EqualError(t, err, "invalid argument: Failed to fetch http://a/linux-a_1_amd64.deb  404  Not Found [IP: 10.0.0.1 80]", "told once")
}

// What the real apt prints in each situation, and how often it asks the archive.
func TestTheRealAptIsUnderstood(t *testing.T) {
	testutil.SkipIfShort(t, "runs apt many times")
	a := kerneltest.NewArchive(t)
	publish(a, time.Now().Add(-time.Minute))
	fetch := func(cache string) (*Suite, error) {
		s, err := Open(cache, Mirror{Main: a.URL, Keyring: a.Keyring(), Pace: time.Millisecond}, "s", "amd64")
		require.NoError(t, err)
		if err := s.Update(t.Context()); err != nil {
			return s, err
		}
		list, err := s.Packages(t.Context(), func(string) bool { return true })
		require.NoError(t, err)
		require.Len(t, list, 1)
		_, err = list[0].Fetch(t.Context(), cache)
		return s, err
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, row := range map[string]struct {
		end   string
		how   http.HandlerFunc
		kind  error
		asked int // for the package
	}{
		"gone":             {".deb", status(404), ErrGone, 1},
		"forbidden":        {".deb", status(403), nil, 1},
		"busy":             {".deb", status(503), errPassing, tries},
		"reset":            {".deb", a.Reset, errPassing, tries},
		"another file":     {".deb", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("Please log in")) }, ErrDamaged, 1},
		"as many bytes":    {".deb", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("A PACKAGE")) }, ErrDamaged, 1},
		"suite gone":       {"Release", status(404), ErrGone, 0},
		"suite busy":       {"Release", status(503), errPassing, 0},
		"index being made": {"Packages", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("Package: other")) }, ErrDamaged, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a.Asked()
			a.Answer(row.end, row.how)
			defer a.Answer(row.end, nil)
			_, err := fetch(t.TempDir())
			require.Error(t, err)
			require.Len(t, a.Asked(), row.asked)
			for _, kind := range []error{ErrGone, ErrDamaged, errPassing} {
				require.Equal(t, kind == row.kind, errors.Is(err, kind), "%v: %v", kind, err)
			}
			require.Equal(t, row.kind == errPassing || row.end == "Packages", strings.Contains(err.Error(), "tried 4 times: "), err)
		})
	}
	t.Run("reset twice", func(t *testing.T) {
		a.Asked()
		n := 0
		a.Answer(".deb", func(w http.ResponseWriter, r *http.Request) {
			if n++; n <= 2 {
				a.Reset(w, r)
				return
			}
			http.ServeFile(w, r, filepath.Join(a.Dir, "linux-a_1_amd64.deb"))
		})
		defer a.Answer(".deb", nil)
		_, err := fetch(t.TempDir())
		require.NoError(t, err)
		require.Len(t, a.Asked(), 3)
	})
	t.Run("full disk", func(t *testing.T) {
		big := kerneltest.Package{Name: "linux-a=1", Data: []byte(strings.Repeat("a package ", 200_000))}
		a.Publish(time.Now().Add(-time.Minute), big)
		defer publish(a, time.Now().Add(-time.Minute))
		a.Asked()
		_, err := fetch(testutil.SmallDisk(t, "1m"))
		require.True(t, env.IsDisk(err), err)
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.ErrorContains(t, err, "(make room")
		require.Len(t, a.Asked(), 1)
	})
}
