// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap/event"
)

// number returns the unsigned decimal number that b begins with; 0 if there is none.
func number(b []byte) uint64 {
	var v uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		v = v*10 + uint64(c-'0')
	}
	return v
}

func signedNumber(b []byte) int64 {
	if len(b) > 0 && b[0] == '-' {
		return -int64(number(b[1:]))
	}
	return int64(number(b))
}

// hexNumber parses b as a hexadecimal number.
func hexNumber(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(c)
	}
	return v, true
}

func octalNumber(b []byte) (v uint64) {
	for _, c := range b {
		if c < '0' || c > '7' {
			break
		}
		v = v<<3 | uint64(c-'0')
	}
	return v
}

// word takes the first word of b, without allocating.
func word(b []byte) (w, rest []byte) {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for i, c := range b {
		if c == ' ' || c == '\t' || c == '\n' {
			return b[:i], b[i:]
		}
	}
	return b, nil
}

func lastWord(b []byte) []byte {
	b = bytes.TrimRight(b, " \t\n")
	return b[bytes.LastIndexAny(b, " \t")+1:]
}

// line takes the first line of b, without its end.
func line(b []byte) (l, rest []byte) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// stat has the fields of /proc/PID/stat that are used.
type stat struct {
	comm            string
	state           byte
	ppid, pgrp, sid event.PID
	tty             uint32
	minflt, majflt  uint64
	startTicks      uint64
	kernel          bool
}

// The process is a kernel thread: PF_KTHREAD.
const kernelThread = 0x00200000

func parseStat(b []byte) (s stat, ok bool) {
	// The name may hold anything, parentheses and blanks included.
	from, to := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if from < 0 || to < from || to+2 >= len(b) {
		return s, false
	}
	s.comm = string(b[from+1 : to])
	b = b[to+2:]
	for i := 3; i <= 22; i++ {
		var w []byte
		if w, b = word(b); len(w) == 0 {
			return s, false
		}
		switch i {
		case 3:
			s.state = w[0]
		case 4:
			s.ppid = event.PID(signedNumber(w))
		case 5:
			s.pgrp = event.PID(signedNumber(w))
		case 6:
			s.sid = event.PID(signedNumber(w))
		case 7:
			s.tty = uint32(signedNumber(w))
		case 9:
			s.kernel = number(w)&kernelThread != 0
		case 10:
			s.minflt = number(w)
		case 12:
			s.majflt = number(w)
		case 22:
			s.startTicks = number(w)
		}
	}
	return s, true
}

// parseStatus fills in the fields of t that /proc/PID/status has; threads is the
// number of threads of the process.
func parseStatus(b []byte, t *Thread) (threads uint64, nested bool) {
	t.PGID = -1
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		key, v, ok := bytes.Cut(l, []byte(":"))
		if !ok {
			continue
		}
		switch string(key) {
		case "Tgid":
			w, _ := word(v)
			t.PID = event.PID(signedNumber(w))
		case "PPid":
			w, _ := word(v)
			t.PTID = event.PID(signedNumber(w))
		case "Uid", "Gid":
			_, rest := word(v)
			w, _ := word(rest) // the effective one
			if key[0] == 'U' {
				t.UID = event.UID(number(w))
			} else {
				t.GID = event.GID(number(w))
			}
		case "NStgid":
			t.VPID = event.PID(signedNumber(lastWord(v)))
			w, rest := word(v)
			other, _ := word(rest)
			nested = len(w) > 0 && len(other) > 0
		case "NSpid":
			t.VTID = event.PID(signedNumber(lastWord(v)))
		case "NSpgid":
			w, _ := word(v)
			t.PGID = event.PID(signedNumber(w))
			t.VPGID = event.PID(signedNumber(lastWord(v)))
		case "VmSize":
			w, _ := word(v)
			t.VMSize = uint32(number(w))
		case "VmRSS":
			w, _ := word(v)
			t.VMRSS = uint32(number(w))
		case "VmSwap":
			w, _ := word(v)
			t.VMSwap = uint32(number(w))
		case "CapInh":
			t.CapInheritable = capabilities(v)
		case "CapPrm":
			t.CapPermitted = capabilities(v)
		case "CapEff":
			t.CapEffective = capabilities(v)
		case "Threads":
			w, _ := word(v)
			threads = number(w)
		}
	}
	return threads, nested
}

func capabilities(v []byte) uint64 {
	w, _ := word(v)
	n, _ := hexNumber(w)
	return n
}

// maxList is the limit on the bytes of a list of strings in a capture.
const maxList = 4096

// clipList keeps the items that fit.
func clipList(b []byte) string {
	if len(b) > maxList {
		b = b[:maxList]
		if i := bytes.LastIndexByte(b, 0); i >= 0 {
			b = b[:i+1]
		}
	}
	if len(b) > 0 && b[len(b)-1] != 0 && len(b) < maxList {
		return string(b) + "\x00"
	}
	return string(b)
}

// openFiles returns the soft limit of open files in /proc/PID/limits; the largest
// int64 if it is unlimited.
func openFiles(b []byte) int64 {
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		if rest, ok := bytes.CutPrefix(l, []byte("Max open files")); ok {
			w, _ := word(rest)
			if string(w) == "unlimited" {
				return 1<<63 - 1
			}
			return signedNumber(w)
		}
	}
	return 0
}

