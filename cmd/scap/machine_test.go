// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine/machinetest"
)

func TestMain(m *testing.M) {
	if os.Getenv("SCAP_WORK") != "" {
		work()
	}
	machinetest.Main(m, "TestMachine")
}

// work makes the system calls to record, as a separate process, until it is killed.
func work() {
	for {
		time.Sleep(5 * time.Millisecond)
		if f, err := os.CreateTemp("/tmp", "marker"); err == nil {
			f.Close()
		}
		_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
}

// TestRecordOnAnotherKernel runs the tests named TestMachine on kernels fetched for it.
func TestRecordOnAnotherKernel(t *testing.T) { machinetest.Run(t) }

// TestMachineRecord records another process with each driver, and reads the capture.
func TestMachineRecord(t *testing.T) {
	code, _, stderr := runCommand(t, "record", "--driver", "kmod")
	require.Equal(t, cli.ExitEnvironment, code)
	require.Contains(t, stderr, "the kernel module scap is not loaded")
	module, err := os.Open(guest.ModuleFile)
	require.NoError(t, err)
	require.NoError(t, unix.FinitModule(int(module.Fd()), "", 0))
	require.NoError(t, module.Close())

	worker := exec.Command("/proc/self/exe")
	worker.Env = append(os.Environ(), "SCAP_WORK=1")
	require.NoError(t, worker.Start())
	defer func() {
		require.NoError(t, worker.Process.Kill())
		_ = worker.Wait() // it was killed
	}()
	pid := strconv.Itoa(worker.Process.Pid)

	path := filepath.Join(t.TempDir(), "x.scap")
	code, _, stderr = runCommand(t, "record", "--driver", "kmod", "-w", path, "-d", "100ms")
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, " events in ")
	for _, driver := range drivers {
		for _, native := range []bool{false, true} {
			code, _, stderr := runCommand(t, "record", "--driver", driver, fmt.Sprintf("--native=%t", native), "-w", path, "-n", "1000")
			fmt.Printf("record --driver %s, native %t: %s", driver, native, stderr)
			require.Zero(t, code, stderr)
			require.Contains(t, stderr, "1000 events in ")
			require.Contains(t, mustRun(t, "verify", path), ": fine: ")
			opens := mustRun(t, "read", "-r", path, "openat", pid)
			require.Contains(t, opens, " name=/tmp/marker")
			require.NotContains(t, opens, "<NA> (", "the state has the names of processes")
			// Only this project has an event for getppid.
			if !native {
				require.Contains(t, mustRun(t, "info", path), "compatible  yes")
				require.Contains(t, mustRun(t, "read", "-r", path, "syscall", pid), " < getppid \n")
			} else {
				require.Contains(t, mustRun(t, "read", "-r", path, "getppid", pid), " < getppid res=1\n")
			}
		}
		// The filter leaves out events, except those that change the state.
		_, _, stderr := runCommand(t, "record", "--driver", driver, "-w", path, "-n", "20", "close", pid)
		require.Contains(t, stderr, "20 events in ")
		closes := mustRun(t, "read", "-r", path)
		require.Equal(t, 20, strings.Count(closes, "\n"))
		require.Equal(t, 20, strings.Count(closes, " < close "))
		require.Contains(t, mustRun(t, "read", "-r", path, "--all"), " name=/tmp/marker")
	}
}
