// SPDX-License-Identifier: Apache-2.0

package field

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/sinsp"
)

// Kinds of events.

func extractSource(ev *sinsp.Event, _ *Arg, v *Value) bool {
	in := ev.Info()
	if in == nil || in.Source == event.SourcePlugin || in.Source == event.SourceUnknown {
		return false
	}
	return v.SetString("syscall")
}

func extractAsyncType(ev *sinsp.Event, _ *Arg, v *Value) bool {
	in := ev.Info()
	return in != nil && in.Source == event.SourceMetaevent && setTypeName(ev, in, v)
}

func extractDir(ev *sinsp.Event, _ *Arg, v *Value) bool {
	if ev.Type().Enter() {
		return v.SetString(">")
	}
	return v.SetString("<")
}

func extractType(ev *sinsp.Event, _ *Arg, v *Value) bool {
	if in := ev.Info(); in != nil {
		return setTypeName(ev, in, v)
	}
	b := strconv.AppendUint(append(v.Scratch(), "unknown("...), uint64(ev.Type()), 10)
	return v.SetScratch(append(b, ')'))
}

// setTypeName sets the name of the event. Generic events and async events, which stand
// for many kinds of events, have it in a param.
func setTypeName(ev *sinsp.Event, in *event.Info, v *Value) bool {
	r := rolesOf(in.Code)
	switch {
	case r.syscall >= 0:
		if name := syscallName(ev.Param(int(r.syscall))); name != "" {
			return v.SetString(name)
		}
		return v.SetScratch(appendNative(v.Scratch(), ev))
	case in.Code == event.TypeAsynceventEnter:
		if name := event.CString(ev.Param(1)); len(name) > 0 {
			return v.SetBytes(name)
		}
	}
	return v.SetString(in.Name)
}

// syscallName returns the name of a syscall that a generic event has; "": its code is none
// that is known.
func syscallName(id []byte) string {
	if len(id) == 2 {
		return event.SyscallName(binary.NativeEndian.Uint16(id))
	}
	return ""
}

// appendNative appends what stands for the name of a syscall without a code: its number on
// the machine, as in syscall(470).
func appendNative(dst []byte, ev *sinsp.Event) []byte {
	if in := ev.Info(); in != nil && rolesOf(in.Code).native >= 0 {
		if id := ev.Param(int(rolesOf(in.Code).native)); len(id) == 2 {
			dst = append(dst, "syscall("...)
			dst = strconv.AppendUint(dst, uint64(binary.NativeEndian.Uint16(id)), 10)
			return append(dst, ')')
		}
	}
	return append(dst, "unknown"...)
}

// namedByCode reports whether the name of events of type t depends on the type alone.
func namedByCode(t event.Type) bool {
	return event.Lookup(t) != nil && rolesOf(t).syscall < 0 && t != event.TypeAsynceventEnter
}

