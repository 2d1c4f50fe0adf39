// SPDX-License-Identifier: Apache-2.0

//go:build linux

package proc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/scap/event"
)

// mustCrowd writes n processes, from pid 10 on, the first of which has many open files.
func mustCrowd(tb testing.TB, n, many int) string {
	root := mustMachine(tb)
	for i := range n {
		fds := []string{"pipe:[1]", "pipe:[2]", "pipe:[3]"}
		for i == 0 && len(fds) < many {
			fds = append(fds, "pipe:[4]")
		}
		mustProcess(tb, root, 10+i, fds...)
	}
	return root
}

func openFilesOf(s *State) (n []int) {
	for i := range s.Threads {
		n = append(n, len(s.Threads[i].FDs))
	}
	return n
}

func TestOneProcessDoesNotTakeTheScanFromOthers(t *testing.T) {
	root := mustCrowd(t, 3, 600)
	for name, test := range map[string]struct {
		opts Options
		want []int
		cut  Cut
	}{
		"all":              {Options{}, []int{600, 3, 3}, Cut{}},
		"a limit for each": {Options{MaxFDs: 500}, []int{500, 3, 3}, Cut{Tables: 1, Why: "a process has more than 500 open files"}},
		"a limit for all":  {Options{MaxAllFDs: 306}, []int{300, 3, 3}, Cut{Tables: 1, Why: "the processes have more than 306 open files"}},
		"an exact limit":   {Options{MaxFDs: 600, MaxAllFDs: 606}, []int{600, 3, 3}, Cut{}},
	} {
		test.opts.Root = root
		s, err := Scan(t.Context(), test.opts)
		require.NoError(t, err)
		require.Equal(t, test.want, openFilesOf(s), name)
		require.Equal(t, test.cut, s.Cut, name)
		for i := range s.Threads {
			seen := map[event.FD]bool{}
			for _, fd := range s.Threads[i].FDs {
				require.False(t, seen[fd.Num], "%s: %d is there twice", name, fd.Num)
				seen[fd.Num] = true
			}
		}
	}
}

func TestAScanEndsAtItsLimits(t *testing.T) {
	root := mustCrowd(t, 40, 3)
	s, err := Scan(t.Context(), Options{Root: root, MaxBytes: 5000, Workers: 1})
	require.NoError(t, err)
	require.NotEmpty(t, s.Threads)
	require.Less(t, len(s.Threads), 20)
	require.EqualValues(t, 40-len(s.Threads), s.Cut.Processes)
	require.EqualValues(t, len(s.Threads), s.Cut.Tables, "processes come before open files")
	require.Equal(t, "the state has more than 5000 bytes", s.Cut.Why)
	require.Equal(t, fmt.Sprintf("the state lacks %d processes, and open files of %d others: the state has more than 5000 bytes", s.Cut.Processes, s.Cut.Tables), s.Cut.String())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err = Scan(ctx, Options{Root: root})
	require.NoError(t, err, "what there is, is returned")
	require.Empty(t, s.Threads)
	require.Equal(t, Cut{Processes: 40, Why: "the scan was ended early"}, s.Cut)
	require.Empty(t, Cut{}.String())
}

func TestALongTextIsCutAfterALine(t *testing.T) {
	root := mustMachine(t)
	name := filepath.Join(root, "long")
	require.NoError(t, os.WriteFile(name, []byte(strings.Repeat("123456789\n", maxText/10+1000)+"12"), 0o600))
	s, err := newScanner(t.Context(), Options{Root: mustCrowd(t, 1, 1)})
	require.NoError(t, err)
	defer s.close()
	b := s.readText(name)
	require.LessOrEqual(t, len(b), maxText)
	require.Greater(t, len(b), maxText-100)
	require.Equal(t, byte('\n'), b[len(b)-1])
	require.Equal(t, fmt.Sprintf("long has more than %d bytes", maxText), s.cut().Why)
}

func TestAScanInNamespacesIsOfTheMachine(t *testing.T) {
	const inside = "SCAP_SCAN"
	if self := os.Getenv(inside); self != "" {
		var opts Options
		_, err := fmt.Sscan(self, &opts.Self)
		require.NoError(t, err)
		s, err := Scan(t.Context(), opts)
		require.NoError(t, err)
		me, err := ScanThread(opts, event.PID(os.Getpid()))
		require.NoError(t, err)
		require.NoError(t, json.NewEncoder(os.Stdout).Encode([]any{s.Machine.BootTime, me.CloneTime, len(s.Threads), s.Cut}))
		return
	}
	name := t.Name()
	run := func(t *testing.T, self int, flags ...string) (boot, clone uint64, threads int, cut Cut) {
		out := testutil.InNamespaces(t, flags, fmt.Sprint(inside, "=", self), "-test.run", "^"+name+"$")
		line, _, _ := bytes.Cut(out, []byte("\n"))
		require.NoError(t, json.Unmarshal(line, &[]any{&boot, &clone, &threads, &cut}), "%s", line)
		return boot, clone, threads, cut
	}
	t.Run("pids of another namespace are not taken", func(t *testing.T) {
		_, _, threads, cut := run(t, 99999, "--pid", "--fork", "--mount-proc")
		require.Zero(t, threads, "its pid 1 is not the machine's")
		require.NotZero(t, cut.Processes)
		require.Contains(t, cut.Why, "the pids in /proc are those of another pid namespace than the events'")
		_, _, threads, cut = run(t, 0, "--pid", "--fork", "--mount-proc")
		require.NotZero(t, threads, "which pid this process has in events is not known")
		require.Zero(t, cut)
	})
	t.Run("times are those of the machine", func(t *testing.T) {
		outside, err := Scan(t.Context(), Options{})
		require.NoError(t, err)
		var before, after unix.Timespec
		require.NoError(t, unix.ClockGettime(unix.CLOCK_REALTIME, &before))
		boot, clone, _, _ := run(t, 0, "--time", "--fork", "--boottime", "93600")
		require.NoError(t, unix.ClockGettime(unix.CLOCK_REALTIME, &after))
		const second = 1e9
		require.InDelta(t, outside.Machine.BootTime, boot, 2*second, "btime has no fractions")
		require.GreaterOrEqual(t, clone, uint64(before.Nano()-2*second))
		require.LessOrEqual(t, clone, uint64(after.Nano()+2*second))
	})
}
