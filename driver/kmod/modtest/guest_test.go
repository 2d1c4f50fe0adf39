// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package modtest

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/testutil/ia32"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/ebpf"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/kmod"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/subject"
)

const ioc = 's' << 8

// mustLoad loads the module with these parameters, and unloads it at the end of the test.
func mustLoad(tb testing.TB, params string) {
	tb.Helper()
	f, err := os.Open(guest.ModuleFile)
	require.NoError(tb, err)
	defer f.Close()
	require.NoError(tb, unix.FinitModule(int(f.Fd()), params, 0), "load with %q", params)
	tb.Cleanup(func() { mustUnload(tb) })
}

func mustUnload(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, unix.DeleteModule("scap", unix.O_NONBLOCK), "unload")
	requireQuiet(tb)
}

// requireQuiet requires that the kernel log has no complaint.
func requireQuiet(tb testing.TB) {
	tb.Helper()
	buf := make([]byte, 1<<20)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	require.NoError(tb, err)
	require.Empty(tb, machine.Complaint(string(buf[:n])), "%s", buf[:n])
}

// device is an open device, used by plain system calls.
type device int

func openDevice(cpu int) (device, error) {
	fd, err := unix.Open(fmt.Sprintf("/dev/scap%d", cpu), unix.O_RDWR|unix.O_SYNC|unix.O_CLOEXEC, 0)
	return device(fd), err
}

func mustOpen(tb testing.TB, cpu int) device {
	tb.Helper()
	d, err := openDevice(cpu)
	require.NoError(tb, err)
	return d
}

func (d device) ioctl(n int, arg uintptr) (uintptr, error) {
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d), uintptr(ioc+n), arg)
	if errno != 0 {
		return 0, errno
	}
	return r, nil
}

func (d device) pointer(n int, p unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d), uintptr(ioc+n), uintptr(p))
	if errno != 0 {
		return errno
	}
	return nil
}

func (d device) close() { unix.Close(int(d)) }

// onThread runs f on a new OS thread, which ends with f: another client of the module.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		f()
	}()
	<-done
}

func ringBytes(tb testing.TB) int {
	tb.Helper()
	b, err := os.ReadFile("/sys/module/scap/parameters/g_buffer_bytes_dim")
	require.NoError(tb, err)
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	require.NoError(tb, err)
	return n
}

func TestGuestNamesAndParameters(t *testing.T) {
	mustLoad(t, "")
	require.Equal(t, 8<<20, ringBytes(t))
	b, err := os.ReadFile("/sys/module/scap/parameters/max_consumers")
	require.NoError(t, err)
	require.Equal(t, "5\n", string(b))
	nodes, err := filepath.Glob("/dev/scap*")
	require.NoError(t, err)
	require.Len(t, nodes, 3, "of CPU 2, which is off-line, too")
	st, err := os.Stat("/dev/scap1")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o400), st.Mode().Perm())
	require.Equal(t, uint32(1), unix.Minor(st.Sys().(*syscall.Stat_t).Rdev))
}

func TestGuestRingSizeParameter(t *testing.T) {
	mustLoad(t, "")
	const file = "/sys/module/scap/parameters/g_buffer_bytes_dim"
	for _, bad := range []string{"0", "4096", "8192", "12288", "16385", "1000000", "-1", "8589934592", "x"} {
		require.Error(t, os.WriteFile(file, []byte(bad), 0), bad)
	}
	require.Equal(t, 8<<20, ringBytes(t))
	require.NoError(t, os.WriteFile(file, []byte("16384"), 0))
	require.Equal(t, 16384, ringBytes(t))
}

// loadError loads the module, which must fail, and returns the error and what the kernel log has of the module since.
func loadError(t *testing.T, params string) (log string, err error) {
	t.Helper()
	f, err := os.Open(guest.ModuleFile)
	require.NoError(t, err)
	defer f.Close()
	_, err = unix.Klogctl(unix.SYSLOG_ACTION_CLEAR, nil)
	require.NoError(t, err)
	err = unix.FinitModule(int(f.Fd()), params, 0)
	require.Error(t, err, params)
	buf := make([]byte, 1<<20)
	n, klogErr := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	require.NoError(t, klogErr)
	return string(buf[:n]), err
}

// The loaded module tells the versions of its persona by ioctl and parameters, and modinfo, which reads the file, which there are.
func TestGuestVersionsOfThePersona(t *testing.T) {
	loaded := func(params string) (versions [2]string) {
		t.Run(params, func(t *testing.T) {
			mustLoad(t, params)
			for i, name := range []string{"api_version", "schema_version"} {
				b, err := os.ReadFile("/sys/module/scap/parameters/" + name)
				require.NoError(t, err)
				versions[i] = strings.TrimSpace(string(b))
			}
			src := mustSource(t, scap.Selection{Syscalls: []string{"close"}}, kmod.Options{})
			require.Equal(t, versions, [2]string{src.API().String(), src.Schema().String()}, "what the devices answer")
			require.NoError(t, src.Close())
		})
		return versions
	}
	def := [2]string{event.APIVersion, event.SchemaVersion}
	require.Equal(t, def, loaded(""))
	var names []string
	for _, p := range event.Personas() {
		require.Equal(t, [2]string{p.API, p.Schema}, loaded("persona="+p.API))
		names = append(names, fmt.Sprintf("%s (schema %s)", p.API, p.Schema))
	}

	module, err := os.Open(guest.ModuleFile)
	require.NoError(t, err)
	defer module.Close()
	info, err := subject.Modinfo(module)
	require.NoError(t, err)
	require.Equal(t, def, [2]string{info["api_version"], info["schema_version"]})
	require.Equal(t, event.OwnSchemaVersion, info["own_schema_version"])
	for _, name := range names {
		require.Contains(t, info["personas"], name)
	}
	require.Contains(t, info["personas"], "loaded: /sys/module/scap/parameters/api_version")

	log, err := loadError(t, "api_version="+event.OldAPIVersion)
	require.ErrorIs(t, err, unix.EINVAL, "is no setting")
	require.Contains(t, log, "scap: api_version: cannot be set, persona can")
}

func TestGuestUnknownPersonaIsRefused(t *testing.T) {
	for _, name := range []string{"9.0.0", "11.0", "11.0.00", "11", "v11.0.0", ""} {
		log, err := loadError(t, "persona="+name)
		require.ErrorIs(t, err, unix.EINVAL, name)
		require.Contains(t, log, "scap: persona="+name+": unknown (want "+event.APIVersion+" (schema "+event.SchemaVersion+"), ")
		require.NoDirExists(t, "/sys/module/scap", name)
	}
}

