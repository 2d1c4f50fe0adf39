// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/scaplab/scaplab/internal/escape"
)

// The text forms of a value. Tools print a param as name=raw or, when the value
// has a name, name=raw(resolved):
//
//	res=-2(ENOENT) name=/etc/passwd flags=4097(O_RDONLY|O_CLOEXEC) mode=0
//
// Only package sinsp knows what a value refers to (the file of an fd, the name of a
// user).

const (
	notAvailable = "<NA>" // there is no value
	null         = "NULL" // the same, for values that the caller passes by pointer
)

// AppendParam appends the i-th param as [ParamInfo.AppendText] prints it, or <NA> if
// the event does not have it. Params that the table does not know print as buffers.
func (e *Event) AppendParam(dst []byte, i int) []byte {
	v := e.Param(i)
	if v == nil {
		return append(dst, notAvailable...)
	}
	if info := e.Info(); info != nil && i < len(info.Params) {
		return info.Params[i].AppendText(dst, v)
	}
	return escape.AppendDots(dst, v)
}

// AppendArgs appends all params that the table knows as name=value, separated by
// blanks; [ParamInfo.AppendArg] prints the values.
func (e *Event) AppendArgs(dst []byte) []byte {
	info := e.Info()
	if info == nil {
		return dst
	}
	for i, v := range e.Params() {
		if i == len(info.Params) {
			break
		}
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, info.Params[i].Name...)
		dst = append(dst, '=')
		dst = info.Params[i].AppendArg(dst, v)
	}
	return dst
}

// AppendText appends the value in the form that is most useful on its own: flags as
// names, errors as number and name, everything else as [ParamInfo.AppendRaw] does.
func (p *ParamInfo) AppendText(dst, value []byte) []byte {
	switch p.Type {
	case ParamFlags8, ParamFlags16, ParamFlags32, ParamFlags64, ParamMode, ParamEnumFlags8, ParamEnumFlags16, ParamEnumFlags32:
		if out, ok := p.AppendResolved(dst, value); ok {
			return out
		}
	case ParamErrno, ParamFD, ParamFD32, ParamPID, ParamPID32, ParamDyn, ParamSigtype:
		return p.AppendArg(dst, value)
	}
	return p.AppendRaw(dst, value)
}

// AppendArg appends raw, or raw(resolved) when the value has a name.
func (p *ParamInfo) AppendArg(dst, value []byte) []byte {
	dst = p.AppendRaw(dst, value)
	n := len(dst)
	dst = append(dst, '(')
	dst, ok := p.AppendResolved(dst, value)
	if !ok {
		return dst[:n]
	}
	return append(dst, ')')
}

// AppendRaw appends the value itself: numbers in the param's format, strings,
// addresses, and buffers with a dot for each byte that is not printable. An empty
// value prints as <NA>, or NULL for buffers, tuples and lists. A value whose size
// does not fit its type prints as a buffer.
func (p *ParamInfo) AppendRaw(dst, value []byte) []byte {
	if len(value) == 0 {
		switch p.Type {
		case ParamBytebuf, ParamSocktuple, ParamFDList, ParamNumbers, ParamDyn, ParamCharbufArray, ParamCharbufPairArray:
			return append(dst, null...)
		}
		return append(dst, notAvailable...)
	}
	if size, ok := p.Type.Size(); ok && size != len(value) {
		return escape.AppendDots(dst, value)
	}
	switch p.Type {
	case ParamInt8, ParamInt16, ParamInt32, ParamInt64:
		return appendInt(dst, signed(value), len(value), p.Format)
	case ParamUint8, ParamUint16, ParamUint32, ParamUint64:
		return AppendNumber(dst, unsigned(value), p.Format)
	case ParamErrno:
		// Always decimal, as in sysdig.
		return strconv.AppendInt(dst, signed(value), 10)
	case ParamFD, ParamFD32, ParamPID, ParamPID32:
		if v := signed(value); v < 0 {
			return strconv.AppendInt(dst, v, 10)
		}
		return AppendNumber(dst, unsigned(value), p.Format)
	case ParamUID, ParamGID:
		if v := unsigned(value); v == math.MaxUint32 {
			return append(dst, "-1"...)
		}
		return strconv.AppendUint(dst, unsigned(value), 10)
	case ParamSyscallID, ParamSigtype, ParamReltime, ParamPort, ParamL4Proto, ParamSockfamily,
		ParamFlags8, ParamFlags16, ParamFlags32, ParamFlags64, ParamEnumFlags8, ParamEnumFlags16, ParamEnumFlags32:
		// Always decimal: tools print the number of flags so, next to
		// the names.
		return strconv.AppendUint(dst, unsigned(value), 10)
	case ParamMode:
		return AppendNumber(dst, unsigned(value), p.Format)
	case ParamBool:
		return strconv.AppendBool(dst, unsigned(value) != 0)
	case ParamDouble:
		return strconv.AppendFloat(dst, math.Float64frombits(unsigned(value)), 'f', 1, 64)
	case ParamAbstime:
		v := unsigned(value)
		return time.Unix(int64(v/1e9), int64(v%1e9)).AppendFormat(dst, "2006-01-02 15:04:05.000000000")
	case ParamSigset:
		return appendSignals(dst, uint32(unsigned(value)))
	case ParamCharbuf, ParamFSPath, ParamFSRelPath:
		return escape.AppendText(dst, CString(value))
	case ParamIPv4Addr, ParamIPv6Addr, ParamIPAddr:
		if a, ok := netip.AddrFromSlice(value); ok {
			return a.AppendTo(dst)
		}
	case ParamSockaddr:
		return appendSockAddr(dst, value)
	case ParamSocktuple:
		return appendTuple(dst, value)
	case ParamFDList:
		return appendFDList(dst, value)
	case ParamNumbers:
		return p.appendNumbers(dst, value)
	case ParamDyn:
		if v, ok := p.variant(value); ok {
			return v.AppendRaw(dst, value[1:])
		}
	case ParamCharbufArray, ParamCharbufPairArray:
		first := true
		for s := range Strings(value).All() {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = escape.AppendText(dst, s)
		}
		return dst
	}
	return escape.AppendDots(dst, value)
}

