// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const tcpBacklog = 8

// endpoint is an end of a socket, with its raw address as the kernel takes it.
type endpoint struct {
	Address
	raw []byte
}

// parseEndpoint parses an address in the table's notation.
func parseEndpoint(text string) (endpoint, error) {
	a, err := ParseAddress(text)
	if err != nil {
		return endpoint{}, err
	}
	return endpoint{a, rawSockaddr(a)}, nil
}

// rawSockaddr encodes the address as struct sockaddr_{in,in6,un}.
func rawSockaddr(a Address) []byte {
	var w words
	w.u16(uint16(a.Family))
	switch a.Family {
	case unix.AF_INET:
		w.b = binary.BigEndian.AppendUint16(w.b, a.Port)
		w.b = append(w.b, a.IP...)
		w.u64(0)
	case unix.AF_INET6:
		w.b = binary.BigEndian.AppendUint16(w.b, a.Port)
		w.u32(0)
		w.b = append(w.b, a.IP...)
		w.u32(0)
	case unix.AF_UNIX:
		if a.Abstract {
			w.b = append(w.b, 0)
			w.b = append(w.b, a.Path...)
		} else if a.Path != "" {
			w.b = append(w.b, a.Path...)
			w.b = append(w.b, 0)
		}
	}
	return w.b
}

// endpointOf decodes a raw address.
func endpointOf(raw []byte) endpoint {
	e := endpoint{raw: bytes.Clone(raw)}
	if len(raw) < 2 {
		return e
	}
	e.Family = int(binary.NativeEndian.Uint16(raw))
	switch {
	case e.Family == unix.AF_INET && len(raw) >= 8:
		e.Port, e.IP = binary.BigEndian.Uint16(raw[2:]), e.raw[4:8]
	case e.Family == unix.AF_INET6 && len(raw) >= 24:
		e.Port, e.IP = binary.BigEndian.Uint16(raw[2:]), e.raw[8:24]
	case e.Family == unix.AF_UNIX && len(raw) > 2:
		path := raw[2:]
		if path[0] == 0 {
			e.Abstract, path = true, path[1:]
		} else if i := bytes.IndexByte(path, 0); i >= 0 {
			path = path[:i]
		}
		e.Path = string(path)
	}
	return e
}

// fields returns an endpoint's facts. wire is the value of a sockaddr param.
func (e endpoint) fields() (map[string]any, error) {
	r, err := newRegionOf(e.raw)
	if err != nil {
		return nil, err
	}
	f := map[string]any{
		"addr": memory("sockaddr", r, nil), "len": int64(len(e.raw)), "family": int64(e.Family),
		"wire": e.Wire(), "port": int64(e.Port),
	}
	switch e.Family {
	case unix.AF_UNIX:
		f["path"] = e.Path
	case unix.AF_INET, unix.AF_INET6:
		f["ip"] = bytes.Clone(e.IP)
	}
	return f, nil
}

// getName calls getsockname or getpeername.
func getName(trap uintptr, fd int) (endpoint, error) {
	var raw [128]byte
	size := uint32(len(raw))
	_, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&raw[0])), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return endpoint{}, errno
	}
	return endpointOf(raw[:min(int(size), len(raw))]), nil
}

func rawConnect(trap uintptr, fd int, e endpoint) error {
	_, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&e.raw[0])), uintptr(len(e.raw)))
	if errno != 0 {
		return errno
	}
	return nil
}

// CanBind returns why a datagram socket cannot be bound to an address, or nil.
func CanBind(addr string) error {
	e, err := parseEndpoint(addr)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(e.Family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	if err := rawConnect(unix.SYS_BIND, fd, e); err != nil {
		return fmt.Errorf("bind %s: %w", addr, err)
	}
	return nil
}

// socketObject returns an object for an open socket, with its local address.
func socketObject(fd int) (*Object, error) {
	local, err := getName(unix.SYS_GETSOCKNAME, fd)
	if err != nil {
		return nil, fmt.Errorf("getsockname: %w", err)
	}
	f, err := local.fields()
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("fstat: %w", err)
	}
	f["fd"], f["ino"], f["dev"] = int64(fd), int64(st.Ino), encodeDev(uint64(st.Dev))
	if local.Family == unix.AF_UNIX {
		if k, ok := unixKernelAddress(st.Ino); ok {
			f["kaddr"] = k
		}
	}
	f["connected"] = isConnected(fd)
	o := number("socket", int64(fd), f)
	o.update = func(o *Object) error { return updateSocket(o, fd, st.Ino) }
	return o, nil
}

