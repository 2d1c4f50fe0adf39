// SPDX-License-Identifier: Apache-2.0

//go:build linux

package driver

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap/event"
)

// capture runs f with the driver attached and returns the events of the calling
// thread and those of dropping mode. It requires that every lost event is counted.
func capture(t *testing.T, o Options, f func()) []event.Event {
	t.Helper()
	d := mustLoad(t, o)
	return captureWith(t, d, f)
}

func mustLoad(t *testing.T, o Options) *Driver {
	t.Helper()
	needRoot(t)
	if o.RingSize == 0 {
		o.RingSize = 32 << 20
	}
	d, err := Load(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	for _, r := range d.Refused() {
		t.Errorf("%+v", r)
	}
	return d
}

func captureWith(t *testing.T, d *Driver, f func()) []event.Event {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := event.PID(unix.Gettid())
	ring, err := mapRing(d, d.rings[0])
	require.NoError(t, err)
	defer ring.close()
	before := d.Counters()
	require.NoError(t, d.Attach())
	f()
	require.NoError(t, d.Detach())
	var events []event.Event
	var total uint64
	ring.read(func(b []byte) {
		total++
		var e event.Event
		require.NoError(t, e.Reset(bytes.Clone(b), 0), "% x", b[:min(len(b), 64)])
		if e.TID() == tid || e.Type() == event.TypeDropEnter || e.Type() == event.TypeDropExit {
			events = append(events, e)
		}
	})
	after := d.Counters()
	require.Equal(t, after.Seen, after.Delivered+after.Dropped(), "%+v", after)
	require.Equal(t, total, after.Delivered-before.Delivered)
	return events
}

func only(t *testing.T, events []event.Event, typ event.Type) event.Event {
	t.Helper()
	var found []event.Event
	for _, e := range events {
		if e.Type() == typ {
			found = append(found, e)
		}
	}
	require.Len(t, found, 1, "events of type %v", typ)
	return found[0]
}

// pageEnd returns n bytes that end where an unmapped page begins.
func pageEnd(t *testing.T, content []byte) uintptr {
	t.Helper()
	page := os.Getpagesize()
	size := (len(content) + page - 1) / page * page
	m, err := unix.Mmap(-1, 0, size+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	require.NoError(t, unix.Mprotect(m[size:], unix.PROT_NONE))
	copy(m[size-len(content):], content)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(m)) })
	return uintptr(unsafe.Pointer(&m[0])) + uintptr(size-len(content))
}

// fresh returns a page that is mapped but not resident.
func fresh(t *testing.T) uintptr {
	t.Helper()
	m, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(m)) })
	return uintptr(unsafe.Pointer(&m[0]))
}

func TestStringsEndWhereTheyEnd(t *testing.T) {
	long := strings.Repeat("x", 5000)
	at := unix.AT_FDCWD
	open := func(path uintptr) { unix.RawSyscall6(unix.SYS_OPENAT, uintptr(at), path, 0, 0, 0, 0) }
	paths := map[string]uintptr{
		"":              pageEnd(t, []byte{0}),
		"/no":           pageEnd(t, []byte("/no\x00")),
		"cut":           pageEnd(t, []byte(long+"\x00")),
		"NULL":          0,
		"no NUL":        pageEnd(t, []byte("/no/such")),
		"not resident":  fresh(t),
		"not canonical": 1 << 62,
	}
	want := map[string]string{
		"": "\x00", "/no": "/no\x00", "cut": long[:4092] + "...\x00", "NULL": "", "no NUL": "", "not canonical": "",
		"not resident": "\x00", // the kernel looked at it first
	}
	for name, path := range paths {
		e := only(t, capture(t, Options{Select: Selection{Syscalls: []string{"openat"}}}, func() { open(path) }), event.TypeOpenatExit)
		require.Equal(t, want[name], string(e.Param(2)), "%q", name)
	}
}