// syscallNames returns the names of all syscalls: those of events, and those that
// generic events may have.
var syscallNames = sync.OnceValue(func() []string {
	names := []string{"unknown"}
	for in := range event.All() {
		if in.Source == event.SourceSyscall && in.Flags&event.Unused == 0 {
			names = append(names, in.Name)
		}
	}
	for code := range uint16(1 << 12) {
		if name := event.SyscallName(code); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
})

// typeNamesOf returns the names that evt.type can have, but for those of async events,
// which any program may choose: these are found by evt.asynctype.
var typeNamesOf = sync.OnceValue(func() []string {
	names := slices.Concat(EventNames(), syscallNames())
	slices.Sort(names)
	return slices.Compact(names)
})

func extractTypeIs(ev *sinsp.Event, arg *Arg, v *Value) bool {
	is := ev.Type() == arg.Event
	if named := event.Lookup(arg.Event); named != nil && named.Name == arg.Text {
		in := ev.Info()
		is = in != nil && in.Name == arg.Text // all versions, enter and exit
	}
	v.SetBool(is)
	return true
}

// categoryWords are the words of fields for categories, where they are not the names
// of the categories.
var categoryWords = [...]struct {
	category event.Category
	word     string
}{
	{event.CategoryIPC, "IPC"},
}

func extractCategory(ev *sinsp.Event, _ *Arg, v *Value) bool {
	in := ev.Info()
	if in == nil {
		return v.SetString("unknown")
	}
	if isIO(in.Category) {
		return v.SetString(subject(ev.FD()))
	}
	for i := range categoryWords {
		if categoryWords[i].category == in.Category {
			return v.SetString(categoryWords[i].word)
		}
	}
	return v.SetString(in.Category.String())
}

func categoryByCode(t event.Type) bool {
	in := event.Lookup(t)
	return in != nil && !isIO(in.Category)
}

// isIO reports whether events of a category belong to the subject of their file.
func isIO(c event.Category) bool {
	switch c {
	case event.CategoryIORead, event.CategoryIOWrite, event.CategoryIOOther:
		return true
	}
	return false
}

// subject is the category of reads from and writes to a file.
func subject(fd *sinsp.FD) string {
	if fd == nil {
		return "unknown"
	}
	switch fd.Type {
	case proc.FDFile, proc.FDRegular, proc.FDDirectory:
		return "file"
	case proc.FDIPv4, proc.FDIPv6, proc.FDIPv4Server, proc.FDIPv6Server:
		return "net"
	case proc.FDPipe, proc.FDUnix, proc.FDEvent, proc.FDSignal, proc.FDInotify, proc.FDUserfault:
		return "ipc"
	}
	return "unknown"
}

// The return value.

var withResult = codes(func(r *roles) bool { return r.result >= 0 })

// returned returns the return value of a call.
func returned(ev *sinsp.Event) (res int64, ok bool) {
	at := rolesOf(ev.Type()).result
	if at < 0 {
		return 0, false
	}
	switch b := ev.Param(int(at)); len(b) {
	case 4:
		return int64(int32(binary.NativeEndian.Uint32(b))), true
	case 8:
		return int64(binary.NativeEndian.Uint64(b)), true
	}
	return 0, false
}

func result(set func(res int64, v *Value) bool) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		res, ok := returned(ev)
		return ok && set(res, v)
	}
}

var extractRes = result(func(res int64, v *Value) bool {
	if res >= 0 {
		return v.SetString("SUCCESS")
	}
	if name := event.ErrnoName(-res); name != "" {
		return v.SetString(name)
	}
	return v.SetScratch(strconv.AppendInt(v.Scratch(), res, 10))
})

// errorKind is what a failed call was about.
type errorKind uint8

const (
	otherError errorKind = iota
	fileError
	netError
	memoryError // without a file
)

// isMemory reports whether a call is about memory, that of a file included.
func isMemory(ev *sinsp.Event) bool {
	in := ev.Info()
	return in != nil && in.Category == event.CategoryMemory
}

func kindOf(ev *sinsp.Event) errorKind {
	if fd := ev.FD(); fd != nil {
		switch {
		case fd.Type == proc.FDFile || fd.Type == proc.FDRegular || fd.Type == proc.FDDirectory:
			return fileError
		case fd.IP() || fd.Type == proc.FDUnix:
			return netError
		}
		return otherError
	}
	in := ev.Info()
	switch r := rolesOf(ev.Type()); {
	case in == nil:
		return otherError
	case r.openFlags >= 0 || r.creatMode >= 0:
		return fileError
	case in.Category == event.CategoryNet && in.Name != "socket":
		return netError
	case isMemory(ev):
		return memoryError
	}
	return otherError
}

func failed(counts func(*sinsp.Event) bool) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		res, ok := returned(ev)
		if !ok || !counts(ev) {
			return false
		}
		v.SetBool(res < 0)
		return true
	}
}

// Reads and writes.

type ioKind uint8

const (
	anyIO ioKind = iota
	reads
	writes
)

func ioCodes(*Arg) event.Set {
	return event.SetOf(func(in *event.Info) bool { return isIO(in.Category) })
}

func anyFile(*sinsp.FD) bool { return true }

func isFile(fd *sinsp.FD) bool { return fd.Type == proc.FDFile || fd.Type == proc.FDRegular }

// bytesMoved makes an extract of the number of bytes that successful calls of a kind
// moved from or to certain files.
func bytesMoved(kind ioKind, of func(*sinsp.FD) bool) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		in := ev.Info()
		if in == nil || !isIO(in.Category) ||
			kind == reads && in.Category != event.CategoryIORead || kind == writes && in.Category != event.CategoryIOWrite {
			return false
		}
		fd := ev.FD()
		res, ok := returned(ev)
		return ok && res >= 0 && fd != nil && of(fd) && v.SetUint(uint64(res))
	}
}

func extractBuffer(ev *sinsp.Event, _ *Arg, v *Value) bool {
	at := rolesOf(ev.Type()).data
	if at < 0 {
		return false
	}
	b := ev.Param(int(at))
	return b != nil && v.SetBytes(b)
}

