// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ns

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
)

const worker = "NS_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(worker) != "" {
		pid, ok := PID()
		_ = json.NewEncoder(os.Stdout).Encode(seen{pid, ok, BootOffset()})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type seen struct {
	PID    int
	OK     bool
	Offset int64
}

func TestOffsetsOfATimeNamespace(t *testing.T) {
	for text, want := range map[string]int64{
		"monotonic           0         0\nboottime        93600         5\n": 93600_000_000_005,
		"1  5 0\n7  -7 500000000\n": -6_500_000_000, "": 0, "boottime x 0\n": 0, "boottime 1\n": 0,
	} {
		require.Equal(t, want, parseOffsets(text), text)
	}
}

func TestAProcessInNamespacesKnowsThatItIs(t *testing.T) {
	run := func(t *testing.T, flags ...string) (s seen) {
		out := testutil.InNamespaces(t, flags, worker+"=1")
		require.NoError(t, json.Unmarshal(out, &s), "%s", out)
		return s
	}
	t.Run("pids", func(t *testing.T) {
		require.Equal(t, seen{1, false, BootOffset()}, run(t, "--pid", "--fork", "--mount-proc"), "it is not the machine's pid 1")
	})
	t.Run("time", func(t *testing.T) {
		const ahead = 26 * 3600
		require.Equal(t, int64(ahead)*1e9, run(t, "--time", "--fork", fmt.Sprint("--boottime=", ahead)).Offset-BootOffset())
	})
}

func TestTheMachinesBootIsKnown(t *testing.T) {
	var info unix.Sysinfo_t
	require.NoError(t, unix.Sysinfo(&info))
	var ts unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts))
	require.Positive(t, ts.Nano()-BootOffset(), "the machine was booted before now")
	require.Less(t, time.Duration(ts.Nano()-BootOffset()), 100*365*24*time.Hour)
}
