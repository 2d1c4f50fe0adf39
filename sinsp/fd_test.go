// SPDX-License-Identifier: Apache-2.0

package sinsp_test

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/sinsp"
)

var (
	openDirectory = int(event.MustValue("open_flags", "O_DIRECTORY"))
	openCloexec   = int(event.MustValue("open_flags", "O_CLOEXEC"))
	openUpper     = int(event.MustValue("open_flags", "FD_UPPER_LAYER"))
)

func TestOpens(t *testing.T) {
	for name, tt := range map[string]struct {
		open func(w *world) *sinsp.Event
		want string
		typ  proc.FDType
	}{
		"an absolute path": {func(w *world) *sinsp.Event {
			return w.send(event.TypeOpenExit, 100, 9, "/etc//./x/../passwd", 1, 0, 5, 6)
		}, "/etc/passwd", proc.FDRegular},
		"a relative path":        {func(w *world) *sinsp.Event { return w.send(event.TypeOpenExit, 100, 9, "../x", 1, 0, 5, 6) }, "/x", proc.FDRegular},
		"below a directory":      {func(w *world) *sinsp.Event { return w.send(event.TypeOpenatExit, 100, 9, 3, "f", 1, 0, 5, 6) }, "/home/user/f", proc.FDRegular},
		"below the working one":  {func(w *world) *sinsp.Event { return w.send(event.TypeOpenatExit, 100, 9, -100, "f", 1, 0, 5, 6) }, "/home/f", proc.FDRegular},
		"below an unknown one":   {func(w *world) *sinsp.Event { return w.send(event.TypeOpenat2Exit, 100, 9, 77, "f", 1, 0, 0, 5, 6) }, "<UNKNOWN>f", proc.FDRegular},
		"a directory":            {func(w *world) *sinsp.Event { return w.send(event.TypeOpenExit, 100, 9, "/etc", openDirectory, 0, 5, 6) }, "/etc", proc.FDDirectory},
		"a directory by a slash": {func(w *world) *sinsp.Event { return w.send(event.TypeOpenExit, 100, 9, "/etc/", 1, 0, 5, 6) }, "/etc", proc.FDDirectory},
		"creat":                  {func(w *world) *sinsp.Event { return w.send(event.TypeCreatExit, 100, 9, "new", 0, 5, 6, 0) }, "/home/new", proc.FDRegular},
		"a handle": {func(w *world) *sinsp.Event {
			return w.send(event.TypeOpenByHandleAtExit, 100, 9, 3, 1, "/by/handle", 5, 6)
		}, "/by/handle", proc.FDRegular},
		"the path of the enter event": {func(w *world) *sinsp.Event {
			w.send(event.TypeOpenEnter, 100, "/before", 1, 0)
			return w.send(event.TypeOpenExit, 100, 9, "/after", 1, 0, 5, 6)
		}, "/before", proc.FDRegular},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t, sinsp.Options{})
			ev := tt.open(w)
			require.Equal(t, tt.want, w.name(100, 9))
			fd := ev.FD()
			num, ok := ev.FDNum()
			require.True(t, ok)
			require.Equal(t, event.FD(9), num)
			require.Equal(t, tt.typ, fd.Type)
			require.EqualValues(t, 5, fd.Dev)
			require.EqualValues(t, 6, fd.Ino)
		})
	}
}

func TestAnOpenThatFailsOpensNothing(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	ev := w.send(event.TypeOpenExit, 100, -2, "/none", 1, 0, 0, 0)
	require.Nil(t, ev.FD())
	num, ok := ev.FDNum()
	require.True(t, ok)
	require.Equal(t, event.FD(-2), num)
	require.Equal(t, 3, w.thread(100).NumFDs())
}

func TestWhatAnOpenTells(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.send(event.TypeOpenExit, 100, 9, "./a", 3|openCloexec|openUpper, 0, 0, 0)
	fd := w.fd(100, 9)
	require.Equal(t, "./a", fd.RawPath)
	require.True(t, w.thread(100).CloseOnExec(9))
	require.True(t, fd.UpperLayer)
	require.False(t, fd.LowerLayer)
	w.send(event.TypeOpenExit, 100, 9, "/b", 1, 0, 0, 0)
	require.Equal(t, "/b", w.name(100, 9))
	require.False(t, w.thread(100).CloseOnExec(9))
	require.EqualValues(t, 1, w.in.Stats().ReusedFDs)
}