// Each persona serves the clients of its age, and no others.
func TestGuestDemandsOfClients(t *testing.T) {
	v := func(major, minor, patch int) kmod.Version {
		return kmod.Version{Major: major, Minor: minor, Patch: patch}
	}
	const reload = "; to get that, modprobe -r scap && modprobe scap persona="
	none := "; this project's module has no such persona: it has "
	for i, p := range event.Personas() {
		if i > 0 {
			none += ", "
		}
		none += p.API + " with schema " + p.Schema
	}
	libs26, libs25, libs23 := kmod.Demand{API: v(11, 0, 0)}, kmod.Demand{API: v(10, 0, 0), Schema: v(4, 3, 0)}, kmod.Demand{API: v(8, 0, 0), Schema: v(4, 1, 0)}
	for _, persona := range []struct {
		params  string
		clients map[kmod.Demand]string // "": it is served
	}{
		{"", map[kmod.Demand]string{
			{}:                   "",
			libs26:               "",
			libs25:               "it speaks API 11.0.0 (want 10.0.0 or a later 10.x)" + reload + "10.1.0",
			libs23:               "it speaks API 11.0.0 (want 8.0.0 or a later 8.x)" + reload + "8.0.4",
			{Schema: v(4, 5, 2)}: "",
			{Schema: v(4, 5, 3)}: "it speaks schema 4.5.2 (want 4.5.3 or a later 4.x)" + none,
			{Schema: v(5, 0, 0)}: "it speaks schema 4.5.2 (want 5.0.0 or a later 5.x)" + none,
			{API: v(11, 0, 1)}:   "it speaks API 11.0.0 (want 11.0.1 or a later 11.x)" + none,
		}},
		{"persona=10.1.0", map[kmod.Demand]string{
			{}:                   "",
			libs26:               "it speaks API 10.1.0 (want 11.0.0 or a later 11.x)" + reload + "11.0.0",
			libs25:               "",
			libs23:               "it speaks API 10.1.0 (want 8.0.0 or a later 8.x)" + reload + "8.0.4",
			{Schema: v(4, 5, 2)}: "it speaks schema 4.5.1 (want 4.5.2 or a later 4.x)" + reload + "11.0.0",
		}},
		{"persona=8.0.4", map[kmod.Demand]string{
			{}:                                    "",
			libs26:                                "it speaks API 8.0.4 (want 11.0.0 or a later 11.x)" + reload + "11.0.0",
			libs25:                                "it speaks API 8.0.4 (want 10.0.0 or a later 10.x); it speaks schema 4.1.0 (want 4.3.0 or a later 4.x)" + reload + "10.1.0",
			libs23:                                "",
			{Schema: v(4, 5, 1)}:                  "it speaks schema 4.1.0 (want 4.5.1 or a later 4.x)" + reload + "11.0.0",
			{API: v(8, 0, 0), Schema: v(4, 5, 0)}: "it speaks schema 4.1.0 (want 4.5.0 or a later 4.x)" + none,
		}},
	} {
		t.Run(persona.params, func(t *testing.T) {
			mustLoad(t, persona.params)
			for demand, want := range persona.clients {
				src, err := kmod.Open(scap.Selection{Syscalls: []string{"close"}}, kmod.Options{Demand: demand})
				if want != "" {
					require.EqualError(t, err, "open module scap: "+want, "%v", demand)
					continue
				}
				require.NoError(t, err, "%v", demand)
				badClose()
				require.NotZero(t, drain(t, src, nil), "%v", demand)
				require.NoError(t, src.Close())
			}
		})
	}
}

// Every request of the interface returns what it should for good and bad arguments.
func TestGuestIoctls(t *testing.T) {
	mustLoad(t, "")
	onThread(func() {
		d := mustOpen(t, 0)
		defer d.close()
		inval, notty := error(unix.EINVAL), error(unix.ENOTTY)
		for _, c := range []struct {
			n    int
			arg  uintptr
			want error
		}{
			{2, 0, nil},
			{3, 1, nil}, {3, 2, nil}, {3, 128, nil}, {3, 0, inval}, {3, 3, inval}, {3, 256, inval}, {3, ^uintptr(0), inval},
			{4, 0, nil}, {4, 80, nil}, {4, 65000, nil}, {4, 65001, inval}, {4, ^uintptr(0), inval},
			{8, 0, nil}, {9, 0, nil},
			{10, 1, nil}, {10, 0, inval}, {10, 4194303, inval}, {10, ^uintptr(0), inval},
			{11, 1, nil}, {11, 4194303, inval},
			{16, 0, inval}, {20, 0, inval}, {21, 0, inval}, {24, 0, inval}, {25, 0, inval},
			{16, ^uintptr(0) - 4095, inval}, {20, ^uintptr(0) - 4095, inval}, {24, ^uintptr(0) - 4095, inval},
			{22, 80<<16 | 70, nil}, {23, 8125, nil},
			{29, 0, nil}, {29, 511, nil}, {29, 512, inval}, {29, ^uintptr(0), inval},
			{30, 0, nil}, {30, 511, nil}, {30, 512, inval},
			{31, 0, nil}, {31, 8, nil}, {31, 7, nil}, {31, 9, inval}, {31, ^uintptr(0), inval},
			{32, 0, nil}, {32, 8, nil}, {32, 7, nil}, {32, 9, inval},
			{33, 0, nil}, {34, 0, nil},
			{0, 0, notty}, {1, 0, notty}, {5, 0, notty}, {6, 0, notty}, {7, 0, notty}, {14, 0, notty}, {15, 0, notty},
			{17, 0, notty}, {18, 0, notty}, {19, 0, notty}, {26, 0, notty}, {27, 0, notty}, {28, 0, notty}, {35, 0, notty}, {199, 0, notty},
			{200, 1, nil}, {200, 0, nil}, {201, 0, notty},
		} {
			_, err := d.ioctl(c.n, c.arg)
			if c.want == nil {
				require.NoError(t, err, "request %d, argument %#x", c.n, c.arg)
			} else {
				require.Equal(t, c.want, err, "request %d, argument %#x", c.n, c.arg)
			}
		}
		tid, err := d.ioctl(12, 0)
		require.NoError(t, err)
		require.Equal(t, uintptr(unix.Gettid()), tid)
		pid, err := d.ioctl(13, 0)
		require.NoError(t, err)
		require.Equal(t, uintptr(os.Getpid()), pid)
		vtid, err := d.ioctl(10, tid)
		require.NoError(t, err)
		require.Equal(t, tid, vtid)
		vpid, err := d.ioctl(11, tid)
		require.NoError(t, err)
		require.Equal(t, pid, vpid)

		var api, schema uint64
		require.NoError(t, d.pointer(24, unsafe.Pointer(&api)))
		require.NoError(t, d.pointer(25, unsafe.Pointer(&schema)))
		require.Equal(t, uint64(11<<44), api)
		require.Equal(t, uint64(4<<44|5<<24|2), schema)
		var text [64]byte
		require.NoError(t, d.pointer(21, unsafe.Pointer(&text)))
		require.NotEmpty(t, unix.ByteSliceToString(text[:]))
	})
}

