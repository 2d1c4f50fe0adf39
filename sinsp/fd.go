// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"net/netip"
	"strconv"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// FD is an open file: what several descriptors, also of several processes, may refer to
// after dup or fork. The fields are for reading.
type FD struct {
	Type  proc.FDType
	L4    uint8 // proc.L4TCP and so on, of IP sockets
	Role  Role
	State SocketState

	UpperLayer bool // of an overlay file system
	LowerLayer bool

	form form
	refs int32

	OpenFlags uint32 // open_flags as events carry them
	Dev       uint32 // the kernel's 32-bit form
	Ino       uint64

	// Path is the absolute path of a file or directory, the label of a memfd, the name
	// in /proc of others, the path of a unix socket; "" for IP sockets. See AppendName.
	Path string
	// RawPath is the path as the call got it; "" if no call did.
	RawPath string

	Src, Dst         netip.AddrPort // IP sockets: client and server; a listening or bound one has only Src
	UnixSrc, UnixDst uint64         // kernel addresses of a unix socket's ends; 0: not known

	PID event.PID // of a pidfd's process
}

// Role is which end of a connection a socket is.
type Role uint8

const (
	RoleNone Role = iota
	RoleClient
	RoleServer
)

// SocketState is how far a socket's connection is.
type SocketState uint8

const (
	Unconnected SocketState = iota
	Pending                 // connect returned -EINPROGRESS
	Connected
	Failed
)

// form is how the name of a file is written.
type form uint8

const (
	formPath form = iota // Path
	formAddr             // Src
	formEnds             // Src->Dst, or UnixSrc->UnixDst Path
)

// AppendName appends the name that users see: the path of a file; the addresses of a
// connection, "1.2.3.4:5->6.7.8.9:10"; the address of a bound socket, "1.2.3.4:5"; of a
// connected unix socket "SOURCE->DEST path" with the kernel addresses in hex.
func (fd *FD) AppendName(dst []byte) []byte {
	switch {
	case fd.form == formAddr:
		return appendAddr(dst, fd.Src)
	case fd.form == formEnds && fd.Type == proc.FDUnix:
		dst = strconv.AppendUint(dst, fd.UnixSrc, 16)
		dst = append(dst, "->"...)
		dst = strconv.AppendUint(dst, fd.UnixDst, 16)
		if fd.Path != "" {
			dst = append(append(dst, ' '), fd.Path...)
		}
		return dst
	case fd.form == formEnds:
		dst = appendAddr(dst, fd.Src)
		dst = append(dst, "->"...)
		return appendAddr(dst, fd.Dst)
	}
	return append(dst, fd.Path...)
}

// sameName reports whether both have the same name.
func (fd *FD) sameName(old *FD) bool {
	return fd.form == old.form && fd.Type == old.Type && fd.Path == old.Path && fd.Src == old.Src && fd.Dst == old.Dst &&
		fd.UnixSrc == old.UnixSrc && fd.UnixDst == old.UnixDst
}

// appendAddr appends IP:PORT, an IPv6 address without brackets.
func appendAddr(dst []byte, a netip.AddrPort) []byte {
	if a.Addr().IsValid() {
		dst = a.Addr().AppendTo(dst)
	}
	return strconv.AppendUint(append(dst, ':'), uint64(a.Port()), 10)
}

var typeChars = [...]byte{
	proc.FDUnknown: 'o', proc.FDFile: 'f', proc.FDDirectory: 'd', proc.FDIPv4: '4', proc.FDIPv6: '6', proc.FDIPv4Server: '4',
	proc.FDIPv6Server: '6', proc.FDPipe: 'p', proc.FDUnix: 'u', proc.FDEvent: 'e', proc.FDUnsupported: 'X', proc.FDSignal: 's',
	proc.FDEventPoll: 'l', proc.FDInotify: 'i', proc.FDTimer: 't', proc.FDNetlink: 'n', proc.FDRegular: 'f', proc.FDBPF: 'b',
	proc.FDUserfault: 'u', proc.FDIOUring: 'r', proc.FDMemfd: 'm', proc.FDPidfd: 'P',
}

// TypeChar returns the letter of the type in output: 'f', 'd', '4', ...
func (fd *FD) TypeChar() byte {
	if int(fd.Type) < len(typeChars) {
		return typeChars[fd.Type]
	}
	return 'o'
}

// IP reports whether fd is an IP socket.
func (fd *FD) IP() bool { return fd.Type >= proc.FDIPv4 && fd.Type <= proc.FDIPv6Server }

// Listening reports whether fd is a socket that waits for others: it listens, or is
// bound and not connected.
func (fd *FD) Listening() bool {
	return fd.Type == proc.FDIPv4Server || fd.Type == proc.FDIPv6Server
}

// Client returns the address of the client of a connection; ok is false if fd is no
// connection or the role is not known.
func (fd *FD) Client() (addr netip.AddrPort, ok bool) {
	if fd.Role == RoleNone || !fd.IP() || fd.Listening() {
		return netip.AddrPort{}, false
	}
	return fd.Src, true
}

// Server returns the address of the server: the listening address, or the destination
// of a connection; ok is false if the role is not known.
func (fd *FD) Server() (addr netip.AddrPort, ok bool) {
	switch {
	case !fd.IP():
		return netip.AddrPort{}, false
	case fd.Listening():
		return fd.Src, true
	}
	return fd.Dst, fd.Role != RoleNone
}

// overlay takes over the layer that the flags of an open tell.
func (fd *FD) overlay(flags uint32) {
	fd.UpperLayer, fd.LowerLayer = flags&openUpperLayer != 0, flags&openLowerLayer != 0
}
