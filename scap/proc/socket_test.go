// SPDX-License-Identifier: Apache-2.0

//go:build linux

package proc

import (
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/scap/event"
)

// openFilesOfTest returns the open files of this process in a scan of all.
func openFilesOfTest(t *testing.T) map[event.FD]FD {
	s, err := Scan(t.Context(), Options{})
	require.NoError(t, err)
	fds := map[event.FD]FD{}
	for i := range s.Threads {
		if int(s.Threads[i].TID) == os.Getpid() {
			for _, fd := range s.Threads[i].FDs {
				fds[fd.Num] = fd
			}
		}
	}
	return fds
}

func TestASocketOfAnotherNetworkNamespaceIsFound(t *testing.T) {
	testutil.SkipUnlessRoot(t)
	there := exec.Command("sleep", "10000")
	there.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	require.NoError(t, there.Start())
	defer func() {
		_ = there.Process.Kill()
		_ = there.Wait() // it was killed
	}()
	dir, err := unix.Open(filepath.Join("/proc", strconv.Itoa(there.Process.Pid)), unix.O_PATH|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(dir)

	runtime.LockOSThread()
	back, err := enterNet(dir)
	require.NoError(t, err)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	bound := unix.Bind(fd, &unix.SockaddrInet4{Port: 4711})
	packet, err2 := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, back())
	runtime.UnlockOSThread()
	require.NoError(t, err)
	require.NoError(t, bound)
	require.NoError(t, err2)
	defer unix.Close(fd)
	defer unix.Close(packet)

	fds := openFilesOfTest(t)
	got := fds[event.FD(fd)]
	require.Equal(t, FDIPv4Server, got.Type)
	require.Equal(t, "0.0.0.0:4711", got.Src.String())
	require.True(t, got.CloseOnExec)
	got = fds[event.FD(packet)]
	require.Equal(t, FDUnsupported, got.Type)
	require.Regexp(t, `^socket:\[\d+\]$`, got.Name)
}

func TestAClientOfAUnixSocketHasTheNameOfItsServer(t *testing.T) {
	if dumpUnixPeers() == nil {
		t.Skip("the kernel has no unix_diag")
	}
	path := filepath.Join(t.TempDir(), "server")
	server, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer server.Close()
	client, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer client.Close()
	accepted, err := server.Accept()
	require.NoError(t, err)
	defer accepted.Close()
	var num event.FD
	raw, err := client.(*net.UnixConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { num = event.FD(fd) }))
	got := openFilesOfTest(t)[num]
	require.Equal(t, FDUnix, got.Type)
	if got.UnixSrc == 0 {
		t.Skip("the kernel hides its addresses (kptr_restrict)")
	}
	require.Equal(t, path, got.Name)
	require.NotZero(t, got.UnixDst)
}

func TestAnswersAboutUnixSocketsAreBounded(t *testing.T) {
	message := func(kind uint16, body ...byte) []byte {
		b := make([]byte, unix.SizeofNlMsghdr, 64)
		binary.NativeEndian.PutUint32(b, uint32(unix.SizeofNlMsghdr+len(body)))
		binary.NativeEndian.PutUint16(b[4:], kind)
		return append(b, body...)
	}
	socket := make([]byte, unixDiagMsgLen)
	binary.NativeEndian.PutUint32(socket[4:], 7)
	peer := make([]byte, 8)
	binary.NativeEndian.PutUint16(peer, 8)
	binary.NativeEndian.PutUint16(peer[2:], unixDiagPeer)
	binary.NativeEndian.PutUint32(peer[4:], 9)

	peers := map[uint32]uint32{}
	require.False(t, parseUnixDiag(peers, message(sockDiagByFamily, append(socket, peer...)...)))
	require.Equal(t, map[uint32]uint32{7: 9}, peers)
	require.True(t, parseUnixDiag(peers, message(unix.NLMSG_DONE)))
	whole := message(sockDiagByFamily, append(socket, peer...)...)
	for cut := range len(whole) {
		peers := map[uint32]uint32{}
		parseUnixDiag(peers, whole[:cut])
		require.Empty(t, peers, "of %d bytes", cut)
	}
	sockets := map[uint64]FD{7: {Ino: 7, Type: FDUnix, UnixSrc: 70}, 9: {Ino: 9, Type: FDUnix, UnixSrc: 90, Name: "/s"}}
	connectUnix(sockets, map[uint32]uint32{7: 9, 9: 7, 1: 7, 7_000: 1})
	require.Equal(t, FD{Ino: 7, Type: FDUnix, UnixSrc: 70, UnixDst: 90, Name: "/s"}, sockets[7])
	require.Equal(t, FD{Ino: 9, Type: FDUnix, UnixSrc: 90, Name: "/s"}, sockets[9], "a server")
}
