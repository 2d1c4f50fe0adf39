// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"encoding/binary"
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// connectUnix gives clients, which have no name of their own, the other end of their connection and its name: the path that
// they connected to.
func connectUnix(sockets map[uint64]FD, peers map[uint32]uint32) {
	for ino, other := range peers {
		fd, ok1 := sockets[uint64(ino)]
		peer, ok2 := sockets[uint64(other)]
		// The address shows that the name is that of the other end; the kernel may hide it: kptr_restrict.
		if ok1 && ok2 && fd.Type == FDUnix && fd.Name == "" && peer.Type == FDUnix && peer.UnixSrc != 0 {
			fd.UnixDst, fd.Name = peer.UnixSrc, peer.Name
			sockets[uint64(ino)] = fd
		}
	}
}

// unixPeers returns the inode of the other end of each connected unix socket in the network namespace of the process whose
// directory is dir, as far as the kernel tells it: sock_diag(7).
func unixPeers(dir int) map[uint32]uint32 {
	result := make(chan map[uint32]uint32)
	go func() {
		// A thread that cannot return to its namespace ends with its goroutine, since it stays locked.
		runtime.LockOSThread()
		back, err := enterNet(dir)
		if err != nil {
			result <- nil
			return
		}
		peers := dumpUnixPeers()
		if back() == nil {
			runtime.UnlockOSThread()
		}
		result <- peers
	}()
	return <-result
}

// enterNet moves the thread into the network namespace of a process. back returns to the thread's own.
func enterNet(dir int) (back func() error, err error) {
	var own, other unix.Stat_t
	err = errors.Join(unix.Stat("/proc/thread-self/ns/net", &own), unix.Fstatat(dir, "ns/net", &other, 0))
	if err != nil {
		return nil, err
	}
	if own.Dev == other.Dev && own.Ino == other.Ino {
		return func() error { return nil }, nil
	}
	here, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	there, err := unix.Openat(dir, "ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		unix.Close(here)
		return nil, err
	}
	err = unix.Setns(there, unix.CLONE_NEWNET)
	unix.Close(there)
	if err != nil {
		unix.Close(here)
		return nil, err
	}
	return func() error {
		defer unix.Close(here)
		return unix.Setns(here, unix.CLONE_NEWNET)
	}, nil
}

// Of linux/sock_diag.h and linux/unix_diag.h.
const (
	sockDiagByFamily = 20
	udiagShowPeer    = 0x04
	unixDiagPeer     = 2
	unixDiagMsgLen   = 16
)

// unixDiagReq is struct unix_diag_req behind its netlink header.
type unixDiagReq struct {
	header   unix.NlMsghdr
	family   uint8
	protocol uint8
	_        uint16
	states   uint32
	ino      uint32
	show     uint32
	cookie   [2]uint32
}

// dumpUnixPeers asks the kernel for the thread's network namespace. It returns nil where the kernel has no unix_diag.
func dumpUnixPeers() map[uint32]uint32 {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	req := unixDiagReq{
		header: unix.NlMsghdr{Type: sockDiagByFamily, Flags: unix.NLM_F_REQUEST | unix.NLM_F_DUMP},
		family: unix.AF_UNIX, states: ^uint32(0), show: udiagShowPeer,
	}
	req.header.Len = uint32(unsafe.Sizeof(req))
	if err := unix.Sendto(fd, unsafe.Slice((*byte)(unsafe.Pointer(&req)), unsafe.Sizeof(req)), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil
	}
	// The kernel always ends its answer; a scan does not hang if it does not.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60}); err != nil {
		return nil
	}
	peers := map[uint32]uint32{}
	buf := make([]byte, 32<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n >= unix.SizeofNlMsghdr && binary.NativeEndian.Uint16(buf[4:]) == unix.NLMSG_ERROR {
			return nil // ENOENT without unix_diag
		}
		if err != nil || n == 0 || parseUnixDiag(peers, buf[:n]) {
			return peers
		}
	}
}

// parseUnixDiag adds the answers in one message of the kernel. It reports whether they were the last.
func parseUnixDiag(peers map[uint32]uint32, b []byte) (last bool) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := binary.NativeEndian.Uint32(b)
		kind := binary.NativeEndian.Uint16(b[4:])
		if size < unix.SizeofNlMsghdr || uint64(size) > uint64(len(b)) || kind == unix.NLMSG_DONE || kind == unix.NLMSG_ERROR {
			return true
		}
		body := b[unix.SizeofNlMsghdr:size]
		b = b[min(len(b), align4(int(size))):]
		if kind != sockDiagByFamily || len(body) < unixDiagMsgLen {
			continue
		}
		ino := binary.NativeEndian.Uint32(body[4:])
		for a := body[unixDiagMsgLen:]; len(a) >= unix.SizeofRtAttr; {
			size := int(binary.NativeEndian.Uint16(a))
			if size < unix.SizeofRtAttr || size > len(a) {
				break
			}
			if binary.NativeEndian.Uint16(a[2:]) == unixDiagPeer && size == unix.SizeofRtAttr+4 {
				peers[ino] = binary.NativeEndian.Uint32(a[unix.SizeofRtAttr:])
			}
			a = a[min(len(a), align4(size)):]
		}
	}
	return false
}

func align4(n int) int { return (n + 3) &^ 3 }
