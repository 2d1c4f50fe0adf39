// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// rotated writes n events, a second apart, and gives the files with the number
// of events in each.
func rotated(t *testing.T, name string, n int, opts FileOptions) (map[string]int, error) {
	t.Helper()
	dir := t.TempDir()
	opts.State = &proc.State{Machine: proc.Machine{Hostname: "first"}}
	opts.NewState = func() (*proc.State, error) { return &proc.State{Machine: proc.Machine{Hostname: "later"}}, nil }
	f, err := Create(filepath.Join(dir, name), opts)
	require.NoError(t, err)
	var werr error
	for i := 0; i < n && werr == nil; i++ {
		// The start of 2023-11-15, UTC.
		werr = f.Write(mustEvent(t, event.TypeReadExit, uint64(1_700_006_400+i)*1e9, 1, 0, make([]byte, 1000), 3, uint32(0)))
	}
	require.NoError(t, f.Close())
	files := map[string]int{}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		r, err := Open(filepath.Join(dir, e.Name()), Options{})
		require.NoError(t, err)
		require.NotEmpty(t, r.State().Machine.Hostname)
		evs, err := delivered(t, r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		files[e.Name()] = len(evs)
	}
	return files, werr
}

func TestFilesFollowEachOther(t *testing.T) {
	time.Local = time.UTC
	for name, test := range map[string]struct {
		file string
		n    int
		opts FileOptions
		want map[string]int
		err  error
	}{
		"one file":        {"x", 5, FileOptions{}, map[string]int{"x": 5}, nil},
		"by number":       {"x", 5, FileOptions{MaxEvents: 2}, map[string]int{"x0": 2, "x1": 2, "x2": 1}, nil},
		"by size":         {"x", 10, FileOptions{MaxSize: 3300}, map[string]int{"x0": 3, "x1": 3, "x2": 3, "x3": 1}, nil},
		"a ring":          {"x", 9, FileOptions{MaxEvents: 2, MaxFiles: 3}, map[string]int{"x0": 2, "x1": 1, "x2": 2}, nil},
		"a ring of many":  {"x", 3, FileOptions{MaxEvents: 2, MaxFiles: 12}, map[string]int{"x00": 2, "x01": 1}, nil},
		"by time":         {"x", 5, FileOptions{Every: 2 * time.Second}, map[string]int{"x0": 2, "x1": 2, "x2": 1}, nil},
		"named by time":   {"%H%M%S.scap", 5, FileOptions{Every: 3 * time.Second}, map[string]int{"000000.scap": 3, "000003.scap": 2}, nil},
		"so many by time": {"x", 9, FileOptions{Every: 2 * time.Second, MaxFiles: 2}, map[string]int{"x0": 2, "x1": 2}, ErrLastFile},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := rotated(t, test.file, test.n, test.opts)
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestNamesWithTimes(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.Equal(t, "a-2026-01-02_03:04:05-26-002-%-%q-1767323045", strftime("a-%F_%T-%y-%j-%%-%q-%s", at))
	require.Equal(t, "100%", strftime("100%", at))
}

func TestStandardOutputIsOneFile(t *testing.T) {
	_, err := Create("-", FileOptions{MaxEvents: 1})
	require.EqualError(t, err, "standard output cannot be several files")
	_, err = Create(filepath.Join(t.TempDir(), "none", "x"), FileOptions{})
	require.ErrorIs(t, err, os.ErrNotExist)
}
