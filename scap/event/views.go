// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"iter"
	"net/netip"
	"strconv"

	"github.com/scaplab/scaplab/internal/abi"
)

// FD is a file descriptor as params carry it, or -errno if it is the result of a
// failed call.
type FD int64

// AtFDCWD stands for the working directory in params that are a directory's
// descriptor.
const AtFDCWD FD = abi.AtFDCWD

// PID is the id of a process, a thread, a process group or a session; -1: none.
type PID int64

// UID is the id of a user.
type UID uint32

// GID is the id of a group.
type GID uint32

// NoUID and NoGID mean that there is no id.
const (
	NoUID UID = 1<<32 - 1
	NoGID GID = 1<<32 - 1
)

// Address families as events carry them (Linux's numbers).
const (
	FamilyUnix = abi.FamilyUnix
	FamilyIPv4 = abi.FamilyIPv4
	FamilyIPv6 = abi.FamilyIPv6
)

// SockAddr is a ParamSockaddr value:
//
//	unix  1, path with its NUL (an abstract name without its leading NUL)
//	IPv4  2, 4 bytes address, u16 port
//	IPv6  10, 16 bytes address, u16 port
//
// Addresses are in network byte order, ports in host byte order.
type SockAddr []byte

// Family returns FamilyUnix, FamilyIPv4 or FamilyIPv6; 0 if the value is empty.
func (a SockAddr) Family() uint8 {
	if len(a) == 0 {
		return 0
	}
	return a[0]
}

// AddrPort returns the address of an IPv4 or IPv6 value.
func (a SockAddr) AddrPort() (netip.AddrPort, bool) {
	switch a.Family() {
	case FamilyIPv4:
		return addrPort4(a[1:])
	case FamilyIPv6:
		return addrPort6(a[1:])
	}
	return netip.AddrPort{}, false
}

// Path returns the path of a unix value, without its NUL; nil for others. An
// abstract name may contain NULs.
func (a SockAddr) Path() []byte {
	if a.Family() != FamilyUnix {
		return nil
	}
	return unixName(a[1:])
}

// SockTuple is a ParamSocktuple value:
//
//	unix  1, u64 source pointer, u64 destination pointer, path with its NUL
//	IPv4  2, 4 bytes source, u16 port, 4 bytes destination, u16 port
//	IPv6  10, 16 bytes source, u16 port, 16 bytes destination, u16 port
type SockTuple []byte

// Family returns FamilyUnix, FamilyIPv4 or FamilyIPv6; 0 if the value is empty.
func (t SockTuple) Family() uint8 {
	if len(t) == 0 {
		return 0
	}
	return t[0]
}

// Source returns the end that the data comes from, of an IPv4 or IPv6 tuple.
func (t SockTuple) Source() (netip.AddrPort, bool) {
	switch t.Family() {
	case FamilyIPv4:
		return addrPort4(t[1:])
	case FamilyIPv6:
		return addrPort6(t[1:])
	}
	return netip.AddrPort{}, false
}

// Dest returns the end that the data goes to, of an IPv4 or IPv6 tuple.
func (t SockTuple) Dest() (netip.AddrPort, bool) {
	switch {
	case t.Family() == FamilyIPv4 && len(t) >= 7:
		return addrPort4(t[7:])
	case t.Family() == FamilyIPv6 && len(t) >= 19:
		return addrPort6(t[19:])
	}
	return netip.AddrPort{}, false
}

// Pointers returns the kernel addresses of a unix tuple's sockets, which serve as
// identities only.
func (t SockTuple) Pointers() (source, dest uint64, ok bool) {
	if t.Family() != FamilyUnix || len(t) < 17 {
		return 0, 0, false
	}
	return binary.NativeEndian.Uint64(t[1:]), binary.NativeEndian.Uint64(t[9:]), true
}

// Path returns the path of a unix tuple, without its NUL; nil for others. An
// abstract name may contain NULs.
func (t SockTuple) Path() []byte {
	if t.Family() != FamilyUnix || len(t) < 17 {
		return nil
	}
	return unixName(t[17:])
}

func unixName(v []byte) []byte { return bytes.TrimSuffix(v, nul) }

func addrPort4(v []byte) (netip.AddrPort, bool) {
	if len(v) < 6 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(v)), binary.NativeEndian.Uint16(v[4:])), true
}

func addrPort6(v []byte) (netip.AddrPort, bool) {
	if len(v) < 18 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(v)), binary.NativeEndian.Uint16(v[16:])), true
}

// fdsLeftOut in the last entry of a list of files, with their number added, stands for those that the list leaves out.
const fdsLeftOut = 1 << 32

// FDList is a ParamFDList value: u16 count, then count times i64 fd, u16 poll
// flags.
type FDList []byte

// Len returns the number of descriptors.
func (l FDList) Len() int {
	n := l.entries()
	if l.LeftOut() > 0 {
		n--
	}
	return n
}

// LeftOut returns how many descriptors the call has besides: drivers send the first 16.
func (l FDList) LeftOut() uint32 {
	n := l.entries()
	if n == 0 {
		return 0
	}
	if last, _ := l.At(n - 1); last > fdsLeftOut && last < 2*fdsLeftOut {
		return uint32(last - fdsLeftOut)
	}
	return 0
}

// AppendLeftOut appends how many descriptors are left out, if any: ...(3 more).
func (l FDList) AppendLeftOut(dst []byte) []byte {
	n := l.LeftOut()
	if n == 0 {
		return dst
	}
	dst = append(dst, " ...("...)
	return append(strconv.AppendUint(dst, uint64(n), 10), " more)"...)
}

// entries returns the number of whole entries.
func (l FDList) entries() int {
	if len(l) < 2 {
		return 0
	}
	return min(int(binary.NativeEndian.Uint16(l)), (len(l)-2)/10)
}

// At returns the i-th entry; flags are values of the poll_flags set.
func (l FDList) At(i int) (fd FD, flags uint16) {
	v := l[2+10*i:]
	return FD(binary.NativeEndian.Uint64(v)), binary.NativeEndian.Uint16(v[8:])
}

// Numbers is a ParamNumbers value: a number of each element of an array, at most 16.
type Numbers []byte

// Len returns how many there are.
func (n Numbers) Len() int { return len(n) / 8 }

// At returns the i-th number.
func (n Numbers) At(i int) uint64 { return binary.NativeEndian.Uint64(n[8*i:]) }

// Dyn is a ParamDyn value: an index into ParamInfo.Dyn, then a value of that type.
type Dyn []byte

// Index returns the index into ParamInfo.Dyn; -1 if the value is empty.
func (d Dyn) Index() int {
	if len(d) == 0 {
		return -1
	}
	return int(d[0])
}

// Value returns the bytes after the index.
func (d Dyn) Value() []byte {
	if len(d) == 0 {
		return nil
	}
	return d[1:]
}

// Strings is a sequence of NUL-terminated strings: arguments, environment, cgroups.
type Strings []byte

// All ranges over the strings, without their NULs. A last string without a NUL is
// included.
func (s Strings) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for v := []byte(s); len(v) > 0; {
			item, rest, _ := bytes.Cut(v, nul)
			if !yield(item) {
				return
			}
			v = rest
		}
	}
}

var nul = []byte{0}