func TestGuestProcList(t *testing.T) {
	mustLoad(t, "")
	d := mustOpen(t, 0)
	defer d.close()
	list := make([]uint64, 2+3*100)
	list[1] = 0
	require.Equal(t, unix.ENOSPC, d.pointer(16, unsafe.Pointer(&list[0])))
	threads, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	require.NoError(t, err)
	require.InDelta(t, len(threads), list[0], 8)
	list[1] = 1000001
	require.Equal(t, unix.EINVAL, d.pointer(16, unsafe.Pointer(&list[0])))
	list[1] = ^uint64(0)
	require.Equal(t, unix.EINVAL, d.pointer(16, unsafe.Pointer(&list[0])))
	big := make([]uint64, 2+3*4096)
	big[1] = 4096
	require.NoError(t, d.pointer(16, unsafe.Pointer(&big[0])))
	self := uint64(os.Getpid())
	found := false
	for i := range big[0] {
		found = found || big[2+3*i] == self
	}
	require.True(t, found, "this process is in the list")
}

func TestGuestOpen(t *testing.T) {
	mustLoad(t, "max_consumers=2")
	onThread(func() {
		d := mustOpen(t, 0)
		_, err := openDevice(0)
		require.Equal(t, unix.EBUSY, err, "the same device twice")
		e := mustOpen(t, 1)
		onThread(func() {
			other := mustOpen(t, 0) // another client
			onThread(func() {
				_, err := openDevice(0)
				require.Equal(t, unix.EBUSY, err, "one client too many")
			})
			other.close()
		})
		require.Equal(t, unix.EWOULDBLOCK, unix.DeleteModule("scap", unix.O_NONBLOCK), "unload while it is open")
		d.close()
		e.close()
	})
}

func TestGuestOnlyRootOpens(t *testing.T) {
	mustLoad(t, "")
	onThread(func() {
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 1000, 1000, 1000)
		require.Zero(t, errno)
		_, err := openDevice(0)
		require.Equal(t, unix.EACCES, err)
	})
	require.NoError(t, os.Chmod("/dev/scap0", 0o666))
	onThread(func() {
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 1000, 1000, 1000)
		require.Zero(t, errno)
		_, err := openDevice(0)
		require.Equal(t, unix.EPERM, err, "the node's mode is not what keeps others out")
	})
}

func TestGuestMappings(t *testing.T) {
	mustLoad(t, "g_buffer_bytes_dim=65536")
	d := mustOpen(t, 0)
	defer d.close()
	const size, ro, rw = 65536, unix.PROT_READ, unix.PROT_READ | unix.PROT_WRITE
	for _, c := range []struct {
		what      string
		off       int64
		len, prot int
	}{
		{"an offset", 4096, 2 * size, ro}, {"once the ring", 0, size, ro}, {"a page more", 0, 2*size + 4096, ro},
		{"writable", 0, 2 * size, rw}, {"two pages", 0, 8192, ro},
	} {
		_, err := unix.Mmap(int(d), c.off, c.len, c.prot, unix.MAP_SHARED)
		require.Equal(t, unix.EIO, err, c.what)
	}
	ring, err := unix.Mmap(int(d), 0, 2*size, ro, unix.MAP_SHARED)
	require.NoError(t, err)
	require.Error(t, unix.Mprotect(ring, rw), "made writable later")
	info, err := unix.Mmap(int(d), 0, 128, rw, unix.MAP_SHARED)
	require.NoError(t, err)

	// Until the ring has wrapped, both halves show the same bytes and the shared page advances.
	for _, request := range [][2]uintptr{{29, unix.SYS_GETPPID}, {31, 1}} {
		_, err := d.ioctl(int(request[0]), request[1])
		require.NoError(t, err)
	}
	head, tail := (*uint32)(unsafe.Pointer(&info[0])), (*uint32)(unsafe.Pointer(&info[4]))
	events := (*uint64)(unsafe.Pointer(&info[8]))
	wrapped := false
	pinned(t, 0, func() {
		for range 20000 {
			before := atomic.LoadUint32(head)
			_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
			after := atomic.LoadUint32(head)
			require.Less(t, after, uint32(size))
			if after == before {
				continue // another CPU, or nothing
			}
			ev := ring[before:]
			require.Equal(t, (after-before+size)%size, binary.NativeEndian.Uint32(ev[16:]), "the event's length is what head moved by")
			require.Equal(t, uint16(event.TypeGenericExit), binary.NativeEndian.Uint16(ev[20:]), "not opted in: the generic event")
			wrapped = wrapped || after < before
			atomic.StoreUint32(tail, after)
		}
	})
	require.True(t, wrapped, "the ring has been gone through")
	require.NotZero(t, *events)
	require.Equal(t, ring[:size], ring[size:])

	// A client that writes nonsense harms only itself.
	for _, bad := range []uint32{size, size + 1, ^uint32(0), 1 << 31} {
		atomic.StoreUint32(tail, bad)
		atomic.StoreUint32(head, bad)
		for range 1000 {
			_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
	}
	require.NoError(t, unix.Munmap(ring))
	require.NoError(t, unix.Munmap(info))
}

// pinned runs f on one CPU.
func pinned(tb testing.TB, cpu int, f func()) {
	tb.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old, set unix.CPUSet
	require.NoError(tb, unix.SchedGetaffinity(0, &old))
	set.Set(cpu)
	require.NoError(tb, unix.SchedSetaffinity(0, &set))
	defer func() { _ = unix.SchedSetaffinity(0, &old) }()
	f()
}

func mustSource(tb testing.TB, sel scap.Selection, o kmod.Options) *kmod.Source {
	tb.Helper()
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Millisecond
	}
	src, err := kmod.Open(sel, o)
	require.NoError(tb, err)
	return src
}

// drain reads until there are no more events.
func drain(tb testing.TB, src *kmod.Source, each func(*event.Event)) (n int) {
	tb.Helper()
	for {
		ev, err := src.Next()
		if errors.Is(err, scap.ErrTimeout) {
			return n
		}
		require.NoError(tb, err)
		n++
		if each != nil {
			each(ev)
		}
	}
}

// badClose makes an event of a fixed size: 26 + 2*2 + 2*8 bytes.
func badClose() { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, 1<<30, 0, 0) }

