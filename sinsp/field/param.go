// SPDX-License-Identifier: Apache-2.0

package field

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strconv"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

// withParam returns the codes of the events that may have the param of an argument.
// Any may have one with a number: a newer producer sends events and params that are
// not known.
func withParam(arg *Arg) event.Set {
	if arg.Form != ArgParam {
		return event.Universe()
	}
	return event.SetOf(func(in *event.Info) bool { return arg.Param(in.Code) >= 0 })
}

// paramOf returns the index of the param that an argument means; -1: the event has no
// such param.
func paramOf(ev *sinsp.Event, arg *Arg) int {
	at := -1
	if arg.Form == ArgParam {
		at = arg.Param(ev.Type())
	} else if arg.Index < event.MaxParams {
		at = int(arg.Index)
	}
	if at >= ev.NumParams() {
		return -1
	}
	return at
}

// extractArg sets what the value refers to, or the value itself if it refers to
// nothing. Strings are the bytes that the event has.
func extractArg(ev *sinsp.Event, arg *Arg, v *Value) bool {
	at := paramOf(ev, arg)
	if at < 0 {
		return false
	}
	value := ev.Param(at)
	in := ev.Info()
	if in == nil || at >= len(in.Params) {
		return v.SetScratch(ev.AppendParam(v.Scratch(), at))
	}
	p := &in.Params[at]
	if b, ok := appendMeaning(v.Scratch(), ev, p, value); ok {
		return v.SetScratch(b)
	}
	switch p.Type {
	case event.ParamCharbuf, event.ParamFSPath, event.ParamFSRelPath:
		if len(value) > 0 {
			return v.SetBytes(event.CString(value))
		}
	}
	return v.SetScratch(appendRaw(v.Scratch(), ev, p, value, math.MaxInt))
}

// appendRaw appends the value itself.
func appendRaw(dst []byte, ev *sinsp.Event, p *event.ParamInfo, value []byte, limit int) []byte {
	switch {
	case p.Type == event.ParamFDList && len(value) > 0:
		return appendPolled(dst, ev, value)
	case p.Type == event.ParamBytebuf && len(value) > limit:
		const dots = "..."
		return append(p.AppendRaw(dst, value[:limit-len(dots)]), dots...)
	case p.Type == event.ParamReltime && len(value) == 8 && binary.NativeEndian.Uint64(value) == math.MaxUint64:
		return append(dst, "none"...)
	}
	return p.AppendRaw(dst, value)
}

// appendMeaning appends what the value refers to. If it refers to nothing, ok is false
// and out is dst, unchanged.
func appendMeaning(dst []byte, ev *sinsp.Event, p *event.ParamInfo, value []byte) (out []byte, ok bool) {
	size, fixed := p.Type.Size()
	if len(value) == 0 || fixed && size != len(value) {
		return dst, false
	}
	switch p.Type {
	case event.ParamFD, event.ParamFD32:
		if num := event.FD(signedValue(value)); num >= 0 {
			return appendFile(dst, ev, num)
		}
	case event.ParamPID, event.ParamPID32:
		if t := ev.Inspector().Thread(event.PID(signedValue(value))); t != nil && !t.Placeholder && t.Comm != "" {
			return append(dst, t.Comm...), true
		}
	case event.ParamUID:
		return appendUser(dst, ev, event.UID(binary.NativeEndian.Uint32(value)))
	case event.ParamGID:
		return appendGroup(dst, ev, event.GID(binary.NativeEndian.Uint32(value)))
	case event.ParamFSPath, event.ParamFSRelPath:
		path, dir := event.CString(value), dirOf(ev, p)
		if len(path) > 0 && path[0] != '/' && string(path) != unavailable && knowsDir(ev, dir) {
			return ev.AppendPath(dst, dir, path), true
		}
	case event.ParamSyscallID:
		if name := syscallName(value); name != "" {
			return append(dst, name...), true
		}
		return appendNative(dst, ev), true
	case event.ParamReltime:
		if binary.NativeEndian.Uint64(value) != math.MaxUint64 {
			return p.AppendResolved(dst, value)
		}
	default:
		return p.AppendResolved(dst, value)
	}
	if p.Type == event.ParamFD || p.Type == event.ParamFD32 {
		return p.AppendResolved(dst, value) // AT_FDCWD, or an error
	}
	return dst, false
}

// knowsDir reports whether the directory of a descriptor is known.
func knowsDir(ev *sinsp.Event, dir event.FD) bool {
	if dir == event.AtFDCWD {
		return ev.Thread != nil
	}
	return threadFD(ev, dir) != nil
}

