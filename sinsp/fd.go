// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"net/netip"

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

	OpenFlags uint32 // file_flags as events carry them
	Dev       uint32 // the kernel's 32-bit form
	Ino       uint64
	MountID   uint32

	// Path is the absolute path of a file or directory, the label of a memfd, the name
	// in /proc of others, the path of a unix socket; "" for IP sockets. See AppendName.
	Path string
	// RawPath is the path as the call got it; "" if no call did.
	RawPath string

	Src, Dst         netip.AddrPort // IP sockets: client and server; a listening or bound one has only Src
	UnixSrc, UnixDst uint64         // kernel addresses of a unix socket's ends

	PID event.PID // of a pidfd's process

	refs int32
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

// AppendName appends the name that users see: the path of a file; the addresses of a
// connection, "1.2.3.4:5->6.7.8.9:10"; the address of a bound socket, "1.2.3.4:5"; of a
// connected unix socket "SOURCE->DEST path" with the kernel addresses in hex.
func (fd *FD) AppendName(dst []byte) []byte { return append(dst, fd.Path...) }

// TypeChar returns the letter of the type in output: 'f', 'd', '4', ...
func (fd *FD) TypeChar() byte { return 'o' }

// IP reports whether fd is an IP socket.
func (fd *FD) IP() bool { return fd.Type >= proc.FDIPv4 && fd.Type <= proc.FDIPv6Server }

// Client returns the address of the client; ok is false if the role is not known.
func (fd *FD) Client() (addr netip.AddrPort, ok bool) { return fd.Src, false }

// Server returns the address of the server: the listening address, or the destination
// of a connection; ok is false if the role is not known.
func (fd *FD) Server() (addr netip.AddrPort, ok bool) { return fd.Dst, false }

// fdTable has the open files of a process. Processes made with CLONE_FILES share one.
type fdTable struct {
	refs int
}
