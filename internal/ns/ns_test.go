// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ns

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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
	if os.Geteuid() != 0 {
		t.Skip("needs root to make namespaces")
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("needs unshare of util-linux")
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	run := func(flags ...string) seen {
		cmd := exec.Command(unshare, append(flags, exe)...)
		cmd.Env = append(os.Environ(), worker+"=1")
		out, err := cmd.Output()
		require.NoError(t, err)
		var s seen
		require.NoError(t, json.Unmarshal(out, &s), "%s", out)
		return s
	}
	const ahead = 26 * 3600
	if _, err := os.Stat("/proc/self/ns/time"); err != nil {
		t.Skip("the kernel has no time namespaces")
	}
	outside := BootOffset()
	inside := run("--time", "--fork", fmt.Sprint("--boottime=", ahead))
	require.Equal(t, int64(ahead)*1e9, inside.Offset-outside)
	inside = run("--pid", "--fork", "--mount-proc")
	require.Equal(t, seen{1, false, outside}, inside, "it is not the machine's pid 1")
}

func TestTheMachinesBootIsKnown(t *testing.T) {
	var info unix.Sysinfo_t
	require.NoError(t, unix.Sysinfo(&info))
	var ts unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts))
	require.Positive(t, ts.Nano()-BootOffset(), "the machine was booted before now")
	require.Less(t, time.Duration(ts.Nano()-BootOffset()), 100*365*24*time.Hour)
}
