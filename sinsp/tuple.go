// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"net/netip"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// unmap makes a socket whose ends are IPv4 addresses in IPv6 form an IPv4 socket. The
// IPv6 address of zeros counts as the IPv4 one.
func (fd *FD) unmap() {
	if fd.Type != proc.FDIPv6 && fd.Type != proc.FDIPv6Server {
		return
	}
	src, ok1 := unmapped(fd.Src)
	dst, ok2 := unmapped(fd.Dst)
	if !ok1 || !ok2 || !src.Addr().Is4() && !dst.Addr().Is4() {
		return
	}
	if !fd.Src.Addr().Is4In6() && !fd.Dst.Addr().Is4In6() {
		return // only zeros: nothing says that it is IPv4
	}
	fd.Src, fd.Dst = src, dst
	fd.Type-- // IPv6 follows IPv4, and so do their servers
}

func unmapped(a netip.AddrPort) (netip.AddrPort, bool) {
	switch ip := a.Addr(); {
	case !ip.IsValid():
		return a, true
	case ip.Is4In6():
		return netip.AddrPortFrom(ip.Unmap(), a.Port()), true
	case ip == netip.IPv6Unspecified():
		return netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port()), true
	}
	return a, a.Addr().Is4()
}

// setTuple takes over the ends of a connection, or of a datagram: those of an unconnected
// socket may differ each time. It reports whether something changed: not if the tuple is
// the one that fd has, in either direction.
func (s *state) setTuple(fd *FD, tuple event.SockTuple) bool {
	if tuple.Family() == event.FamilyUnix {
		src, dst, ok := tuple.Pointers()
		if !ok {
			return false
		}
		fd.Type = proc.FDUnix
		fd.UnixSrc, fd.UnixDst = src, dst
		s.setText(&fd.Path, tuple.Path())
		return true
	}
	src, ok1 := tuple.Source()
	dst, ok2 := tuple.Dest()
	if !ok1 || !ok2 {
		return false
	}
	next := FD{Type: proc.FDIPv4, Src: src, Dst: dst}
	if tuple.Family() == event.FamilyIPv6 {
		next.Type = proc.FDIPv6
		next.unmap()
	}
	if fd.Type == next.Type && (fd.Src == next.Src && fd.Dst == next.Dst || fd.Src == next.Dst && fd.Dst == next.Src) {
		return false
	}
	fd.Type, fd.Src, fd.Dst = next.Type, next.Src, next.Dst
	return true
}

// guessRole tells the ends of a connection apart. A process that is bound to the port of
// the destination may be the server, or both: then a server begins with a read, and a
// client with a write.
func (fd *FD) guessRole(t *Thread, incoming bool) {
	fd.Role = RoleClient
	if !incoming {
		return
	}
	for _, other := range t.FDs() {
		if other.Listening() && other.Src.Port() == fd.Dst.Port() {
			fd.Role = RoleServer
			return
		}
	}
}

// fillSource replaces the address of zeros as the source by the machine's own one with
// which it reaches the destination: the destination itself if that is the machine's,
// the one of its network, or the first that is not loopback.
func (s *state) fillSource(fd *FD) {
	if !fd.Src.Addr().IsUnspecified() || !fd.Dst.Addr().Is4() {
		return
	}
	var best netip.Addr
	rank := 0
	for i := range s.interfaces {
		in := &s.interfaces[i]
		if !in.Addr.Is4() {
			continue
		}
		switch {
		case in.Addr == fd.Dst.Addr():
			best, rank = in.Addr, 3
		case rank < 2 && sameNetwork(in, fd.Dst.Addr()):
			best, rank = in.Addr, 2
		case rank < 1 && !in.Addr.IsLoopback():
			best, rank = in.Addr, 1
		}
	}
	if rank > 0 {
		fd.Src = netip.AddrPortFrom(best, fd.Src.Port())
	}
}

func sameNetwork(in *proc.Interface, a netip.Addr) bool {
	if !in.Netmask.Is4() {
		return false
	}
	x, y, mask := in.Addr.As4(), a.As4(), in.Netmask.As4()
	for i := range mask {
		if (x[i]^y[i])&mask[i] != 0 {
			return false
		}
	}
	return true
}

// local reports whether a is an address of the machine. Of an IPv6 address the first 64
// bits count.
func (s *state) local(a netip.Addr) bool {
	for i := range s.interfaces {
		in := s.interfaces[i].Addr
		switch {
		case in == a:
			return true
		case in.Is6() && a.Is6() && !in.Is4In6() && !a.Is4In6():
			x, y := in.As16(), a.As16()
			if [8]byte(x[:8]) == [8]byte(y[:8]) {
				return true
			}
		}
	}
	return false
}
