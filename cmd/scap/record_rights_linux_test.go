// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
)

// An ordinary user with two capabilities records, into files in rotation. With the two others that
// scap-record.service has, the state has what processes of other users have open.
func TestAnOrdinaryUserRecordsWithTwoCapabilities(t *testing.T) {
	testutil.SkipIfShort(t, "loads the drivers four times")
	skipUnlessLive(t)
	testutil.SkipUnlessBTF(t)
	for name, test := range map[string]struct {
		caps       []uintptr
		seesOthers bool
	}{
		"the least":       {[]uintptr{unix.CAP_BPF, unix.CAP_PERFMON}, false},
		"of the service":  {serviceCaps(t), true},
		"without ptrace":  {[]uintptr{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_DAC_READ_SEARCH}, false},
		"without reading": {[]uintptr{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_PTRACE}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := placeOf(t, 12345)
			program := copyOfThis(t, dir)
			others := filepath.Join(t.TempDir(), "opened")
			held, err := os.Create(others) // in a process of root: this one
			require.NoError(t, err)
			defer held.Close()

			out, err := os.Create(filepath.Join(t.TempDir(), "output"))
			require.NoError(t, err)
			defer out.Close()
			said := func() string {
				text, _ := os.ReadFile(out.Name())
				return string(text)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, "record", "-z", "-e", "20", "-W", "3", "-w", "trace.scap", "symlink", "symlinkat")
			cmd.Dir, cmd.Stderr, cmd.Stdout = dir, out, out
			cmd.Env = []string{commandVar + "=1"}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}, AmbientCaps: test.caps}
			require.NoError(t, cmd.Start())
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			for second := filepath.Join(dir, "trace.scap1"); ; {
				if _, err := os.Stat(second); err == nil {
					break
				}
				select {
				case err := <-ended:
					require.FailNow(t, "it ended", "%v: %s", err, said())
				default:
					link(t, "/marker", 10)
				}
			}
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(t, <-ended, "%s", said())
			files, err := filepath.Glob(filepath.Join(dir, "trace.scap?"))
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(files), 2)
			require.LessOrEqual(t, len(files), 3)
			for _, file := range files {
				st, err := os.Stat(file)
				require.NoError(t, err)
				require.EqualValues(t, 12345, st.Sys().(*syscall.Stat_t).Uid)
				require.EqualValues(t, 0o600, st.Mode().Perm())
			}
			require.Contains(t, mustRun(t, "read", "-r", filepath.Join(dir, "trace.scap0")), "target=/marker")
			fds := mustRun(t, "fds", filepath.Join(dir, "trace.scap0"))
			if test.seesOthers {
				require.Contains(t, fds, others)
			} else {
				require.NotContains(t, fds, others)
			}
		})
	}
}

// serviceCaps are those of the service.
func serviceCaps(t *testing.T) []uintptr {
	unit, err := os.ReadFile("../../packaging/scap-record.service")
	require.NoError(t, err)
	numbers := map[string]uintptr{
		"CAP_BPF": unix.CAP_BPF, "CAP_PERFMON": unix.CAP_PERFMON, "CAP_SYS_PTRACE": unix.CAP_SYS_PTRACE, "CAP_DAC_READ_SEARCH": unix.CAP_DAC_READ_SEARCH,
	}
	ambient := regexp.MustCompile(`(?m)^AmbientCapabilities=(.*)$`).FindSubmatch(unit)
	bounding := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindSubmatch(unit)
	require.NotNil(t, ambient)
	require.NotNil(t, bounding)
	require.Equal(t, string(ambient[1]), string(bounding[1]), "the service cannot get more than it has")
	var caps []uintptr
	for _, name := range strings.Fields(string(ambient[1])) {
		require.Contains(t, numbers, name)
		caps = append(caps, numbers[name])
	}
	require.Len(t, caps, len(numbers))
	return caps
}

// placeOf returns a directory of a user, which that user can reach.
func placeOf(t *testing.T, uid int) string {
	dir, err := os.MkdirTemp("/var/tmp", "scap-rights")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chown(dir, uid, uid))
	return dir
}

// copyOfThis returns a copy of this program where another user can start it.
func copyOfThis(t *testing.T, dir string) string {
	program, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	path := filepath.Join(dir, "scap")
	require.NoError(t, os.WriteFile(path, program, 0o755))
	require.NoError(t, os.Chmod(path, 0o755))
	return path
}