// AppendResolved appends what the value means: the names of flags, of an error, of a
// signal, or the seconds of a time span. If the value has no such meaning, ok is
// false and out is dst, unchanged.
func (p *ParamInfo) AppendResolved(dst, value []byte) (out []byte, ok bool) {
	if size, fixed := p.Type.Size(); len(value) == 0 || fixed && size != len(value) {
		return dst, false
	}
	name := ""
	switch p.Type {
	case ParamErrno:
		name = ErrnoName(-signed(value))
	case ParamFD, ParamFD32:
		if v := signed(value); v == int64(AtFDCWD) {
			name = "AT_FDCWD"
		} else {
			name = ErrnoName(-v)
		}
	case ParamSigtype:
		name = SignalName(value[0])
	case ParamReltime:
		dst = strconv.AppendFloat(dst, float64(unsigned(value))/1e9, 'g', 9, 64)
		return append(dst, 's'), true
	case ParamFlags8, ParamFlags16, ParamFlags32, ParamFlags64, ParamMode:
		return p.Names.appendBits(dst, unsigned(value))
	case ParamEnumFlags8, ParamEnumFlags16, ParamEnumFlags32:
		name = p.Names.name(unsigned(value))
	case ParamDyn:
		if v, ok := p.variant(value); ok {
			return v.AppendResolved(dst, value[1:])
		}
	}
	if name == "" {
		return dst, false
	}
	return append(dst, name...), true
}

// variant returns the type of a ParamDyn value.
func (p *ParamInfo) variant(value []byte) (ParamInfo, bool) {
	if len(value) == 0 || int(value[0]) >= len(p.Dyn) || p.Dyn[value[0]].Type == ParamDyn {
		return ParamInfo{}, false
	}
	v := p.Dyn[value[0]]
	return ParamInfo{Name: p.Name, Type: v.Type, Format: v.Format, Names: p.Names, DirFD: -1}, true
}

// name returns the name of exactly that value, or "".
func (s *NameSet) name(v uint64) string {
	if s != nil {
		for i := range s.Values {
			if s.Values[i].Value == v {
				return s.Values[i].Name
			}
		}
	}
	return ""
}

// appendBits appends the names of the values in v, separated by |. A value of
// several bits matches only if all of them are set, and later values of the set no
// longer see these bits. The value 0 matches only v == 0.
func (s *NameSet) appendBits(dst []byte, v uint64) ([]byte, bool) {
	if s == nil {
		return dst, false
	}
	if v == 0 {
		name := s.name(0)
		return append(dst, name...), name != ""
	}
	n := len(dst)
	for i := range s.Values {
		f := &s.Values[i]
		if f.Value == 0 || v&f.Value != f.Value {
			continue
		}
		if len(dst) > n {
			dst = append(dst, '|')
		}
		dst = append(dst, f.Name...)
		v &^= f.Value
	}
	return dst, len(dst) > n
}

// AppendTime appends a time (ns since the Unix epoch) as date and time in the local
// zone.
func AppendTime(dst []byte, ns uint64) []byte {
	return time.Unix(int64(ns/1e9), int64(ns%1e9)).AppendFormat(dst, "2006-01-02 15:04:05.000000000 -0700")
}

