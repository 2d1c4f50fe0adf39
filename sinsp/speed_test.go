// SPDX-License-Identifier: Apache-2.0

package sinsp_test

import (
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

// loop is a source that delivers the same events again and again.
type loop struct {
	scap.Source
	events []event.Event
	at     int
}

func (l *loop) ReadBatch(evs []event.Event) (n int, err error) {
	for ; n < len(evs); n++ {
		evs[n] = l.events[l.at]
		if l.at++; l.at == len(l.events) {
			l.at = 0
		}
	}
	return n, nil
}

// busy are the events of a system at work: of every n threads, some open, read, write
// and close files, connect, and run programs.
func busy(tb testing.TB, threads int) *loop {
	l := &loop{Source: scaptest.New()}
	ts := uint64(1_700_000_000 * second)
	add := func(typ event.Type, tid event.PID, params ...any) {
		ts += 1000
		var ev event.Event
		require.NoError(tb, ev.Reset(build(tb, typ, ts, tid, params...), int(ts)%4))
		l.events = append(l.events, ev)
	}
	for i := range min(threads, 10_000) {
		tid := event.PID(1000 + i*max(1, threads/10_000))
		add(event.TypeOpenatExit, tid, 9, -100, fmt.Sprintf("lib/file%d", i%100), 1, 0, 5, 6)
		add(event.TypeFstatExit, tid, 0, 9)
		add(event.TypeReadExit, tid, 80, make([]byte, 80), 9, 80)
		add(event.TypeReadExit, tid, 80, make([]byte, 80), 9, 80)
		add(event.TypeMmapExit, tid, 0, 1, 2, 3, 0, 4096, 1, 2, 9, 0)
		add(event.TypeCloseExit, tid, 0, 9)
		add(event.TypeSocketExit, tid, 9, 2, 1, 0, 0)
		add(event.TypeConnectExit, tid, 0, tuple("10.0.0.1:9999", "10.0.0.7:443"), 9, nil)
		add(event.TypeSendtoExit, tid, 80, make([]byte, 80), 9, 80, nil)
		add(event.TypeRecvfromExit, tid, 80, make([]byte, 80), nil, 9, 80)
		add(event.TypeCloseExit, tid, 0, 9)
		add(event.TypeWriteExit, tid, 80, make([]byte, 80), 4, 80)
		add(event.TypeSwitchEnter, tid, 1, 5, 6, 7, 8, 9)
		if i%16 == 0 {
			child := event.PID(3_000_000 + i)
			clone := func(self, pid event.PID, res int) {
				add(event.TypeCloneExit, self, res, "exe", []byte("arg\x00"), int(self), int(pid), 1, "", 512, 0, 0, 10, 20, 30, "child",
					[]byte("cpu=/a\x00memory=/m\x00"), 0, 0, 0, int(self), int(pid), 0)
			}
			clone(tid, tid, int(child))
			clone(child, child, 0)
			add(event.TypeExecveExit, child, 0, "/bin/prog", []byte("one\x00two\x00"), int(child), int(child), int(tid), "", 99, 0, 0, 1, 2, 3, "prog",
				[]byte("cpu=/x\x00"), []byte("HOME=/root\x00"), 0, 7, 1000, 0, 1, 2, 3, 42, 43, 44, 0, "/bin/prog", 8, 0, "prog")
			add(event.TypeProcexitEnter, child, 0, 0, 0, 0, 1)
		}
	}
	return l
}

// many is a state with that many processes of some files each.
func many(threads int) *proc.State {
	s := someState()
	shell := s.Threads[1]
	for i := range threads {
		t := shell
		t.TID, t.PID = event.PID(1000+i), event.PID(1000+i)
		s.Threads = append(s.Threads, t)
	}
	return s
}

func TestAStateThatDoesNotGrowNeedsNoAllocation(t *testing.T) {
	src := busy(t, 64)
	in := sinsp.New(src, sinsp.Options{State: many(64)})
	round := func() {
		for range src.events {
			ev, err := in.Next()
			if err != nil || ev.Thread == nil {
				t.Fatal(err, ev)
			}
			ev.FD()
			ev.Res()
		}
	}
	round()
	round()
	require.Zero(t, testing.AllocsPerRun(20, round), "per %d events", len(src.events))
	require.Zero(t, in.Stats().DroppedText)
	require.NoError(t, sinsp.Check(in))
}

func BenchmarkNext(b *testing.B) {
	for _, threads := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			src := busy(b, threads)
			in := sinsp.New(src, sinsp.Options{State: many(threads)})
			b.ReportAllocs()
			meter := scaptest.Measure(b)
			for b.Loop() {
				if _, err := in.Next(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(meter.CPU().Nanoseconds())/float64(b.N), "cpu-ns/event")
		})
	}
}

func BenchmarkSeed(b *testing.B) {
	state := many(100_000)
	b.ReportAllocs()
	for b.Loop() {
		sinsp.New(scaptest.New(), sinsp.Options{State: state})
	}
}

// large is the state of a large machine: 100,000 processes with 10 files each, whose names and environments are their
// own, as a scan of /proc makes them.
func large() *proc.State {
	s := someState()
	shell := s.Threads[1]
	for i := range 100_000 {
		t := shell
		t.TID, t.PID = event.PID(1000+i), event.PID(1000+i)
		t.Comm, t.Exe, t.ExePath = fmt.Sprintf("worker-%d", i), strings.Clone("/usr/lib/service/bin/worker"), strings.Clone("/usr/lib/service/bin/worker")
		t.Args, t.Env = fmt.Sprintf("--number\x00%d\x00", i), strings.Repeat("VARIABLE=of some length\x00", 20)
		t.Cgroups = fmt.Sprintf("cpu=/system.slice/worker-%d.service\x00memory=/system.slice/worker-%d.service\x00", i, i)
		t.FDs = nil
		for num := range 10 {
			fd := proc.FD{Num: event.FD(num), Ino: uint64(10*i + num), Type: proc.FDRegular, Name: fmt.Sprintf("/var/lib/service/%d/file%d", i, num)}
			if num > 6 {
				fd = proc.FD{Num: event.FD(num), Ino: fd.Ino, Type: proc.FDIPv4, L4: proc.L4TCP, Src: netip.MustParseAddrPort("10.0.0.1:80"), Dst: netip.MustParseAddrPort("10.0.0.9:999")}
			}
			t.FDs = append(t.FDs, fd)
		}
		s.Threads = append(s.Threads, t)
	}
	return s
}

// BenchmarkLargeMachine tells the memory of the state of a large machine: what a scan returns, what an inspector adds,
// and the bytes of the state in a capture.
func BenchmarkLargeMachine(b *testing.B) {
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1e6
	}
	before := heap()
	state := large()
	scanned := heap()
	in := sinsp.New(scaptest.New(), sinsp.Options{State: state})
	inspected := heap()
	meter := scaptest.Measure(b)
	var size int64
	for b.Loop() {
		w, err := savefile.NewWriter(io.Discard, savefile.WriterOptions{State: state})
		require.NoError(b, err)
		require.NoError(b, w.Flush())
		size = w.Size()
	}
	b.ReportMetric(scanned-before, "MB/state")
	b.ReportMetric(inspected-scanned, "MB/inspector")
	b.ReportMetric(meter.CPU().Seconds()/float64(b.N), "cpu-s/writing")
	b.ReportMetric(float64(size)/1e6, "MB/file")
	runtime.KeepAlive(in)
}
