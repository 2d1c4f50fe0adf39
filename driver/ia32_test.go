// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package driver

import (
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap/event"
)

// low returns memory below 4 GiB, where 32-bit pointers can point.
func low(t *testing.T) []byte {
	t.Helper()
	m, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_32BIT)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(m)) })
	return m
}

// int80 makes a 32-bit system call from this 64-bit program: the kernel treats it
// like a call of a 32-bit program. It blocks signals meanwhile: the runtime preempts
// goroutines with SIGURG, which ends a sleeping call with ERESTART_RESTARTBLOCK and
// makes the kernel restart it as another call.
func int80(t *testing.T, nr, bx, cx, dx, si uint32) int32 {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	require.NoError(t, unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before))
	defer func() { require.NoError(t, unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)) }()
	code, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	defer unix.Munmap(code)
	var result int32
	b := []byte{}
	imm := func(op byte, v uint32) { b = binary.LittleEndian.AppendUint32(append(b, op), v) }
	imm(0xb8, nr) // mov eax, nr
	imm(0xbb, bx)
	imm(0xb9, cx)
	imm(0xba, dx)
	imm(0xbe, si)
	b = append(b, 0xcd, 0x80) // int 0x80
	b = append(b, 0x48, 0xb9) // mov rcx, &result
	b = binary.LittleEndian.AppendUint64(b, uint64(uintptr(unsafe.Pointer(&result))))
	b = append(b, 0x89, 0x01, 0xc3) // mov [rcx], eax; ret
	copy(code, b)
	entry := &code[0]
	fn := &entry
	(*(*func())(unsafe.Pointer(&fn)))()
	return result
}

func address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(&b[0]))) }

func params(e event.Event) (out []string) {
	for i := range e.NumParams() {
		out = append(out, string(e.AppendParam(nil, i)))
	}
	return out
}

