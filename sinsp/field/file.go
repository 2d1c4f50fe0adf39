// SPDX-License-Identifier: Apache-2.0

package field

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/sinsp"
)

// ofFile sets v to something about an open file; false: it is missing.
type ofFile func(fd *sinsp.FD, v *Value) bool

// aboutFD reports whether events of a type are about a descriptor.
func aboutFD(in *event.Info) bool {
	return in.Flags&(event.CreatesFD|event.UsesFD|event.DestroysFD) != 0
}

func fdCodes(*Arg) event.Set { return event.SetOf(aboutFD) }

// ofFD makes an extract about the file that a call is about.
func ofFD(set ofFile) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		fd := ev.FD()
		return fd != nil && set(fd, v)
	}
}

func fdType(fd *sinsp.FD, v *Value) bool {
	if fd.Type == proc.FDUnknown {
		return v.SetString(unavailable)
	}
	return v.SetString(fd.Type.String())
}

// named reports whether the name of a file is more than its path.
func named(fd *sinsp.FD) bool { return fd.IP() || fd.Type == proc.FDUnix }

func fdName(fd *sinsp.FD, v *Value) bool {
	if named(fd) {
		return v.SetScratch(fd.AppendName(v.Scratch()))
	}
	return v.SetString(fd.Path)
}

// fdNumber returns the number of the descriptor that a call is about; -1 if it failed
// to make one.
func fdNumber(ev *sinsp.Event) (num int64, ok bool) {
	n, ok := ev.FDNum()
	if n < 0 && n != event.AtFDCWD {
		return -1, ok
	}
	return int64(n), ok
}

func extractFDNum(ev *sinsp.Event, _ *Arg, v *Value) bool {
	num, ok := fdNumber(ev)
	return ok && v.SetInt(num)
}

// typeChars has the letters of all kinds as texts.
var typeChars = func() (s [256]string) {
	for c := range s {
		s[c] = string([]byte{byte(c)})
	}
	return s
}()

// extractFDTypeChar tells by the call what a file that is not known would be.
func extractFDTypeChar(ev *sinsp.Event, _ *Arg, v *Value) bool {
	if fd := ev.FD(); fd != nil {
		return v.SetString(typeChars[fd.TypeChar()])
	}
	in := ev.Info()
	if in == nil || !aboutFD(in) {
		return false
	}
	switch r := rolesOf(in.Code); {
	case r.openFlags >= 0 || r.creatMode >= 0:
		return v.SetString("f")
	case in.Category == event.CategoryNet && in.Flags&event.CreatesFD != 0:
		return v.SetString("4")
	case strings.HasPrefix(in.Name, "pipe"):
		return v.SetString("p")
	}
	return v.SetString("o")
}

// extractFDName sets what a call got if its file is not known, as when it failed: the
// path of an open, the addresses of a connection; an empty text for other calls.
func extractFDName(ev *sinsp.Event, _ *Arg, v *Value) bool {
	if fd := ev.FD(); fd != nil && !connectFailed(ev) {
		return fdName(fd, v)
	}
	in := ev.Info()
	if in == nil || !aboutFD(in) {
		return false
	}
	r := rolesOf(in.Code)
	if r.openFlags >= 0 || r.creatMode >= 0 {
		return absolutePath(ev, int(r.path), v)
	}
	for _, at := range [...]int8{r.tuple, r.addr} {
		if at < 0 {
			continue
		}
		if value := ev.Param(int(at)); len(value) > 0 {
			return v.SetScratch(in.Params[at].AppendRaw(v.Scratch(), value))
		}
	}
	return v.SetString("")
}

// connectFailed reports whether the event is a connect that failed: its socket has no
// address then, or an older one.
func connectFailed(ev *sinsp.Event) bool {
	if ev.Type() != event.TypeConnectExit {
		return false
	}
	res, ok := returned(ev)
	return ok && res < 0 && event.ErrnoName(-res) != "EINPROGRESS"
}

// pathOf returns the path of a file or directory that the call is about, or that it
// failed to open. dir reports whether it is a directory; ok is false for other kinds.
func pathOf(ev *sinsp.Event, v *Value) (path []byte, dir, ok bool) {
	fd := ev.FD()
	if fd == nil {
		r := rolesOf(ev.Type())
		if r.openFlags < 0 && r.creatMode < 0 || !absolutePath(ev, int(r.path), v) {
			return nil, false, false
		}
		return v.Str, false, true
	}
	dir = fd.Type == proc.FDDirectory
	if !dir && fd.Type != proc.FDFile && fd.Type != proc.FDRegular {
		return nil, false, false
	}
	v.SetString(fd.Path)
	return v.Str, dir, true
}