// A path that another thread changes while the call waits: the exit event can only tell
// what is there, the enter event has what the kernel took, and the inode is that of the file.
func TestAPathChangedDuringTheCallIsInTheEnterEvent(t *testing.T) {
	fifo := t.TempDir() + "/fifo"
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	var st unix.Stat_t
	require.NoError(t, unix.Stat(fifo, &st))
	path := append([]byte(fifo), 0)
	forged := "/forged" + strings.Repeat("x", len(fifo)-7)
	events := capture(t, Options{Select: Selection{Syscalls: []string{"openat"}, Enter: true}}, func() {
		waiting := fmt.Sprintf("/proc/self/task/%d/syscall", unix.Gettid())
		release := make(chan error)
		go func() {
			for {
				b, err := os.ReadFile(waiting)
				if err != nil || bytes.HasPrefix(b, fmt.Appendf(nil, "%d ", unix.SYS_OPENAT)) && bytes.Contains(b, fmt.Appendf(nil, "%p", &path[0])) {
					copy(path, forged)
					var fd int
					if err == nil {
						fd, err = unix.Open(fifo, unix.O_WRONLY, 0)
					}
					_ = unix.Close(fd)
					release <- err
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		at := unix.AT_FDCWD
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(&path[0])), unix.O_RDONLY, 0, 0, 0)
		require.Zero(t, errno)
		require.NoError(t, <-release)
		require.NoError(t, unix.Close(int(fd)))
	})
	enter := only(t, events, event.TypeOpenatEnter)
	require.Equal(t, fifo, string(enter.AppendParam(nil, 1)))
	exit := only(t, events, event.TypeOpenatExit)
	require.Equal(t, forged, string(exit.AppendParam(nil, 2)))
	require.Equal(t, strconv.FormatUint(st.Ino, 10), string(exit.AppendParam(nil, 6)))
}

func TestPayloadIsCutAtSnaplen(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_RDWR, 0)
	require.NoError(t, err)
	defer unix.Close(null)
	content := bytes.Repeat([]byte("0123456789"), 7000)
	buf := pageEnd(t, content)
	for _, c := range []struct {
		fd, snaplen, count, want int
	}{
		{null, 80, 70000, 80}, {null, 80, 79, 79}, {null, 80, 80, 80}, {null, 80, 81, 80}, {null, 1, 70000, 1},
		{null, 65000, 70000, 65000}, {null, 65000, 64999, 64999}, {null, 80, 0, 0}, {-1, 80, 100, 80}, {-1, 200, 70001, 200},
		{-1, 65000, 70001, 65000},
	} {
		d := mustLoad(t, Options{Select: Selection{Syscalls: []string{"write"}}, Settings: Settings{Snaplen: c.snaplen}})
		e := only(t, captureWith(t, d, func() { unix.RawSyscall(unix.SYS_WRITE, uintptr(c.fd), buf, uintptr(c.count)) }), event.TypeWriteExit)
		require.Equal(t, string(content[:c.want]), string(e.Param(1)), "%+v", c)
	}
	d := mustLoad(t, Options{Select: Selection{Syscalls: []string{"write"}}})
	e := only(t, captureWith(t, d, func() { unix.RawSyscall(unix.SYS_WRITE, ^uintptr(0), buf+70000-79, 80) }), event.TypeWriteExit)
	require.Empty(t, e.Param(1), "one byte beyond the page")
}

// Page faults interrupt the building of other events, also when that reads memory
// that is not resident. The counters stay exact.
func TestCountersAreExactWithNestedPageFaults(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("page fault tracepoints are x86's")
	}
	const rounds = 3000
	size := rounds * os.Getpagesize()
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	defer unix.Munmap(m)
	d := mustLoad(t, Options{Select: Selection{All: true, Tracepoints: []string{"page_fault_user", "page_fault_kernel", "sched_switch"}}})
	events := captureWith(t, d, func() {
		for i := range rounds {
			unix.RawSyscall(unix.SYS_WRITE, ^uintptr(0), uintptr(unsafe.Pointer(&m[i*os.Getpagesize()])), 64)
		}
	})
	var writes, faults int
	for _, e := range events {
		switch e.Type() {
		case event.TypeWriteExit:
			writes++
			require.Empty(t, e.Param(1), "what is not resident cannot be read")
		case event.TypePageFaultEnter:
			faults++
		}
	}
	require.Equal(t, rounds, writes)
	require.GreaterOrEqual(t, faults, rounds, "each write made the program fault")
	require.Zero(t, d.Counters().DropScratch)
}

// The runs that the kernel skipped are counted for each program that was ever
// attached, those of tracepoints included.
func TestMissesOfAllAttachedProgramsCount(t *testing.T) {
	d := mustLoad(t, Options{Select: Selection{Syscalls: []string{"execve", "open"}, Enter: true, Tracepoints: []string{"sched_switch"}}})
	require.NoError(t, d.Attach())
	require.NoError(t, d.Select(Selection{Tracepoints: []string{"signal_deliver"}}))
	for _, name := range []string{dispatcherExit, dispatcherEnter, "t_execve_exit", "x_switch_enter", "x_signaldeliver_enter"} {
		if d.refused[name] == nil && (name != dispatcherEnter || runtime.GOARCH == "amd64") {
			require.Contains(t, d.fired, name)
		}
	}
}