func extractIODir(ev *sinsp.Event, _ *Arg, v *Value) bool {
	in := ev.Info()
	switch {
	case in == nil:
		return false
	case in.Flags&event.WritesToFD != 0:
		return v.SetString("write")
	case in.Flags&event.ReadsFromFD != 0:
		return v.SetString("read")
	}
	return false
}

func extractIsSyslog(ev *sinsp.Event, _ *Arg, v *Value) bool {
	in := ev.Info()
	if in == nil || in.Flags&event.WritesToFD == 0 {
		return v.SetBool(false)
	}
	fd := ev.FD()
	return v.SetBool(fd != nil && strings.Contains(fd.Path, "/dev/log"))
}

// Calls that open files.

// Flags of calls that open files, as events carry them.
var (
	openRead    = event.MustValue("open_flags", "O_RDONLY")
	openWrite   = event.MustValue("open_flags", "O_WRONLY")
	openMakes   = event.MustValue("open_flags", "O_CREAT", "O_TMPFILE")
	openTmpfile = event.MustValue("open_flags", "O_TMPFILE")
	openCreated = event.MustValue("open_flags", "O_F_CREATED")
	executable  = event.MustValue("chmod_mode", "S_IXUSR", "S_IXGRP", "S_IXOTH")
)

// opens makes an extract that is false for calls that open no file.
func opens(is func(*roles, *sinsp.Event) bool) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		r := rolesOf(ev.Type())
		return v.SetBool((r.openFlags >= 0 || r.creatMode >= 0) && is(r, ev))
	}
}

// number32 returns a param of 4 bytes; 0 if it is missing.
func number32(ev *sinsp.Event, at int8) uint32 {
	if at < 0 {
		return 0
	}
	if b := ev.Param(int(at)); len(b) == 4 {
		return binary.NativeEndian.Uint32(b)
	}
	return 0
}

// openFlags returns the flags of a call that opens a file. O_RDWR has the bits of
// O_RDONLY and O_WRONLY.
func openFlags(r *roles, ev *sinsp.Event) uint32 { return number32(ev, r.openFlags) }

func opensExecutable(r *roles, ev *sinsp.Event) bool {
	if r.creatMode >= 0 {
		return number32(ev, r.creatMode)&executable != 0
	}
	return openFlags(r, ev)&openMakes != 0 && number32(ev, r.openMode)&executable != 0
}

func opensNew(r *roles, ev *sinsp.Event) bool {
	flags := openFlags(r, ev)
	if flags&openCreated != 0 {
		return true
	}
	res, ok := returned(ev)
	return flags&openTmpfile != 0 && ok && res >= 0
}

// Counts.

func extractCountExit(ev *sinsp.Event, _ *Arg, v *Value) bool {
	return !ev.Type().Enter() && v.SetUint(1)
}

func extractCountProcinfo(ev *sinsp.Event, _ *Arg, v *Value) bool {
	return v.SetBool(ev.Type() == event.TypeProcinfoEnter && ev.Thread != nil && ev.Thread.Main())
}

func extractCountThreadinfo(ev *sinsp.Event, _ *Arg, v *Value) bool {
	return v.SetBool(ev.Type() == event.TypeProcinfoEnter)
}

// Events of an infrastructure.

func infraCodes(*Arg) event.Set {
	return event.SetOf(func(in *event.Info) bool { return in.Code == event.TypeInfraEnter })
}

// infra makes an extract of an entry in the description of a docker event:
//
//	Event: start; ID: 2f5e1d0b...; name: web; Image: nginx@sha256:...
//
// Ids are cut to 12 characters, and images end before their digest.
func infra(key string) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		if ev.Type() != event.TypeInfraEnter {
			return false
		}
		const description = 2
		for rest := event.CString(ev.Param(description)); len(rest) > 0; {
			var entry []byte
			entry, rest, _ = bytes.Cut(rest, []byte(";"))
			name, value, ok := bytes.Cut(entry, []byte(":"))
			if !ok || string(bytes.TrimSpace(name)) != key {
				continue
			}
			value = bytes.TrimSpace(value)
			switch key {
			case "ID":
				value = value[:min(len(value), 12)]
			case "Image":
				value, _, _ = bytes.Cut(value, []byte("@"))
			}
			return v.SetBytes(value)
		}
		return false
	}
}