func TestTheEventThatClosesHasTheFile(t *testing.T) {
	for name, res := range map[string]int{"closed": 0, "closed, but interrupted": -4} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t, sinsp.Options{})
			ev := w.send(event.TypeCloseExit, 100, res, 3)
			require.Equal(t, "/home/user", ev.FD().Path)
			w.send(event.TypeGetpidExit, 100, 100)
			require.Nil(t, w.thread(100).FD(3))
		})
	}
	w := mustWorld(t, sinsp.Options{})
	w.send(event.TypeCloseExit, 100, -9, 3)
	w.send(event.TypeGetpidExit, 100, 100)
	require.NotNil(t, w.thread(100).FD(3), "the call failed")
	w.send(event.TypeCloseExit, 100, 0, 77)
	require.EqualValues(t, 1, w.in.Stats().UnknownFDs)
}

func TestCloseRange(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	th := w.thread(100)
	w.send(event.TypeCloseRangeExit, 100, 0, 3, 3, int(event.MustValue("close_range_flags", "CLOSE_RANGE_CLOEXEC")))
	require.True(t, th.CloseOnExec(3))
	w.send(event.TypeDup2Exit, 100, 100_000, 3, 100_000)
	w.fork(100, 300)
	w.clone(event.TypeCloneExit, 0, 301, 301, 100, cloneFiles)
	w.send(event.TypeCloseRangeExit, 301, 0, 3, 1<<31, int(event.MustValue("close_range_flags", "CLOSE_RANGE_UNSHARE")))
	require.Equal(t, 1, w.thread(301).NumFDs())
	require.Equal(t, 4, th.NumFDs())
	w.send(event.TypeCloseRangeExit, 100, 0, 1, 1<<31, 0)
	require.Equal(t, 1, th.NumFDs())
	require.Equal(t, 4, w.thread(300).NumFDs())
}

func TestCopies(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	th := w.thread(100)
	copied := func(num event.FD, cloexec bool) {
		t.Helper()
		require.Equal(t, "/home/user", w.name(100, num))
		require.Equal(t, cloexec, th.CloseOnExec(num))
	}
	cmd := func(name string) int { return int(event.MustValue("fcntl_cmd", name)) }
	w.send(event.TypeDupExit, 100, 9, 3)
	copied(9, false)
	w.send(event.TypeDup2Exit, 100, 4, 3, 4)
	copied(4, false)
	w.send(event.TypeDup2Exit, 100, 3, 3, 3)
	copied(3, false)
	w.send(event.TypeDup3Exit, 100, 11, 3, 11, openCloexec)
	copied(11, true)
	w.send(event.TypeFcntlExit, 100, 12, 3, cmd("F_DUPFD"), 12)
	copied(12, false)
	w.send(event.TypeFcntlExit, 100, 13, 3, cmd("F_DUPFD_CLOEXEC"), 12)
	copied(13, true)
	w.send(event.TypeFcntlExit, 100, 0, 13, cmd("F_SETFD"), 0)
	copied(13, false)
	w.send(event.TypeFcntlExit, 100, 0, 13, cmd("F_SETFD"), 1)
	copied(13, true)
	w.send(event.TypeFcntlExit, 100, 0, 12, cmd("F_SETFD"))
	copied(12, true)
	w.send(event.TypeCloseExit, 100, 0, 3)
	w.send(event.TypeGetpidExit, 100, 100)
	copied(9, false)
	w.send(event.TypeDupExit, 100, 14, 77)
	require.Nil(t, th.FD(14))
}

