// SPDX-License-Identifier: Apache-2.0

package sinsp_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

// world is a system whose events a test makes up.
type world struct {
	testing.TB
	src *scaptest.Source
	in  *sinsp.Inspector
	now uint64
	cpu int
}

const second = 1_000_000_000

// mustWorld returns a system with some processes: init (1), a shell (100) with files,
// and a server (200) of two threads.
func mustWorld(tb testing.TB, opts sinsp.Options) *world {
	tb.Helper()
	if opts.State == nil {
		opts.State = someState()
	}
	w := &world{TB: tb, src: &scaptest.Source{Poison: true}, now: 1_700_000_000 * second}
	w.in = sinsp.New(w.src, opts)
	return w
}

func someState() *proc.State {
	thread := func(tid, pid, ptid event.PID, comm string) proc.Thread {
		return proc.Thread{
			TID: tid, PID: pid, PTID: ptid, VTID: tid, VPID: pid, SID: pid, PGID: pid, VPGID: pid, Comm: comm, Exe: "/bin/" + comm,
			ExePath: "/usr/bin/" + comm, Args: "-x\x00", Env: "HOME=/root\x00A=b\x00", CWD: "/home", Root: "/", LoginUID: event.NoUID,
			Cgroups: "cpu=/a\x00memory=/m\x00", CapPermitted: 1<<41 - 1, CapEffective: 1<<41 - 1, FDLimit: 1024,
		}
	}
	shell := thread(100, 100, 1, "sh")
	shell.FDs = []proc.FD{
		{Num: 0, Type: proc.FDRegular, Name: "/dev/tty", OpenFlags: 3},
		{Num: 3, Type: proc.FDDirectory, Name: "/home/user"},
		{Num: 4, Type: proc.FDPipe, Ino: 7, CloseOnExec: true},
	}
	server := thread(200, 200, 1, "server")
	server.FDs = []proc.FD{
		{Num: 5, Type: proc.FDIPv4Server, L4: proc.L4TCP, Src: netip.MustParseAddrPort("0.0.0.0:80")},
		{Num: 6, Type: proc.FDIPv4, L4: proc.L4TCP, Src: netip.MustParseAddrPort("10.0.0.1:80"), Dst: netip.MustParseAddrPort("10.0.0.9:999")},
		{Num: 7, Type: proc.FDIPv4, L4: proc.L4TCP, Src: netip.MustParseAddrPort("10.0.0.1:4444"), Dst: netip.MustParseAddrPort("10.0.0.9:443")},
	}
	worker := thread(201, 200, 1, "worker")
	worker.Exe, worker.ExePath = server.Exe, server.ExePath
	return &proc.State{
		Machine:    proc.Machine{Hostname: "host", BootTime: 1_600_000_000 * second},
		Interfaces: []proc.Interface{{Name: "lo", Addr: netip.MustParseAddr("127.0.0.1")}, {Name: "eth0", Addr: netip.MustParseAddr("10.0.0.1"), Netmask: netip.MustParseAddr("255.255.255.0")}},
		Users:      []proc.User{{UID: 0, Name: "root", Home: "/root", Shell: "/bin/sh"}, {UID: 0, Name: "toor"}, {UID: 1000, Name: "user"}},
		Groups:     []proc.Group{{GID: 0, Name: "root"}, {GID: 1000, Name: "users"}},
		Threads:    []proc.Thread{thread(1, 1, 0, "init"), shell, server, worker},
	}
}

// send makes an event, one ms after the last, and returns it after the state has changed.
// A param is a number, a string, bytes, or nil for the empty one; those at the end may be
// left out.
func (w *world) send(typ event.Type, tid event.PID, params ...any) *sinsp.Event {
	w.Helper()
	w.now += 1e6
	w.src.Add(build(w, typ, w.now, tid, params...), w.cpu)
	ev, err := w.in.Next()
	require.NoError(w, err)
	return ev
}

func build(tb testing.TB, typ event.Type, ts uint64, tid event.PID, params ...any) []byte {
	tb.Helper()
	var b event.Builder
	info := event.Lookup(typ)
	require.NotNil(tb, info)
	b.Begin(typ, ts, tid, len(info.Params))
	for i, p := range params {
		switch p := p.(type) {
		case nil:
			b.AddEmpty()
		case string:
			b.AddString(p)
		case []byte:
			b.Add(p)
		case int:
			size, fixed := info.Params[i].Type.Size()
			require.True(tb, fixed, "%s: %s", info.Symbol, info.Params[i].Name)
			b.Add(binary.NativeEndian.AppendUint64(nil, uint64(p))[:size])
		default:
			require.Fail(tb, "param", "%T", p)
		}
	}
	raw, err := b.End()
	require.NoError(tb, err)
	return append([]byte(nil), raw...)
}

func (w *world) thread(tid event.PID) *sinsp.Thread {
	w.Helper()
	t := w.in.Thread(tid)
	require.NotNil(w, t, "thread %d", tid)
	return t
}

func (w *world) fd(tid event.PID, num event.FD) *sinsp.FD {
	w.Helper()
	fd := w.thread(tid).FD(num)
	require.NotNil(w, fd, "thread %d, fd %d", tid, num)
	return fd
}

func (w *world) name(tid event.PID, num event.FD) string {
	w.Helper()
	return string(w.fd(tid, num).AppendName(nil))
}

// clone is a clone of thread tid as seen in one of them: res is 0 in the child, self.
func (w *world) clone(typ event.Type, res, self, pid, ptid event.PID, flags uint32) *sinsp.Event {
	w.Helper()
	return w.send(typ, self, int(res), "exe", []byte("arg\x00"), int(self), int(pid), int(ptid), "", 512, 0, 0, 10, 20, 30, "child",
		[]byte("cpu=/a\x00memory=/m\x00"), int(flags), 0, 0, int(self), int(pid), 0)
}

func (w *world) fork(parent, child event.PID) {
	w.Helper()
	w.clone(event.TypeCloneExit, child, parent, parent, 1, 0)
	w.clone(event.TypeCloneExit, 0, child, child, parent, 0)
}

func tuple(src, dst string) []byte {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	b := []byte{event.FamilyIPv4}
	if s.Addr().Is6() {
		b[0] = event.FamilyIPv6
	}
	for _, a := range []netip.AddrPort{s, d} {
		b = append(b, a.Addr().AsSlice()...)
		b = binary.NativeEndian.AppendUint16(b, a.Port())
	}
	return b
}

func address(addr string) []byte {
	a := netip.MustParseAddrPort(addr)
	b := []byte{event.FamilyIPv4}
	if a.Addr().Is6() {
		b[0] = event.FamilyIPv6
	}
	return binary.NativeEndian.AppendUint16(append(b, a.Addr().AsSlice()...), a.Port())
}

func unixTuple(src, dst uint64, path string) []byte {
	b := binary.NativeEndian.AppendUint64([]byte{event.FamilyUnix}, src)
	return append(append(binary.NativeEndian.AppendUint64(b, dst), path...), 0)
}
