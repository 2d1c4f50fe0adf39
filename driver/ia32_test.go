// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package driver

import (
	"encoding/binary"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/testutil/ia32"
	"github.com/scaplab/scaplab/scap/event"
)

func params(e event.Event) []string { return ia32.Params(&e) }

func TestCallsOf32BitTasks(t *testing.T) {
	m := ia32.Low(t, 8192)
	copy(m, "/no/such\x00")
	vector := m[64:]
	copy(m[256:], []byte{16, 1, 0, 0, 3, 0, 0, 0, 32, 1, 0, 0, 2, 0, 0, 0}) // two struct iovec, bases below
	binary.LittleEndian.PutUint32(m[256:], ia32.Address(m[0x110:]))
	binary.LittleEndian.PutUint32(m[264:], ia32.Address(m[0x120:]))
	copy(m[0x110:], "abc")
	copy(m[0x120:], "de")
	binary.LittleEndian.PutUint32(m[512:], 0)   // tv_sec
	binary.LittleEndian.PutUint32(m[516:], 777) // tv_nsec
	binary.LittleEndian.PutUint32(vector, unix.AF_INET6)
	binary.LittleEndian.PutUint32(vector[4:], unix.SOCK_DGRAM|unix.SOCK_CLOEXEC)
	binary.LittleEndian.PutUint32(vector[8:], 17)

	for i, v := range []uint32{0, 0, ia32.Address(m[256:]), 2, 0, 0, 0} { // struct msghdr
		binary.LittleEndian.PutUint32(m[1024+4*i:], v)
	}
	binary.LittleEndian.PutUint32(m[1100:], 1000) // struct rlimit
	binary.LittleEndian.PutUint32(m[1104:], ^uint32(0))

	if err := env.HasIA32(); err != nil {
		t.Skip(err)
	}
	d := mustLoad(t, Options{Select: Selection{All: true}})
	for _, c := range ia32.Cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			c.Check(t, captureWith(t, d, func() { c.Make(t) }))
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
			r := ia32.Call(t, 162, ia32.Address(m[512:]), 0, 0, 0)
			close(stop)
			sender.Wait()
			require.Zero(t, r)
		})
		require.Equal(t, []string{"0", "50000000"}, params(only(t, events, event.TypeNanosleepExit)))
	})
	t.Run("socketcall", func(t *testing.T) {
		var fd int32
		e := only(t, capture(t, Options{Select: Selection{Syscalls: []string{"socket"}}}, func() {
			fd = ia32.Call(t, IA32Socketcall, 1, ia32.Address(vector), 0, 0)
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
			for i, v := range []uint32{uint32(fd), ia32.Address(m[0x110:]), 3, unix.MSG_DONTWAIT} {
				binary.LittleEndian.PutUint32(m[1024+4*i:], v)
			}
			return ia32.Address(m[1024:])
		}
		events := capture(t, Options{Select: Selection{Syscalls: []string{"send", "recv"}}}, func() {
			ia32.Call(t, IA32Socketcall, 9, args(pair[0]), 0, 0)
			ia32.Call(t, IA32Socketcall, 10, args(pair[1]), 0, 0)
			ia32.Call(t, IA32Socketcall, 10, args(pair[1]), 0, 0)
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
			binary.LittleEndian.PutUint32(m[2048+32*i+8:], ia32.Address(m[256:]))
			binary.LittleEndian.PutUint32(m[2048+32*i+12:], vectors)
		}
		events := capture(t, Options{Select: Selection{Syscalls: []string{"sendmmsg"}}}, func() {
			ia32.Call(t, 345, uint32(pair[0]), ia32.Address(m[2048:]), 2, 0)
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
			ia32.Call(t, 20, 0, 0, 0, 0)
			unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
		})
		require.Empty(t, events)
	})
	t.Run("an enter event", func(t *testing.T) {
		events := capture(t, Options{Select: Selection{Syscalls: []string{"open"}, Enter: true}}, func() {
			ia32.Call(t, 5, ia32.Address(m), 0, 0, 0)
		})
		require.Equal(t, []event.Type{event.TypeOpenEnter, event.TypeOpenExit}, types(events))
		require.Equal(t, []string{"/no/such", "O_RDONLY", "0"}, params(events[0]))
	})
}