func TestFilesWithoutAPath(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	th := w.thread(100)
	opened := func(num event.FD, typ proc.FDType, char byte, name string, cloexec bool) {
		t.Helper()
		fd := w.fd(100, num)
		require.Equal(t, typ, fd.Type)
		require.Equal(t, string(char), string(fd.TypeChar()))
		require.Equal(t, name, string(fd.AppendName(nil)))
		require.Equal(t, cloexec, th.CloseOnExec(num))
	}
	w.send(event.TypePipeExit, 100, 0, 9, 10, 55)
	opened(9, proc.FDPipe, 'p', "", false)
	require.Equal(t, w.fd(100, 9).Ino, w.fd(100, 10).Ino)
	w.send(event.TypePipe2Exit, 100, 0, 9, 10, 55, openCloexec)
	opened(10, proc.FDPipe, 'p', "", true)
	w.send(event.TypeEventfdExit, 100, 9, 0, 0)
	opened(9, proc.FDEvent, 'e', "", false)
	w.send(event.TypeEventfd2Exit, 100, 9, openCloexec, 0)
	opened(9, proc.FDEvent, 'e', "", true)
	w.send(event.TypeEpollCreateExit, 100, 9, 1)
	opened(9, proc.FDEventPoll, 'l', "", false)
	w.send(event.TypeEpollCreate1Exit, 100, 9, int(event.MustValue("epoll_create1_flags", "EPOLL_CLOEXEC")))
	opened(9, proc.FDEventPoll, 'l', "", true)
	w.send(event.TypeInotifyInit1Exit, 100, 9, openCloexec)
	opened(9, proc.FDInotify, 'i', "", true)
	w.send(event.TypeTimerfdCreateExit, 100, 9, 0, 0)
	opened(9, proc.FDTimer, 't', "", true)
	w.send(event.TypeSignalfd4Exit, 100, 9, openCloexec, -1)
	opened(9, proc.FDSignal, 's', "", true)
	w.send(event.TypeUserfaultfdExit, 100, 9, openCloexec)
	opened(9, proc.FDUserfault, 'u', "", true)
	w.send(event.TypeIOUringSetupExit, 100, 9)
	opened(9, proc.FDIOUring, 'r', "", true)
	w.send(event.TypeMemfdCreateExit, 100, 9, "label", 0)
	opened(9, proc.FDMemfd, 'm', "label", false)
	w.send(event.TypeBPFExit, 100, 9, 0)
	opened(9, proc.FDBPF, 'b', "", true)
	w.send(event.TypeBPFExit, 100, 0, 2)
	require.Equal(t, proc.FDRegular, w.fd(100, 0).Type, "a command that opens nothing")
	w.send(event.TypePidfdOpenExit, 100, 9, 200, 0)
	opened(9, proc.FDPidfd, 'P', "/proc/200", true)
	w.send(event.TypePidfdGetfdExit, 100, 10, 9, 5, 0)
	opened(10, proc.FDIPv4Server, '4', "0.0.0.0:80", true)
	w.send(event.TypePidfdGetfdExit, 100, 11, 9, 77, 0)
	opened(11, proc.FDUnknown, 'o', "", true)
}

// rights is a control message with descriptors, after one of another kind.
func rights(fds ...int32) []byte {
	message := func(level, typ uint32, body []byte) []byte {
		b := binary.NativeEndian.AppendUint64(nil, uint64(16+len(body)))
		b = binary.NativeEndian.AppendUint32(b, level)
		b = append(binary.NativeEndian.AppendUint32(b, typ), body...)
		return append(b, make([]byte, (8-len(b)%8)%8)...)
	}
	var body []byte
	for _, fd := range fds {
		body = binary.NativeEndian.AppendUint32(body, uint32(fd))
	}
	return append(message(1, 2, []byte("other")), message(1, 1, body)...)
}

func TestDescriptorsOfAMessage(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.send(event.TypeRecvmsgExit, 100, 1, 1, []byte("x"), unixTuple(1, 2, ""), rights(20, 21), 0)
	require.Equal(t, proc.FDUnknown, w.fd(100, 20).Type)
	require.Equal(t, proc.FDUnknown, w.fd(100, 21).Type)

	scan := someState().Threads[1]
	scan.FDs = []proc.FD{{Num: 20, Type: proc.FDRegular, Name: "/passed", CloseOnExec: true}}
	w = mustWorld(t, sinsp.Options{Lookup: func(event.PID) (*proc.Thread, error) { return &scan, nil }})
	w.send(event.TypeRecvmsgExit, 100, 1, 1, []byte("x"), unixTuple(1, 2, ""), rights(20, -1), 0)
	require.Equal(t, "/passed", w.name(100, 20))
	require.True(t, w.thread(100).CloseOnExec(20))
	for _, bad := range [][]byte{make([]byte, 16), rights(1)[:20], binary.NativeEndian.AppendUint64(nil, 1<<63), append(binary.NativeEndian.AppendUint64(nil, ^uint64(0)), make([]byte, 100)...)} {
		w.send(event.TypeRecvmsgExit, 100, 1, 1, []byte("x"), nil, bad, 0)
	}
}

func TestFilesAreListedInOrder(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	for _, num := range []int{70_000, 9, 100, 65} {
		w.send(event.TypeDup2Exit, 100, num, 3, num)
	}
	var nums []event.FD
	for num, fd := range w.thread(100).FDs() {
		require.NotNil(t, fd)
		nums = append(nums, num)
	}
	require.Equal(t, []event.FD{0, 3, 4, 9, 65, 100, 70_000}, nums)
}

