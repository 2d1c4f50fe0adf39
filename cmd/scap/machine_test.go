// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/kmod"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine/machinetest"
)

func TestMain(m *testing.M) {
	if os.Getenv("SCAP_WORK") != "" {
		work()
	}
	if os.Getenv(commandVar) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	if number := os.Getenv(offenceVar); number != "" {
		offend(number)
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
	loadModule(t)
	pid := strconv.Itoa(startWorker(t))

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

// TestMachineNoCallIsSkipped makes more threads want the CPUs than there are: a thread that loses its CPU within a call
// must not hide the calls of the others. What the reader is too slow for is lost, but seen.
func TestMachineNoCallIsSkipped(t *testing.T) {
	const threads, calls = 8, 30_000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * threads))
	loadModule(t)
	for _, driver := range drivers {
		flags := sourceFlags{driver: driver, module: kmod.DefaultName}
		src, err := flags.open(scap.Selection{Syscalls: []string{"getppid"}}, os.Stderr)
		require.NoError(t, err)
		var loops, reader sync.WaitGroup
		var over atomic.Bool
		for range threads {
			loops.Go(func() {
				runtime.LockOSThread()
				for range calls {
					_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
				}
			})
		}
		reader.Go(func() {
			for batch := make([]event.Event, 1024); !over.Load(); {
				if _, err := src.ReadBatch(batch); err != nil && !errors.Is(err, scap.ErrTimeout) {
					t.Error(err)
					return
				}
			}
		})
		loops.Wait()
		over.Store(true)
		reader.Wait()
		stats, err := src.Stats()
		require.NoError(t, err)
		require.NoError(t, src.Close())
		require.Equal(t, uint64(threads*calls), stats.Seen, "%s: %+v", driver, stats)
		require.Zero(t, stats.Drops.Other, "%s: %+v", driver, stats)
	}
}

func loadModule(t *testing.T) {
	module, err := os.Open(guest.ModuleFile)
	require.NoError(t, err)
	defer module.Close()
	if err := unix.FinitModule(int(module.Fd()), "", 0); err != unix.EEXIST {
		require.NoError(t, err)
	}
}

// startWorker starts a process to record, which ends with the test, and returns its pid.
func startWorker(t *testing.T) int {
	worker := exec.Command("/proc/self/exe")
	worker.Env = append(os.Environ(), "SCAP_WORK=1")
	require.NoError(t, worker.Start())
	t.Cleanup(func() {
		require.NoError(t, worker.Process.Kill())
		_ = worker.Wait() // it was killed
	})
	return worker.Process.Pid
}

// TestMachineClock sets the machine's clock during a capture.
func TestMachineClock(t *testing.T) {
	const ahead = 26 * time.Hour
	const moved = `the clock was set by \+93[56]\d\d\.\d{3} s` // ahead, less the time that setting takes
	loadModule(t)
	startWorker(t)
	for _, driver := range drivers {
		path := filepath.Join(t.TempDir(), driver+".scap")
		set := make(chan bool)
		go func() {
			defer close(set)
			for { // until the capture runs and has events
				time.Sleep(time.Second)
				if st, err := os.Stat(path); err == nil && st.Size() > 1<<16 {
					break
				}
			}
			moveClock(t, ahead)
		}()
		code, _, stderr := runCommand(t, "record", "--driver", driver, "-w", path, "-d", "15s", "getppid", "openat")
		<-set
		now := time.Now()
		moveClock(t, -ahead)
		require.Zero(t, code, stderr)
		require.Regexp(t, moved, stderr)
		var times []time.Time
		notes := 0
		r, err := savefile.Open(path, savefile.Options{})
		require.NoError(t, err)
		for ev, err := range scap.Events(t.Context(), r) {
			require.NoError(t, err)
			if ev.Type() == event.TypeNotificationEnter {
				require.Regexp(t, "^id=clock desc="+moved, string(ev.AppendArgs(nil)))
				notes++
				continue
			}
			times = append(times, time.Unix(0, int64(ev.Timestamp())))
		}
		require.NoError(t, r.Close())
		require.Equal(t, 1, notes)
		require.NotEmpty(t, times)
		require.WithinRange(t, times[len(times)-1], now.Add(-time.Hour), now, "the last event has the new time")
		jumps := 0
		for i := range times[1:] {
			if d := times[i+1].Sub(times[i]); d > time.Hour || d < -time.Hour {
				jumps++
			}
		}
		require.Equal(t, 1, jumps, "the time goes on from the old to the new")
	}
}

func moveClock(t *testing.T, by time.Duration) {
	ts := unix.NsecToTimespec(time.Now().Add(by).UnixNano())
	require.NoError(t, unix.ClockSettime(unix.CLOCK_REALTIME, &ts))
}