// A program that cannot be attached is refused by name; the others capture.
func TestATracepointThatCannotBeAttachedIsRefused(t *testing.T) {
	d := mustLoad(t, Options{Select: Selection{Syscalls: []string{"getppid"}, Tracepoints: []string{"sched_switch"}}})
	require.NoError(t, d.programs["x_switch_enter"].Close())
	events := captureWith(t, d, func() { unix.Getppid() })
	require.NotEmpty(t, events)
	require.Len(t, d.Refused(), 1)
	require.Equal(t, "x_switch_enter", d.Refused()[0].Program)
	require.ErrorContains(t, d.Refused()[0], "attach to sched_switch: ")
}

// With the smallest ring most events are lost, and each of them is counted.
func TestLossIsCounted(t *testing.T) {
	d := mustLoad(t, Options{Select: Selection{All: true, Enter: true}, RingSize: os.Getpagesize()})
	before := d.Counters()
	events := captureWith(t, d, func() {
		for range 1000 {
			unix.Getppid()
			_, _ = unix.Open("/no/such", 0, 0)
		}
	})
	c := d.Counters()
	require.Less(t, len(events), 200)
	require.Greater(t, c.DropBuffer-before.DropBuffer, uint64(1500))
	require.Equal(t, c.Seen, c.Delivered+c.DropBuffer)
}

func TestAllIncludesCallsNobodyKnows(t *testing.T) {
	const nr = 505
	events := capture(t, Options{Select: Selection{All: true}}, func() { unix.RawSyscall(nr, 0, 0, 0) })
	e := only(t, events, event.TypeGenericExit)
	require.Equal(t, uint16(0), binary.NativeEndian.Uint16(e.Param(0)), "no code")
	require.Equal(t, uint16(nr), binary.NativeEndian.Uint16(e.Param(1)), "the native number")
}

func TestFailedCallsCanBeDropped(t *testing.T) {
	d := mustLoad(t, Options{Select: Selection{Syscalls: []string{"openat", "close"}}, Settings: Settings{DropFailed: true}})
	run := func() {
		_, _ = unix.Open("/no/such", 0, 0)
		fd, err := unix.Open("/dev/null", 0, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Close(fd))
		require.Error(t, unix.Close(fd))
	}
	require.Equal(t, []event.Type{event.TypeOpenatExit, event.TypeCloseExit}, types(captureWith(t, d, run)))
	require.NoError(t, d.Set(Settings{}))
	require.Len(t, captureWith(t, d, run), 4)
}

func types(events []event.Event) (out []event.Type) {
	for _, e := range events {
		out = append(out, e.Type())
	}
	return out
}

// The kernel uses only the low half of a command.
func TestDroppingModeKnowsCommandsByTheirLowHalf(t *testing.T) {
	events := capture(t, Options{
		Select:   Selection{Syscalls: []string{"fcntl"}},
		Settings: Settings{Dropping: true, SamplingRatio: 1},
	}, func() {
		unix.RawSyscall(unix.SYS_FCNTL, 0, 1<<32|unix.F_GETFD, 0)
		unix.RawSyscall(unix.SYS_FCNTL, ^uintptr(0), 1<<32|unix.F_SETFD, 0)
	})
	require.Equal(t, []event.Type{event.TypeFcntlExit}, types(events))
	require.NotZero(t, events[0].Param(0)[0], "that of the bad descriptor")
}

func TestOptionOfNegativeLengthIsEmpty(t *testing.T) {
	buf := make([]byte, 70000)
	e := only(t, capture(t, Options{Select: Selection{Syscalls: []string{"setsockopt"}}}, func() {
		unix.RawSyscall6(unix.SYS_SETSOCKOPT, ^uintptr(0), unix.SOL_IP, unix.IP_TTL, uintptr(unsafe.Pointer(&buf[0])), ^uintptr(0), 0)
	}), event.TypeSetsockoptExit)
	require.Equal(t, []byte{0}, e.Param(4), "the kind of value, and none of the bytes behind the pointer")
}