func TestCallsOf32BitTasks(t *testing.T) {
	m := low(t)
	copy(m, "/no/such\x00")
	vector := m[64:]
	copy(m[256:], []byte{16, 1, 0, 0, 3, 0, 0, 0, 32, 1, 0, 0, 2, 0, 0, 0}) // two struct iovec, bases below
	binary.LittleEndian.PutUint32(m[256:], address(m[0x110:]))
	binary.LittleEndian.PutUint32(m[264:], address(m[0x120:]))
	copy(m[0x110:], "abc")
	copy(m[0x120:], "de")
	binary.LittleEndian.PutUint32(m[512:], 0)   // tv_sec
	binary.LittleEndian.PutUint32(m[516:], 777) // tv_nsec
	binary.LittleEndian.PutUint32(vector, unix.AF_INET6)
	binary.LittleEndian.PutUint32(vector[4:], unix.SOCK_DGRAM|unix.SOCK_CLOEXEC)
	binary.LittleEndian.PutUint32(vector[8:], 17)

	for i, v := range []uint32{0, 0, address(m[256:]), 2, 0, 0, 0} { // struct msghdr
		binary.LittleEndian.PutUint32(m[1024+4*i:], v)
	}
	binary.LittleEndian.PutUint32(m[1100:], 1000) // struct rlimit
	binary.LittleEndian.PutUint32(m[1104:], ^uint32(0))

	if r := int80(t, 20, 0, 0, 0, 0); r != int32(unix.Getpid()) {
		t.Skipf("this kernel has no 32-bit calls: getpid gave %d", r)
	}
	for _, c := range []struct {
		name           string
		nr, bx, cx, dx uint32
		event          event.Type
		want           []string
	}{
		{"close", 6, 9999, 0, 0, event.TypeCloseExit, []string{"-9(EBADF)", "9999"}},
		{"open", 5, address(m), unix.O_RDWR | unix.O_CREAT, 0600, event.TypeOpenExit,
			[]string{"-2(ENOENT)", "/no/such", "O_CREAT|O_RDWR", "0600", "0", "0"}},
		{"writev, with iovecs of 8 bytes", 146, 0xffffffff, address(m[256:]), 2, event.TypeWritevExit,
			[]string{"-9(EBADF)", "abcde", "-1(EPERM)", "5"}},
		{"nanosleep, with a timespec of 8 bytes", 162, address(m[512:]), 0, 0, event.TypeNanosleepExit, []string{"0", "777"}},
		{"sendmsg, with a header of 28 bytes", 370, 0xffffffff, address(m[1024:]), 0, event.TypeSendmsgExit,
			[]string{"-9(EBADF)", "abcde", "-1(EPERM)", "5", "NULL"}},
		{"setrlimit, with limits of 4 bytes", 75, 99, address(m[1100:]), 0, event.TypeSetrlimitExit,
			[]string{"-22(EINVAL)", "1000", "-1", "RLIMIT_UNKNOWN"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := mustLoad(t, Options{Select: Selection{Syscalls: []string{"close", "open", "writev", "nanosleep", "sendmsg", "setrlimit"}}})
			events := captureWith(t, d, func() { int80(t, c.nr, c.bx, c.cx, c.dx, 0) })
			require.Equal(t, c.want, params(only(t, events, c.event)))
		})
	}
	t.Run("a call that sleeps while signals come", func(t *testing.T) {
		binary.LittleEndian.PutUint32(m[516:], 50e6)
		d := mustLoad(t, Options{Select: Selection{Syscalls: []string{"nanosleep"}}})
		events := captureWith(t, d, func() {
			tid, stop := unix.Gettid(), make(chan struct{})
			var sender sync.WaitGroup
			sender.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_ = unix.Tgkill(unix.Getpid(), tid, unix.SIGURG) // as the runtime does
					}
				}
			})
			r := int80(t, 162, address(m[512:]), 0, 0, 0)
			close(stop)
			sender.Wait()
			require.Zero(t, r)
		})
		require.Equal(t, []string{"0", "50000000"}, params(only(t, events, event.TypeNanosleepExit)))
	})
	t.Run("socketcall", func(t *testing.T) {
		var fd int32
		e := only(t, capture(t, Options{Select: Selection{Syscalls: []string{"socket"}}}, func() {
			fd = int80(t, IA32Socketcall, 1, address(vector), 0, 0)
		}), event.TypeSocketExit)
		require.NoError(t, unix.Close(int(fd)))
		require.Equal(t, "AF_INET6", params(e)[1])
		require.Equal(t, "17", params(e)[3])
	})
	t.Run("calls that are socketcalls only", func(t *testing.T) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(pair[0])
		defer unix.Close(pair[1])
		args := func(fd int) uint32 {
			for i, v := range []uint32{uint32(fd), address(m[0x110:]), 3, unix.MSG_DONTWAIT} {
				binary.LittleEndian.PutUint32(m[1024+4*i:], v)
			}
			return address(m[1024:])
		}
		events := capture(t, Options{Select: Selection{Syscalls: []string{"send", "recv"}}}, func() {
			int80(t, IA32Socketcall, 9, args(pair[0]), 0, 0)
			int80(t, IA32Socketcall, 10, args(pair[1]), 0, 0)
			int80(t, IA32Socketcall, 10, args(pair[1]), 0, 0)
		})
		require.Equal(t, []event.Type{event.TypeSendExit, event.TypeRecvExit, event.TypeRecvExit}, types(events))
		require.Equal(t, []string{"3", "abc"}, params(events[0])[:2])
		require.Equal(t, []string{"3", "abc"}, params(events[1])[:2])
		require.Equal(t, []string{"-11(EAGAIN)", "NULL"}, params(events[2])[:2])
	})
	t.Run("sendmmsg, with headers of 32 bytes", func(t *testing.T) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(pair[0])
		defer unix.Close(pair[1])
		for i, vectors := range []uint32{2, 1} {
			binary.LittleEndian.PutUint32(m[2048+32*i+8:], address(m[256:]))
			binary.LittleEndian.PutUint32(m[2048+32*i+12:], vectors)
		}
		events := capture(t, Options{Select: Selection{Syscalls: []string{"sendmmsg"}}}, func() {
			int80(t, 345, uint32(pair[0]), address(m[2048:]), 2, 0)
		})
		require.Equal(t, []event.Type{event.TypeSendmmsgExit, event.TypeSendmmsgExit}, types(events))
		for i, want := range [][]string{{"5", "5", "abcde"}, {"3", "3", "abc"}} {
			p := params(events[i])
			require.Equal(t, want, []string{p[0], p[2], p[3]})
		}
	})
	t.Run("numbers of the other kind select nothing", func(t *testing.T) {
		// 39 is getpid here and mkdir there; 20 the other way round is writev
		events := capture(t, Options{Select: Selection{Syscalls: []string{"writev", "mkdir"}}}, func() {
			int80(t, 20, 0, 0, 0, 0)
			unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
		})
		require.Empty(t, events)
	})
	t.Run("an enter event", func(t *testing.T) {
		events := capture(t, Options{Select: Selection{Syscalls: []string{"open"}, Enter: true}}, func() {
			int80(t, 5, address(m), 0, 0, 0)
		})
		require.Equal(t, []event.Type{event.TypeOpenEnter, event.TypeOpenExit}, types(events))
		require.Equal(t, []string{"/no/such", "O_RDONLY", "0"}, params(events[0]))
	})
}
