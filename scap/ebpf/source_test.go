// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ebpf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/scaptest"
)

func TestOptionsAreChecked(t *testing.T) {
	page := os.Getpagesize()
	tests := map[string]struct {
		sel  scap.Selection
		opts Options
		want string // "" is fine
	}{
		"all":                  {scap.Selection{All: true}, Options{}, ""},
		"some":                 {scap.Selection{Syscalls: []string{"openat"}, Tracepoints: []string{"sched_switch"}}, Options{}, ""},
		"tracepoints and all":  {scap.Selection{All: true, Tracepoints: []string{"sched_switch"}}, Options{}, ""},
		"the smallest ring":    {scap.Selection{All: true}, Options{Settings: scap.Settings{RingSize: page}}, ""},
		"one ring":             {scap.Selection{All: true}, Options{CPUsPerRing: -1}, ""},
		"the longest payload":  {scap.Selection{All: true}, Options{Settings: scap.Settings{Snaplen: 65000}}, ""},
		"nothing":              {scap.Selection{}, Options{}, "options: nothing is selected (set All, Syscalls or Tracepoints)"},
		"all and some":         {scap.Selection{All: true, Syscalls: []string{"openat"}}, Options{}, "options: All and Syscalls exclude each other"},
		"a small ring":         {scap.Selection{All: true}, Options{Settings: scap.Settings{RingSize: 512}}, fmt.Sprintf("options: RingSize 512 is not a power of two of at least a page (%d)", page)},
		"an odd ring":          {scap.Selection{All: true}, Options{Settings: scap.Settings{RingSize: 3 * page}}, fmt.Sprintf("options: RingSize %d is not a power of two of at least a page (%d)", 3*page, page)},
		"a negative ring":      {scap.Selection{All: true}, Options{Settings: scap.Settings{RingSize: -page}}, fmt.Sprintf("options: RingSize %d is not a power of two of at least a page (%d)", -page, page)},
		"a huge ring":          {scap.Selection{All: true}, Options{Settings: scap.Settings{RingSize: 1 << 31}}, "options: RingSize 2147483648 is above 1 GiB"},
		"a longer payload":     {scap.Selection{All: true}, Options{Settings: scap.Settings{Snaplen: 65001}}, "options: Snaplen 65001 is not within 0 and 65000"},
		"a negative payload":   {scap.Selection{All: true}, Options{Settings: scap.Settings{Snaplen: -1}}, "options: Snaplen -1 is not within 0 and 65000"},
		"ports the wrong way":  {scap.Selection{All: true}, Options{Settings: scap.Settings{DynamicSnaplen: true, FullPorts: [2]uint16{9, 8}}}, "options: FullPorts: the first port 9 is above the last 8"},
		"ports without effect": {scap.Selection{All: true}, Options{Settings: scap.Settings{FullPorts: [2]uint16{8, 9}}}, "options: FullPorts needs DynamicSnaplen"},
		"several mistakes": {scap.Selection{}, Options{Settings: scap.Settings{Snaplen: -1}}, "options: nothing is selected (set All, Syscalls or Tracepoints)\n" +
			"options: Snaplen -1 is not within 0 and 65000"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := test.opts.complete(test.sel)
			if test.want != "" {
				require.EqualError(t, err, test.want)
				_, err := Open(test.sel, test.opts)
				require.EqualError(t, err, test.want)
				return
			}
			require.NoError(t, err)
			require.NotZero(t, got.Snaplen)
			require.NotZero(t, got.Snaplen)
			require.Positive(t, got.wakeBytes())
		})
	}
	got, err := Options{}.complete(scap.Selection{All: true})
	require.NoError(t, err)
	require.Equal(t, Options{Settings: scap.Settings{Snaplen: 80, Timeout: 100 * time.Millisecond}}, got)
}

// The live tests count listen and umount2, which other processes rarely call.
// The thread id distinguishes the test's own calls.
const (
	listenExit  = event.TypeListenExit  // of fixed size
	umount2Exit = event.TypeUmount2Exit // with a string
)

func mustOpen(tb testing.TB, sel scap.Selection, opts Options) *Source {
	tb.Helper()
	testutil.SkipUnlessRoot(tb)
	testutil.SkipUnlessKernel(tb, "5.8", "BPF ring buffers")
	testutil.SkipUnlessBTF(tb)
	src, err := Open(sel, opts)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		if err := src.Close(); !errors.Is(err, os.ErrClosed) {
			require.NoError(tb, err)
		}
	})
	require.Empty(tb, src.Refused())
	return src
}