// hexAddr parses an address and port of /proc/net: words of 32 bits in the host's
// byte order, a colon, the port.
func hexAddr(b []byte) (a netip.AddrPort, ok bool) {
	host, p, ok := bytes.Cut(b, []byte(":"))
	if !ok || len(host) != 8 && len(host) != 32 {
		return a, false
	}
	port, ok := hexNumber(p)
	if !ok || port > 0xffff {
		return a, false
	}
	var raw [16]byte
	for i := 0; i < len(host); i += 8 {
		v, ok := hexNumber(host[i : i+8])
		if !ok {
			return a, false
		}
		binary.NativeEndian.PutUint32(raw[i/2:], uint32(v))
	}
	addr := netip.AddrFrom16(raw)
	if len(host) == 8 {
		addr = netip.AddrFrom4([4]byte(raw[:4]))
	}
	return netip.AddrPortFrom(addr, uint16(port)), true
}

// parseInet adds the sockets of /proc/net/tcp and similar files. A socket without a
// remote end is a server.
func parseInet(sockets map[uint64]FD, b []byte, l4 uint8) {
	_, b = line(b)
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		var local, remote, inode []byte
		for i := range 10 {
			var w []byte
			w, l = word(l)
			switch i {
			case 1:
				local = w
			case 2:
				remote = w
			case 9:
				inode = w
			}
		}
		src, ok1 := hexAddr(local)
		dst, ok2 := hexAddr(remote)
		ino := number(inode)
		if !ok1 || !ok2 || ino == 0 {
			continue
		}
		fd := FD{Ino: ino, Type: FDIPv4, L4: l4, Src: src, Dst: dst}
		if dst.Addr().IsUnspecified() && dst.Port() == 0 {
			fd.Type, fd.Dst = FDIPv4Server, netip.AddrPort{}
		}
		if src.Addr().Is6() {
			fd.Type++ // FDIPv6, FDIPv6Server
		}
		sockets[ino] = fd
	}
}

func parseUnix(sockets map[uint64]FD, b []byte) {
	_, b = line(b)
	for len(b) > 0 {
		var l, w []byte
		l, b = line(b)
		w, l = word(l)
		ptr, _ := hexNumber(bytes.TrimSuffix(w, []byte(":")))
		for range 6 {
			w, l = word(l)
		}
		ino := number(w)
		if ino == 0 {
			continue
		}
		path := strings.TrimPrefix(string(bytes.TrimPrefix(l, []byte(" "))), "@")
		sockets[ino] = FD{Ino: ino, Type: FDUnix, UnixSrc: ptr, Name: path}
	}
}

func parseNetlink(sockets map[uint64]FD, b []byte) {
	_, b = line(b)
	for len(b) > 0 {
		var l, w []byte
		l, b = line(b)
		if ino := number(lastWord(l)); ino != 0 {
			w, _ = word(l)
			ptr, _ := hexNumber(w)
			sockets[ino] = FD{Ino: ino, Type: FDNetlink, UnixSrc: ptr}
		}
	}
}

// parsePacket adds the sockets of /proc/net/packet, which events do not tell either.
func parsePacket(sockets map[uint64]FD, b []byte) {
	_, b = line(b)
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		if ino := number(lastWord(l)); ino != 0 {
			sockets[ino] = FD{Ino: ino, Type: FDUnsupported}
		}
	}
}

// parsePasswd reads a password file. It skips incomplete lines and NIS entries.
func parsePasswd(b []byte) (users []User) {
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		f := strings.Split(string(l), ":")
		if len(f) < 7 || !isName(f[0]) {
			continue
		}
		uid, ok1 := id(f[2])
		gid, ok2 := id(f[3])
		if ok1 && ok2 {
			users = append(users, User{UID: event.UID(uid), GID: event.GID(gid), Name: f[0], Home: f[5], Shell: f[6]})
		}
	}
	return users
}

func parseGroup(b []byte) (groups []Group) {
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		f := strings.Split(string(l), ":")
		if len(f) < 3 || !isName(f[0]) {
			continue
		}
		if gid, ok := id(f[2]); ok {
			groups = append(groups, Group{GID: event.GID(gid), Name: f[0]})
		}
	}
	return groups
}

// isName reports whether a line's first word is the name of a user or group, not a comment or an entry of NIS.
func isName(s string) bool { return s != "" && !strings.ContainsRune("+-#", rune(s[0])) }

// id parses a user or group id. The highest number means "none": chown(2).
func id(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n != math.MaxUint32
}

// mounts maps the mount ids of /proc/PID/mountinfo to devices in the kernel's
// 32-bit form.
func mounts(b []byte) map[uint64]uint32 {
	m := map[uint64]uint32{}
	for len(b) > 0 {
		var l, id, dev []byte
		l, b = line(b)
		id, l = word(l)
		_, l = word(l)
		dev, _ = word(l)
		major, minor, ok := bytes.Cut(dev, []byte(":"))
		if ok {
			m[number(id)] = abi.EncodeDev(uint32(number(major)), uint32(number(minor)))
		}
	}
	return m
}