func signedValue(b []byte) int64 {
	if len(b) == 4 {
		return int64(int32(binary.NativeEndian.Uint32(b)))
	}
	return int64(binary.NativeEndian.Uint64(b))
}

// appendFile appends an open file of the event's process as <f>/etc/passwd or
// <4t>10.0.0.1:4000->10.0.0.2:80.
func appendFile(dst []byte, ev *sinsp.Event, num event.FD) ([]byte, bool) {
	if ev.Thread == nil {
		return dst, false
	}
	var fd *sinsp.FD
	if at, ok := ev.FDNum(); ok && at == num {
		fd = ev.FD()
	} else {
		fd = ev.Thread.FD(num)
	}
	if fd == nil {
		return dst, false
	}
	dst = append(dst, '<', fd.TypeChar())
	if name := transport(fd); name != "" {
		dst = append(dst, name[0])
	}
	dst = append(dst, '>')
	return fd.AppendName(dst), true
}

// appendPolled appends num:KINDflags of the files that a call waits for, the flags in
// hex, and how many there are besides.
func appendPolled(dst []byte, ev *sinsp.Event, value []byte) []byte {
	list := event.FDList(value)
	for i := range list.Len() {
		if i > 0 {
			dst = append(dst, ' ')
		}
		num, flags := list.At(i)
		dst = append(strconv.AppendInt(dst, int64(num), 10), ':')
		if fd := threadFD(ev, num); fd != nil {
			dst = append(dst, fd.TypeChar())
		} else {
			dst = append(dst, '?')
		}
		dst = strconv.AppendUint(dst, uint64(flags), 16)
	}
	return list.AppendLeftOut(dst)
}

// threadFD returns an open file of the event's process; nil: not known.
func threadFD(ev *sinsp.Event, num event.FD) *sinsp.FD {
	if ev.Thread == nil {
		return nil
	}
	return ev.Thread.FD(num)
}

func appendUser(dst []byte, ev *sinsp.Event, uid event.UID) ([]byte, bool) {
	if uid == event.NoUID {
		return append(dst, "<NONE>"...), true
	}
	if u := ev.Inspector().User(containerID(ev), uid); u != nil && u.Name != "" {
		return append(dst, u.Name...), true
	}
	return appendRoot(dst, uint32(uid)), true
}

func appendGroup(dst []byte, ev *sinsp.Event, gid event.GID) ([]byte, bool) {
	if gid == event.NoGID {
		return append(dst, "<NONE>"...), true
	}
	if g := ev.Inspector().Group(containerID(ev), gid); g != nil && g.Name != "" {
		return append(dst, g.Name...), true
	}
	return appendRoot(dst, uint32(gid)), true
}

// appendRoot appends the name of a user or a group without an entry.
func appendRoot(dst []byte, id uint32) []byte {
	if id == 0 {
		return append(dst, "root"...)
	}
	return append(dst, unavailable...)
}

func containerID(ev *sinsp.Event) string {
	if ev.Thread == nil {
		return ""
	}
	return ev.Thread.ContainerID
}

// extractRawArg sets the value in the type that the filter took the argument for:
// that of the first event with a param of that name. Numbers of all sizes are
// the same type; a value of another kind is missing.
func extractRawArg(ev *sinsp.Event, arg *Arg, v *Value) bool {
	in := ev.Info()
	at := paramOf(ev, arg)
	if in == nil || at < 0 || at >= len(in.Params) {
		return false
	}
	p, value := &in.Params[at], ev.Param(at)
	size, fixed := p.Type.Size()
	if len(value) == 0 || fixed && size != len(value) {
		return false
	}
	v.Format = p.Format
	switch is := TypeOf(p.Type); {
	case arg.Type == Opaque:
		return v.SetBytes(value)
	case arg.Type == String && is == String:
		return v.SetBytes(event.CString(value))
	case arg.Type == Bytes && (is == Bytes || is == String):
		return v.SetBytes(value)
	case arg.Type == IP && is == IP:
		ip, _ := netip.AddrFromSlice(value)
		return v.SetIP(ip)
	case arg.Type == Double && is == Double:
		return v.SetUint(binary.NativeEndian.Uint64(value))
	case arg.Type == Bool && is == Bool:
		return v.SetBool(binary.NativeEndian.Uint32(value) != 0)
	case (arg.Type.Numeric() && arg.Type != Double) && (is.Numeric() && is != Double):
		return v.SetUint(p.Type.Number(value))
	}
	return false
}
