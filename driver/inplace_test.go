// SPDX-License-Identifier: Apache-2.0

//go:build linux

package driver

import (
	"bytes"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap/event"
)

// inPlace is a driver with rings that are written in place, and their readers.
type inPlace struct {
	*Driver
	t     *testing.T
	rings []*testRing
	read  uint64 // events
}

func mustLoadInPlace(t *testing.T, o Options) *inPlace {
	t.Helper()
	if o.RingSize == 0 {
		o.RingSize = SegmentSize
	}
	o.InPlace = true
	d := &inPlace{Driver: mustLoad(t, o), t: t}
	if !d.InPlace() {
		t.Skip("this kernel cannot run programs one at a time on a CPU")
	}
	for _, r := range d.Rings() {
		ring, err := mapRing(d.Driver, r)
		require.NoError(t, err)
		t.Cleanup(ring.close)
		d.rings = append(d.rings, ring)
	}
	require.NoError(t, d.Attach())
	return d
}

// drain calls f with every event in the rings.
func (d *inPlace) drain(f func(*event.Event)) {
	d.t.Helper()
	for _, r := range d.rings {
		r.read(func(b []byte) {
			var e event.Event
			require.NoError(d.t, e.Reset(b, 0), "% x", b[:min(len(b), 64)])
			d.read++
			f(&e)
		})
	}
}

// balance requires, once the driver is detached, that every event was read or is counted as lost.
func (d *inPlace) balance() Counters {
	d.t.Helper()
	require.NoError(d.t, d.Detach())
	d.drain(func(*event.Event) {})
	c := d.Counters()
	require.Equal(d.t, c.Seen, c.Delivered+c.Dropped(), "%+v", c)
	require.Equal(d.t, c.Delivered, d.read, "%+v", c)
	return c
}

func TestSegmentsLieAlike(t *testing.T) {
	require.EqualValues(t, SegmentSize, mustStruct(t, "segment").Size)
	s := mustStruct(t, "scratch")
	require.LessOrEqual(t, int(s.Size), segmentRoom)
	size, err := btf.Sizeof(s)
	require.NoError(t, err)
	require.Greater(t, size, 2*EventMax)
}

// A full ring loses events and counts them; what is in it stays as it was.
func TestLossInPlaceIsCounted(t *testing.T) {
	d := mustLoadInPlace(t, Options{Select: Selection{Syscalls: []string{"setpgid"}}})
	runtime.LockOSThread() // and not unlocked: the thread ends with the test
	pin(t, 0)
	tid := event.PID(unix.Gettid())
	for round := range 3 {
		const calls = 200_000
		for i := range calls {
			_, _, _ = unix.RawSyscall(unix.SYS_SETPGID, uintptr(unix.Getpid()), uintptr(0x40000000|i), 0)
		}
		next, got := 0, 0
		d.drain(func(e *event.Event) {
			if e.TID() != tid || e.Type() != event.TypeSetpgidExit {
				return
			}
			pgid := int(*(*int64)(unsafe.Pointer(&bytes.Clone(e.Param(e.Info().ParamIndex("pgid")))[0]))) &^ 0x40000000
			require.GreaterOrEqual(t, pgid, next, "round %d", round)
			next = pgid + 1
			got++
		})
		require.Greater(t, got, 20_000)
		require.Less(t, got, calls)
	}
	require.Positive(t, d.balance().DropBuffer)
}

// Long events of many lengths, read while they come: none is torn at the end of a segment or of the ring.
func TestEventsInPlaceAreWhole(t *testing.T) {
	for _, segments := range []int{1, 4} {
		d := mustLoadInPlace(t, Options{
			Select: Selection{Syscalls: []string{"write"}}, RingSize: segments * SegmentSize, Settings: Settings{Snaplen: SnaplenMax},
		})
		runtime.LockOSThread()
		pin(t, runtime.NumCPU()-1)
		tid := event.PID(unix.Gettid())
		null, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		data := make([]byte, SnaplenMax)
		var want [][2]int // length, byte
		lost := 0         // when other programs fill the ring
		check := func(e *event.Event) {
			fd := e.Param(e.Info().ParamIndex("fd"))
			if e.TID() != tid || e.Type() != event.TypeWriteExit || int(*(*int32)(unsafe.Pointer(&bytes.Clone(fd)[0]))) != null {
				return
			}
			payload := e.Param(e.Info().ParamIndex("data"))
			n := slices.IndexFunc(want, func(w [2]int) bool {
				return len(payload) == w[0] && bytes.Equal(payload, bytes.Repeat([]byte{byte(w[1])}, w[0]))
			})
			require.GreaterOrEqual(t, n, 0, "no write of these %d bytes", len(payload))
			lost += n
			want = want[n+1:]
		}
		for i := range 1500 {
			n := (i * 7919) % SnaplenMax
			for j := range data[:n] {
				data[j] = byte(i)
			}
			_, err := unix.Write(null, data[:n])
			require.NoError(t, err)
			want = append(want, [2]int{n, i})
			if i%10 == 0 {
				d.drain(check)
			}
		}
		d.drain(check)
		runtime.UnlockOSThread()
		lost += len(want)
		c := d.balance()
		require.Less(t, lost, 1500, "all of them")
		require.LessOrEqual(t, uint64(lost), c.Dropped(), "%d segments", segments)
		require.NoError(t, unix.Close(null))
	}
}

