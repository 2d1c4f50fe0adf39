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
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kver"
	"github.com/scaplab/scaplab/internal/testutil/ia32"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/ebpf"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/kmod"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
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

// TestRecordOnAMachineOfManyCPUs runs TestMachineOfManyCPUs where few of many CPUs run, and with little memory.
func TestRecordOnAMachineOfManyCPUs(t *testing.T) {
	t.Setenv("SCAPLAB_RUN", "OfManyCPUs")
	machinetest.Run(t, machinetest.Offline(manyCPUs-2), func(b *machine.Boot) { b.MemoryMB = 1024 })
}

// TestRecordWhereTasksPreemptPrograms runs TestMachineNoEventIsAnothers on a kernel where they do.
func TestRecordWhereTasksPreemptPrograms(t *testing.T) {
	t.Setenv("SCAPLAB_RUN", "NoEventIsAnothers")
	t.Setenv("SCAPLAB_KERNELS", "7.3")
	machinetest.Run(t)
}

// manyCPUs would need 960 MiB for rings of 4 MiB.
const manyCPUs = 240

// TestMachineOfManyCPUs captures with rings for the CPUs that run, and for another one once it does.
func TestMachineOfManyCPUs(t *testing.T) {
	if text := mustReadFile(t, "/sys/devices/system/cpu/possible"); !strings.HasPrefix(text, fmt.Sprintf("0-%d", manyCPUs-1)) {
		t.Skipf("all CPUs of this machine run (%s); TestRecordOnAMachineOfManyCPUs starts one where few of many do", text)
	}
	require.Equal(t, "0-1", mustReadFile(t, "/sys/devices/system/cpu/online"))
	loadModule(t)
	startWorker(t)
	running := 2
	for _, driver := range drivers {
		before := availableMiB(t)
		flags := sourceFlags{driver: driver, module: kmod.DefaultName}
		src, err := flags.open(scap.Selection{Syscalls: []string{"getppid"}}, os.Stderr)
		require.NoError(t, err)
		rings := src.(interface{ Rings() int }).Rings
		require.Equal(t, running, rings(), driver)
		taken := before - availableMiB(t)
		fmt.Printf("%d CPUs of %d, driver %s: %d MiB taken\n", rings(), manyCPUs, driver, taken)
		require.Less(t, taken, 300, driver) // this process's memory included
		if driver == "ebpf" {
			mustRunCPU(t, 2)
			for got := false; !got; {
				onCPU(t, 2, func() { _, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0) })
				for range 100 { // the worker's never end
					ev, err := src.Next()
					if errors.Is(err, scap.ErrTimeout) {
						break
					}
					require.NoError(t, err)
					got = got || ev.CPU() == 2
				}
			}
			running++
			require.Equal(t, running, rings())
		}
		require.NoError(t, src.Close())

		code, out, stderr := runCommand(t, "record", "--driver", driver, "-n", "20", "getppid") // all programs take an emulated machine minutes
		fmt.Printf("record --driver %s: %s", driver, stderr)
		require.Zero(t, code, stderr)
		require.Equal(t, 20, strings.Count(out, " < getppid "))
	}
}

func mustReadFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return strings.TrimSpace(string(b))
}

// availableMiB returns how much memory programs can still have.
func availableMiB(t *testing.T) int {
	t.Helper()
	runtime.GC()
	var kib int
	_, rest, _ := strings.Cut(mustReadFile(t, "/proc/meminfo"), "MemAvailable:")
	_, err := fmt.Sscan(rest, &kib)
	require.NoError(t, err)
	return kib >> 10
}

// mustRunCPU makes a CPU run that did not.
func mustRunCPU(t *testing.T, cpu int) {
	t.Helper()
	require.NoError(t, os.WriteFile(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/online", cpu), []byte("1"), 0))
}

// onCPU runs f on a CPU.
func onCPU(t *testing.T, cpu int, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old, set unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &old))
	set.Set(cpu)
	require.NoError(t, unix.SchedSetaffinity(0, &set))
	f()
	require.NoError(t, unix.SchedSetaffinity(0, &old))
}

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

// TestMachineNoEventIsAnothers makes tasks preempt each other inside the programs that build events, where the kernel
// calls these with preemption on and nothing turns it off: no event has the params of another task's. Raw tracepoints
// are such an attachment since 7.0.
func TestMachineNoEventIsAnothers(t *testing.T) {
	if running, err := kver.Running(); err == nil && running.Less(kver.MustParse("7.0")) {
		t.Skip("before 7.0 the kernel calls programs of tracepoints with preemption off; TestRecordWhereTasksPreemptPrograms has a newer one")
	}
	const tasks, calls = 12, 4000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * tasks))
	src, err := ebpf.Open(scap.Selection{Syscalls: []string{"openat"}, Enter: true}, ebpf.Options{RawTracepoints: true})
	require.NoError(t, err)
	type task struct {
		dir  uint32 // no such descriptor: tells the task
		name string
	}
	var known sync.Map // thread id -> task
	var loops, reader sync.WaitGroup
	var over atomic.Bool
	for i := range tasks {
		loops.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			me := task{uint32(10_000 + i), strings.Repeat(string(rune('a'+i)), 100*(i+1))}
			known.Store(event.PID(unix.Gettid()), me)
			path := ia32.Low(t, 4096)
			copy(path, me.name)
			if i%2 == 1 { // these preempt the others at once
				if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0); err != nil {
					t.Error(err)
				}
			}
			for range calls {
				if i%4 < 2 {
					_, _, _ = unix.RawSyscall6(unix.SYS_OPENAT, uintptr(me.dir), uintptr(unsafe.Pointer(&path[0])), 0, 0, 0, 0)
				} else {
					ia32.Call(t, 295, me.dir, ia32.Address(path))
				}
				if i%2 == 1 {
					_ = unix.Nanosleep(&unix.Timespec{Nsec: 20_000}, nil)
				}
			}
		})
	}
	read, wrong := 0, 0
	check := func(ev *event.Event) {
		read++
		of, ok := known.Load(ev.TID())
		if !ok {
			return
		}
		dir, name := 1, 2
		if ev.Type() == event.TypeOpenatEnter {
			dir, name = 0, 1
		}
		me := of.(task)
		fd, _ := ev.Int64(dir)
		if got := strings.TrimRight(string(ev.Param(name)), "\x00"); fd != int64(me.dir) || !strings.HasSuffix(got, me.name) || strings.Trim(filepath.Base(got), me.name[:1]) != "" {
			if wrong++; wrong < 5 {
				t.Errorf("%v of the task with %d, %.10q: has %d, %.40q, %d bytes", ev.Type(), me.dir, me.name, fd, got, len(got))
			}
		}
	}
	reader.Go(func() {
		for batch := make([]event.Event, 1024); ; {
			n, err := src.ReadBatch(batch)
			for i := range batch[:n] {
				check(&batch[i])
			}
			if err != nil && !errors.Is(err, scap.ErrTimeout) {
				t.Error(err)
				return
			}
			if n == 0 && over.Load() {
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
	fmt.Printf("tasks that preempt each other: %d events read, %d wrong, %+v\n", read, wrong, stats)
	require.Zero(t, wrong)
	require.Greater(t, read, tasks*calls/10)
	require.EqualValues(t, stats.Seen, uint64(read)+stats.Drops.Total(), "what is lost is counted")
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
