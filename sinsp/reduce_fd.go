// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"encoding/binary"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// Reducers of descriptors and of what passes through them. The docs are those of
// [Reducers].

func (s *state) OpenFile(ev *event.Event, ret event.FD, name []byte, flags uint32, dev uint32, ino uint64, dirfd event.FD) {
	t := s.cur
	if t == nil {
		return
	}
	raw := name
	if e := s.entered(t, ev); e != nil && e.text != "" {
		// The name as it was before the call: another thread may have changed it since.
		s.path = append(s.path[:0], e.text...)
		raw = s.path
		flags |= e.flags
	}
	s.openPath(t, ret, dirfd, raw, flags, dev, ino)
}

func (s *state) OpenPath(ev *event.Event, ret event.FD, name []byte, flags uint32, dev uint32, ino uint64, dirfd event.FD) {
	if s.cur == nil {
		return
	}
	open := openPathOnly
	if uint64(flags)&cloexecFlags[ev.Type()] != 0 {
		open |= openCloexec
	}
	s.openPath(s.cur, ret, dirfd, name, open, dev, ino)
}

// openPath adds a file with a path.
func (s *state) openPath(t *Thread, num, dirfd event.FD, raw []byte, flags uint32, dev uint32, ino uint64) {
	fd := s.newFD(t.files, num, flags&openCloexec != 0)
	fd.Type = proc.FDRegular
	if flags&openDirectory != 0 || len(raw) > 0 && raw[len(raw)-1] == '/' {
		fd.Type = proc.FDDirectory
	}
	fd.OpenFlags, fd.Dev, fd.Ino = flags&^openCloexec, dev, ino
	fd.overlay(flags)
	if fd.refs > 0 {
		s.files.noteNoIP(t.files, num)
	}
	s.setText(&fd.RawPath, raw)
	if isClean(raw) {
		s.shareText(&fd.Path, fd.RawPath)
		return
	}
	s.name = appendPath(s.name[:0], t, dirfd, raw)
	s.setText(&fd.Path, s.name)
}

func (s *state) Creat(ev *event.Event, ret event.FD, name []byte, dev uint32, ino uint64, creatFlags uint32) {
	flags := openCreat
	if creatFlags&creatUpperLayer != 0 {
		flags |= openUpperLayer
	}
	if creatFlags&creatLowerLayer != 0 {
		flags |= openLowerLayer
	}
	s.OpenFile(ev, ret, name, flags, dev, ino, event.AtFDCWD)
}

func (s *state) Close(_ *event.Event, ret int64, fd event.FD) {
	t := s.cur
	if t == nil || ret != 0 && ret != -eintr {
		return
	}
	if !s.uses(t, fd) {
		return
	}
	t.files.refs++
	s.closing, s.closed = t.files, fd
}

func (s *state) CloseRange(_ *event.Event, first uint32, last uint32, flags uint32) {
	t := s.cur
	if t == nil {
		return
	}
	if flags&closeRangeUnshare != 0 {
		s.ownTable(t)
	}
	for num := range t.FDs() {
		if num < event.FD(first) || num > event.FD(last) {
			continue
		}
		if flags&closeRangeCloexec != 0 {
			t.files.setCloexec(num, true)
		} else {
			s.removeFD(t.files, num)
		}
	}
}

func (s *state) Dup(_ *event.Event, ret event.FD, oldfd event.FD, flags uint32) {
	if t := s.cur; t != nil && ret != oldfd && s.uses(t, oldfd) {
		s.setFD(t.files, ret, t.FD(oldfd), flags&openCloexec != 0)
	}
}

func (s *state) Fcntl(ev *event.Event, ret event.FD, fd event.FD, cmd uint32, arg uint64) {
	t := s.cur
	if t == nil {
		return
	}
	switch cmd {
	case fcntlDupFD, fcntlDupFDCloexec:
		if s.uses(t, fd) {
			s.setFD(t.files, ret, t.FD(fd), cmd == fcntlDupFDCloexec)
		}
	case fcntlSetFD:
		// Older producers do not tell the flag. It is rarely cleared.
		t.files.setCloexec(fd, arg&1 != 0 || len(ev.Param(fcntlArg)) == 0)
	}
}

// changesFD reports whether a call of fcntl that succeeded may have changed a descriptor.
func changesFD(ev *event.Event) bool {
	var at event.Layout
	ev.Layout(&at)
	cmd, arg := at.Param(fcntlCmd), at.Param(fcntlArg)
	if len(cmd) != 1 || len(arg) != 8 && len(arg) != 0 {
		return true // the reducer says that it is corrupt
	}
	switch uint32(cmd[0]) {
	case fcntlDupFD, fcntlDupFDCloexec, fcntlSetFD:
		return true
	}
	return false
}