// updateSocket reads the local address again: the call may have bound the
// socket. The memory of the old address is not changed.
func updateSocket(o *Object, fd int, ino uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Ino != ino {
		return nil // closed by the call
	}
	local, err := getName(unix.SYS_GETSOCKNAME, fd)
	if err != nil {
		return fmt.Errorf("getsockname: %w", err)
	}
	f, err := local.fields()
	if err != nil {
		return err
	}
	for name, v := range f {
		if name != "addr" && name != "len" {
			o.fields[name] = v
		}
	}
	o.fields["connected"] = isConnected(fd)
	return nil
}

func isConnected(fd int) int64 {
	if _, err := getName(unix.SYS_GETPEERNAME, fd); err != nil {
		return 0
	}
	return 1
}

// unixKernelAddress returns the address of a unix socket in the kernel. It is known only
// if kptr_restrict is 1; otherwise the kernel prints a hash.
func unixKernelAddress(ino uint64) (uint64, bool) {
	b, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return 0, false
	}
	want := strconv.FormatUint(ino, 10)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 7 || f[6] != want {
			continue
		}
		addr, err := strconv.ParseUint(strings.TrimSuffix(f[0], ":"), 16, 64)
		return addr, err == nil && addr>>48 == 0xffff
	}
	return 0, false
}