// listen makes one event with the key as the backlog. The fd is invalid on
// purpose.
func listen(key int) {
	unix.Syscall(unix.SYS_LISTEN, ^uintptr(0), uintptr(key), 0)
}

func umount(path string) {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		panic(err)
	}
	unix.Syscall(unix.SYS_UMOUNT2, uintptr(unsafe.Pointer(p)), 0, 0)
	runtime.KeepAlive(p)
}

// onThread runs f on its own thread and returns the thread's id.
func onThread(f func()) (tid event.PID) {
	done := make(chan event.PID)
	go func() {
		runtime.LockOSThread()
		f()
		done <- event.PID(unix.Gettid())
	}()
	return <-done
}

// keyOf returns the key of a listen event.
func keyOf(tb testing.TB, ev *event.Event) int {
	tb.Helper()
	var d event.ListenExit
	require.NoError(tb, d.Decode(ev))
	return int(d.Backlog)
}

func TestOurCallsAreCaptured(t *testing.T) {
	for name, raw := range map[string]bool{"typed tracepoints": false, "raw tracepoints": true} {
		t.Run(name, func(t *testing.T) {
			captureOurCalls(t, scap.Selection{Syscalls: []string{"listen", "umount2"}}, Options{RawTracepoints: raw})
		})
	}
}

func captureOurCalls(t *testing.T, sel scap.Selection, opts Options) {
	src := mustOpen(t, sel, opts)
	before := time.Now()
	tid := onThread(func() {
		for i := range 1000 {
			listen(1_000_000 + i)
		}
		umount("/no/such/mount")
	})
	after := time.Now()
	next := 1_000_000
	for ev, err := range scap.Events(t.Context(), src) {
		require.NoError(t, err)
		if ev.TID() != tid {
			continue
		}
		at := time.Unix(0, int64(ev.Timestamp()))
		require.WithinRange(t, at, before.Add(-time.Second), after.Add(time.Second))
		require.Less(t, ev.CPU(), src.Rings())
		if ev.Type() == umount2Exit {
			require.Equal(t, "res=-2(ENOENT) name=/no/such/mount flags=0", string(ev.AppendArgs(nil)))
			break
		}
		require.Equal(t, next, keyOf(t, ev))
		require.Equal(t, fmt.Sprintf("res=-9(EBADF) fd=-1(EPERM) backlog=%d", next), string(ev.AppendArgs(nil)))
		next++
	}
	require.Equal(t, 1_001_000, next, "all calls came, in their order")
	stats, err := src.Stats()
	require.NoError(t, err)
	require.GreaterOrEqual(t, stats.Delivered, uint64(1001))
	require.Zero(t, stats.Drops)
}

func TestLossIsCountedExactly(t *testing.T) {
	src := mustOpen(t, scap.Selection{Syscalls: []string{"listen", "umount2"}}, Options{Settings: scap.Settings{RingSize: os.Getpagesize()}, CPUsPerRing: -1})
	const calls, unselected = 10_000, 100_000
	made, others := 0, 0
	for round := range 3 {
		onThread(func() {
			for i := range calls {
				if i%2 == 0 {
					listen(i)
				} else {
					umount("/no/such/mount")
				}
				made++
			}
			for range unselected {
				unix.Getppid()
				others++
			}
		})
		read := drain(t, src)
		require.Positive(t, read, "round %d", round)
	}
	stats, err := src.Stats()
	require.NoError(t, err)
	require.GreaterOrEqual(t, stats.Seen, uint64(made), "every call was seen")
	require.Equal(t, stats.Seen, stats.Delivered+stats.Drops.Total())
	require.Equal(t, stats.Drops.BufferFull, stats.Drops.Total(), "%+v", stats)
	require.Positive(t, stats.Drops.BufferFull)
	require.Less(t, stats.Seen, uint64(made+others), "other calls are not seen (tests that run beside this one may make some of these)")
}

// drain reads until a read times out, and counts the events.
func drain(tb testing.TB, src *Source) (n int) {
	tb.Helper()
	for {
		_, err := src.Next()
		if errors.Is(err, scap.ErrTimeout) {
			return n
		}
		require.NoError(tb, err)
		n++
	}
}