func unsigned(v []byte) uint64 {
	switch len(v) {
	case 1:
		return uint64(v[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(v))
	case 4:
		return uint64(binary.NativeEndian.Uint32(v))
	case 8:
		return binary.NativeEndian.Uint64(v)
	}
	return 0
}

func signed(v []byte) int64 {
	shift := 64 - 8*len(v)
	return int64(unsigned(v)<<shift) >> shift
}

// appendInt prints the bits of a number of size bytes if the format is not decimal.
func appendInt(dst []byte, v int64, size int, f Format) []byte {
	switch f {
	case FormatHex, FormatOct:
		return AppendNumber(dst, uint64(v)<<(64-8*size)>>(64-8*size), f)
	default:
		if v >= 0 {
			return AppendNumber(dst, uint64(v), f)
		}
		return strconv.AppendInt(dst, v, 10)
	}
}

// AppendNumber appends a number in a format: decimal, unless the format says otherwise.
func AppendNumber(dst []byte, v uint64, f Format) []byte {
	switch f {
	case FormatHex:
		n := len(dst)
		dst = strconv.AppendUint(dst, v, 16)
		for i := n; i < len(dst); i++ {
			if dst[i] >= 'a' {
				dst[i] -= 'a' - 'A'
			}
		}
		return dst
	case FormatOct:
		if v != 0 {
			dst = append(dst, '0')
		}
		return strconv.AppendUint(dst, v, 8)
	case FormatPaddedDec:
		for limit := uint64(100_000_000); limit > 1 && v < limit; limit /= 10 {
			dst = append(dst, '0')
		}
		return strconv.AppendUint(dst, v, 10)
	case FormatDir:
		if v == 0 {
			return append(dst, '>')
		}
		return append(dst, '<')
	default:
		return strconv.AppendUint(dst, v, 10)
	}
}

// appendSignals prints the names of the signals in a set, separated by blanks.
// Signal n is bit n-1.
func appendSignals(dst []byte, set uint32) []byte {
	n := len(dst)
	for sig := uint8(1); set != 0; sig, set = sig+1, set>>1 {
		if set&1 == 0 {
			continue
		}
		if len(dst) > n {
			dst = append(dst, ' ')
		}
		if name := SignalName(sig); name != "" {
			dst = append(dst, name...)
		} else {
			dst = strconv.AppendUint(dst, uint64(sig), 10)
		}
	}
	return dst
}

func appendSockAddr(dst, v []byte) []byte {
	a := SockAddr(v)
	if ap, ok := a.AddrPort(); ok {
		return appendAddrPort(dst, ap)
	}
	if a.Family() == FamilyUnix {
		return escape.AppendText(dst, a.Path())
	}
	return escape.AppendDots(dst, v)
}

func appendTuple(dst, v []byte) []byte {
	t := SockTuple(v)
	if src, dest, ok := t.Pointers(); ok {
		dst = strconv.AppendUint(dst, src, 16)
		dst = append(dst, "->"...)
		dst = strconv.AppendUint(dst, dest, 16)
		if path := t.Path(); len(path) > 0 {
			dst = append(dst, ' ')
			dst = escape.AppendText(dst, path)
		}
		return dst
	}
	src, ok1 := t.Source()
	dest, ok2 := t.Dest()
	if !ok1 || !ok2 {
		return escape.AppendDots(dst, v)
	}
	if mapped(src.Addr()) && mapped(dest.Addr()) {
		src, dest = unmap(src), unmap(dest)
	}
	dst = appendAddrPort(dst, src)
	dst = append(dst, "->"...)
	return appendAddrPort(dst, dest)
}

// mapped reports whether an IPv6 address may stand for an IPv4 one, as the
// unspecified address does.
func mapped(a netip.Addr) bool { return a.Is4In6() || a.Is6() && a.IsUnspecified() }

func unmap(ap netip.AddrPort) netip.AddrPort {
	if a := ap.Addr(); a.Is4In6() {
		return netip.AddrPortFrom(a.Unmap(), ap.Port())
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), ap.Port())
}

// appendAddrPort prints IPv6 addresses without brackets, as sysdig does.
func appendAddrPort(dst []byte, ap netip.AddrPort) []byte {
	dst = ap.Addr().AppendTo(dst)
	dst = append(dst, ':')
	return strconv.AppendUint(dst, uint64(ap.Port()), 10)
}

// appendNumbers prints numbers separated by blanks, each with its name if it has one.
func (p *ParamInfo) appendNumbers(dst, v []byte) []byte {
	for i := range Numbers(v).Len() {
		if i > 0 {
			dst = append(dst, ' ')
		}
		n := Numbers(v).At(i)
		dst = AppendNumber(dst, n, p.Format)
		if name := p.Names.name(n); name != "" {
			dst = append(append(append(dst, '('), name...), ')')
		}
	}
	return dst
}

// appendFDList prints fd:flags for each descriptor, the flags in hex, separated by blanks, and how many there are besides.
func appendFDList(dst, v []byte) []byte {
	l := FDList(v)
	for i := range l.Len() {
		if i > 0 {
			dst = append(dst, ' ')
		}
		fd, flags := l.At(i)
		dst = strconv.AppendInt(dst, int64(fd), 10)
		dst = append(dst, ':')
		dst = strconv.AppendUint(dst, uint64(flags), 16)
	}
	return l.AppendLeftOut(dst)
}