// newSocket makes a socket, and binds it unless addr is "".
func newSocket(typ int, addr string) (int, error) {
	e := endpoint{Address: Address{Family: unix.AF_UNIX}}
	if addr != "" {
		var err error
		if e, err = parseEndpoint(addr); err != nil {
			return 0, err
		}
	}
	fd, err := unix.Socket(e.Family, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	if addr != "" {
		if err := rawConnect(unix.SYS_BIND, fd, e); err != nil {
			return 0, fmt.Errorf("bind %s: %w", addr, err)
		}
	}
	return fd, nil
}

func boundSocket(typ int, listen bool, args []any) (*Object, error) {
	addr, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	return boundSocketAt(typ, listen, addr)
}

func boundSocketAt(typ int, listen bool, addr string) (*Object, error) {
	fd, err := newSocket(typ, addr)
	if err != nil {
		return nil, err
	}
	if listen {
		if err := unix.Listen(fd, tcpBacklog); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	return socketObject(fd)
}

func tcpBound(_ *Maker, args []any) (any, error)  { return boundSocket(unix.SOCK_STREAM, false, args) }
func tcpListen(_ *Maker, args []any) (any, error) { return boundSocket(unix.SOCK_STREAM, true, args) }
func udpBound(_ *Maker, args []any) (any, error)  { return boundSocket(unix.SOCK_DGRAM, false, args) }

// unixAddress also accepts a bare path or @name for unix functions.
func unixAddress(args []any) (string, error) {
	path, err := argText(args, 0)
	if err != nil {
		return "", err
	}
	return "unix:" + strings.TrimPrefix(path, "unix:"), nil
}

func unixDgram(_ *Maker, args []any) (any, error) {
	path, err := unixAddress(args)
	if err != nil {
		return nil, err
	}
	return boundSocketAt(unix.SOCK_DGRAM, false, path)
}

func unixListen(_ *Maker, args []any) (any, error) {
	path, err := unixAddress(args)
	if err != nil {
		return nil, err
	}
	return boundSocketAt(unix.SOCK_STREAM, true, path)
}

func unixStream(_ *Maker, _ []any) (any, error) {
	fd, err := newSocket(unix.SOCK_STREAM, "")
	if err != nil {
		return nil, err
	}
	return socketObject(fd)
}

// connectTo makes a socket of the peer's family and connects it.
func connectTo(typ int, peer *Object) (*Object, error) {
	fd, err := expectInt(peer.plain)
	if err != nil {
		return nil, err
	}
	remote, err := getName(unix.SYS_GETSOCKNAME, int(fd))
	if err != nil {
		return nil, fmt.Errorf("getsockname: %w", err)
	}
	s, err := unix.Socket(remote.Family, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := rawConnect(unix.SYS_CONNECT, s, remote); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return socketObject(s)
}

func expectInt(v any) (int64, error) {
	n, ok := v.(int64)
	if !ok {
		return 0, fmt.Errorf("%T is not a descriptor", v)
	}
	return n, nil
}

func tcpConnect(_ *Maker, args []any) (any, error) {
	peer, err := argObject(args, 0)
	if err != nil {
		return nil, err
	}
	return connectTo(unix.SOCK_STREAM, peer)
}

func udpConnect(_ *Maker, args []any) (any, error) {
	peer, err := argObject(args, 0)
	if err != nil {
		return nil, err
	}
	return connectTo(unix.SOCK_DGRAM, peer)
}

func unixConnect(_ *Maker, args []any) (any, error) {
	peer, err := argObject(args, 0)
	if err != nil {
		return nil, err
	}
	return connectTo(unix.SOCK_STREAM, peer)
}

func plainSocket(_ *Maker, args []any) (any, error) {
	domain, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	typ, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(int(domain), int(typ), 0)
	if err != nil {
		return nil, err
	}
	return socketObject(fd)
}

func socketOption(_ *Maker, args []any) (any, error) {
	var n [4]int64
	for i := range n {
		var err error
		if n[i], err = argInt(args, i); err != nil {
			return nil, err
		}
	}
	return n[3], unix.SetsockoptInt(int(n[0]), int(n[1]), int(n[2]), int(n[3]))
}

func tcpPair(_ *Maker, args []any) (any, error) {
	l, err := boundSocket(unix.SOCK_STREAM, true, args)
	if err != nil {
		return nil, err
	}
	client, err := connectTo(unix.SOCK_STREAM, l)
	if err != nil {
		return nil, err
	}
	fd, _, err := unix.Accept4(int(l.plain.(int64)), unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}
	server, err := socketObject(fd)
	if err != nil {
		return nil, err
	}
	return &Object{what: "tcp pair", fields: map[string]any{"client": client, "server": server, "listener": l}}, nil
}

func socketPair(_ *Maker, _ []any) (any, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	a, err := socketObject(fds[0])
	if err != nil {
		return nil, err
	}
	b, err := socketObject(fds[1])
	if err != nil {
		return nil, err
	}
	return &Object{what: "socket pair", fields: map[string]any{"a": a, "b": b}, elems: []any{a, b}}, nil
}

func sendBytes(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	data, err := argBytes(args, 1)
	if err != nil {
		return nil, err
	}
	return int64(len(data)), unix.Send(int(fd), data, unix.MSG_NOSIGNAL)
}

func sendTo(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	data, err := argBytes(args, 1)
	if err != nil {
		return nil, err
	}
	raw, err := argAddress(args, 2)
	if err != nil {
		return nil, err
	}
	r, err := newRegionOf(data)
	if err != nil {
		return nil, err
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(r.Addr()), uintptr(len(data)), unix.MSG_NOSIGNAL,
		uintptr(unsafe.Pointer(&raw[0])), uintptr(len(raw)))
	if errno != 0 {
		return nil, errno
	}
	return int64(n), nil
}

// argAddress returns the address, a sockaddr, of the socket that is an argument.
func argAddress(args []any, i int) ([]byte, error) {
	peer, err := argObject(args, i)
	if err != nil {
		return nil, err
	}
	addr, ok := peer.fields["addr"].(*Object)
	if !ok {
		return nil, fmt.Errorf("%s has no address", peer.what)
	}
	return addr.plain.([]byte), nil
}

// sendFDs sends data and n copies of a descriptor, which it sends on, to a unix socket.
func sendFDs(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	data, err := argBytes(args, 1)
	if err != nil {
		return nil, err
	}
	n, err := argInt(args, 2)
	if err != nil {
		return nil, err
	}
	addr, err := argAddress(args, 3)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(string(addr[2:]), "\x00")
	fds := slices.Repeat([]int{int(fd)}, int(n))
	sent, err := unix.SendmsgN(int(fd), data, unix.UnixRights(fds...), &unix.SockaddrUnix{Name: name}, unix.MSG_NOSIGNAL)
	return int64(sent), err
}

func sockaddrMemory(_ *Maker, args []any) (any, error) {
	text, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	e, err := parseEndpoint(text)
	if err != nil {
		return nil, err
	}
	f, err := e.fields()
	if err != nil {
		return nil, err
	}
	a := f["addr"].(*Object)
	a.fields = map[string]any{"len": f["len"], "wire": f["wire"], "family": f["family"], "port": f["port"], "addr": int64(a.addr)}
	return a, nil
}

func getSockName(_ *Maker, args []any) (any, error) { return nameOf(unix.SYS_GETSOCKNAME, args) }
func getPeerName(_ *Maker, args []any) (any, error) { return nameOf(unix.SYS_GETPEERNAME, args) }

func nameOf(trap uintptr, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	e, err := getName(trap, int(fd))
	if err != nil {
		return nil, err
	}
	f, err := e.fields()
	if err != nil {
		return nil, err
	}
	if e.Family == unix.AF_UNIX {
		var st unix.Stat_t
		if err := unix.Fstat(int(fd), &st); err == nil && trap == unix.SYS_GETSOCKNAME {
			if k, ok := unixKernelAddress(st.Ino); ok {
				f["kaddr"] = k
			}
		}
	}
	return number("socket address", fd, f), nil
}