func TestSockets(t *testing.T) {
	const tcp, udp = 1, 2
	type step func(w *world) *sinsp.Event
	socket := func(domain, typ, proto int) step {
		return func(w *world) *sinsp.Event { return w.send(event.TypeSocketExit, 100, 9, domain, typ, proto, 0) }
	}
	bind := func(addr string) step {
		return func(w *world) *sinsp.Event { return w.send(event.TypeBindExit, 100, 0, address(addr), 9) }
	}
	connect := func(res int, tup []byte) step {
		return func(w *world) *sinsp.Event { return w.send(event.TypeConnectExit, 100, res, tup, 9, nil) }
	}
	sendto := func(tup []byte) step {
		return func(w *world) *sinsp.Event { return w.send(event.TypeSendtoExit, 100, 5, []byte("data"), 9, 5, tup) }
	}
	sendmsg := func(tup []byte) step {
		return func(w *world) *sinsp.Event { return w.send(event.TypeSendmsgExit, 100, 5, []byte("data"), 9, 5, tup) }
	}
	recvmsg := func(tup []byte) step {
		return func(w *world) *sinsp.Event {
			return w.send(event.TypeRecvmsgExit, 100, 5, 5, []byte("data"), tup, nil, 9)
		}
	}
	// sendmmsg and recvmmsg make an event of each datagram.
	sendmmsg := func(tuples ...[]byte) step {
		return func(w *world) (ev *sinsp.Event) {
			for _, tup := range tuples {
				ev = w.send(event.TypeSendmmsgExit, 100, 5, 9, 5, []byte("data"), tup)
			}
			return ev
		}
	}
	recvmmsg := func(tuples ...[]byte) step {
		return func(w *world) (ev *sinsp.Event) {
			for _, tup := range tuples {
				ev = w.send(event.TypeRecvmmsgExit, 100, 5, 9, 5, []byte("data"), tup, nil)
			}
			return ev
		}
	}
	recvfrom := func(tup []byte) step {
		return func(w *world) *sinsp.Event { return w.send(event.TypeRecvfromExit, 100, 5, []byte("data"), tup, 9, 5) }
	}
	for name, tt := range map[string]struct {
		steps []step
		typ   proc.FDType
		l4    uint8
		role  sinsp.Role
		state sinsp.SocketState
		want  string
	}{
		"a new TCP socket":       {[]step{socket(2, tcp, 0)}, proc.FDIPv4, proc.L4TCP, sinsp.RoleNone, sinsp.Unconnected, ""},
		"a new UDP socket, IPv6": {[]step{socket(10, udp|sockCloexec, 0)}, proc.FDIPv6, proc.L4UDP, sinsp.RoleNone, sinsp.Unconnected, ""},
		"a new ICMP socket":      {[]step{socket(2, udp, 1)}, proc.FDIPv4, proc.L4ICMP, sinsp.RoleNone, sinsp.Unconnected, ""},
		"a new raw socket":       {[]step{socket(2, 3, 0)}, proc.FDIPv4, proc.L4Raw, sinsp.RoleNone, sinsp.Unconnected, ""},
		"a unix socket":          {[]step{socket(1, tcp, 0)}, proc.FDUnix, 0, sinsp.RoleNone, sinsp.Unconnected, ""},
		"a netlink socket":       {[]step{socket(16, 3, 0)}, proc.FDNetlink, 0, sinsp.RoleNone, sinsp.Unconnected, ""},
		"bound":                  {[]step{socket(2, tcp, 0), bind("0.0.0.0:80")}, proc.FDIPv4Server, proc.L4TCP, sinsp.RoleServer, sinsp.Unconnected, "0.0.0.0:80"},
		"bound, IPv6":            {[]step{socket(10, tcp, 0), bind("[::]:80")}, proc.FDIPv6Server, proc.L4TCP, sinsp.RoleServer, sinsp.Unconnected, ":::80"},
		"bound to any port":      {[]step{socket(2, tcp, 0), bind("127.0.0.1:0")}, proc.FDIPv4, proc.L4TCP, sinsp.RoleNone, sinsp.Unconnected, "127.0.0.1:0"},
		"connected":              {[]step{socket(2, tcp, 0), connect(0, tuple("10.0.0.1:9999", "10.0.0.7:443"))}, proc.FDIPv4, proc.L4TCP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:9999->10.0.0.7:443"},
		"connected, IPv6":        {[]step{socket(10, tcp, 0), connect(0, tuple("[::1]:9999", "[::1]:443"))}, proc.FDIPv6, proc.L4TCP, sinsp.RoleClient, sinsp.Connected, "::1:9999->::1:443"},
		"IPv4 in IPv6":           {[]step{socket(10, tcp, 0), connect(0, tuple("[::ffff:10.0.0.1]:9999", "[::ffff:10.0.0.7]:443"))}, proc.FDIPv4, proc.L4TCP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:9999->10.0.0.7:443"},
		"connecting":             {[]step{socket(2, tcp, 0), connect(-115, tuple("10.0.0.1:9999", "10.0.0.7:443"))}, proc.FDIPv4, proc.L4TCP, sinsp.RoleClient, sinsp.Pending, "10.0.0.1:9999->10.0.0.7:443"},
		"refused":                {[]step{socket(2, tcp, 0), connect(-111, tuple("10.0.0.1:9999", "10.0.0.7:443"))}, proc.FDIPv4, proc.L4TCP, sinsp.RoleNone, sinsp.Unconnected, ""},
		"from the same network":  {[]step{socket(2, udp, 0), connect(0, tuple("0.0.0.0:9999", "10.0.0.7:53"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:9999->10.0.0.7:53"},
		"to the machine itself":  {[]step{socket(2, udp, 0), connect(0, tuple("0.0.0.0:9999", "127.0.0.1:53"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "127.0.0.1:9999->127.0.0.1:53"},
		"to the world":           {[]step{socket(2, udp, 0), connect(0, tuple("0.0.0.0:9999", "8.8.8.8:53"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:9999->8.8.8.8:53"},
		"a datagram sent":        {[]step{socket(2, udp, 0), sendto(tuple("10.0.0.1:777", "10.0.0.7:53"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:777->10.0.0.7:53"},
		"a datagram received":    {[]step{socket(2, udp, 0), recvfrom(tuple("10.0.0.7:53", "10.0.0.1:777"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:777->10.0.0.7:53"},
		"a datagram on a server": {[]step{socket(2, udp, 0), bind("10.0.0.1:53"), recvfrom(tuple("10.0.0.7:777", "10.0.0.1:53"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleServer, sinsp.Connected, "10.0.0.7:777->10.0.0.1:53"},
		"an answer of a server":  {[]step{socket(2, udp, 0), bind("10.0.0.1:53"), sendto(tuple("10.0.0.1:53", "10.0.0.7:777"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleServer, sinsp.Connected, "10.0.0.7:777->10.0.0.1:53"},
		"datagrams to two hosts": {[]step{socket(2, udp, 0), sendto(tuple("10.0.0.1:777", "10.0.0.7:53")), sendto(tuple("10.0.0.1:777", "10.0.0.8:54"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:777->10.0.0.8:54"},
		"messages to two hosts":  {[]step{socket(2, udp, 0), sendmsg(tuple("10.0.0.1:777", "10.0.0.7:53")), sendmsg(tuple("10.0.0.1:777", "10.0.0.8:54"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:777->10.0.0.8:54"},
		"messages of two hosts":  {[]step{socket(2, udp, 0), recvmsg(tuple("10.0.0.7:53", "10.0.0.1:777")), recvmsg(tuple("10.0.0.8:54", "10.0.0.1:777"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:777->10.0.0.8:54"},
		"many sent at once": {[]step{socket(2, udp, 0), sendmmsg(tuple("10.0.0.1:777", "10.0.0.7:53"), tuple("10.0.0.1:777", "10.0.0.8:54"))},
			proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:777->10.0.0.8:54"},
		"many received at once": {[]step{socket(10, udp, 0), recvmmsg(tuple("[2001:db8::7]:53", "[2001:db8::1]:777"), tuple("[2001:db8::8]:54", "[2001:db8::1]:777"))},
			proc.FDIPv6, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "2001:db8::1:777->2001:db8::8:54"},
		"a server that receives many, and answers": {[]step{socket(2, udp, 0), bind("10.0.0.1:53"), recvmmsg(tuple("10.0.0.7:777", "10.0.0.1:53"), tuple("10.0.0.8:888", "10.0.0.1:53")),
			sendmmsg(tuple("10.0.0.1:53", "10.0.0.8:888"), tuple("10.0.0.1:53", "10.0.0.7:777"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleServer, sinsp.Connected, "10.0.0.7:777->10.0.0.1:53"},
		"many sent along a connection": {[]step{socket(2, tcp, 0), connect(0, tuple("10.0.0.1:9999", "10.0.0.7:443")), sendmmsg(nil, nil)},
			proc.FDIPv4, proc.L4TCP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:9999->10.0.0.7:443"},
		"many sent on an unknown one": {[]step{sendmmsg(tuple("10.0.0.1:777", "10.0.0.7:53"), tuple("10.0.0.1:777", "10.0.0.8:54"))},
			proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:777->10.0.0.8:54"},
		"an answer of the other": {[]step{socket(2, udp, 0), sendto(tuple("10.0.0.1:777", "10.0.0.7:53")), recvfrom(tuple("10.0.0.8:54", "10.0.0.1:777"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:777->10.0.0.8:54"},
		"a server with two clients": {[]step{socket(2, udp, 0), bind("10.0.0.1:53"), recvfrom(tuple("10.0.0.7:777", "10.0.0.1:53")), recvfrom(tuple("10.0.0.8:888", "10.0.0.1:53")),
			sendto(tuple("10.0.0.1:53", "10.0.0.7:777"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleServer, sinsp.Connected, "10.0.0.7:777->10.0.0.1:53"},
		"sent on an unknown one":  {[]step{sendto(tuple("10.0.0.1:777", "10.0.0.7:53"))}, proc.FDIPv4, proc.L4UDP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:777->10.0.0.7:53"},
		"TCP keeps its addresses": {[]step{socket(2, tcp, 0), connect(0, tuple("10.0.0.1:9999", "10.0.0.7:443")), sendto(tuple("1.1.1.1:1", "2.2.2.2:2"))}, proc.FDIPv4, proc.L4TCP, sinsp.RoleClient, sinsp.Connected, "10.0.0.1:9999->10.0.0.7:443"},
		"a unix connection":       {[]step{socket(1, tcp, 0), connect(0, unixTuple(0xabc, 0xdef, "/run/s"))}, proc.FDUnix, 0, sinsp.RoleClient, sinsp.Connected, "abc->def /run/s"},
		"a connection from the enter event": {[]step{socket(2, tcp, 0), func(w *world) *sinsp.Event {
			w.send(event.TypeConnectEnter, 100, 9, address("10.0.0.7:443"))
			return w.send(event.TypeConnectExit, 100, -115, nil, 9, nil)
		}}, proc.FDIPv4, proc.L4TCP, sinsp.RoleClient, sinsp.Pending, "10.0.0.1:0->10.0.0.7:443"},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t, sinsp.Options{})
			for _, step := range tt.steps {
				step(w)
			}
			fd := w.fd(100, 9)
			require.Equal(t, tt.typ, fd.Type)
			require.Equal(t, tt.l4, fd.L4)
			require.Equal(t, tt.role, fd.Role)
			require.Equal(t, tt.state, fd.State)
			require.Equal(t, tt.want, w.name(100, 9))
		})
	}
}

const sockCloexec = 0x80000

func TestServers(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	ev := w.send(event.TypeAcceptExit, 200, 9, tuple("10.0.0.9:5555", "10.0.0.1:80"), 0, 0, 0)
	require.Equal(t, "10.0.0.9:5555->10.0.0.1:80", w.name(200, 9))
	client, ok := ev.FD().Client()
	require.True(t, ok)
	require.Equal(t, netip.MustParseAddrPort("10.0.0.9:5555"), client)
	server, ok := ev.FD().Server()
	require.True(t, ok)
	require.Equal(t, netip.MustParseAddrPort("10.0.0.1:80"), server)
	require.True(t, ev.Local(server.Addr()))
	require.False(t, ev.Local(client.Addr()))
	w.send(event.TypeAccept4Exit, 200, 10, unixTuple(1, 2, "/s"), 0, 0, 0, openCloexec)
	require.Equal(t, "1->2 /s", w.name(200, 10))
	require.True(t, w.thread(200).CloseOnExec(10))
	w.send(event.TypeSocketExit, 200, 11, 2, 1, 0, 0)
	w.send(event.TypeListenExit, 200, 0, 11, 5)
	require.True(t, w.fd(200, 11).Listening())
	w.send(event.TypeSocketpairExit, 200, 0, 12, 13, 1, 2, 1, 1|sockCloexec, 0)
	require.Equal(t, sinsp.Connected, w.fd(200, 12).State)
	require.EqualValues(t, []uint64{1, 2, 2, 1}, []uint64{w.fd(200, 12).UnixSrc, w.fd(200, 12).UnixDst, w.fd(200, 13).UnixSrc, w.fd(200, 13).UnixDst})
	require.True(t, w.thread(200).CloseOnExec(13))
}

func TestAPendingConnectionIsDone(t *testing.T) {
	level, name := int(event.MustValue("sockopt_level", "SOL_SOCKET")), int(event.MustValue("sockopt_name", "SO_ERROR"))
	for failure, want := range map[uint64]sinsp.SocketState{0: sinsp.Connected, 111: sinsp.Failed} {
		w := mustWorld(t, sinsp.Options{})
		w.send(event.TypeConnectExit, 200, -115, tuple("10.0.0.1:9999", "10.0.0.7:443"), 7, nil)
		require.Equal(t, sinsp.Pending, w.fd(200, 7).State)
		w.send(event.TypeGetsockoptExit, 200, 0, 7, level, name, binary.NativeEndian.AppendUint64([]byte{0}, failure), 4)
		require.Equal(t, want, w.fd(200, 7).State)
	}
}

// The close of a file and the socket after it were lost: what was known of the
// descriptor, and of those that refer to the same file, is so no more.
func TestDataConnectsASocketThatWasAFile(t *testing.T) {
	open := func(w *world) { w.send(event.TypeOpenatExit, 100, 9, int(event.AtFDCWD), "/etc/passwd", 1, 0, 5, 6) }
	read := func(w *world, tid event.PID, num int) { w.send(event.TypeReadExit, tid, 1, []byte("x"), num, 1) }
	for name, becomes := range map[string]func(w *world){
		"a connection": func(w *world) {
			w.send(event.TypeConnectExit, 100, -115, tuple("10.0.0.1:9999", "10.0.0.7:443"), 9, nil)
		},
		"by its address": func(w *world) { w.send(event.TypeConnectExit, 100, -115, nil, 9, address("10.0.0.7:443")) },
		"received": func(w *world) {
			w.send(event.TypeRecvfromExit, 100, 5, []byte("data"), tuple("10.0.0.7:53", "10.0.0.1:777"), 9, 5)
			w.fd(100, 9).State = sinsp.Pending
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t, sinsp.Options{})
			open(w)
			w.send(event.TypeDupExit, 100, 10, 9)
			w.fork(100, 500)
			for _, tid := range []event.PID{100, 500} {
				read(w, tid, 9)
				read(w, tid, 10)
			}
			require.Equal(t, sinsp.Unconnected, w.fd(500, 10).State)
			becomes(w)
			require.NotEqual(t, sinsp.Connected, w.fd(500, 10).State)
			read(w, 500, 10)
			require.Equal(t, sinsp.Connected, w.fd(100, 9).State)
		})
	}
	// A number that another file takes over.
	w := mustWorld(t, sinsp.Options{})
	open(w)
	read(w, 100, 9)
	w.send(event.TypeSocketExit, 100, 9, 2, 1, 0, 0)
	read(w, 100, 9)
	require.Equal(t, sinsp.Connected, w.fd(100, 9).State)
	w.send(event.TypeCloseExit, 100, 0, 9)
	before := w.in.Stats().UnknownFDs
	read(w, 100, 9)
	require.Equal(t, before+1, w.in.Stats().UnknownFDs)
}

func TestRolesOfAScan(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	require.Equal(t, "0.0.0.0:80", w.name(200, 5))
	require.Equal(t, "10.0.0.9:999->10.0.0.1:80", w.name(200, 6), "the port of the server")
	require.Equal(t, sinsp.RoleServer, w.fd(200, 6).Role)
	require.Equal(t, "10.0.0.1:4444->10.0.0.9:443", w.name(200, 7))
	require.Equal(t, sinsp.RoleClient, w.fd(200, 7).Role)
}

func TestOnlyAnEventThatChangesANameSaysSo(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	require.True(t, w.send(event.TypeConnectExit, 200, 0, tuple("10.0.0.1:9999", "10.0.0.7:443"), 7, nil).NameChanged)
	require.False(t, w.send(event.TypeSendtoExit, 200, 5, []byte("data"), 7, 5, tuple("10.0.0.1:9999", "10.0.0.7:443")).NameChanged)
	require.False(t, w.send(event.TypeOpenExit, 100, 9, "/x", 1, 0, 5, 6).NameChanged)

	// Each datagram of an unconnected socket tells its addresses.
	w.send(event.TypeSocketExit, 200, 8, 2, 2, 17, 0)
	for i, changed := range []bool{true, false} {
		require.Equal(t, changed, w.send(event.TypeSendtoExit, 200, 5, []byte("data"), 8, 5, tuple("0.0.0.0:53000", "10.0.0.9:53")).NameChanged, "datagram %d", i)
	}
}

func TestDataDoesNotChangeTheNameOfAUnixSocket(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.send(event.TypeSocketExit, 100, 9, 1, 1, 0, 0)
	require.True(t, w.send(event.TypeConnectExit, 100, 0, unixTuple(1, 2, "/s"), 9, nil).NameChanged)
	require.Equal(t, "1->2 /s", w.name(100, 9))
	require.False(t, w.send(event.TypeSendtoExit, 100, 5, []byte("data"), 9, 5, unixTuple(1, 2, "/s")).NameChanged)
	require.Equal(t, "1->2 /s", w.name(100, 9))
	require.False(t, w.send(event.TypeRecvfromExit, 100, 5, []byte("data"), unixTuple(1, 2, "/s"), 9, 5).NameChanged)
	require.Equal(t, "1->2 /s", w.name(100, 9))
}

// Both ends of a connection may be of one process, which is bound to port 80.
func TestAProcessMayBeTheClientOfItself(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	w.send(event.TypeSocketExit, 200, 8, 2, 2, 17, 0)
	w.send(event.TypeSendtoExit, 200, 5, []byte("data"), 8, 5, tuple("0.0.0.0:53000", "127.0.0.1:80"))
	require.Equal(t, sinsp.RoleClient, w.fd(200, 8).Role)
	require.Equal(t, "127.0.0.1:53000->127.0.0.1:80", w.name(200, 8))
	w.send(event.TypeSocketExit, 200, 9, 2, 2, 17, 0)
	w.send(event.TypeRecvfromExit, 200, 5, []byte("data"), tuple("127.0.0.1:53000", "127.0.0.1:80"), 9, 5)
	require.Equal(t, sinsp.RoleServer, w.fd(200, 9).Role)
	require.Equal(t, "127.0.0.1:53000->127.0.0.1:80", w.name(200, 9))
}

func TestAPathThatIsCleanStaysAsItIs(t *testing.T) {
	clean := 0
	for _, dir := range []string{"", "/", "/a", "/a/b", "//a", "/.", "/..", "/.a", "/a//b", "/a/../b", "/a.b", "a", "./a", "/a/"} {
		for _, name := range []string{"", "/", "/x", "/..", "/...", "/./", "//", "/x/", ".x", strings.Repeat("/long", 204), strings.Repeat("/long", 205)} {
			path := []byte(dir + name)
			if sinsp.IsClean(path) {
				clean++
				require.Equal(t, string(path), string(sinsp.Clean(path)))
			}
		}
	}
	require.Greater(t, clean, 10)
}

func TestPathsThatLeadUpward(t *testing.T) {
	const nowhere = 77 // a descriptor that is not known
	w := mustWorld(t, sinsp.Options{})
	ev := w.send(event.TypeGetppidExit, 100, 1)
	for path, want := range map[string]string{
		"..": "<UNKNOWN>..", "../x": "<UNKNOWN>../x", "../../x": "<UNKNOWN>../../x", "a/../x": "<UNKNOWN>x", "a/b/../../../x": "<UNKNOWN>../x",
		"a../../x": "<UNKNOWN>x", "./x": "<UNKNOWN>x", "../a/../../x/": "<UNKNOWN>../../x", "/../x": "/x", "/a/../../x": "/x",
	} {
		require.Equal(t, want, string(ev.AppendPath(nil, nowhere, []byte(path))), path)
	}
	for path, want := range map[string]string{"x": "./x", "../x": "x", "../../x": "x", "../../../..": "", "/..": "/", "a/../..": ""} {
		require.Equal(t, want, string(sinsp.Clean([]byte(path))), "%s below a working directory that is not known", path)
	}
}

func TestACallThatMakesADescriptorIsAboutIt(t *testing.T) {
	w := mustWorld(t, sinsp.Options{})
	ev := w.send(event.TypeEpollCreate1Exit, 200, 30, 0)
	num, ok := ev.FDNum()
	require.True(t, ok)
	require.Equal(t, event.FD(30), num)
	require.Equal(t, proc.FDEventPoll, ev.FD().Type)
}