// Dropping mode keeps the events of the first 1/ratio of every second of the clock,
// and sends an event where a gap begins and where it ends.
func TestDroppingModeSamples(t *testing.T) {
	const (
		ratio  = 4
		kept   = 1e9 / ratio
		margin = 20e6 // of a write whose two sides are near the edge
	)
	d := mustLoad(t, Options{
		Select:   Selection{Syscalls: []string{"openat", "close", "fcntl", "write", "getrlimit"}},
		Settings: Settings{Dropping: true, SamplingRatio: ratio},
	})
	var inside, outside, unsure int // writes
	begin := time.Now()
	events := captureWith(t, d, func() {
		for start := time.Now(); time.Since(start) < 2300*time.Millisecond || inside == 0 || outside == 0; {
			fd, _ := unix.Open("/dev/null", unix.O_RDWR, 0)
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
			from := time.Now().UnixNano()
			_, _ = unix.Write(fd, []byte("x"))
			to := time.Now().UnixNano()
			switch in := from % 1e9; {
			case in > margin && in+(to-from) < kept-margin:
				inside++
			case in > kept+margin && in+(to-from) < 1e9-margin:
				outside++
			default:
				unsure++
			}
			_ = unix.Close(fd)
			_ = unix.Close(fd)
			time.Sleep(200 * time.Microsecond)
		}
	})
	gaps := int(time.Since(begin)/time.Second) + 1 // on each CPU at most: one begins in each second
	count := map[event.Type]int{}
	for _, e := range events {
		if e.Type() == event.TypeWriteExit && string(e.Param(1)) != "x" {
			continue // the Go runtime's, to wake a thread
		}
		count[e.Type()]++
		switch e.Type() {
		case event.TypeCloseExit:
			require.Zero(t, e.Param(0)[0], "failed ones are dropped")
		case event.TypeWriteExit:
			require.Less(t, e.Timestamp()%1e9, uint64(kept), "outside the part that is kept")
		case event.TypeDropEnter, event.TypeDropExit:
			require.Equal(t, []byte{ratio, 0, 0, 0}, e.Param(0))
		}
	}
	require.Equal(t, inside+outside+unsure, count[event.TypeOpenatExit], "openat is never dropped")
	require.Equal(t, count[event.TypeOpenatExit], count[event.TypeCloseExit])
	require.GreaterOrEqual(t, count[event.TypeWriteExit], inside)
	require.LessOrEqual(t, count[event.TypeWriteExit], inside+unsure)
	// Each CPU reports its own gaps; as many end as begin, but for the one at the edge.
	cpus := runtime.NumCPU()
	require.Positive(t, count[event.TypeDropEnter])
	require.LessOrEqual(t, count[event.TypeDropEnter], gaps*cpus)
	require.InDelta(t, count[event.TypeDropEnter], count[event.TypeDropExit], float64(cpus))
}

// The same calls make the same events however the programs are attached.
func TestEveryAttachmentGivesTheSame(t *testing.T) {
	ways := []Options{{}, {RawTracepoints: true}}
	if haveTracefs() {
		ways = append(ways, Options{PerfTracepoints: true})
	} else {
		t.Log("not through perf: tracefs is not mounted")
	}
	got := make([][]string, len(ways))
	fd, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	names := []string{"openat", "pread64", "setresuid", "execve"}
	runtime.LockOSThread() // the tid is in them
	defer runtime.UnlockOSThread()
	for i, way := range ways {
		way.Select = Selection{Syscalls: names, Enter: true}
		events := capture(t, way, func() {
			buf := make([]byte, 10)
			_, _ = unix.Pread(fd, buf, 0)
			_, _ = unix.Open("/no/such", unix.O_RDWR|unix.O_CREAT, 0600)
			unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), ^uintptr(0), ^uintptr(0))
			_ = unix.Exec("/no/such", []string{"a", "b"}, nil)
		})
		first := slices.IndexFunc(events, func(e event.Event) bool { return e.Type() == event.TypePreadExit })
		require.GreaterOrEqual(t, first, 0)
		for _, e := range events[first:] { // before it are the files that attaching opens
			var s []byte
			for j, p := range e.Info().Params {
				if !strings.HasPrefix(p.Name, "pgft_") && !strings.HasPrefix(p.Name, "vm_") {
					s = append(e.AppendParam(s, j), ' ')
				}
			}
			got[i] = append(got[i], e.Type().String()+" "+string(s))
		}
		require.Len(t, got[i], 5)
	}
	for i := range got {
		require.Equal(t, got[0], got[i])
	}
}

func TestUnknownNamesAreRefused(t *testing.T) {
	needRoot(t)
	_, err := Load(Options{Select: Selection{Syscalls: []string{"openat", "opnat"}, Tracepoints: []string{"sched"}}})
	require.EqualError(t, err, "unknown syscall \"opnat\"\nunknown tracepoint \"sched\"")
	_, err = Load(Options{RingSize: 5000})
	require.ErrorContains(t, err, "ring size 5000 is not a power of two")
}

