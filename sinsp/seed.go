// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"slices"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// seed begins with the state that a capture or a scan of /proc tells.
func (s *state) seed(from *proc.State) {
	s.machine, s.interfaces = from.Machine, from.Interfaces
	for i := range from.Users {
		s.addUser("", from.Users[i])
	}
	for i := range from.Groups {
		s.addGroup("", from.Groups[i])
	}
	listening := listeningPorts(from)
	for i := range from.Threads {
		s.seedThread(&from.Threads[i], listening)
	}
	// Parents may come after their children.
	for _, p := range s.threads.byPID {
		s.setParent(p, p.PTID)
	}
}

// seedThread adds a thread as a scan tells it. Its parent is linked by the caller.
func (s *state) seedThread(from *proc.Thread, listening map[uint16]bool) *Thread {
	if from.TID <= 0 || from.PID <= 0 || s.threads.find(from.TID) != nil {
		return nil
	}
	p := s.process(from.PID)
	t := s.addThread(from.TID, p)
	if t == nil {
		if p.threads == nil {
			s.removeProcess(p)
		}
		return nil
	}
	t.VTID, t.UID, t.GID, t.LoginUID = from.VTID, from.UID, from.GID, from.LoginUID
	t.ruid, t.suid = t.UID, t.UID
	t.CapInheritable, t.CapPermitted, t.CapEffective = from.CapInheritable, from.CapPermitted, from.CapEffective
	t.Flags, t.CloneTime = from.Flags, from.CloneTime
	t.PFMajor, t.PFMinor = from.PFMajor, from.PFMinor
	s.shareText(&t.Comm, from.Comm)
	s.shareText(&t.Cgroups, from.Cgroups)
	s.containerOf(t)
	if t.fs == nil {
		s.path = append(s.path[:0], from.CWD...)
		if n := len(s.path); n > 0 && s.path[n-1] != '/' {
			s.path = append(s.path, '/')
		}
		t.fs = s.newFS("", from.Root)
		s.setText(&t.fs.cwd, s.path)
	}
	if !from.Leader() && p.Exe != "" {
		return t // the main thread told the rest
	}
	p.PTID, p.VPID, p.SID, p.PGID, p.VPGID = from.PTID, from.VPID, from.SID, from.PGID, from.VPGID
	p.TTY, p.FDLimit, p.PidnsStart = from.TTY, from.FDLimit, from.PidnsInitStart
	p.VMSize, p.VMRSS, p.VMSwap = from.VMSize, from.VMRSS, from.VMSwap
	p.ExeIno, p.ExeCtime, p.ExeMtime = from.ExeIno, from.ExeCtime, from.ExeMtime
	p.ExeWritable, p.ExeUpperLayer, p.ExeLowerLayer, p.ExeFromMemfd = from.ExeWritable, from.ExeUpperLayer, from.ExeLowerLayer, from.ExeFromMemfd
	p.reaper = p.PID == 1 || p.VPID == 1
	s.shareText(&p.Exe, from.Exe)
	s.shareText(&p.ExePath, from.ExePath)
	s.shareText(&p.Args, from.Args)
	s.shareText(&p.Env, from.Env)
	if p.PidnsStart == 0 && !t.InPidns() {
		p.PidnsStart = s.machine.BootTime
	}
	for i := range from.FDs {
		s.seedFD(t.files, &from.FDs[i], listening)
	}
	return t
}

// seedFD adds a descriptor as a scan tells it.
func (s *state) seedFD(files *fdTable, from *proc.FD, listening map[uint16]bool) {
	if files.slot(from.Num) != nil {
		return
	}
	fd := s.newFD(files, from.Num, from.CloseOnExec || from.OpenFlags&openCloexec != 0)
	s.fillFD(fd, from, listening)
}

// fillFD makes fd what a scan tells.
func (s *state) fillFD(fd *FD, from *proc.FD, listening map[uint16]bool) {
	fd.Type, fd.L4, fd.OpenFlags, fd.Dev, fd.Ino = from.Type, from.L4, from.OpenFlags, from.Dev, from.Ino
	fd.overlay(from.OpenFlags)
	fd.Src, fd.Dst, fd.UnixSrc, fd.UnixDst = from.Src, from.Dst, from.UnixSrc, from.UnixDst
	s.shareText(&fd.Path, from.Name)
	switch {
	case fd.Listening():
		fd.Role, fd.form = RoleServer, formAddr
	case fd.IP():
		fd.unmap()
		fd.Role, fd.form = RoleClient, formEnds
		if fd.L4 == proc.L4TCP || fd.L4 == proc.L4UDP {
			if listening[fd.Src.Port()] {
				fd.Src, fd.Dst = fd.Dst, fd.Src
				fd.Role = RoleServer
			}
		}
	case fd.Type == proc.FDUnix && fd.Path != "" && fd.UnixDst != 0:
		fd.Role, fd.form = RoleClient, formEnds
	case fd.Type == proc.FDUnix && fd.Path != "":
		fd.Role = RoleServer
	case fd.Type == proc.FDPidfd:
		fd.PID = pidOfPath(fd.Path)
	}
}

