// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package driver

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// BenchmarkAddedPerSyscall reports what capturing adds to a syscall, in ns: with
// an empty program on sys_exit, and with the driver that makes its event. It reports
// the least of several rounds without loss, which alternate between the three states. The calls
// run on the last CPU; every millisecond a reader on the first CPU empties the rings.
func BenchmarkAddedPerSyscall(b *testing.B) {
	needRoot(b)
	if runtime.NumCPU() < 2 {
		b.Skip("needs two CPUs: one calls, one reads")
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR, 0)
	require.NoError(b, err)
	defer unix.Close(null)
	zero, err := unix.Open("/dev/zero", unix.O_RDWR, 0)
	require.NoError(b, err)
	defer unix.Close(zero)
	buf := make([]byte, 64)
	path := append([]byte("/dev/null"), 0)
	call := func(nr uintptr, args ...uintptr) uintptr {
		var a [4]uintptr
		copy(a[:], args)
		r, _, _ := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], 0, 0)
		return r
	}
	cwd := unix.AT_FDCWD
	fd := uintptr(zero)
	var stat [256]byte
	for _, c := range []struct {
		name   string
		events []string
		run    func()
	}{
		{"getppid", []string{"getppid"}, func() { call(unix.SYS_GETPPID) }},
		{"read 1 byte", []string{"read"}, func() { call(unix.SYS_READ, uintptr(zero), uintptr(unsafe.Pointer(&buf[0])), 1) }},
		{"write 64 bytes", []string{"write"}, func() { call(unix.SYS_WRITE, uintptr(null), uintptr(unsafe.Pointer(&buf[0])), 64) }},
		{"openat and close", []string{"openat", "close"}, func() {
			call(unix.SYS_CLOSE, call(unix.SYS_OPENAT, uintptr(cwd), uintptr(unsafe.Pointer(&path[0])), 0, 0))
		}},
		{"newfstatat", []string{"newfstatat"}, func() {
			call(unix.SYS_NEWFSTATAT, uintptr(cwd), uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(&stat[0])), 0)
		}},
		{"dup and close", []string{"dup", "close"}, func() { call(unix.SYS_CLOSE, call(unix.SYS_DUP, fd)) }},
		{"getppid not selected", []string{"openat"}, func() { call(unix.SYS_GETPPID) }},
	} {
		b.Run(c.name+"/in place", func(b *testing.B) { benchmark(b, c.events, true, c.run) })
		b.Run(c.name+"/ring buffer", func(b *testing.B) { benchmark(b, c.events, false, c.run) })
	}
}

func benchmark(b *testing.B, events []string, inPlace bool, run func()) {
	const calls, rounds = 20000, 12
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	require.NoError(b, unix.SchedGetaffinity(0, &before))
	defer unix.SchedSetaffinity(0, &before)
	pin(b, runtime.NumCPU()-1)
	realTimePriority(b)

	known := map[string]bool{}
	for _, e := range Events() {
		for _, c := range e.Calls {
			known[c.Name] = true
		}
	}
	for _, e := range events {
		if !known[e] {
			b.Skipf("%s has no event yet", e)
		}
	}
	d, err := Load(Options{Select: Selection{Syscalls: events}, InPlace: inPlace})
	require.NoError(b, err)
	defer d.Close()
	if inPlace && !d.InPlace() {
		b.Skip("this kernel cannot run programs one at a time on a CPU")
	}
	require.Empty(b, d.Refused())
	d.ensure([]string{"empty"})
	require.NotNil(b, d.programs["empty"], "%v", d.refused["empty"])
	var stop atomic.Bool
	done := make(chan uint64)
	go func() { done <- drain(b, d, &stop) }()

	least := [3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}
	measure := func(state int) {
		for range 5 {
			lost := d.Counters().DropBuffer
			start := time.Now()
			for range calls {
				run()
			}
			took := float64(time.Since(start)) / calls
			if d.Counters().DropBuffer == lost { // a lost event is cheaper
				least[state] = min(least[state], took)
			}
		}
	}
	for range rounds {
		measure(0)
		l, err := attach(d.programs["empty"], dispatcherExit)
		require.NoError(b, err)
		measure(1)
		require.NoError(b, l.Close())
		require.NoError(b, d.Attach())
		measure(2)
		require.NoError(b, d.Detach())
	}
	for b.Loop() { // the numbers are in the metrics
	}
	stop.Store(true)
	read := <-done
	c := d.Counters()
	require.Equal(b, c.Seen, c.Delivered+c.Dropped(), "%+v", c)
	require.Equal(b, c.Delivered, read)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(least[0], "bare-ns")
	b.ReportMetric(least[1]-least[0], "empty-ns")
	b.ReportMetric(least[2]-least[0], "added-ns")
	b.ReportMetric(float64(c.Dropped())/float64(max(c.Seen, 1))*100, "%dropped")
}

// realTimePriority keeps ordinary tasks off the CPU while the test runs.
func realTimePriority(tb testing.TB) {
	set := func(policy, priority uintptr) {
		p := struct{ priority int32 }{int32(priority)}
		_, _, errno := unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, 0, policy, uintptr(unsafe.Pointer(&p)))
		require.Zero(tb, errno)
	}
	set(unix.SCHED_FIFO, 1)
	tb.Cleanup(func() { set(unix.SCHED_NORMAL, 0) })
}

func pin(tb testing.TB, cpu int) {
	var set unix.CPUSet
	set.Set(cpu)
	require.NoError(tb, unix.SchedSetaffinity(0, &set))
}

// drain copies events out of the rings until it is stopped, and counts them.
func drain(tb testing.TB, d *Driver, stop *atomic.Bool) uint64 {
	runtime.LockOSThread()
	pin(tb, 0)
	var rings []*testRing
	for _, r := range d.rings {
		ring, err := mapRing(d, r)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 0
		}
		defer ring.close()
		rings = append(rings, ring)
	}
	var events uint64
	out := make([]byte, EventMax)
	for {
		last := stop.Load()
		for _, ring := range rings {
			ring.read(func(event []byte) {
				copy(out, event)
				events++
			})
		}
		if last {
			return events
		}
		time.Sleep(time.Millisecond)
	}
}