// With dynamic snap length, ports and first bytes choose how much of a socket's data
// is sent: never less than the snap length.
func TestDynamicSnaplen(t *testing.T) {
	needRoot(t)
	server := func(port int) (fd, actual int) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Skipf("port %d is taken: %v", port, err)
		}
		sa, err := unix.Getsockname(fd)
		require.NoError(t, err)
		return fd, sa.(*unix.SockaddrInet4).Port
	}
	_, plain := server(0)
	_, statsd := server(0)
	_, full := server(0)
	_, mysql := server(3306)
	d := mustLoad(t, Options{
		Select:   Selection{Syscalls: []string{"write", "sendto", "writev", "sendmsg", "sendmmsg"}},
		Settings: Settings{DynamicSnaplen: true, StatsdPort: uint16(statsd), FullPorts: [2]uint16{uint16(full), uint16(full)}},
	})
	payload := func(start string) []byte { return append([]byte(start), bytes.Repeat([]byte{'x'}, 20000)...) }
	for _, c := range []struct {
		name string
		port int
		data []byte
		want int
		iov  int // of vectors, whose first bytes are not examined
	}{
		{"nothing known", plain, payload("nothing known"), 80, 80},
		{"HTTP request", plain, payload("GET / "), 2000, 80},
		{"HTTP answer", plain, payload("HTTP/1.1"), 2000, 80},
		{"HTTP without its slash", plain, payload("HTTPS"), 80, 80},
		{"MongoDB", plain, payload("0123456789ab\x01\x00\x00\x00"), 2000, 80},
		{"statsd", statsd, payload("x"), 2000, 2000},
		{"DNS, though nobody answers", 53, payload("x"), 512, 512},
		{"full capture", full, payload("x"), 16000, 16000},
		{"MySQL", mysql, payload("\x00\x00\x00\x00\x03"), 2000, 80},
		{"MySQL's port, other bytes", mysql, payload("GET / "), 80, 80},
		{"as long as it is", full, []byte("short"), 5, 5},
	} {
		for how, send := range map[string]func(fd int, to *unix.RawSockaddrInet4){
			"connected": func(fd int, to *unix.RawSockaddrInet4) {
				_ = unix.Connect(fd, &unix.SockaddrInet4{Port: c.port, Addr: to.Addr})
				_, _ = unix.Write(fd, c.data)
			},
			"address given": func(fd int, to *unix.RawSockaddrInet4) {
				unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&c.data[0])), uintptr(len(c.data)), 0,
					uintptr(unsafe.Pointer(to)), unix.SizeofSockaddrInet4)
			},
			"address in a message": func(fd int, to *unix.RawSockaddrInet4) {
				iov := unix.Iovec{Base: &c.data[0], Len: uint64(len(c.data))}
				m := struct {
					unix.Msghdr
					len, pad uint32
				}{Msghdr: unix.Msghdr{Name: (*byte)(unsafe.Pointer(to)), Namelen: unix.SizeofSockaddrInet4, Iov: &iov, Iovlen: 1}}
				unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m)), 1, 0, 0, 0)
			},
		} {
			fd, _ := server(0)
			to := &unix.RawSockaddrInet4{Family: unix.AF_INET, Port: uint16(c.port)<<8 | uint16(c.port)>>8, Addr: [4]byte{127, 0, 0, 1}}
			events := captureWith(t, d, func() { send(fd, to) })
			require.NotEmpty(t, events, "%s, %s", c.name, how)
			last, want := events[len(events)-1], c.want
			if last.Type() == event.TypeSendmmsgExit {
				want = c.iov
			}
			require.Equal(t, string(c.data[:want]), string(last.Param(last.Info().ParamIndex("data"))), "%s, %s", c.name, how)
		}
	}
}

// Readers are woken once per WakeBytes, else never.
func TestWakeUps(t *testing.T) {
	for wake, patience := range map[uint32]int{0: 1000, 4096: -1} { // ms to wait: for no wake-up, and for one
		d := mustLoad(t, Options{Select: Selection{Syscalls: []string{"getppid"}}, Settings: Settings{WakeBytes: wake}})
		epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		require.NoError(t, err)
		fd := d.rings[0].Map.FD()
		require.NoError(t, unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}))
		require.NoError(t, d.Attach())
		for range 200 {
			unix.Getppid()
		}
		n, err := 0, error(unix.EINTR)
		for err == unix.EINTR {
			n, err = unix.EpollWait(epoll, make([]unix.EpollEvent, 1), patience)
		}
		require.NoError(t, err)
		require.Equal(t, wake > 0, n == 1, "WakeBytes %d", wake)
		require.NoError(t, d.Detach())
		require.NoError(t, unix.Close(epoll))
	}
}