func (s *state) Pipe(_ *event.Event, fd1 event.FD, fd2 event.FD, ino uint64, flags uint32) {
	if s.cur == nil {
		return
	}
	for _, num := range [...]event.FD{fd1, fd2} {
		fd := s.newFD(s.cur.files, num, flags&openCloexec != 0)
		fd.Type, fd.Ino, fd.OpenFlags = proc.FDPipe, ino, flags&^openCloexec
	}
}

func (s *state) OpenAnon(ev *event.Event, ret event.FD, kind proc.FDType, flags uint64) {
	if s.cur == nil {
		return
	}
	// io_uring_setup has no flag for it and always sets it. The param of timerfd_create
	// is too small for its flag, which most callers set.
	cloexec := kind == proc.FDIOUring || kind == proc.FDTimer || flags&cloexecFlags[ev.Type()] != 0
	switch ev.Type() {
	case event.TypeMQOpenExit, event.TypeLandlockCreateRulesetExit: // nor have these, which set it as well
		cloexec = true
	}
	s.newFD(s.cur.files, ret, cloexec).Type = kind
}

// cloexecFlags are the values of the flags param that mean close-on-exec, which differ
// from event to event.
var cloexecFlags = func() map[event.Type]uint64 {
	flags := map[event.Type]uint64{}
	for info := range event.All() {
		for i := range info.Params {
			if set := info.Params[i].Names; set != nil && info.Params[i].Name == "flags" {
				for _, v := range set.Values {
					if strings.HasSuffix(v.Name, "_CLOEXEC") {
						flags[info.Code] = v.Value
					}
				}
			}
		}
	}
	return flags
}()

func (s *state) Signalfd(_ *event.Event, ret event.FD, fd event.FD, flags uint32) {
	if s.cur == nil || fd == ret { // the mask of an existing one changes
		return
	}
	s.newFD(s.cur.files, ret, flags&openCloexec != 0).Type = proc.FDSignal
}

func (s *state) MemfdCreate(_ *event.Event, ret event.FD, name []byte, flags uint32) {
	if s.cur == nil {
		return
	}
	fd := s.newFD(s.cur.files, ret, flags&memfdCloexec != 0)
	fd.Type = proc.FDMemfd
	s.setText(&fd.Path, name)
	s.setText(&fd.RawPath, name)
}

func (s *state) BPF(_ *event.Event, ret event.FD, cmd uint32) {
	if s.cur != nil && cmd < uint32(len(bpfMakesFD)) && bpfMakesFD[cmd] {
		s.newFD(s.cur.files, ret, true).Type = proc.FDBPF
	}
}

func (s *state) PidfdOpen(_ *event.Event, ret event.FD, pid event.PID, flags uint32) {
	if s.cur != nil {
		s.pidfd(s.cur, ret, pid)
	}
}

// pidfd adds a descriptor that stands for process pid.
func (s *state) pidfd(t *Thread, num event.FD, pid event.PID) {
	fd := s.newFD(t.files, num, true)
	fd.Type, fd.PID = proc.FDPidfd, pid
	s.name = appendPID(append(s.name[:0], "/proc/"...), pid)
	s.setText(&fd.Path, s.name)
}

func (s *state) PidfdGetfd(_ *event.Event, ret event.FD, pidFD event.FD, targetFD event.FD) {
	t := s.cur
	if t == nil || !s.uses(t, pidFD) {
		return
	}
	if other := s.threads.find(t.FD(pidFD).PID); other != nil && s.uses(other, targetFD) {
		s.setFD(t.files, ret, other.FD(targetFD), true)
		return
	}
	s.newFD(t.files, ret, true) // of a type that is not known
}

func (s *state) Read(_ *event.Event, ret int64, fd event.FD, data []byte) {
	if s.cur != nil {
		s.transfer(s.cur, fd)
	}
}

func (s *state) Write(_ *event.Event, ret int64, fd event.FD, data []byte) {
	if s.cur != nil {
		s.transfer(s.cur, fd)
	}
}