func TestSelectionChangesAtRunTime(t *testing.T) {
	src := mustOpen(t, scap.Selection{Syscalls: []string{"listen"}}, Options{})
	types := func() (got []event.Type) {
		tid := onThread(func() {
			listen(1)
			umount("/no/such/mount")
		})
		for {
			ev, err := src.Next()
			if errors.Is(err, scap.ErrTimeout) {
				return got
			}
			require.NoError(t, err)
			if ev.TID() == tid {
				got = append(got, ev.Type())
			}
		}
	}
	require.Equal(t, []event.Type{listenExit}, types())
	require.NoError(t, src.Select(scap.Selection{Syscalls: []string{"umount2"}}))
	require.Equal(t, []event.Type{umount2Exit}, types())
	require.NoError(t, src.Select(scap.Selection{}))
	require.Empty(t, types())
	require.NoError(t, src.Select(scap.Selection{Syscalls: []string{"umount2", "listen"}}))
	require.Equal(t, []event.Type{listenExit, umount2Exit}, types())
	require.ErrorContains(t, src.Select(scap.Selection{Syscalls: []string{"nosuch"}}), "nosuch")
	require.Equal(t, []event.Type{listenExit, umount2Exit}, types(), "a wrong selection changes nothing")
}

// Select may add refusals at any time.
func TestRefusedWaitsForSelect(t *testing.T) {
	src := mustOpen(t, scap.Selection{Syscalls: []string{"listen"}}, Options{})
	told := make(chan []*Refusal)
	require.NoError(t, src.live.Do(func() error { // as Select does
		go func() { told <- src.Refused() }()
		select {
		case <-told:
			t.Error("read while another goroutine writes")
		case <-time.After(20 * time.Millisecond):
		}
		return nil
	}))
	require.Empty(t, <-told)
}

func TestFailedCallsCanBeLeftOut(t *testing.T) {
	src := mustOpen(t, scap.Selection{Syscalls: []string{"listen"}}, Options{Settings: scap.Settings{DropFailed: true}})
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	tid := onThread(func() {
		listen(1)
		unix.Listen(fd, 2)
	})
	var ours []int
	for {
		ev, err := src.Next()
		if errors.Is(err, scap.ErrTimeout) {
			break
		}
		require.NoError(t, err)
		if ev.TID() == tid {
			ours = append(ours, keyOf(t, ev))
		}
	}
	require.Equal(t, []int{2}, ours)
}

func TestSnaplenCutsPayloads(t *testing.T) {
	src := mustOpen(t, scap.Selection{Syscalls: []string{"pwrite64"}}, Options{Settings: scap.Settings{Snaplen: 10}})
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer file.Close()
	payload := func() []byte {
		tid := onThread(func() { file.WriteAt(slices.Repeat([]byte("payload "), 100), 3) })
		for ev, err := range scap.Events(t.Context(), src) {
			require.NoError(t, err)
			if ev.TID() == tid {
				require.EqualValues(t, 115, ev.Type())
				require.EqualValues(t, 800, binary.NativeEndian.Uint64(ev.Param(0)))
				return slices.Clone(ev.Param(1))
			}
		}
		return nil
	}
	require.Equal(t, "payload pa", string(payload()))
	require.NoError(t, src.SetSnaplen(100))
	require.Len(t, payload(), 100)
	require.NoError(t, src.SetSnaplen(65000))
	require.Len(t, payload(), 800)
	require.ErrorContains(t, src.SetSnaplen(65001), "65001")
}