// A small ring without a reader, then one with a slow reader: every event is either
// delivered or counted as lost, exactly.
func TestGuestOverflowIsCounted(t *testing.T) {
	mustLoad(t, "")
	src := mustSource(t, scap.Selection{Syscalls: []string{"close", "openat"}}, kmod.Options{Settings: scap.Settings{RingSize: 16384}})
	defer src.Close()
	const calls = 5000
	var wg sync.WaitGroup
	for cpu := range 2 {
		wg.Go(func() {
			pinned(t, cpu, func() {
				for i := range calls {
					badClose()
					if i%10 == 0 {
						_, _ = unix.Open("/no/such/file/anywhere", unix.O_RDONLY, 0)
					}
				}
			})
		})
	}
	wg.Wait()
	require.NoError(t, src.Select(scap.Selection{})) // no more events
	mine := 0
	drain(t, src, func(ev *event.Event) { mine++ })
	s, err := src.Stats()
	require.NoError(t, err)
	require.Equal(t, s.Seen, s.Delivered+s.Drops.Total(), "%+v", s)
	require.Equal(t, uint64(mine), s.Delivered)
	require.GreaterOrEqual(t, s.Seen, uint64(2*calls*11/10))
	require.Greater(t, s.Drops.BufferFull, uint64(calls))
	c, err := src.Counters()
	require.NoError(t, err)
	require.LessOrEqual(t, c.ByCategory.Close+c.ByCategory.Open, c.DropsBuffer)
	t.Logf("seen %d = delivered %d + dropped %d (of those whose header fitted: close %d, open %d)",
		s.Seen, s.Delivered, s.Drops.Total(), c.ByCategory.Close, c.ByCategory.Open)

	// The same with a reader.
	require.NoError(t, src.Select(scap.Selection{Syscalls: []string{"close"}}))
	stop := make(chan struct{})
	for cpu := range 2 {
		wg.Go(func() {
			pinned(t, cpu, func() {
				for {
					select {
					case <-stop:
						return
					default:
						for range 100 {
							badClose()
						}
					}
				}
			})
		})
	}
	var last uint64
	late := 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		ev, err := src.Next()
		if errors.Is(err, scap.ErrTimeout) {
			continue
		}
		require.NoError(t, err)
		if ev.Timestamp() < last {
			late++
		}
		last = max(last, ev.Timestamp())
	}
	close(stop)
	wg.Wait()
	require.NoError(t, src.Select(scap.Selection{}))
	drain(t, src, nil)
	s, err = src.Stats()
	require.NoError(t, err)
	require.Equal(t, s.Seen, s.Delivered+s.Drops.Total(), "%+v", s)
	t.Logf("read meanwhile: seen %d = delivered %d + dropped %d; %d came after a later one", s.Seen, s.Delivered, s.Drops.Total(), late)
}

// Lost events whose header fits into the ring, but not their params, are also counted by category.
func TestGuestDropsByCategory(t *testing.T) {
	mustLoad(t, "")
	src := mustSource(t, scap.Selection{Syscalls: []string{"openat"}}, kmod.Options{Settings: scap.Settings{RingSize: 16384}})
	defer src.Close()
	name := "/" + strings.Repeat("x", 200)
	pinned(t, 0, func() {
		for range 500 {
			_, _ = unix.Open(name, unix.O_RDONLY, 0)
		}
	})
	require.NoError(t, src.Select(scap.Selection{}))
	size := 0
	n := drain(t, src, func(ev *event.Event) { size = max(size, len(ev.Bytes())) })
	require.GreaterOrEqual(t, 16383%size, event.HeaderSize+2*7, "the test is made for a remainder that a header fits into")
	c, err := src.Counters()
	require.NoError(t, err)
	require.NotZero(t, c.DropsBuffer)
	require.Equal(t, c.Events, uint64(n)+c.DropsBuffer)
	require.Equal(t, c.DropsBuffer, c.ByCategory.Open)
	require.Zero(t, c.ByCategory.Close)
}

func TestGuestDroppingMode(t *testing.T) {
	mustLoad(t, "")
	const ratio = 4
	src := mustSource(t, scap.Selection{Syscalls: []string{"kill", "getppid", "dup"}}, kmod.Options{Settings: scap.Settings{SamplingRatio: ratio}})
	defer src.Close()
	kept, always, never, enter, exit := 0, 0, 0, 0, 0
	count := func(ev *event.Event) {
		switch ev.Type() {
		case event.TypeKillExit:
			kept++
			ns := ev.Timestamp() % uint64(time.Second)
			require.Less(t, ns, uint64(time.Second)/ratio, "a sampled event lies in the kept part of its second")
		case event.TypeGetppidExit:
			always++
		case event.TypeDupExit:
			never++
		case event.TypeDropEnter, event.TypeDropExit:
			require.Equal(t, uint32(ratio), binary.NativeEndian.Uint32(ev.Param(0)))
			if ev.Type() == event.TypeDropEnter {
				enter++
			} else {
				exit++
			}
		}
	}
	const (
		part   = uint64(time.Second) / ratio
		margin = 20 * uint64(time.Millisecond) // of a call near the edge
	)
	calls, inside, outside, gaps := 0, 0, 0, 0
	pinned(t, 0, func() { // each CPU has gaps of its own
		wasInside := false
		for start := time.Now(); time.Since(start) < 4*time.Second || gaps < 4; calls++ {
			from := uint64(time.Now().UnixNano())
			_ = unix.Kill(1<<22-1, 0)
			in, took := from%uint64(time.Second), uint64(time.Now().UnixNano())-from
			switch {
			case in > margin && in+took < part-margin:
				inside++
				wasInside = true
			case in > part+margin && in+took < uint64(time.Second)-margin:
				outside++
				if wasInside {
					gaps++
				}
				wasInside = false
			}
			unix.Getppid()
			_, _ = unix.Dup(-1)
			time.Sleep(2 * time.Millisecond)
			if calls%64 == 0 {
				drain(t, src, count)
			}
		}
	})
	require.NoError(t, src.Select(scap.Selection{}))
	drain(t, src, count)
	require.Equal(t, calls, never, "never dropped")
	require.Zero(t, always, "always dropped")
	require.GreaterOrEqual(t, kept, inside, "all of a part of each second")
	require.LessOrEqual(t, kept, calls-outside, "and none of the rest")
	require.GreaterOrEqual(t, enter, gaps)
	require.GreaterOrEqual(t, exit, gaps-1)
	t.Logf("%d calls, %d kept at ratio %d, gaps: %d begun, %d ended", calls, kept, ratio, enter, exit)
}

func TestGuestDropFailed(t *testing.T) {
	mustLoad(t, "")
	src := mustSource(t, scap.Selection{Syscalls: []string{"dup", "close"}}, kmod.Options{Settings: scap.Settings{DropFailed: true}})
	defer src.Close()
	fd, err := unix.Dup(0)
	require.NoError(t, err)
	badClose()
	require.NoError(t, unix.Close(fd))
	require.NoError(t, src.Select(scap.Selection{}))
	dups := 0
	drain(t, src, func(ev *event.Event) {
		require.GreaterOrEqual(t, int64(binary.NativeEndian.Uint64(ev.Param(0))), int64(0), "%v", ev.Type())
		if ev.Type() == event.TypeDupExit {
			dups++
		}
	})
	require.NotZero(t, dups)
}

