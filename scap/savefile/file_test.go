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

// rotated writes n events, a second apart, and returns the number of events in each
// file.
func rotated(t *testing.T, name string, n int, opts FileOptions) map[string]int {
	t.Helper()
	dir := t.TempDir()
	opts.State = &proc.State{Machine: proc.Machine{Hostname: "first"}}
	opts.NewState = func() (*proc.State, error) { return &proc.State{Machine: proc.Machine{Hostname: "later"}}, nil }
	f, err := Create(filepath.Join(dir, name), opts)
	require.NoError(t, err)
	for i := range n {
		// The start of 2023-11-15, UTC.
		require.NoError(t, f.Write(mustEvent(t, event.TypeReadExit, uint64(1_700_006_400+i)*1e9, 1, 0, make([]byte, 1000), 3, uint32(0))))
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
	return files
}

func TestFilesFollowEachOther(t *testing.T) {
	time.Local = time.UTC
	for name, test := range map[string]struct {
		file string
		n    int
		opts FileOptions
		want map[string]int
	}{
		"one file":        {"x", 5, FileOptions{}, map[string]int{"x": 5}},
		"by number":       {"x", 5, FileOptions{MaxEvents: 2}, map[string]int{"x0": 2, "x1": 2, "x2": 1}},
		"by size":         {"x", 10, FileOptions{MaxSize: 3300}, map[string]int{"x0": 3, "x1": 3, "x2": 3, "x3": 1}},
		"a ring":          {"x", 9, FileOptions{MaxEvents: 2, MaxFiles: 3}, map[string]int{"x0": 2, "x1": 1, "x2": 2}},
		"a ring of many":  {"x", 3, FileOptions{MaxEvents: 2, MaxFiles: 12}, map[string]int{"x00": 2, "x01": 1}},
		"by time":         {"x", 5, FileOptions{Every: 2 * time.Second}, map[string]int{"x0": 2, "x1": 2, "x2": 1}},
		"named by time":   {"%H%M%S.scap", 5, FileOptions{Every: 3 * time.Second}, map[string]int{"000000.scap": 3, "000003.scap": 2}},
		"a ring by time":  {"x", 9, FileOptions{Every: 2 * time.Second, MaxFiles: 2}, map[string]int{"x0": 1, "x1": 2}},
		"a ring of times": {"%S", 9, FileOptions{Every: 2 * time.Second, MaxFiles: 2}, map[string]int{"06": 2, "08": 1}},
		"a time twice":    {"%M", 5, FileOptions{Every: 9 * time.Second, MaxEvents: 2}, map[string]int{"00": 2, "001": 2, "002": 1}},
		"a ring of those": {"%M", 5, FileOptions{Every: 9 * time.Second, MaxEvents: 2, MaxFiles: 2}, map[string]int{"001": 2, "002": 1}},
		"times again":     {"%S", 91, FileOptions{Every: 30 * time.Second, MaxFiles: 3}, map[string]int{"00": 30, "30": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got := rotated(t, test.file, test.n, test.opts)
			require.Equal(t, test.want, got)
		})
	}
}

func TestALargeStateDoesNotMakeAFileOfEachEvent(t *testing.T) {
	state := &proc.State{Threads: make([]proc.Thread, 100)}
	for _, compress := range []bool{false, true} {
		scans := 0
		f, err := Create(filepath.Join(t.TempDir(), "x"), FileOptions{
			WriterOptions: WriterOptions{State: state, Compress: compress}, MaxSize: 2000,
			NewState: func() (*proc.State, error) { scans++; return state, nil },
		})
		require.NoError(t, err)
		for i := range 1000 {
			require.NoError(t, f.Write(mustEvent(t, event.TypeCloseExit, uint64(i), 1, 0, 3)))
			if compress {
				require.NoError(t, f.Flush())
			}
		}
		require.NoError(t, f.Close())
		require.Equal(t, f.Files()-1, scans)
		require.LessOrEqual(t, f.Files(), 1000*64/1000+1, "64 bytes an event")
		require.Greater(t, f.Files(), 10)
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
