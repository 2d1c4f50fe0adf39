// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"encoding/binary"
	"net/netip"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// Reducers of sockets. The docs are those of [Reducers].

// Linux's numbers.
const (
	familyUnix    = 1
	familyInet    = 2
	familyInet6   = 10
	familyNetlink = 16

	sockTypeMask = 0xf
	sockStream   = 1
	sockDgram    = 2
	sockRaw      = 3
	sockCloexec  = 0x80000

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoRaw    = 255
	protoICMPv6 = 58

	einprogress = 115
)

func (s *state) Socket(_ *event.Event, ret event.FD, domain uint32, typ uint32, proto uint32, flags uint32) {
	if s.cur == nil {
		return
	}
	fd := s.newFD(s.cur.files, ret, flags&openCloexec != 0 || typ&sockCloexec != 0)
	fd.setDomain(domain, typ, proto)
}

// setDomain makes fd a socket without addresses.
func (fd *FD) setDomain(domain, typ, protocol uint32) {
	switch domain {
	case familyUnix:
		fd.Type = proc.FDUnix
	case familyNetlink:
		fd.Type = proc.FDNetlink
	case familyInet:
		fd.Type = proc.FDIPv4
	case familyInet6:
		fd.Type = proc.FDIPv6
	}
	if !fd.IP() {
		return
	}
	switch protocol {
	case protoTCP:
		fd.L4 = proc.L4TCP
	case protoUDP:
		fd.L4 = proc.L4UDP
	case protoICMP, protoICMPv6:
		fd.L4 = proc.L4ICMP
	case protoRaw:
		fd.L4 = proc.L4Raw
	case 0:
		switch typ & sockTypeMask {
		case sockStream:
			fd.L4 = proc.L4TCP
		case sockDgram:
			fd.L4 = proc.L4UDP
		case sockRaw:
			fd.L4 = proc.L4Raw
		}
	}
}

func (s *state) Socketpair(_ *event.Event, fd1 event.FD, fd2 event.FD, source uint64, peer uint64, domain uint32, typ uint32, proto uint32) {
	if s.cur == nil {
		return
	}
	for _, num := range [...]event.FD{fd1, fd2} {
		fd := s.newFD(s.cur.files, num, typ&sockCloexec != 0)
		fd.setDomain(domain, typ, proto)
		fd.State = Connected
		fd.UnixSrc, fd.UnixDst = source, peer
		source, peer = peer, source
	}
}

func (s *state) Bind(_ *event.Event, num event.FD, addr event.SockAddr) {
	t := s.cur
	if t == nil || !s.uses(t, num) {
		return
	}
	fd := t.FD(num)
	if addr.Family() == event.FamilyUnix {
		s.setText(&fd.Path, addr.Path())
		s.ev.NameChanged = true
		return
	}
	src, ok := addr.AddrPort()
	if !ok {
		return
	}
	if !fd.IP() {
		s.files.becameIP()
	}
	if src.Port() != 0 {
		fd.Role = RoleServer
		fd.Type = proc.FDIPv6Server
		if src.Addr().Is4() {
			fd.Type = proc.FDIPv4Server
		}
	}
	fd.Src, fd.Dst, fd.form = src, netip.AddrPort{}, formAddr
	fd.unmap()
	s.ev.NameChanged = true
}

func (s *state) Connect(ev *event.Event, ret int64, num event.FD, tuple event.SockTuple, addr event.SockAddr) {
	t := s.cur
	if t == nil {
		return
	}
	enter := s.entered(t, ev)
	if ret < 0 && ret != -einprogress || !s.uses(t, num) {
		return
	}
	fd := t.FD(num)
	if !fd.IP() {
		s.files.becameIP()
	}
	switch {
	case len(tuple) > 0:
		s.setTuple(fd, tuple)
		if enter == nil {
			break
		}
		// The address before the call: another thread may have changed it since.
		s.path = append(s.path[:0], enter.text...)
		if dst, ok := event.SockAddr(s.path).AddrPort(); ok {
			if now, ok := addr.AddrPort(); !ok || now == fd.Dst {
				fd.setDest(dst)
			}
		}
	case enter != nil:
		s.path = append(s.path[:0], enter.text...)
		s.connectTo(fd, event.SockAddr(s.path))
	default:
		s.connectTo(fd, addr)
	}
	s.fillSource(fd)
	if fd.Role == RoleNone {
		fd.Role = RoleClient
	}
	fd.State, fd.form = Connected, formEnds
	if ret < 0 {
		fd.State = Pending
	}
	s.ev.NameChanged = true
}