// An address whose end is unreadable gives an empty param: its readable part is not an address.
func TestGuestHalfAnAddress(t *testing.T) {
	mustLoad(t, "")
	pages, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	defer unix.Munmap(pages)
	require.NoError(t, unix.Mprotect(pages[4096:], unix.PROT_NONE))
	const half = unix.SizeofSockaddrInet4 / 2
	addr := pages[4096-half:]
	binary.NativeEndian.PutUint16(addr, unix.AF_INET)
	copy(addr[2:], []byte{0, 80, 127, 0, 0, 1})
	src := mustSource(t, scap.Selection{Syscalls: []string{"bind"}}, kmod.Options{})
	defer src.Close()
	_, _, errno := unix.RawSyscall(unix.SYS_BIND, ^uintptr(0), uintptr(unsafe.Pointer(&addr[0])), unix.SizeofSockaddrInet4)
	require.NotZero(t, errno)
	binds := 0
	drain(t, src, func(ev *event.Event) {
		binds++
		require.Empty(t, ev.Param(1))
	})
	require.Equal(t, 1, binds)
}

// Another thread puts another socket onto the number that accept returns, before the event of accept looks there, over
// and over. The tuple is then missing, and never that of the other socket.
func TestGuestANumberThatAnotherThreadReplaces(t *testing.T) {
	const enough, least, limit = 5, 200, 2 * time.Minute // marked events; accepted ones; for both
	mustLoad(t, "")
	dir := t.TempDir()
	listen := func(path string) int {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
		require.NoError(t, unix.Listen(fd, 16))
		return fd
	}
	connect := func(path string) int {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Connect(fd, &unix.SockaddrUnix{Name: path}))
		return fd
	}
	right, wrong := filepath.Join(dir, "right"), filepath.Join(dir, "wrong")
	l, lw := listen(right), listen(wrong)
	defer unix.Close(connect(wrong))
	other, _, err := unix.Accept4(lw, unix.SOCK_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(other)

	var number, replaced atomic.Int64
	number.Store(-1)
	var racer sync.WaitGroup
	racer.Go(func() {
		onThread(func() {
			pinned(t, 1, func() {
				for n := number.Load(); n != -2; n = number.Load() {
					if n < 0 {
						continue
					}
					if _, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(n), unix.F_GETFD, 0); errno == 0 {
						_, _, _ = unix.RawSyscall(unix.SYS_DUP3, uintptr(other), uintptr(n), unix.O_CLOEXEC)
						replaced.Add(1)
						number.CompareAndSwap(n, -1)
					}
				}
			})
		})
	})
	src := mustSource(t, scap.Selection{Syscalls: []string{"accept4"}}, kmod.Options{})
	defer src.Close()
	accepted, told, marked, others := 0, 0, 0, 0
	count := func(ev *event.Event) {
		switch tuple := ev.Param(1); {
		case len(tuple) == 0:
			marked++
		case strings.HasSuffix(strings.TrimRight(string(tuple), "\x00"), right):
			told++
		default:
			others++
		}
	}
	pinned(t, 0, func() {
		for start := time.Now(); (marked < enough || accepted < least) && time.Since(start) < limit; accepted++ {
			client := connect(right)
			free, err := unix.Dup(l)
			require.NoError(t, err)
			require.NoError(t, unix.Close(free))
			number.Store(int64(free))
			n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(l), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
			number.Store(-1)
			require.Zero(t, errno)
			require.NoError(t, unix.Close(int(n)))
			require.NoError(t, unix.Close(client))
			if accepted%1000 == 999 {
				drain(t, src, count)
			}
		}
	})
	number.Store(-2)
	racer.Wait()
	drain(t, src, count)
	t.Logf("%d accepted, %d replaced by the other thread; %d tuples told, %d missing, %d of another socket", accepted, replaced.Load(), told, marked, others)
	require.Zero(t, others)
	require.Equal(t, accepted, told+marked)
	require.Positive(t, told)
}

// Calls of 32-bit and x32 tasks make the same events on both drivers.
func TestGuestForeignCalls(t *testing.T) {
	mustLoad(t, "")
	if err := env.HasIA32(); err != nil {
		t.Skip(err)
	}
	src := mustSource(t, scap.Selection{All: true}, kmod.Options{})
	defer src.Close()
	t.Run("kmod", func(t *testing.T) { foreignCalls(t, src) })
	bpf, err := ebpf.Open(scap.Selection{All: true}, ebpf.Options{Settings: scap.Settings{Timeout: 20 * time.Millisecond}})
	require.NoError(t, err)
	defer bpf.Close()
	t.Run("ebpf", func(t *testing.T) { foreignCalls(t, bpf) })
}

func foreignCalls(t *testing.T, src scap.Source) {
	for _, c := range ia32.Cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			var tid event.PID
			onThread(func() {
				tid = event.PID(unix.Gettid())
				c.Make(t)
				badClose() // the last event of the thread that is looked at: reading makes events without end
			})
			var events []event.Event
			for last := false; !last; {
				ev, err := src.Next()
				if errors.Is(err, scap.ErrTimeout) {
					continue
				}
				require.NoError(t, err)
				if ev.TID() == tid {
					events = append(events, ev.Clone())
					last = ev.Type() == event.TypeCloseExit && string(ev.AppendParam(nil, 1)) == "1073741824"
				}
			}
			c.Check(t, events)
		})
	}
}

// A client selects a call that only 32-bit tasks have by its name. One that speaks the
// reference's interface cannot name it, and gets it with every selection.
func TestGuestForeignCallsAreSelected(t *testing.T) {
	mustLoad(t, "")
	for _, c := range []struct {
		name      string
		selected  string
		reference bool
		want      []uint16 // codes of the calls
	}{
		{"by name", "ipc", false, []uint16{276}},
		{"another", "nice", false, []uint16{290}},
		{"none of them", "swapoff", false, nil},
		{"by a client of the reference's interface", "swapoff", true, []uint16{276, 290}},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := mustSource(t, scap.Selection{Syscalls: []string{c.selected}}, kmod.Options{Reference: c.reference})
			defer src.Close()
			ia32.Call(t, 117, 999)
			ia32.Call(t, 34, 0)
			var got []uint16
			drain(t, src, func(ev *event.Event) { got = append(got, binary.NativeEndian.Uint16(ev.Param(0))) })
			require.Equal(t, c.want, got)
		})
	}
}