// listeningPorts are the ports that some process listens on.
func listeningPorts(from *proc.State) map[uint16]bool {
	ports := map[uint16]bool{}
	for i := range from.Threads {
		for _, fd := range from.Threads[i].FDs {
			if fd.Type == proc.FDIPv4Server || fd.Type == proc.FDIPv6Server {
				ports[fd.Src.Port()] = true
			}
		}
	}
	return ports
}

// Snapshot returns the state as a scan of /proc tells it: to write it to a capture, or
// to compare it with a scan. Ids of parents are those of their main threads.
func (in *Inspector) Snapshot() *proc.State {
	s := &in.st
	out := &proc.State{Machine: s.machine, Interfaces: slices.Clone(s.interfaces)}
	for k, u := range s.users.users {
		if k.container == "" {
			out.Users = append(out.Users, *u)
		}
	}
	for k, g := range s.users.groups {
		if k.container == "" {
			out.Groups = append(out.Groups, *g)
		}
	}
	for _, t := range s.threads.byTID {
		if !t.Placeholder {
			out.Threads = append(out.Threads, t.snapshot())
		}
	}
	slices.SortFunc(out.Users, func(a, b proc.User) int { return int(int64(a.UID) - int64(b.UID)) })
	slices.SortFunc(out.Groups, func(a, b proc.Group) int { return int(int64(a.GID) - int64(b.GID)) })
	slices.SortFunc(out.Threads, func(a, b proc.Thread) int {
		if a.Leader() != b.Leader() {
			if a.Leader() {
				return -1
			}
			return 1
		}
		return int(a.TID - b.TID)
	})
	return out
}

func (t *Thread) snapshot() proc.Thread {
	out := proc.Thread{
		TID: t.TID, PID: t.PID, PTID: t.PTID, SID: t.SID, VPGID: t.VPGID, PGID: t.PGID, VTID: t.VTID, VPID: t.VPID,
		Comm: t.Comm, Exe: t.Exe, ExePath: t.ExePath, Args: t.Args, Env: t.Env, Cgroups: t.Cgroups, CWD: t.CWD(), Root: t.Root(),
		FDLimit: t.FDLimit, Flags: t.Flags, UID: t.UID, GID: t.GID, LoginUID: t.LoginUID, TTY: t.TTY,
		VMSize: t.VMSize, VMRSS: t.VMRSS, VMSwap: t.VMSwap, PFMajor: t.PFMajor, PFMinor: t.PFMinor, CloneTime: t.CloneTime,
		PidnsInitStart: t.PidnsStart,
		CapInheritable: t.CapInheritable, CapPermitted: t.CapPermitted, CapEffective: t.CapEffective,
		ExeIno: t.ExeIno, ExeCtime: t.ExeCtime, ExeMtime: t.ExeMtime,
		ExeWritable: t.ExeWritable, ExeUpperLayer: t.ExeUpperLayer, ExeLowerLayer: t.ExeLowerLayer, ExeFromMemfd: t.ExeFromMemfd,
	}
	if p := t.Parent(); p != nil {
		out.PTID = p.PID
	}
	if n := len(out.CWD); n > 1 {
		out.CWD = out.CWD[:n-1]
	}
	if !t.Main() {
		return out
	}
	for num, fd := range t.FDs() {
		f := proc.FD{
			Num: num, Ino: fd.Ino, Type: fd.Type, L4: fd.L4, OpenFlags: fd.OpenFlags &^ openCloexec, Dev: fd.Dev, Name: fd.Path,
			Src: fd.Src, Dst: fd.Dst, UnixSrc: fd.UnixSrc, UnixDst: fd.UnixDst, CloseOnExec: t.CloseOnExec(num),
		}
		if f.CloseOnExec && fd.Type == proc.FDRegular {
			f.OpenFlags |= openCloexec
		}
		if fd.Type == proc.FDUnix && fd.Role == RoleServer {
			f.UnixDst = 0 // only a client has it: see fillFD
		}
		if fd.Role == RoleServer && fd.IP() && !fd.Listening() { // a scan has the local end first
			f.Src, f.Dst = fd.Dst, fd.Src
		}
		out.FDs = append(out.FDs, f)
	}
	return out
}

// pidOfPath returns the process of "/proc/PID"; 0 if the path is another.
func pidOfPath(path string) event.PID {
	var pid event.PID
	for i := len("/proc/"); i < len(path) && path[i] >= '0' && path[i] <= '9' && pid < 1<<32; i++ {
		pid = 10*pid + event.PID(path[i]-'0')
	}
	return pid
}
