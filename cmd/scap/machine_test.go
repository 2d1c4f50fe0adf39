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
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// In a machine whose root directory has this file, the test program is init.
const machineFile = "scap.machine"

var inMachine = func() bool {
	_, err := os.Stat("/" + machineFile)
	return os.Getpid() == 1 && err == nil
}()

const machineMark = "SCAP EXIT "

func TestMain(m *testing.M) {
	if os.Getenv("SCAP_WORK") != "" {
		work()
	}
	if !inMachine {
		os.Exit(m.Run())
	}
	if os.Getenv("SCAP_MACHINE") == "" {
		for _, w := range guest.SetUpMachine() {
			fmt.Println("machine:", w)
		}
		// Libraries look at the mounts when they start: start again.
		fmt.Println("start again:", unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), "SCAP_MACHINE=1")))
	}
	os.Args = []string{"scap", "-test.v", "-test.run=^TestMachine"}
	fmt.Printf("\n%s%d\n", machineMark, m.Run())
	time.Sleep(100 * time.Millisecond) // for the serial port
	guest.PowerOff()
}

// work does what is to be recorded, as a process of its own, until it is killed.
func work() {
	for {
		time.Sleep(5 * time.Millisecond)
		if f, err := os.CreateTemp("/tmp", "marker"); err == nil {
			f.Close()
		}
		_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
}

// TestRecordOnAnotherKernel runs the tests named TestMachine on kernels fetched
// earlier: SCAPLAB_KERNELS has their series, separated by commas; by default 6.1.
func TestRecordOnAnotherKernel(t *testing.T) {
	testutil.SkipIfShort(t, "boots kernels")
	if _, err := machine.FindQEMU("amd64"); err != nil {
		t.Skip(err)
	}
	series := os.Getenv("SCAPLAB_KERNELS")
	if series == "" {
		series = "6.1"
	}
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	store := &kernels.Store{Catalog: catalog, MaxAge: 1 << 62, Log: t.Logf}
	builder := &kmodbuild.Builder{Store: store, Log: t.Logf}
	wants, err := catalog.ParseRequests(series)
	require.NoError(t, err)
	kernels, gone, err := store.Resolve(t.Context(), wants)
	require.NoError(t, err)
	if len(gone) > 0 {
		t.Skipf("kernel %s cannot be had: %v", gone[0].Request, gone[0].Reason)
	}
	// This program may need a C library, which the machine has not.
	program := filepath.Join(t.TempDir(), "scap.test")
	build := exec.Command("go", "test", "-c", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, k := range kernels {
		t.Run(k.Name, func(t *testing.T) {
			m, err := builder.Build(t.Context(), k)
			require.NoError(t, err)
			module, err := os.ReadFile(m.File)
			require.NoError(t, err)
			console, err := machine.Boot{
				Arch: k.Arch, Kernel: k.Image, Program: program, CPUs: 2, SingleThread: true, Limit: 10 * time.Minute,
				Files: map[string][]byte{machineFile: nil, guest.ModuleFile[1:]: module},
			}.Run(t.Context())
			require.NoError(t, err, "%s", console)
			if !strings.Contains(console, machineMark+"0") {
				t.Fatalf("the machine's tests failed:\n%s", console)
			}
			require.Empty(t, machine.Complaint(console), "%s", console)
		})
	}
}

// TestMachineRecord records with each driver what another process does, and reads
// it back.
func TestMachineRecord(t *testing.T) {
	if !inMachine {
		t.Skip("runs in the machine that TestRecordOnAnotherKernel boots")
	}
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
	for _, driver := range drivers {
		for _, compat := range []bool{false, true} {
			code, _, stderr := runCommand(t, "record", "--driver", driver, fmt.Sprintf("--compat=%t", compat), "-w", path, "-d", "1s")
			fmt.Printf("record --driver %s, compat %t: %s", driver, compat, stderr)
			require.Zero(t, code, stderr)
			require.Contains(t, stderr, " events in ")
			require.Contains(t, mustRun(t, "verify", path), ": fine: ")
			opens := mustRun(t, "read", "-r", path, "openat", pid)
			require.Contains(t, opens, " name=/tmp/marker")
			require.NotContains(t, opens, "<NA> (", "the state has the names of processes")
			// Only this project has an event for getppid.
			if compat {
				require.Contains(t, mustRun(t, "info", path), "compatible  yes")
				require.Contains(t, mustRun(t, "read", "-r", path, "syscall", pid), " < getppid\n")
			} else {
				require.Contains(t, mustRun(t, "read", "-r", path, "getppid", pid), " < getppid res=1\n")
			}
		}
		// A filter leaves out, but what changes the state comes along.
		_, _, stderr := runCommand(t, "record", "--driver", driver, "-w", path, "-n", "20", "close", pid)
		require.Contains(t, stderr, "20 events in ")
		closes := mustRun(t, "read", "-r", path)
		require.Equal(t, 20, strings.Count(closes, "\n"))
		require.Equal(t, 20, strings.Count(closes, " < close "))
		require.Contains(t, mustRun(t, "read", "-r", path, "--all"), " name=/tmp/marker")
	}
}
