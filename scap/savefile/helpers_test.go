// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// mustEvent builds an event. Params are int64, uint32, uint16, uint8, string or
// []byte; nil is the empty param.
func mustEvent(tb testing.TB, t event.Type, ts uint64, tid event.PID, params ...any) *event.Event {
	tb.Helper()
	var b event.Builder
	b.Begin(t, ts, tid, len(params))
	for _, p := range params {
		switch v := p.(type) {
		case nil:
			b.AddEmpty()
		case int:
			b.AddInt64(int64(v))
		case int64:
			b.AddInt64(v)
		case uint64:
			b.AddUint64(v)
		case uint32:
			b.AddUint32(v)
		case uint16:
			b.AddUint16(v)
		case uint8:
			b.AddUint8(v)
		case string:
			b.AddString(v)
		case []byte:
			b.Add(v)
		default:
			tb.Fatalf("param of type %T", p)
		}
	}
	raw, err := b.End()
	require.NoError(tb, err)
	ev := new(event.Event)
	require.NoError(tb, ev.Reset(bytes.Clone(raw), int(tid)&7))
	return ev
}

func mustCapture(tb testing.TB, opts WriterOptions, evs ...*event.Event) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, opts)
	require.NoError(tb, err)
	for _, ev := range evs {
		require.NoError(tb, w.Write(ev))
	}
	require.NoError(tb, w.Close())
	return out.Bytes()
}

// someState returns a state with at least one of every item that captures keep.
func someState() *proc.State {
	v4, v6 := netip.MustParseAddr, netip.MustParseAddrPort
	return &proc.State{
		Machine: proc.Machine{NumCPUs: 4, Memory: 1 << 34, Hostname: "host", BootTime: 1_700_000_000_000_000_000, Flags: 1},
		Interfaces: []proc.Interface{
			{Name: "lo", Addr: v4("127.0.0.1"), Netmask: v4("255.0.0.0"), Broadcast: v4("0.0.0.0")},
			{Name: "eth0", Addr: v4("192.0.2.7"), Netmask: v4("255.255.255.0"), Broadcast: v4("192.0.2.255"), Speed: 1000},
			{Name: "lo", Addr: v4("::1"), Netmask: v4("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Broadcast: v4("::")},
		},
		Users:  []proc.User{{UID: 0, GID: 0, Name: "root", Home: "/root", Shell: "/bin/sh"}, {UID: 1000, GID: 100, Name: "u"}},
		Groups: []proc.Group{{GID: 0, Name: "root"}, {GID: 100, Name: "users"}},
		Threads: []proc.Thread{
			{
				TID: 1, PID: 1, PTID: 0, SID: 1, VPGID: 1, PGID: 1, VTID: 1, VPID: 1,
				Comm: "init", Exe: "/sbin/init", ExePath: "/usr/lib/init", Args: "-x\x00--y\x00", Env: "HOME=/\x00", Cgroups: "cpu=/\x00memory=/a\x00",
				CWD: "/", Root: "/", FDLimit: 1024, Flags: 3, UID: 0, GID: 0, LoginUID: event.NoUID, TTY: 34816,
				VMSize: 100, VMRSS: 50, VMSwap: 1, PFMajor: 2, PFMinor: 3, PidnsInitStart: 7,
				CapInheritable: 1, CapPermitted: 2, CapEffective: 3, ExeIno: 4, ExeCtime: 5, ExeMtime: 6,
				ExeWritable: true, ExeUpperLayer: true, ExeLowerLayer: true, ExeFromMemfd: true,
				FDs: []proc.FD{
					{Num: 0, Ino: 1, Type: proc.FDRegular, OpenFlags: 3, Dev: 0x801, Name: "/dev/null"},
					{Num: 1, Ino: 2, Type: proc.FDDirectory, Name: "/tmp"},
					{Num: 2, Ino: 3, Type: proc.FDFile, Name: "/old"},
					{Num: 3, Ino: 4, Type: proc.FDIPv4, L4: proc.L4TCP, Src: v6("192.0.2.7:1000"), Dst: v6("198.51.100.1:443")},
					{Num: 4, Ino: 5, Type: proc.FDIPv6, L4: proc.L4UDP, Src: v6("[2001:db8::1]:1"), Dst: v6("[::ffff:192.0.2.1]:2")},
					{Num: 5, Ino: 6, Type: proc.FDIPv4Server, L4: proc.L4TCP, Src: v6("0.0.0.0:80")},
					{Num: 6, Ino: 7, Type: proc.FDIPv6Server, L4: proc.L4TCP, Src: v6("[::]:80")},
					{Num: 7, Ino: 8, Type: proc.FDPipe, Name: "pipe:[8]"},
					{Num: 8, Ino: 9, Type: proc.FDUnix, UnixSrc: 1 << 63, UnixDst: 2, Name: "/run/x"},
					{Num: 9, Ino: 10, Type: proc.FDEvent, Name: "anon_inode:[eventfd]"},
					{Num: 10, Ino: 11, Type: proc.FDUnsupported, Name: "x"},
					{Num: 11, Ino: 12, Type: proc.FDSignal},
					{Num: 12, Ino: 13, Type: proc.FDEventPoll},
					{Num: 13, Ino: 14, Type: proc.FDInotify},
					{Num: 14, Ino: 15, Type: proc.FDTimer},
					{Num: 15, Ino: 16, Type: proc.FDNetlink, Name: "socket:[16]"},
					{Num: 16, Ino: 17, Type: proc.FDBPF, Name: "anon_inode:bpf-map"},
					{Num: 17, Ino: 18, Type: proc.FDUserfault},
					{Num: 18, Ino: 19, Type: proc.FDIOUring},
					{Num: 19, Ino: 20, Type: proc.FDMemfd, Name: "label"},
					{Num: 20, Ino: 21, Type: proc.FDPidfd, Name: "/proc/1"},
				},
			},
			{TID: 2, PID: 1, PTID: 0, SID: -1, VPGID: -1, PGID: -1, VTID: -1, VPID: -1, Comm: "worker"},
		},
	}
}

// someEvents returns events of several kinds: plain, variable, empty, hidden, large,
// unknown.
func someEvents(tb testing.TB) []*event.Event {
	hidden := mustEvent(tb, event.TypeCloseExit, 300, 12, 0, 3)
	hidden.SetHidden(true)
	return []*event.Event{
		mustEvent(tb, event.TypeOpenatExit, 100, 10, 3, -100, "/etc/hosts", uint32(1), uint32(0), uint32(0x801), uint64(7)),
		mustEvent(tb, event.TypeReadExit, 200, 11, 5, []byte("hello"), 3, uint32(5)),
		hidden,
		mustEvent(tb, event.TypeWriteExit, 400, 13, -9, nil, -1, uint32(0)),
		mustEvent(tb, 402, 500, -1, uint32(7), "container", []byte("{}")),
		mustEvent(tb, 9999, 600, 14, 1, []byte{1, 2, 3}),
		mustEvent(tb, event.TypeGetppidExit, 700, 15, 1),
	}
}

// delivered reads a capture to its end.
func delivered(tb testing.TB, r *Reader) (evs []*event.Event, err error) {
	tb.Helper()
	for {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			return evs, nil
		}
		if err != nil {
			return evs, err
		}
		c := ev.Clone()
		evs = append(evs, &c)
	}
}

func mustRead(tb testing.TB, capture []byte, opts Options) (*Reader, []*event.Event) {
	tb.Helper()
	r, err := NewReader(bytes.NewReader(capture), opts)
	require.NoError(tb, err)
	evs, err := delivered(tb, r)
	require.NoError(tb, err)
	return r, evs
}
