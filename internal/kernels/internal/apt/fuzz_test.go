// SPDX-License-Identifier: Apache-2.0

package apt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels/internal/kerneltest"
)

func FuzzReadIndex(f *testing.F) {
	index := "Package: linux-image-6.1\nVersion: 6.1-1\nDepends: a, b (= 1)\nDescription: a\n kernel: with colon\nSize: 10\nSHA256: " + strings.Repeat("0a", 32) + "\n\n" +
		"Package: linux-no-sum\nVersion: 1\n\nPackage: x\nVersion: 1\nSHA256: ..\n"
	for _, method := range []string{"", "gz", "xz", "zst", "lz4"} {
		f.Add(method, kerneltest.Compressed(f, method, []byte(index)))
	}
	sum := regexp.MustCompile("^[0-9a-f]{64}$")
	f.Fuzz(func(t *testing.T, method string, data []byte) {
		all := func(string) bool { return true }
		kerneltest.InBoundedMemory(t, func() {
			name := "a_Packages"
			if method != "" {
				name += "." + method
			}
			found, err := readIndex(strings.NewReader(string(data)), name, all)
			if err != nil {
				require.Empty(t, found)
				return
			}
			var again strings.Builder
			for _, p := range found {
				require.NotEmpty(t, p.Name)
				require.NotEmpty(t, p.Version)
				require.Regexp(t, sum, p.SHA256)
				fmt.Fprintf(&again, "Package: %s\nVersion: %s\nSHA256: %s\nSize: %s\nDepends: %s\n\n", p.Name, p.Version, p.SHA256, p.Size, p.Depends)
			}
			got, err := readIndex(strings.NewReader(again.String()), "a_Packages", all)
			require.NoError(t, err)
			require.Equal(t, found, got)
		})
	})
}

func FuzzExplain(f *testing.F) {
	f.Add("Ign:1 http://a s InRelease\nErr:2 http://a s Release\n  404  Not Found [IP: 10.0.0.1 80]\nE: The repository 'http://a s Release' does not have a Release file.\n")
	f.Add("E: Failed to fetch http://a/p.deb  Hash Sum mismatch\n   Hashes of expected file:\nE: Some files failed to download\n")
	f.Add("E: Failed to fetch http://a/p.deb  Error writing to file - write (28: No space left on device)\n")
	f.Add("Err:\nErr:1\n  \n  E: \nE: Failed to fetch \n")
	f.Fuzz(func(t *testing.T, out string) {
		err := explain(out, os.ErrInvalid)
		kinds := 0
		for _, kind := range []error{ErrGone, ErrDamaged, errPassing} {
			if errors.Is(err, kind) {
				kinds++
			}
		}
		if env.IsDisk(err) {
			require.Zero(t, kinds)
			return
		}
		require.LessOrEqual(t, kinds, 1)
		require.ErrorIs(t, err, os.ErrInvalid)
	})
}

func FuzzReleaseDate(f *testing.F) {
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: Debian\nDate: Thu, 26 Nov 2026 21:03:35 UTC\nValid-Until: Thu, 03 Dec 2026 21:03:35 UTC\n"))
	f.Add([]byte("Date: x\nDate:\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		name := filepath.Join(t.TempDir(), "InRelease")
		require.NoError(t, os.WriteFile(name, text, 0o600))
		date, err := releaseDate(name)
		if err != nil {
			require.True(t, date.IsZero())
			return
		}
		again, err := time.Parse(time.RFC3339, date.Format(time.RFC3339)) // as it is kept
		require.NoError(t, err)
		require.True(t, date.Equal(again))
	})
}