// connectTo sets the destination of a connection whose source is not known.
func (s *state) connectTo(fd *FD, addr event.SockAddr) {
	if dst, ok := addr.AddrPort(); ok {
		fd.setDest(dst)
	} else if addr.Family() == event.FamilyUnix {
		fd.Type = proc.FDUnix
		s.setText(&fd.Path, addr.Path())
	}
}

func (fd *FD) setDest(dst netip.AddrPort) {
	if !fd.Src.IsValid() || fd.Src.Addr().Is4() != dst.Addr().Is4() {
		if v4, ok := unmapped(dst); ok && fd.Src.Addr().Is4() {
			dst = v4
		} else {
			zero := netip.IPv6Unspecified()
			if dst.Addr().Is4() {
				zero = netip.IPv4Unspecified()
			}
			fd.Src = netip.AddrPortFrom(zero, fd.Src.Port())
		}
	}
	fd.Dst, fd.Type = dst, proc.FDIPv6
	if dst.Addr().Is4() {
		fd.Type = proc.FDIPv4
	}
	fd.unmap()
}

func (s *state) Listen(_ *event.Event, num event.FD) {
	t := s.cur
	if t == nil || !s.uses(t, num) {
		return
	}
	fd := t.FD(num)
	fd.Role = RoleServer
	switch fd.Type {
	case proc.FDIPv4:
		fd.Type = proc.FDIPv4Server
	case proc.FDIPv6:
		fd.Type = proc.FDIPv6Server
	}
}

func (s *state) Accept(_ *event.Event, ret event.FD, tuple event.SockTuple, flags uint32) {
	if s.cur == nil {
		return
	}
	fd := s.newFD(s.cur.files, ret, flags&openCloexec != 0)
	fd.Role, fd.State, fd.form = RoleServer, Connected, formEnds
	s.setTuple(fd, tuple)
	if fd.IP() {
		fd.L4 = proc.L4TCP
	}
}

func (s *state) Send(_ *event.Event, ret int64, num event.FD, tuple event.SockTuple, data []byte) {
	t := s.cur
	if t == nil {
		return
	}
	if t.FD(num) == nil && (tuple.Family() == event.FamilyIPv4 || tuple.Family() == event.FamilyIPv6) {
		s.newFD(t.files, num, false).L4 = proc.L4UDP
		s.stats.UnknownFDs++
	}
	s.along(t, num, tuple, false)
}

func (s *state) Recv(_ *event.Event, ret int64, num event.FD, tuple event.SockTuple, data []byte, msgcontrol []byte) {
	if t := s.cur; t != nil {
		s.along(t, num, tuple, true)
		if len(msgcontrol) > 0 {
			s.passed(t, msgcontrol)
		}
	}
}

// along notes that data went through a socket, along tuple if it has one.
func (s *state) along(t *Thread, num event.FD, tuple event.SockTuple, incoming bool) {
	if !s.uses(t, num) {
		return
	}
	fd := t.FD(num)
	named, old := fd.Path != "" || fd.form != formPath, *fd
	if len(tuple) > 0 && (!named || fd.L4 != proc.L4TCP) && s.setTuple(fd, tuple) {
		if fd.IP() && !old.IP() {
			s.files.becameIP()
		}
		if fd.IP() {
			if fd.L4 == proc.L4Unknown {
				fd.L4 = proc.L4UDP
			}
			if !incoming {
				s.fillSource(fd)
			}
			if fd.Role == RoleNone {
				fd.guessRole(t, incoming)
			}
			if fd.Role == RoleClient && incoming || fd.Role == RoleServer && !incoming {
				fd.Src, fd.Dst = fd.Dst, fd.Src
			}
		}
		fd.form = formEnds
		s.ev.NameChanged = !fd.sameName(&old)
	}
	if fd.IP() && !fd.Listening() {
		fd.State = Connected
	}
}

func (s *state) Shutdown(_ *event.Event, _ event.FD, _ uint32) {} // the descriptor stays as it is

func (s *state) Getsockopt(_ *event.Event, num event.FD, level uint32, optname uint32, val event.Dyn) {
	t := s.cur
	if t == nil || level != solSocket || optname != soError {
		return
	}
	fd := t.FD(num)
	if fd == nil || fd.State != Pending {
		return
	}
	fd.State = Connected
	if v := val.Value(); len(v) >= 8 && binary.NativeEndian.Uint64(v) != 0 {
		fd.State = Failed
	}
}

// Values as events carry them.
var (
	solSocket = event.MustValue("sockopt_level", "SOL_SOCKET")
	soError   = event.MustValue("sockopt_name", "SO_ERROR")
)