func TestABatchIsValidAsAWhole(t *testing.T) {
	src := mustOpen(t, scap.Selection{Syscalls: []string{"listen"}}, Options{Settings: scap.Settings{RingSize: os.Getpagesize()}, CPUsPerRing: -1})
	evs := make([]event.Event, 1000)
	for round := 1; round <= 20; round++ { // from 1 on: other programs also listen, with small backlogs
		onThread(func() {
			for i := range 2000 {
				listen(round<<16 | i)
			}
		})
		n, err := src.ReadBatch(evs)
		require.NoError(t, err)
		require.Greater(t, n, 10)
		// Further events must not overwrite the batch.
		onThread(func() {
			for range 2000 {
				listen(0xffff)
			}
		})
		last := -1
		for i := range evs[:n] {
			key := keyOf(t, &evs[i])
			if key>>16 == round && key != 0xffff {
				require.Greater(t, key, last)
				last = key
			}
		}
		require.GreaterOrEqual(t, last, 0)
		for err == nil {
			_, err = src.ReadBatch(evs)
		}
		require.ErrorIs(t, err, scap.ErrTimeout)
	}
	stats, err := src.Stats()
	require.NoError(t, err)
	require.Equal(t, stats.Seen, stats.Delivered+stats.Drops.Total())
	n, err := src.ReadBatch(nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestThreadsOnAllRingsComeInOrder(t *testing.T) {
	for name, perRing := range map[string]int{"in place": 0, "ring buffers": 1} {
		t.Run(name, func(t *testing.T) { threadsOnAllRingsComeInOrder(t, perRing) })
	}
}

func threadsOnAllRingsComeInOrder(t *testing.T, perRing int) {
	src := mustOpen(t, scap.Selection{Syscalls: []string{"listen"}}, Options{CPUsPerRing: perRing})
	if src.Rings() == 1 {
		t.Skip("needs two CPUs")
	}
	const calls = 5000
	threads := src.Rings()
	var wg sync.WaitGroup
	tids := make([]event.PID, threads)
	for i := range threads {
		wg.Go(func() {
			tids[i] = onThread(func() {
				var set unix.CPUSet
				set.Set(i)
				unix.SchedSetaffinity(0, &set)
				for j := range calls {
					listen(i<<20 | j)
				}
			})
		})
	}
	wg.Wait()
	next := make([]int, threads)
	var last uint64
	late, all := 0, 0
	for all < threads*calls {
		ev, err := src.Next()
		require.NoError(t, err)
		i := slices.Index(tids, ev.TID())
		if i < 0 {
			continue
		}
		key := keyOf(t, ev)
		require.Equal(t, i, key>>20)
		require.Equal(t, next[i], key&(1<<20-1), "each thread's calls are in order")
		next[i]++
		all++
		if ev.Timestamp() < last {
			late++
		}
		last = max(last, ev.Timestamp())
	}
	// All events were in the rings before the first read, so none can be late.
	require.Zero(t, late)
}

func TestReadsTimeOut(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"at once": -1, "in time": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			src := mustOpen(t, scap.Selection{Syscalls: []string{"quotactl"}}, Options{Settings: scap.Settings{Timeout: timeout}})
			start := time.Now() // nothing on the machine makes such calls
			ev, err := src.Next()
			require.ErrorIs(t, err, scap.ErrTimeout)
			require.Nil(t, ev)
			n, err := src.ReadBatch(make([]event.Event, 1))
			require.ErrorIs(t, err, scap.ErrTimeout)
			require.Zero(t, n)
			require.GreaterOrEqual(t, time.Since(start), 2*timeout)
		})
	}
}

func TestALoopIsStoppedFromAnotherGoroutine(t *testing.T) {
	src := mustOpen(t, scap.Selection{Syscalls: []string{"listen"}}, Options{Settings: scap.Settings{Timeout: time.Hour}})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	for _, err := range scap.Events(ctx, src) { // a reader that waits for up to an hour
		require.NoError(t, err)
	}
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	_, err := src.Stats()
	require.NoError(t, err, "the source is still open")
}

func TestClose(t *testing.T) {
	src := mustOpen(t, scap.Selection{Syscalls: []string{"listen"}}, Options{Settings: scap.Settings{Timeout: time.Minute}})
	onThread(func() { listen(1) })
	_, err := src.Next()
	require.NoError(t, err)
	before, err := src.Stats()
	require.NoError(t, err)

	ended := make(chan error)
	go func() {
		var err error
		for err == nil {
			_, err = src.Next()
		}
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, src.Close())
	require.ErrorIs(t, <-ended, os.ErrClosed, "a waiting read ends")

	scaptest.RequireClosed(t, src)
	require.ErrorIs(t, src.Select(scap.Selection{All: true}), os.ErrClosed)
	require.ErrorIs(t, src.SetSnaplen(80), os.ErrClosed)
	after, err := src.Stats()
	require.NoError(t, err)
	require.GreaterOrEqual(t, after.Delivered, before.Delivered)
}

func TestEverythingLoadsAndEveryEventIsWhole(t *testing.T) {
	src := mustOpen(t, scap.Selection{All: true, Enter: true, Tracepoints: Tracepoints()}, Options{Settings: scap.Settings{Timeout: -1}})
	evs := make([]event.Event, 512)
	seen := map[event.Type]int{}
	var text []byte
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		onThread(func() { listen(1); umount("/no/such/mount") })
		n, err := src.ReadBatch(evs)
		if errors.Is(err, scap.ErrTimeout) {
			continue
		}
		require.NoError(t, err)
		for i := range evs[:n] {
			ev := &evs[i]
			info := ev.Info()
			require.NotNil(t, info, "type %d", ev.Type())
			require.Equal(t, len(info.Params), ev.NumParams(), info.Symbol)
			for j, v := range ev.Params() {
				if size, ok := info.Params[j].Type.Size(); ok && len(v) > 0 {
					require.Len(t, v, size, "%s.%s", info.Symbol, info.Params[j].Name)
				}
			}
			text = ev.AppendArgs(text[:0])
			require.NotContains(t, string(text), "\x00")
			seen[ev.Type()]++
		}
	}
	require.Positive(t, seen[listenExit])
	require.Positive(t, seen[umount2Exit])
	require.Greater(t, len(seen), 5)
	t.Logf("%d types of events", len(seen))
}