func TestGuestTwoConsumers(t *testing.T) {
	mustLoad(t, "")
	a := mustSource(t, scap.Selection{Syscalls: []string{"kill", "umask"}}, kmod.Options{})
	defer a.Close()
	b := mustSource(t, scap.Selection{Syscalls: []string{"dup", "getppid"}}, kmod.Options{Reference: true})
	defer b.Close()
	for range 100 {
		_ = unix.Kill(1<<22-1, 0)
		_, _ = unix.Dup(-1)
		unix.Getppid()
		unix.Umask(0o22)
	}
	kills, own, dups, generic := 0, 0, 0, 0
	drain(t, a, func(ev *event.Event) {
		switch ev.Type() {
		case event.TypeKillExit:
			kills++
		case event.TypeUmaskExit:
			own++
		default:
			t.Errorf("%v, which was not selected", ev.Type())
		}
	})
	drain(t, b, func(ev *event.Event) {
		switch ev.Type() {
		case event.TypeDupExit:
			dups++
		case event.TypeGenericExit:
			generic++
		default:
			t.Errorf("%v for a client that did not ask for it", ev.Type())
		}
	})
	require.Equal(t, 100, kills)
	require.Equal(t, 100, own, "an own event for one that opted in")
	require.Equal(t, 100, dups)
	require.Equal(t, 100, generic, "an own event for one that did not opt in")
	require.True(t, a.OwnEvents())
	require.False(t, b.OwnEvents())

	// The end of the first client leaves the tracepoints of the other attached.
	require.NoError(t, a.Close())
	_, _ = unix.Dup(-1)
	n := drain(t, b, nil)
	require.Equal(t, 1, n)
}

// Events with our own codes go only to clients that asked for them, until they switch them off.
func TestGuestOwnEvents(t *testing.T) {
	for _, persona := range event.Personas() {
		t.Run(persona.API, func(t *testing.T) {
			mustLoad(t, "g_buffer_bytes_dim=65536 persona="+persona.API)
			onThread(func() { ownEvents(t) })
		})
	}
}