// reduceShort does what the reducer of an event does in less time, for calls that succeeded.
// It reports false if the reducer has to do it.
func (s *state) reduceShort(t *Thread, ev *event.Event, k *kind) bool {
	ret, num, ok := ev.ResultAnd(int(k.fd))
	if !ok || ret < 0 {
		return false
	}
	switch {
	case k.shortcut == transfers:
		if !s.files.isNoIP(t.files, event.FD(num)) {
			s.transfer(t, event.FD(num))
		}
	case k.shortcut == closes:
		s.Close(ev, ret, event.FD(num))
	default:
		return !changesFD(ev)
	}
	return true
}

// transfer notes that data went through fd.
func (s *state) transfer(t *Thread, num event.FD) {
	if s.files.isNoIP(t.files, num) {
		return
	}
	sl := t.files.slot(num)
	switch {
	case sl == nil:
		s.stats.UnknownFDs++
	case !sl.fd.IP():
		s.files.noteNoIP(t.files, num)
	case !sl.fd.Listening():
		sl.fd.State = Connected
	}
}

// uses reports whether the descriptor of a call that succeeded is known, and counts it
// if not.
func (s *state) uses(t *Thread, num event.FD) bool {
	if t.files.slot(num) != nil {
		return true
	}
	s.stats.UnknownFDs++
	return false
}

// passed adds the descriptors that a control message brought. What they are, only the
// running system can tell.
func (s *state) passed(t *Thread, control []byte) {
	const (
		headerSize = 16 // of a message: length, level, type
		solSocket  = 1
		scmRights  = 1
	)
	var scan *proc.Thread
	for len(control) >= headerSize {
		size := binary.NativeEndian.Uint64(control)
		if size < headerSize || size > uint64(len(control)) {
			return
		}
		body := control[headerSize:size]
		if binary.NativeEndian.Uint32(control[8:]) == solSocket && binary.NativeEndian.Uint32(control[12:]) == scmRights {
			if scan == nil && s.opts.Lookup != nil && t.PID > 0 {
				scan, _ = s.opts.Lookup(t.PID)
			}
			for ; len(body) >= 4; body = body[4:] {
				s.passedFD(t, event.FD(int32(binary.NativeEndian.Uint32(body))), scan)
			}
		}
		control = control[min((size+7)&^7, uint64(len(control))):]
	}
}

func (s *state) passedFD(t *Thread, num event.FD, scan *proc.Thread) {
	if num < 0 {
		return
	}
	fd := s.newFD(t.files, num, false)
	if scan == nil {
		return
	}
	for i := range scan.FDs {
		if from := &scan.FDs[i]; from.Num == num {
			s.fillFD(fd, from, nil)
			t.files.setCloexec(num, from.CloseOnExec || from.OpenFlags&openCloexec != 0)
			return
		}
	}
}

// Values as events carry them.
var (
	openCreat       = event.MustValue("open_flags", "O_CREAT")
	creatUpperLayer = event.MustValue("creat_flags", "FD_UPPER_LAYER_CREAT")
	creatLowerLayer = event.MustValue("creat_flags", "FD_LOWER_LAYER_CREAT")

	closeRangeUnshare = event.MustValue("close_range_flags", "CLOSE_RANGE_UNSHARE")
	closeRangeCloexec = event.MustValue("close_range_flags", "CLOSE_RANGE_CLOEXEC")

	fcntlDupFD        = event.MustValue("fcntl_cmd", "F_DUPFD")
	fcntlDupFDCloexec = event.MustValue("fcntl_cmd", "F_DUPFD_CLOEXEC")
	fcntlSetFD        = event.MustValue("fcntl_cmd", "F_SETFD")

	memfdCloexec = event.MustValue("memfd_create_flags", "MFD_CLOEXEC")
)

// fcntlCmd and fcntlArg are the params with fcntl's second and third argument.
var (
	fcntlCmd = event.Lookup(event.TypeFcntlExit).ParamIndex("cmd")
	fcntlArg = event.Lookup(event.TypeFcntlExit).ParamIndex("arg")
)

// bpfMakesFD are the commands of bpf that return a descriptor: BPF_MAP_CREATE,
// BPF_PROG_LOAD, BPF_OBJ_GET, BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID,
// BPF_RAW_TRACEPOINT_OPEN, BPF_BTF_LOAD, BPF_BTF_GET_FD_BY_ID, BPF_LINK_CREATE,
// BPF_LINK_GET_FD_BY_ID, BPF_ENABLE_STATS, BPF_ITER_CREATE.
var bpfMakesFD = [64]bool{0: true, 5: true, 7: true, 13: true, 14: true, 17: true, 18: true, 19: true, 28: true, 30: true, 32: true, 33: true}

const eintr = 4