func TestReadingDoesNotAllocate(t *testing.T) {
	src := mustOpen(t, scap.Selection{Syscalls: []string{"listen"}}, Options{CPUsPerRing: -1})
	const events = 2000
	onThread(func() {
		for i := range 3 * events {
			listen(i)
		}
	})
	var ev event.Event
	require.Zero(t, testing.AllocsPerRun(events-1, func() {
		if _, err := src.Next(); err != nil {
			t.Error(err)
		}
		if err := src.NextInto(&ev); err != nil {
			t.Error(err)
		}
	}))
	evs := make([]event.Event, 64)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		if _, err := src.ReadBatch(evs); err != nil {
			t.Error(err)
		}
	}))
}

// produce makes listen calls from n threads until stop, as fast as they can or,
// if rate is not 0, so many a second in all.
func produce(n, rate int) (stop func()) {
	const burst = 1000
	var over atomic.Bool
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			runtime.LockOSThread()
			begun := time.Now()
			for calls := 0; !over.Load(); calls += burst {
				for range burst {
					listen(1)
				}
				if rate > 0 {
					time.Sleep(time.Until(begun.Add(time.Duration(float64(calls) / float64(rate/n) * float64(time.Second)))))
				}
			}
		})
	}
	return func() {
		over.Store(true)
		wg.Wait()
	}
}

// BenchmarkDrain reads rings that were filled before: it measures reading alone.
func BenchmarkDrain(b *testing.B) {
	for _, batch := range []int{1, 256} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			src := mustOpen(b, scap.Selection{Syscalls: []string{"listen"}}, Options{Settings: scap.Settings{Timeout: -1}, CPUsPerRing: -1})
			fill := func() {
				b.StopTimer()
				onThread(func() {
					for range 100_000 {
						listen(1)
					}
				})
				b.StartTimer()
			}
			evs := make([]event.Event, batch)
			var ev event.Event
			var busy time.Duration
			left := 0
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; {
				if left <= 0 {
					for _, err := src.ReadBatch(make([]event.Event, 1024)); err == nil; _, err = src.ReadBatch(evs) {
					}
					fill()
					left = 100_000
				}
				start := time.Now()
				n, err := 1, error(nil)
				for range min(left, b.N-i, 1000) {
					if batch == 1 {
						err = src.NextInto(&ev)
					} else {
						n, err = src.ReadBatch(evs)
					}
					if err != nil {
						break
					}
					i += n
					left -= n
					if left <= 0 || i >= b.N {
						break
					}
				}
				busy += time.Since(start)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.N)/busy.Seconds(), "events/s")
		})
	}
}

// BenchmarkLive reads while a producer runs on each other CPU, while two run on each
// CPU, and while those offer a fixed number of events.
func BenchmarkLive(b *testing.B) {
	for _, load := range []struct {
		name        string
		loops, rate int
	}{
		{"a loop on each other CPU", max(runtime.NumCPU()-1, 1), 0},
		{"two loops on each CPU", 2 * runtime.NumCPU(), 0},
		{"2.5 M events a second", 2 * runtime.NumCPU(), 2_500_000},
	} {
		for _, perRing := range []int{0, DefaultCPUsPerRing} {
			kind := "ring buffers"
			if perRing == 0 {
				kind = "in place"
			}
			b.Run(load.name+"/"+kind, func(b *testing.B) { benchmarkLive(b, load.loops, load.rate, perRing) })
		}
	}
}

func benchmarkLive(b *testing.B, producers, rate, perRing int) {
	src := mustOpen(b, scap.Selection{Syscalls: []string{"listen"}}, Options{CPUsPerRing: perRing})
	stop := produce(producers, rate)
	defer stop()
	evs := make([]event.Event, 1024)
	events := 0
	b.ReportAllocs()
	for b.Loop() {
		n, err := src.ReadBatch(evs)
		if !errors.Is(err, scap.ErrTimeout) {
			require.NoError(b, err)
		}
		events += n
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	stats, err := src.Stats()
	require.NoError(b, err)
	b.ReportMetric(float64(stats.Seen)/b.Elapsed().Seconds(), "offered/s")
	b.ReportMetric(float64(stats.Drops.Total())/float64(stats.Seen)*100, "%lost")
}