func ownEvents(t *testing.T) {
	runtime.LockOSThread() // the module knows a client by its thread
	defer runtime.UnlockOSThread()
	d := mustOpen(t, 0)
	defer d.close()
	ring, err := unix.Mmap(int(d), 0, 2*65536, unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	defer unix.Munmap(ring)
	info, err := unix.Mmap(int(d), 0, 128, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	defer unix.Munmap(info)
	request := func(n int, arg uintptr) {
		_, err := d.ioctl(n, arg)
		require.NoError(t, err, "request %d", n)
	}
	request(29, unix.SYS_GETPPID)
	request(31, 1)
	head := (*uint32)(unsafe.Pointer(&info[0]))
	// one makes a call on CPU 0 and returns its event, from that CPU's ring.
	one := func() []byte {
		var ev []byte
		pinned(t, 0, func() {
			before := atomic.LoadUint32(head)
			_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
			after := atomic.LoadUint32(head)
			require.NotEqual(t, before, after, "an event")
			ev = ring[before:after]
		})
		return ev
	}
	code := func(ev []byte) event.Type { return event.Type(binary.NativeEndian.Uint16(ev[20:])) }
	require.GreaterOrEqual(t, event.TypeGetppidExit, event.Type(0x8000), "the test needs a call with an event of our own")
	for range 2 {
		ev := one()
		require.Equal(t, event.TypeGenericExit, code(ev))
		var generic event.Event
		require.NoError(t, generic.Reset(ev, 0))
		require.Equal(t, 2, generic.NumParams())
		require.Equal(t, uint16(unix.SYS_GETPPID), binary.NativeEndian.Uint16(generic.Param(1)), "the native number")
		request(200, 1)
		require.Equal(t, event.TypeGetppidExit, code(one()))
		// Each device opened resets the consumer's settings, but not this one.
		if other, err := openDevice(1); err == nil {
			request(29, unix.SYS_GETPPID)
			require.Equal(t, event.TypeGetppidExit, code(one()))
			other.close()
		}
		request(200, 0)
	}
}

// Every client gets the start of the pid namespace as a time since boot, whatever the
// clock is set to: readers add the time of boot.
func TestGuestTimeSinceBoot(t *testing.T) {
	mustLoad(t, "")
	start := func(o kmod.Options) uint64 {
		t.Helper()
		src := mustSource(t, scap.Selection{Syscalls: []string{"clone", "clone3", "vfork", "fork"}}, o)
		defer src.Close()
		p, err := os.StartProcess("/init", []string{"child"}, &os.ProcAttr{Env: []string{"MODTEST_CHILD=1"}})
		require.NoError(t, err)
		_, err = p.Wait()
		require.NoError(t, err)
		var ns uint64
		drain(t, src, func(ev *event.Event) {
			for i, p := range ev.Info().Params {
				if p.Name == "pidns_init_start_ts" && i < ev.NumParams() && len(ev.Param(i)) == 8 {
					ns = max(ns, binary.NativeEndian.Uint64(ev.Param(i)))
				}
			}
		})
		require.NotZero(t, ns, "no event of the new process")
		return ns
	}
	ours := start(kmod.Options{})
	stat, err := os.ReadFile("/proc/1/stat")
	require.NoError(t, err)
	_, fields, _ := strings.Cut(string(stat), ") ") // from field 3 on
	ticks, err := strconv.ParseUint(strings.Fields(fields)[22-3], 10, 64)
	require.NoError(t, err)
	const tick = 1e7 // ns
	require.InDelta(t, ticks*tick, ours, tick, "init is the first process of all")
	require.Equal(t, ours, start(kmod.Options{Reference: true}))

	var now unix.Timeval
	require.NoError(t, unix.Gettimeofday(&now))
	now.Sec += 3600
	require.NoError(t, unix.Settimeofday(&now))
	require.Equal(t, ours, start(kmod.Options{}), "no matter of the clock")
}

// Clients get the params and the events that their version of the reference has.
func TestGuestEventsOfThePersona(t *testing.T) {
	for _, p := range event.Personas() {
		t.Run(p.API, func(t *testing.T) {
			mustLoad(t, "persona="+p.API)
			src := mustSource(t, scap.Selection{Syscalls: []string{"socket", "fcntl", "close_range", "rseq_slice_yield"}}, kmod.Options{Reference: true})
			defer src.Close()
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
			require.NoError(t, err)
			_, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			require.NoError(t, err)
			unix.Close(fd)
			require.Error(t, unix.CloseRange(9, 8, 0))
			_, _, _ = unix.RawSyscall(471, 0, 0, 0) // rseq_slice_yield
			require.NoError(t, src.Select(scap.Selection{}))
			params, ids := map[event.Type]int{}, map[uint16]uint16{}
			drain(t, src, func(ev *event.Event) {
				params[ev.Type()] = ev.NumParams()
				require.Less(t, ev.Type(), p.Codes)
				if ev.Type() == event.TypeGenericExit {
					ids[binary.NativeEndian.Uint16(ev.Param(1))] = binary.NativeEndian.Uint16(ev.Param(0))
				}
			})
			sockets, fcntls, yield := 5, 4, uint16(453)
			if p.Older {
				sockets, fcntls, yield = 4, 3, 0
				require.NotContains(t, params, event.TypeCloseRangeExit)
				require.Contains(t, ids, uint16(unix.SYS_CLOSE_RANGE))
				require.NotZero(t, ids[unix.SYS_CLOSE_RANGE], "a call that it knows")
			} else {
				require.Contains(t, params, event.TypeCloseRangeExit)
				require.NotContains(t, ids, uint16(unix.SYS_CLOSE_RANGE))
			}
			require.Equal(t, sockets, params[event.TypeSocketExit])
			require.Equal(t, fcntls, params[event.TypeFcntlExit])
			require.Contains(t, ids, uint16(471))
			require.Equal(t, yield, ids[471])
		})
	}
}

func setOnline(tb testing.TB, cpu int, on bool) {
	tb.Helper()
	v := "0"
	if on {
		v = "1"
	}
	require.NoError(tb, os.WriteFile(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/online", cpu), []byte(v), 0))
}

func TestGuestHotplug(t *testing.T) {
	mustLoad(t, "")
	setOnline(t, 1, false)
	_, err := openDevice(1)
	require.Equal(t, unix.ENODEV, err)
	src := mustSource(t, scap.Selection{Syscalls: []string{"close"}}, kmod.Options{})
	require.Equal(t, 1, src.Rings())
	setOnline(t, 1, true)
	pinned(t, 1, badClose)
	pinned(t, 0, func() { badClose(); badClose() })
	plugged := 0
	drain(t, src, func(ev *event.Event) {
		if ev.Type() == event.TypeCPUHotplugEnter {
			plugged++
			require.Equal(t, uint32(1), binary.NativeEndian.Uint32(ev.Param(0)), "the CPU that came")
			require.Equal(t, uint32(0), binary.NativeEndian.Uint32(ev.Param(1)))
		}
	})
	require.Equal(t, 1, plugged, "told once")
	require.NoError(t, src.Close())

	// A CPU goes offline and online while the ring is read.
	src = mustSource(t, scap.Selection{All: true, Tracepoints: kmod.Tracepoints()}, kmod.Options{})
	require.Equal(t, 2, src.Rings())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 10 {
			setOnline(t, 1, false)
			setOnline(t, 1, true)
		}
	}()
	read := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			read += drainSome(t, src)
		}
	}
	require.NotZero(t, read)
	require.NoError(t, src.Close())
	t.Logf("%d events read while CPU 1 went and came 10 times", read)
}

// The client hears of a new CPU at the next event of any other CPU.
func TestGuestHotplugIsToldOnAnyCPU(t *testing.T) {
	mustLoad(t, "")
	src := mustSource(t, scap.Selection{Syscalls: []string{"close"}}, kmod.Options{})
	defer src.Close()
	require.Equal(t, 2, src.Rings())
	setOnline(t, 2, true)
	defer setOnline(t, 2, false)
	pinned(t, 2, badClose)
	pinned(t, 1, badClose)
	var told []uint32
	var cpus []int
	drain(t, src, func(ev *event.Event) {
		if ev.Type() == event.TypeCPUHotplugEnter {
			told = append(told, binary.NativeEndian.Uint32(ev.Param(0)))
			cpus = append(cpus, ev.CPU())
		}
	})
	require.Equal(t, []uint32{2}, told)
	require.Equal(t, []int{1}, cpus, "not on CPU 0, which may be idle for long")
}

// A page fault inside an event, of a filler that reads memory of the caller, is not in the ring of another client
// before that event, which began earlier.
func TestGuestFaultInsideAnEvent(t *testing.T) {
	mustLoad(t, "")
	sel := scap.Selection{Syscalls: []string{"write"}, Tracepoints: []string{"page_fault_kernel"}}
	a := mustSource(t, sel, kmod.Options{})
	defer a.Close()
	b := mustSource(t, sel, kmod.Options{})
	defer b.Close()
	const calls = 20
	lost := func(src *kmod.Source) uint64 {
		c, err := src.Counters()
		require.NoError(t, err)
		return c.Preemptions
	}
	before := lost(b)
	var tid int
	pinned(t, 0, func() {
		tid = unix.Gettid()
		mem, err := unix.Mmap(-1, 0, calls*4096, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		require.NoError(t, err)
		defer func() { _ = unix.Munmap(mem) }()
		for i := range calls { // no such descriptor: the kernel does not touch the page, the filler does
			_, _, _ = unix.RawSyscall(unix.SYS_WRITE, 1<<30, uintptr(unsafe.Pointer(&mem[i*4096])), 64)
		}
	})
	for name, src := range map[string]*kmod.Source{"first": a, "second": b} {
		writes := 0
		var last uint64
		drain(t, src, func(ev *event.Event) {
			if int(ev.TID()) != tid || ev.CPU() != 0 {
				return
			}
			require.GreaterOrEqual(t, ev.Timestamp(), last, "%s client: %v comes after a later event", name, ev.Type())
			last = ev.Timestamp()
			if ev.Type() == event.TypeWriteExit {
				writes++
			}
		})
		require.GreaterOrEqual(t, writes, calls, name)
	}
	require.GreaterOrEqual(t, lost(b), before+calls, "every fault inside an event is counted")
}

// drainSome reads one batch: a capture of everything makes events as fast as they are read.
func drainSome(tb testing.TB, src *kmod.Source) int {
	tb.Helper()
	evs := make([]event.Event, 256)
	n, err := src.ReadBatch(evs)
	if !errors.Is(err, scap.ErrTimeout) {
		require.NoError(tb, err)
	}
	return n
}

// Clients that open, map, set and close, one that switches tracepoints, CPUs that go
// offline and online, and attempts to unload, all at once: every one of them makes
// progress. Locks taken in different orders would stop them.
func TestGuestAllAtOnce(t *testing.T) {
	mustLoad(t, "g_buffer_bytes_dim=65536 max_consumers=8")
	const last, patience = 4 * time.Second, 30 * time.Minute
	var opened, switched, plugged, refused atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	// forever runs f on a thread of its own until the test ends.
	forever := func(f func(round int)) {
		all.Go(func() {
			onThread(func() {
				for round := 0; ; round++ {
					select {
					case <-stop:
						return
					default:
						f(round)
					}
				}
			})
		})
	}
	for n := range 3 {
		forever(func(round int) {
			for cpu := range 2 {
				d, err := openDevice(cpu)
				if err != nil {
					continue // offline, or held by a process that is being started
				}
				opened.Add(1)
				if ring, err := unix.Mmap(int(d), 0, 2*65536, unix.PROT_READ, unix.MAP_SHARED); err == nil {
					info, err := unix.Mmap(int(d), 0, 128, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
					_, _ = d.ioctl(29, uintptr(unix.SYS_CLOSE))
					_, _ = d.ioctl(31, uintptr((round+n)%9))
					badClose()
					if err == nil {
						atomic.StoreUint32((*uint32)(unsafe.Pointer(&info[4])), uint32(round)*7919)
						_ = unix.Munmap(info)
					}
					badClose()
					_ = unix.Munmap(ring)
				}
				d.close()
			}
		})
	}
	ready := make(chan struct{})
	all.Go(func() {
		onThread(func() {
			d, err := openDevice(0)
			close(ready)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.close()
			for tp := uintptr(0); ; tp = (tp + 1) % 9 {
				select {
				case <-stop:
					return
				default:
				}
				for _, n := range []int{31, 32} {
					if _, err := d.ioctl(n, tp); err != nil {
						t.Errorf("request %d, tracepoint %d: %v", n, tp, err)
					}
				}
				switched.Add(1)
			}
		})
	})
	<-ready
	forever(func(int) {
		for _, v := range []string{"0", "1"} {
			if err := os.WriteFile("/sys/devices/system/cpu/cpu1/online", []byte(v), 0); err != nil {
				t.Error(err)
			}
		}
		plugged.Add(1)
	})
	forever(func(int) {
		if err := unix.DeleteModule("scap", unix.O_NONBLOCK); err == unix.EWOULDBLOCK {
			refused.Add(1)
		} else {
			t.Errorf("unload while it is open: %v", err)
		}
		time.Sleep(time.Millisecond)
	})
	time.Sleep(last)
	close(stop)
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		_ = os.WriteFile("/proc/sysrq-trigger", []byte("w"), 0) // logs the blocked tasks
		n, _ := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
		t.Fatalf("no progress for %v\n%s", patience, buf[:max(n, 0)])
	}
	t.Logf("in %v: %d devices opened, %d switches of a tracepoint, CPU 1 off and on %d times, %d refusals to unload",
		last, opened.Load(), switched.Load(), plugged.Load(), refused.Load())
	for _, n := range []*atomic.Int64{&opened, &switched, &plugged, &refused} {
		require.NotZero(t, n.Load())
	}
}

// stressRounds is how often a capture is started and ended. The default shows that
// it works; to look for rare faults,
//
//	SCAPLAB_RUN=Stress SCAPLAB_ARGS=-rounds=3000 go test -v -timeout 2h -run TestModule ./driver/kmod/modtest
var stressRounds = flag.Int("rounds", 20, "captures that the stress test starts and ends")

// reloadRounds is the number of captures between two loads of the module.
const reloadRounds = 5

// Opens, maps, captures, closes, unloads and moves CPUs under load.
func TestGuestStress(t *testing.T) {
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 3 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				work(t)
			}
		})
	}
	events := 0
	start := time.Now()
	plugged, loads := 0, 0
	for round := range *stressRounds {
		if round%reloadRounds == 0 {
			loads++
			f, err := os.Open(guest.ModuleFile)
			require.NoError(t, err)
			require.NoError(t, unix.FinitModule(int(f.Fd()), "g_buffer_bytes_dim=65536", 0))
			f.Close()
		}
		src := mustSource(t, scap.Selection{All: true, Enter: true, Tracepoints: kmod.Tracepoints()}, kmod.Options{Settings: scap.Settings{
			Snaplen: 1 + round%65000, DynamicSnaplen: round%2 == 0, DropFailed: round%3 == 0, SamplingRatio: uint32(1) << (round % 3),
			Timeout: time.Millisecond,
		}})
		events += drainSome(t, src)
		if round%reloadRounds == 0 {
			plugged++
			setOnline(t, 1, false)
			events += drainSome(t, src)
			setOnline(t, 1, true)
		}
		s, err := src.Stats()
		require.NoError(t, err)
		require.GreaterOrEqual(t, s.Seen, s.Delivered)
		require.NoError(t, src.Close())
		if round%100 == 99 {
			t.Logf("round %d, %v", round+1, time.Since(start).Round(time.Second))
		}
		if round%reloadRounds == reloadRounds-1 || round == *stressRounds-1 {
			// A process that work is starting has the devices open until it execs.
			require.Eventually(t, func() bool { return unix.DeleteModule("scap", unix.O_NONBLOCK) == nil }, 10*time.Minute, 20*time.Millisecond)
		}
	}
	took := time.Since(start)
	close(stop)
	load.Wait()
	requireQuiet(t)
	t.Logf("%d captures, %d loads of the module, CPU 1 off and on %d times, %d events read in %v",
		*stressRounds, loads, plugged, events, took.Round(time.Second))
}