// Each message of a call is an event: without room for one, it and those after it are counted as lost.
func TestMessagesThatFindNoRoomAreCounted(t *testing.T) {
	d := mustLoadInPlace(t, Options{Select: Selection{Syscalls: []string{"sendmmsg"}}, Settings: Settings{Snaplen: SnaplenMax}})
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	require.NoError(t, unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20))
	const messages, calls = 3, 100
	data := make([]byte, 30_000)
	var vec [messages]struct {
		unix.Msghdr
		n uint32
		_ uint32
	}
	iov := unix.Iovec{Base: &data[0], Len: uint64(len(data))}
	for i := range vec {
		vec[i].Iov, vec[i].Iovlen = &iov, 1
	}
	in := make([]byte, len(data))
	before := d.Counters()
	for range calls {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(pair[0]), uintptr(unsafe.Pointer(&vec[0])), messages, 0, 0, 0)
		require.Zero(t, errno)
		require.EqualValues(t, messages, n)
		for range messages {
			_, err := unix.Read(pair[1], in)
			require.NoError(t, err)
		}
	}
	require.EqualValues(t, calls*messages, d.Counters().Seen-before.Seen)
	require.Positive(t, d.balance().DropBuffer)
}

// A page fault inside an event's program is counted as lost, since the ring has one writer at a time.
func TestPageFaultsInPlaceAreCounted(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("only amd64 has page fault events")
	}
	d := mustLoadInPlace(t, Options{Select: Selection{
		Syscalls: []string{"write"}, Tracepoints: []string{"page_fault_user", "page_fault_kernel"},
	}})
	null, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(null)
	for range 1000 {
		page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		require.NoError(t, err)
		_, err = unix.Write(null, page) // /dev/null does not read: the driver's program is the first to touch the page
		require.NoError(t, err)
		page[0] = 1
		require.NoError(t, unix.Munmap(page))
		if d.rings[0] != nil {
			d.drain(func(*event.Event) {})
		}
	}
	require.GreaterOrEqual(t, d.balance().DropScratch, uint64(1000))
}

// A CPU without a ring loses its events, and Grow gives it one.
func TestCPUsThatComeLaterGetRings(t *testing.T) {
	for name, inPlace := range map[string]bool{"in place": true, "ring buffers": false} {
		d := mustLoad(t, Options{Select: Selection{Syscalls: []string{"getppid"}}, CPUsPerRing: 1, RingSize: SegmentSize, InPlace: inPlace})
		if d.InPlace() != inPlace {
			continue
		}
		grown, err := d.Grow()
		require.NoError(t, err)
		require.False(t, grown, name)
		rings := d.coll.Maps["rings"]
		if inPlace {
			rings = d.coll.Maps["own_rings"]
		}
		runtime.LockOSThread()
		pin(t, 0)
		require.NoError(t, rings.Delete(uint32(0)))
		d.hasRing[0] = false
		require.NoError(t, d.Attach())
		unix.Getppid()
		require.Positive(t, d.CPUCounters(0).DropNoRing, name)
		grown, err = d.Grow()
		require.NoError(t, err)
		require.True(t, grown, name)
		last := d.Rings()[len(d.Rings())-1]
		require.Equal(t, []int{0}, last.CPUs)
		ring, err := mapRing(d, last)
		require.NoError(t, err)
		unix.Getppid()
		runtime.UnlockOSThread()
		require.NoError(t, d.Detach())
		events := 0
		ring.read(func([]byte) { events++ })
		ring.close()
		require.Positive(t, events, name)
		c := d.Counters()
		require.Equal(t, c.Seen, c.Delivered+c.Dropped(), "%s: %+v", name, c)
	}
}

func TestSetsOfCPUs(t *testing.T) {
	for text, want := range map[string][]int{"0": {0}, "0-3": {0, 1, 2, 3}, "0,2-3,8": {0, 2, 3, 8}} {
		got, err := parseCPUs(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "0-", "x", "1,,2"} {
		_, err := parseCPUs(text)
		require.Error(t, err, "%q", text)
	}
}