// What the caller makes long is cut to what the event has left: no event is dropped for its length.
func TestNoEventIsTooLong(t *testing.T) {
	d := mustLoad(t, Options{Select: Selection{Syscalls: []string{"recvmsg"}}, Settings: Settings{Snaplen: SnaplenMax}})
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	require.NoError(t, unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20))
	rights := make([]int, 200)
	for i := range rights {
		rights[i] = pair[0]
	}
	receive := func(control []byte) {
		require.NoError(t, unix.Sendmsg(pair[0], make([]byte, SnaplenMax), control, nil, 0))
		_, n, _, _, err := unix.Recvmsg(pair[1], make([]byte, SnaplenMax), make([]byte, unix.CmsgSpace(4*len(rights))), 0)
		require.NoError(t, err)
		require.Equal(t, n > 0, len(control) > 0)
	}
	var got []event.Event
	got = captureWith(t, d, func() { receive(nil) })
	require.Len(t, got, 1)
	got = captureWith(t, d, func() { receive(unix.UnixRights(rights...)) })
	require.Len(t, got, 1)
	in := got[0].Info()
	require.Len(t, got[0].Param(in.ParamIndex("msgcontrol")), unix.CmsgSpace(4*len(rights)))
	require.Zero(t, d.Counters().DropTooLarge)
	for fd := range 1024 { // close the received ones, found by the file they refer to
		if target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil && target == mustLink(t, pair[0]) && fd != pair[0] {
			require.NoError(t, unix.Close(fd))
		}
	}
}

func mustLink(t *testing.T, fd int) string {
	t.Helper()
	target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	require.NoError(t, err)
	return target
}

// Another thread may put another file onto the number that a call returns, before the event of the call looks there.
// The tuple of accept is then missing, and never that of the other file.
func TestANumberThatAnotherThreadReplaces(t *testing.T) {
	const rounds = 1000
	listen := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		require.NoError(t, unix.Listen(fd, 16))
		return fd
	}
	connect := func(listener int) (fd, port int) {
		addr, err := unix.Getsockname(listener)
		require.NoError(t, err)
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Connect(fd, addr))
		own, err := unix.Getsockname(fd)
		require.NoError(t, err)
		return fd, own.(*unix.SockaddrInet4).Port
	}
	other, _ := connect(listen())
	defer unix.Close(other)
	l := listen()

	// The racer waits until the number leads to a file.
	var number, replaced atomic.Int64
	number.Store(-1)
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		for {
			switch n := number.Load(); n {
			case -1:
			case -2:
				return
			default:
				if _, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(n), unix.F_GETFD, 0); errno == 0 {
					unix.RawSyscall(unix.SYS_DUP3, uintptr(other), uintptr(n), unix.O_CLOEXEC)
					replaced.Add(1)
					number.CompareAndSwap(n, -1)
				}
			}
		}
	}()
	var ports []int
	events := capture(t, Options{Select: Selection{Syscalls: []string{"accept4"}}}, func() {
		for range rounds {
			client, port := connect(l)
			free, err := unix.Dup(l)
			require.NoError(t, err)
			require.NoError(t, unix.Close(free))
			number.Store(int64(free))
			n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(l), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
			require.Zero(t, errno)
			for number.Load() != -1 && int(n) == free {
				runtime.Gosched() // the racer is not there yet
			}
			number.Store(-1)
			require.NoError(t, unix.Close(int(n)))
			require.NoError(t, unix.Close(client))
			ports = append(ports, port)
		}
	})
	number.Store(-2)
	<-done
	require.Len(t, events, rounds)
	missing := 0
	for i, e := range events {
		tuple := e.Param(1)
		if len(tuple) == 0 {
			missing++
			continue
		}
		require.Equal(t, ports[i], int(binary.LittleEndian.Uint16(tuple[5:])), "round %d: %x", i, tuple)
	}
	t.Logf("%d of %d numbers were replaced, %d of them before the event", replaced.Load(), rounds, missing)
	require.Less(t, missing, rounds, "a number that nobody replaces in time has its tuple")
}