func extractFDDirectory(ev *sinsp.Event, _ *Arg, v *Value) bool {
	path, dir, ok := pathOf(ev, v)
	if !ok {
		return false
	}
	if dir {
		return v.SetBytes(path)
	}
	if i := bytes.LastIndexByte(path, '/'); i > 0 {
		return v.SetBytes(path[:i])
	}
	return v.SetString("/")
}

func extractFDFilename(ev *sinsp.Event, _ *Arg, v *Value) bool {
	path, dir, ok := pathOf(ev, v)
	if !ok || dir {
		return false
	}
	return v.SetBytes(path[bytes.LastIndexByte(path, '/')+1:])
}

// extractFDNameRaw sets the path that the call got if its file is not known.
func extractFDNameRaw(ev *sinsp.Event, _ *Arg, v *Value) bool {
	fd := ev.FD()
	if fd == nil {
		in := ev.Info()
		if in == nil || !aboutFD(in) {
			return false
		}
		r := rolesOf(in.Code)
		if r.openFlags < 0 && r.creatMode < 0 {
			return v.SetString("")
		}
		if !rawPath(ev, int(r.path), v) {
			return false
		}
		if bytes.Contains(v.Str, doubled) {
			return v.SetScratch(appendSingleSlashes(v.Scratch(), v.Str))
		}
		return true
	}
	if !strings.Contains(fd.RawPath, "//") {
		return v.SetString(fd.RawPath)
	}
	return v.SetScratch(appendSingleSlashes(v.Scratch(), fd.RawPath))
}

var doubled = []byte("//")

// appendSingleSlashes appends path with one slash for each run of slashes.
func appendSingleSlashes[T string | []byte](dst []byte, path T) []byte {
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			dst = append(dst, path[i])
		}
	}
	return dst
}

func extractFDUID(ev *sinsp.Event, _ *Arg, v *Value) bool {
	num, ok := fdNumber(ev)
	if !ok || ev.Thread == nil {
		return false
	}
	b := strconv.AppendInt(v.Scratch(), int64(ev.Thread.TID), 10)
	return v.SetScratch(strconv.AppendInt(b, num, 10))
}

// inContainer makes an extract that puts the id of the container and a colon in front
// of a text.
func inContainer(text extract) extract {
	return func(ev *sinsp.Event, arg *Arg, v *Value) bool {
		if ev.Thread == nil || !text(ev, arg, v) {
			return false
		}
		id, text := ev.Thread.ContainerID, v.Str
		n := len(id) + 1
		b := slices.Grow(v.Scratch(), n+len(text))[:n+len(text)]
		copy(b[n:], text) // which may be the scratch memory itself
		copy(b, id)
		b[n-1] = ':'
		return v.SetScratch(b)
	}
}

// extractNameChanged takes the name of a new descriptor for a change, too.
func extractNameChanged(ev *sinsp.Event, _ *Arg, v *Value) bool {
	fd := ev.FD()
	if fd == nil {
		return false
	}
	created := ev.Info().Flags&event.CreatesFD != 0 && (fd.Path != "" || fd.Src.IsValid())
	return v.SetBool(ev.NameChanged || created)
}

// extractFDTypes sets each kind once, in the order of the descriptors.
func extractFDTypes(ev *sinsp.Event, arg *Arg, v *Value) bool {
	v.Clear()
	in := ev.Info()
	if in == nil || !aboutFD(in) || ev.Thread == nil {
		return false
	}
	if arg.Form == ArgIndex {
		fd := ev.Thread.FD(event.FD(arg.Index))
		return fd != nil && fdType(fd, v.Add())
	}
	for _, fd := range ev.Thread.FDs() {
		if kind := v.Add(); !fdType(fd, kind) || seen(v.List[:len(v.List)-1], kind.Str) {
			v.drop()
		}
	}
	return true
}

func seen(list []Value, text []byte) bool {
	for i := range list {
		if string(list[i].Str) == string(text) {
			return true
		}
	}
	return false
}
