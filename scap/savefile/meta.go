// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// Limits on strings in records, in bytes. Readers refuse longer strings.
const (
	maxString = 1024 // comm, exe, exepath, cwd, root
	maxPath   = 1023 // paths and names of fds, names of interfaces
	maxList   = 4096 // args, environment, cgroups
	maxUser   = 255  // names, homes and shells of users
)

// cursor takes values from the front of b. If a value does not fit, it sets failed,
// and all further values are zero.
type cursor struct {
	b      []byte
	order  binary.ByteOrder
	failed bool
}

func (c *cursor) take(n int) []byte {
	if c.failed || len(c.b) < n {
		c.failed = true
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) u8() uint8 {
	if v := c.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if v := c.take(2); v != nil {
		return c.order.Uint16(v)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if v := c.take(4); v != nil {
		return c.order.Uint32(v)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if v := c.take(8); v != nil {
		return c.order.Uint64(v)
	}
	return 0
}

func (c *cursor) i64() int64 { return int64(c.u64()) }

func (c *cursor) pid() event.PID { return event.PID(c.u64()) }

// str takes a string after its 2-byte length, at most limit bytes long.
func (c *cursor) str(limit int) string {
	n := int(c.u16())
	if n > limit {
		c.failed = true
	}
	return string(c.take(n))
}

// list takes a string of NUL-terminated items, and adds a missing last NUL.
func (c *cursor) list() string {
	s := c.str(maxList)
	if s != "" && !strings.HasSuffix(s, "\x00") {
		s += "\x00"
	}
	return s
}

func decodeMachine(c *cursor) (m proc.Machine, ok bool) {
	m.NumCPUs = c.u32()
	m.Memory = c.u64()
	m.MaxPID = c.u64()
	host, _, _ := bytes.Cut(c.take(128), []byte{0})
	m.Hostname = string(host)
	m.BootTime = c.u64()
	m.Flags = c.u64()
	c.take(16)
	return m, !c.failed
}

func appendMachine(b []byte, o binary.AppendByteOrder, m *proc.Machine) []byte {
	b = o.AppendUint32(b, m.NumCPUs)
	b = o.AppendUint64(b, m.Memory)
	b = o.AppendUint64(b, m.MaxPID)
	var host [128]byte
	copy(host[:len(host)-1], m.Hostname)
	b = append(b, host[:]...)
	b = o.AppendUint64(b, m.BootTime)
	b = o.AppendUint64(b, m.Flags)
	return append(b, make([]byte, 16)...)
}

// decodeInterface reads one entry, without the length that precedes it in v2.
func decodeInterface(c *cursor) (in proc.Interface) {
	kind := c.u16()
	n := int(c.u16())
	if n > maxPath || kind < 1 || kind > 4 {
		c.failed = true
	}
	size := 4
	if kind == 2 || kind == 4 {
		size = 16
	}
	in.Addr, _ = netip.AddrFromSlice(c.take(size))
	in.Netmask, _ = netip.AddrFromSlice(c.take(size))
	in.Broadcast, _ = netip.AddrFromSlice(c.take(size))
	if kind <= 2 {
		in.Speed = c.u64()
	}
	in.Name = string(c.take(n))
	return in
}

func appendInterface(b []byte, o binary.AppendByteOrder, in *proc.Interface) []byte {
	kind, zero := uint16(1), netip.IPv4Unspecified()
	if !in.Addr.Is4() {
		kind, zero = 2, netip.IPv6Unspecified()
	}
	name := clip(in.Name, maxPath)
	b = o.AppendUint16(b, kind)
	b = o.AppendUint16(b, uint16(len(name)))
	for _, a := range []netip.Addr{in.Addr, in.Netmask, in.Broadcast} {
		if a.BitLen() != zero.BitLen() {
			a = zero
		}
		b = append(b, a.AsSlice()...)
	}
	b = o.AppendUint64(b, in.Speed)
	return append(b, name...)
}

// decodeUser reads a user or a group into s.
func decodeUser(c *cursor, s *proc.State) {
	if c.u8() == 0 {
		u := proc.User{UID: event.UID(c.u32()), GID: event.GID(c.u32()), Name: c.str(maxUser), Home: c.str(maxUser), Shell: c.str(maxUser)}
		if !c.failed {
			s.Users = append(s.Users, u)
		}
		return
	}
	g := proc.Group{GID: event.GID(c.u32()), Name: c.str(maxUser)}
	if !c.failed {
		s.Groups = append(s.Groups, g)
	}
}

func appendUsers(b []byte, o binary.AppendByteOrder, users []proc.User, groups []proc.Group) []byte {
	for i := range users {
		u := &users[i]
		at := len(b)
		b = append(b, 0, 0, 0, 0, 0)
		b = o.AppendUint32(b, uint32(u.UID))
		b = o.AppendUint32(b, uint32(u.GID))
		b = appendString(b, o, u.Name, maxUser)
		b = appendString(b, o, u.Home, maxUser)
		b = appendString(b, o, u.Shell, maxUser)
		putLength(b, o, at)
	}
	for i := range groups {
		at := len(b)
		b = append(b, 0, 0, 0, 0, 1)
		b = o.AppendUint32(b, uint32(groups[i].GID))
		b = appendString(b, o, groups[i].Name, maxUser)
		putLength(b, o, at)
	}
	return b
}

// procVersion returns the version of a process list block.
func procVersion(block uint32) int {
	switch block {
	case procListV1:
		return 1
	case procListV2:
		return 2
	case procListV3:
		return 3
	}
	return int(block-procListV4) + 4
}

// decodeThread reads a thread of a process list of any version: each version kept the
// order of the fields and inserted its new ones.
func decodeThread(c *cursor, version int) (t proc.Thread) {
	t.SID, t.VPGID, t.PGID, t.VTID, t.VPID, t.LoginUID = -1, -1, -1, -1, -1, event.NoUID
	t.TID, t.PID, t.PTID = c.pid(), c.pid(), c.pid()
	if version >= 6 {
		t.SID = c.pid()
	}
	if version >= 8 {
		t.VPGID = c.pid()
	}
	t.Comm = c.str(maxString)
	t.Exe = c.str(maxString)
	if version >= 7 {
		t.ExePath = c.str(maxString)
	}
	t.Args = c.list()
	t.CWD = c.str(maxString)
	t.FDLimit = c.i64()
	t.Flags, t.UID, t.GID = c.u32(), event.UID(c.u32()), event.GID(c.u32())
	if version >= 2 {
		t.VMSize, t.VMRSS, t.VMSwap = c.u32(), c.u32(), c.u32()
		t.PFMajor, t.PFMinor = c.u64(), c.u64()
	}
	if version >= 3 {
		t.Env = c.list()
	}
	if version >= 4 {
		t.VTID, t.VPID = c.pid(), c.pid()
		t.Cgroups = c.str(maxList)
	}
	if version >= 5 {
		t.Root = c.str(maxString)
	}
	if version >= 9 && !c.failed {
		decodeThreadOptions(c, &t)
	}
	return t
}

// decodeThreadOptions reads the fields that were appended to version 9. A field is
// present if it fits. The first two fields were later inserted before older ones:
// earlier writers lack them, and write at most 29 bytes.
func decodeThreadOptions(c *cursor, t *proc.Thread) {
	u64 := func(v *uint64) {
		if len(c.b) >= 8 {
			*v = c.u64()
		} else {
			c.b = nil
		}
	}
	u32 := func(v *uint32) {
		if len(c.b) >= 4 {
			*v = c.u32()
		} else {
			c.b = nil
		}
	}
	flag := func(v *bool) {
		if len(c.b) >= 1 {
			*v = c.u8() != 0
		}
	}
	if len(c.b) > 29 {
		u64(&t.PidnsInitStart)
		u32(&t.TTY)
	}
	u32((*uint32)(&t.LoginUID))
	flag(&t.ExeWritable)
	u64(&t.CapInheritable)
	u64(&t.CapPermitted)
	u64(&t.CapEffective)
	flag(&t.ExeUpperLayer)
	u64(&t.ExeIno)
	u64(&t.ExeCtime)
	u64(&t.ExeMtime)
	flag(&t.ExeFromMemfd)
	flag(&t.ExeLowerLayer)
	if len(c.b) >= 8 {
		t.PGID = c.pid()
	}
}

func appendThread(b []byte, o binary.AppendByteOrder, t *proc.Thread) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	for _, v := range []event.PID{t.TID, t.PID, t.PTID, t.SID, t.VPGID} {
		b = o.AppendUint64(b, uint64(v))
	}
	b = appendString(b, o, t.Comm, maxString)
	b = appendString(b, o, t.Exe, maxString)
	b = appendString(b, o, t.ExePath, maxString)
	b = appendList(b, o, t.Args)
	b = appendString(b, o, t.CWD, maxString)
	b = o.AppendUint64(b, uint64(t.FDLimit))
	for _, v := range []uint32{t.Flags, uint32(t.UID), uint32(t.GID), t.VMSize, t.VMRSS, t.VMSwap} {
		b = o.AppendUint32(b, v)
	}
	b = o.AppendUint64(b, t.PFMajor)
	b = o.AppendUint64(b, t.PFMinor)
	b = appendList(b, o, t.Env)
	b = o.AppendUint64(b, uint64(t.VTID))
	b = o.AppendUint64(b, uint64(t.VPID))
	b = appendList(b, o, t.Cgroups)
	b = appendString(b, o, t.Root, maxString)
	b = o.AppendUint64(b, t.PidnsInitStart)
	b = o.AppendUint32(b, t.TTY)
	b = o.AppendUint32(b, uint32(t.LoginUID))
	b = appendBool(b, t.ExeWritable)
	b = o.AppendUint64(b, t.CapInheritable)
	b = o.AppendUint64(b, t.CapPermitted)
	b = o.AppendUint64(b, t.CapEffective)
	b = appendBool(b, t.ExeUpperLayer)
	b = o.AppendUint64(b, t.ExeIno)
	b = o.AppendUint64(b, t.ExeCtime)
	b = o.AppendUint64(b, t.ExeMtime)
	b = appendBool(b, t.ExeFromMemfd)
	b = appendBool(b, t.ExeLowerLayer)
	b = o.AppendUint64(b, uint64(t.PGID))
	putLength(b, o, at)
	return b
}

func decodeFD(c *cursor, sized bool) (fd proc.FD) {
	fd.Num, fd.Ino, fd.Type = event.FD(c.i64()), c.u64(), proc.FDType(c.u8())
	switch fd.Type {
	case proc.FDUnknown:
	case proc.FDIPv4, proc.FDIPv6:
		size := addrSize(fd.Type)
		src, _ := netip.AddrFromSlice(c.take(size))
		dst, _ := netip.AddrFromSlice(c.take(size))
		fd.Src = netip.AddrPortFrom(src, c.u16())
		fd.Dst = netip.AddrPortFrom(dst, c.u16())
		fd.L4 = c.u8()
	case proc.FDIPv4Server, proc.FDIPv6Server:
		src, _ := netip.AddrFromSlice(c.take(addrSize(fd.Type)))
		fd.Src = netip.AddrPortFrom(src, c.u16())
		fd.L4 = c.u8()
	case proc.FDUnix:
		fd.UnixSrc, fd.UnixDst = c.u64(), c.u64()
		fd.Name = c.str(maxPath)
	case proc.FDRegular:
		fd.OpenFlags = c.u32()
		fd.Name = c.str(maxPath)
		if sized && len(c.b) >= 4 { // v1 has no device
			fd.Dev = c.u32()
		}
	default:
		if fd.Type > proc.FDPidfd {
			if !sized {
				c.failed = true // the end of the record is not known
				return fd
			}
			fd.Name = fmt.Sprintf("unknown-type:[%d]", fd.Type)
			fd.Type = proc.FDUnsupported
			return fd
		}
		fd.Name = c.str(maxPath)
	}
	return fd
}

func addrSize(t proc.FDType) int {
	if t == proc.FDIPv6 || t == proc.FDIPv6Server {
		return 16
	}
	return 4
}

func appendFD(b []byte, o binary.AppendByteOrder, fd *proc.FD) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = o.AppendUint64(b, uint64(fd.Num))
	b = o.AppendUint64(b, fd.Ino)
	b = append(b, byte(fd.Type))
	switch fd.Type {
	case proc.FDIPv4, proc.FDIPv6:
		b = appendAddr(b, fd.Src, addrSize(fd.Type))
		b = appendAddr(b, fd.Dst, addrSize(fd.Type))
		b = o.AppendUint16(b, fd.Src.Port())
		b = o.AppendUint16(b, fd.Dst.Port())
		b = append(b, fd.L4)
	case proc.FDIPv4Server, proc.FDIPv6Server:
		b = appendAddr(b, fd.Src, addrSize(fd.Type))
		b = o.AppendUint16(b, fd.Src.Port())
		b = append(b, fd.L4)
	case proc.FDUnix:
		b = o.AppendUint64(b, fd.UnixSrc)
		b = o.AppendUint64(b, fd.UnixDst)
		b = appendString(b, o, fd.Name, maxPath)
	case proc.FDRegular:
		b = o.AppendUint32(b, fd.OpenFlags)
		b = appendString(b, o, fd.Name, maxPath)
		b = o.AppendUint32(b, fd.Dev)
	default:
		b = appendString(b, o, fd.Name, maxPath)
	}
	putLength(b, o, at)
	return b
}

func appendAddr(b []byte, a netip.AddrPort, size int) []byte {
	if size == 4 {
		v := [4]byte{}
		if a.Addr().Unmap().Is4() {
			v = a.Addr().Unmap().As4()
		}
		return append(b, v[:]...)
	}
	v := [16]byte{}
	if a.Addr().IsValid() {
		v = a.Addr().As16()
	}
	return append(b, v[:]...)
}

func appendString(b []byte, o binary.AppendByteOrder, s string, limit int) []byte {
	s = clip(s, limit)
	b = o.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// appendList appends the items that fit. A truncated list ends with a whole item,
// unless its first item is too long.
func appendList(b []byte, o binary.AppendByteOrder, s string) []byte {
	if len(s) > maxList {
		s = s[:maxList]
		if i := strings.LastIndexByte(s, 0); i >= 0 {
			s = s[:i+1]
		}
	}
	b = o.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// putLength stores the length of the record that begins at at.
func putLength(b []byte, o binary.AppendByteOrder, at int) {
	o.(binary.ByteOrder).PutUint32(b[at:], uint32(len(b)-at))
}

func clip(s string, limit int) string {
	if len(s) > limit {
		return s[:limit]
	}
	return s
}