// work makes calls of many kinds: files, sockets, memory, threads, processes.
func work(tb testing.TB) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "work")
	if err != nil {
		return
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "file")
	_ = os.WriteFile(name, make([]byte, 9000), 0o600)
	_, _ = os.ReadFile(name)
	_ = os.Symlink(name, name+".link")
	_ = os.Rename(name, name+".new")
	if pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); err == nil {
		_, _ = unix.Write(pair[0], []byte("GET / HTTP/1.1"))
		var b [64]byte
		_, _ = unix.Read(pair[1], b[:])
		unix.Close(pair[0])
		unix.Close(pair[1])
	}
	if m, err := unix.Mmap(-1, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err == nil {
		for i := 0; i < len(m); i += 4096 {
			m[i] = 1
		}
		_ = unix.Munmap(m)
	}
	onThread(func() { badClose() })
	_ = unix.Kill(os.Getpid(), unix.SIGURG)
	if p, err := os.StartProcess("/init", []string{"child"}, &os.ProcAttr{Env: []string{"MODTEST_CHILD=1"}}); err == nil {
		_, _ = p.Wait()
	}
}

// The kernel switches its own tracepoints under the same load: a fault here is the
// emulator's, not the module's.
func TestGuestControl(t *testing.T) {
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 3 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				work(t)
			}
		})
	}
	// With record-cmd each switch of an event switches three more tracepoints, for the names of threads.
	require.NoError(t, os.WriteFile("/sys/kernel/tracing/options/record-cmd", []byte("0"), 0))
	for range *stressRounds {
		for _, event := range []string{"raw_syscalls/sys_enter", "raw_syscalls/sys_exit", "sched/sched_switch"} {
			for _, v := range []string{"1", "0"} {
				require.NoError(t, os.WriteFile("/sys/kernel/tracing/events/"+event+"/enable", []byte(v), 0))
			}
		}
	}
	close(stop)
	load.Wait()
}
