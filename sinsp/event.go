// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"encoding/binary"
	"net/netip"

	"github.com/scaplab/scaplab/scap/event"
)

// Event is an event with what the state knows of it. Its methods describe the state
// after the event.
type Event struct {
	*event.Event
	Num    uint64  // of the event in the source, from 1; hidden events count
	Thread *Thread // that made the event; nil for events that no thread makes

	Start uint64 // timestamp of the first event that is not a metaevent; 0 before it
	Prev  uint64 // timestamp of the event before, of any thread; 0: none
	// Switched is, for switch events, how long Thread ran: the time, in ns, since the
	// last switch of the event's CPU; 0: not known.
	Switched uint64
	// Latency is the time, in ns, since the enter event of the same call; 0 if the
	// source has no enter event of it.
	Latency uint64
	// CPUUser and CPUSystem are, for procinfo events, the processor time, in ns,
	// that the thread used since its last procinfo event.
	CPUUser, CPUSystem uint64
	// NameChanged says that the event changed the name of FD.
	NameChanged bool

	in     *Inspector
	fd     *FD
	num    event.FD
	looked bool // num and fd are valid
	about  bool // the event is about a descriptor
}

// Inspector returns the Inspector that the event comes from.
func (ev *Event) Inspector() *Inspector { return ev.in }

// FDNum returns the number of the descriptor that the event is about; ok is false if it
// is about none. The number is negative if a call that returns a descriptor failed, and
// may be event.AtFDCWD.
func (ev *Event) FDNum() (num event.FD, ok bool) {
	if !ev.looked {
		ev.look()
	}
	return ev.num, ev.about
}

// FD returns the file that the event is about; nil: it is about none, or the file is not
// known. An event that closes a descriptor has its file, too.
func (ev *Event) FD() *FD {
	if !ev.looked {
		ev.look()
	}
	return ev.fd
}

func (ev *Event) look() {
	ev.looked, ev.about, ev.num, ev.fd = true, false, -1, nil
	at := *fdParams.At(ev.Type())
	if at < 0 {
		return
	}
	switch v := ev.Param(int(at)); len(v) {
	case 8:
		ev.num = event.FD(binary.NativeEndian.Uint64(v))
	case 4:
		ev.num = event.FD(int32(binary.NativeEndian.Uint32(v)))
	default:
		return
	}
	ev.about = true
	if ev.Thread != nil {
		ev.fd, _ = ev.Thread.files.get(ev.num)
	}
}

// fdParams is which param of an event has the descriptor that it is about; -1: none. Calls
// such as epoll_create1 have it in their result, which is not typed as a descriptor.
var fdParams = event.MakeByCode(-1, func(in *event.Info) int8 {
	if in.FDParam < 0 && in.Flags&event.CreatesFD != 0 && !in.Enter && len(in.Params) > 0 && in.Params[0].Type == event.ParamErrno {
		return 0
	}
	return in.FDParam
})

// Res returns the result of a call; ok is false for events without one.
func (ev *Event) Res() (res int64, ok bool) {
	info := ev.Info()
	if info == nil || info.Enter || info.Source != event.SourceSyscall || len(info.Params) == 0 {
		return 0, false
	}
	switch info.Params[0].Type {
	case event.ParamErrno, event.ParamFD, event.ParamPID, event.ParamInt64:
	default:
		return 0, false
	}
	switch v := ev.Param(0); len(v) {
	case 8:
		return int64(binary.NativeEndian.Uint64(v)), true
	case 4:
		return int64(int32(binary.NativeEndian.Uint32(v))), true
	}
	return 0, false
}

// AppendPath appends the absolute path that a call means by path and dirfd: below the
// directory of dirfd, or below the working directory for event.AtFDCWD. "<UNKNOWN>"
// stands for a directory that is not known.
func (ev *Event) AppendPath(dst []byte, dirfd event.FD, path []byte) []byte {
	return appendPath(dst, ev.Thread, dirfd, path)
}

// Local reports whether ip is an address of the machine that the events come from, or of
// the thread's container.
func (ev *Event) Local(ip netip.Addr) bool {
	if ev.Thread != nil {
		if c := ev.Thread.Container(); c != nil && c.IP.IsValid() && c.IP == ip {
			return true
		}
	}
	return ev.in.st.local(ip)
}
