// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap/event"
)

// anonTypes are the types of files without a path, by their name in /proc.
var anonTypes = map[string]FDType{
	"[eventfd]":     FDEvent,
	"[eventpoll]":   FDEventPoll,
	"[signalfd]":    FDSignal,
	"[timerfd]":     FDTimer,
	"inotify":       FDInotify,
	"[userfaultfd]": FDUserfault,
	"[io_uring]":    FDIOUring,
	"[pidfd]":       FDPidfd,
	"bpf-map":       FDBPF,
	"bpf-prog":      FDBPF,
	"bpf_link":      FDBPF,
	"bpf_iter":      FDBPF,
	"bpf-token":     FDBPF,
	"btf":           FDBPF,
}

// fds reads the open files of the process that are not read yet, until there are limit of
// them in all.
func (w *worker) fds(p *process, limit int) {
	dir, err := w.open(p.pid)
	if err != nil {
		p.unread = false
		return
	}
	defer unix.Close(dir)
	have := map[event.FD]bool{}
	if len(p.thread.FDs) > 0 { // of an earlier round
		if st, ok := parseStat(w.read(dir, "stat")); !ok || st.startTicks != p.start {
			p.unread = false
			return
		}
		for i := range p.thread.FDs {
			have[p.thread.FDs[i].Num] = true
		}
	}
	open, err := unix.Openat(dir, "fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		p.unread = false
		return
	}
	f := os.NewFile(uintptr(open), "fd")
	defer f.Close()
	r := &fdReader{worker: w, dir: dir, open: open, info: -1}
	defer r.close()
	whole := true
	err = eachName(f, func(name string) bool {
		num, err := strconv.ParseInt(name, 10, 32)
		if err != nil || have[event.FD(num)] {
			return true
		}
		if whole = !w.s.full(len(p.thread.FDs), limit); !whole {
			return false
		}
		r.missing = false
		if fd, ok := r.read(name); ok {
			if r.missing {
				p.sockets = append(p.sockets, len(p.thread.FDs))
			}
			fd.Num = event.FD(num)
			flags, mount := r.fdinfo(name)
			fd.CloseOnExec = flags&unix.O_CLOEXEC != 0
			if fd.Type == FDRegular {
				r.opened(&fd, flags, mount)
			}
			p.thread.FDs = append(p.thread.FDs, fd)
			w.s.bytesLeft.Add(-int64(unsafe.Sizeof(fd)) - int64(len(fd.Name)))
		}
		return true
	})
	if whole || err != nil { // a table that is gone has no more files
		p.unread = false
	}
}

// full reports whether no more open files are read of a process that has n of them.
func (s *scanner) full(n, limit int) bool {
	switch {
	case s.stop():
		return true
	case n >= s.maxFDs:
		s.reached(fmt.Sprintf("a process has more than %d open files", s.maxFDs))
	case n >= limit:
		return true
	case s.fdsLeft.Add(-1) < 0:
		s.reached(fmt.Sprintf("the processes have more than %d open files", cmp.Or(s.opts.MaxAllFDs, defaultMaxAllFDs)))
	default:
		return false
	}
	return true
}

// fdReader reads the fds of one process.
type fdReader struct {
	*worker
	dir, open, info int
	net             *netTable
	mounts          *mountTable
	missing         bool // the last file is a socket that is not in net
}

func (p *fdReader) close() {
	if p.info >= 0 {
		unix.Close(p.info)
	}
}

func (p *fdReader) read(name string) (FD, bool) {
	link := p.readLink(p.open, name)
	if link == nil {
		return FD{}, false // closed in the meantime
	}
	if link[0] != '/' {
		return p.unnamed(name, link), true
	}
	if label, ok := bytes.CutPrefix(link, []byte("/memfd:")); ok {
		fd := FD{Type: FDMemfd, Name: strings.TrimSuffix(string(label), deleted)}
		fd.Ino = p.inode(name)
		return fd, true
	}
	fd := FD{Type: FDRegular, Name: strings.TrimSuffix(string(link), deleted)}
	var st unix.Stat_t
	if unix.Fstatat(p.open, name, &st, 0) == nil {
		fd.Ino = st.Ino
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			fd.Type = FDDirectory
			return fd, true
		case unix.S_IFIFO:
			fd.Type = FDPipe
			return fd, true
		}
		fd.Dev = abi.EncodeDev(unix.Major(st.Dev), unix.Minor(st.Dev))
	}
	return fd, true
}

// opened fills in what fdinfo tells of a file.
func (p *fdReader) opened(fd *FD, flags, mount uint64) {
	fd.OpenFlags = openFlags(flags)
	if mount != 0 {
		// stat returns the device of a btrfs subvolume, while events have the
		// mount's device.
		if dev, ok := p.mountDev(mount); ok {
			fd.Dev = dev
		}
	}
}

// unnamed returns a file whose link is not a path but "kind:[inode]" or
// "anon_inode:kind".
func (p *fdReader) unnamed(name string, link []byte) FD {
	kind, rest, _ := bytes.Cut(link, []byte(":"))
	ino := number(bytes.TrimPrefix(rest, []byte("[")))
	switch string(kind) {
	case "socket":
		// link is not valid after this: netTable reads other links into its buffer.
		fd, ok := p.netTable().sockets[ino]
		if !ok {
			fd = FD{Ino: ino, Type: FDUnsupported}
			p.missing = true
		}
		return named(fd)
	case "pipe":
		return FD{Ino: ino, Type: FDPipe, Name: string(link)}
	case "pidfd":
		return FD{Ino: ino, Type: FDPidfd, Name: p.pidfd(name)}
	case "anon_inode":
		fd := FD{Type: FDUnsupported, Name: string(link)}
		if t, ok := anonTypes[string(rest)]; ok {
			fd.Type = t
		}
		if fd.Type == FDPidfd {
			fd.Name = p.pidfd(name)
		}
		fd.Ino = p.inode(name)
		return fd
	}
	return FD{Ino: ino, Type: FDUnsupported, Name: string(link)}
}

func (p *fdReader) inode(name string) uint64 {
	var st unix.Stat_t
	if unix.Fstatat(p.open, name, &st, 0) != nil {
		return 0
	}
	return st.Ino
}

func (p *fdReader) infoFile(name string) []byte {
	if p.info < 0 {
		var err error
		if p.info, err = unix.Openat(p.dir, "fdinfo", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			p.info = -1
			return nil
		}
	}
	return p.worker.read(p.info, name)
}

func (p *fdReader) fdinfo(name string) (flags, mount uint64) {
	for b := p.infoFile(name); len(b) > 0; {
		var l []byte
		l, b = line(b)
		if v, ok := bytes.CutPrefix(l, []byte("flags:")); ok {
			w, _ := word(v)
			flags = octalNumber(w)
		} else if v, ok := bytes.CutPrefix(l, []byte("mnt_id:")); ok {
			w, _ := word(v)
			return flags, number(w)
		}
	}
	return flags, 0
}

// pidfd returns the name of the process that a pidfd refers to.
func (p *fdReader) pidfd(name string) string {
	for b := p.infoFile(name); len(b) > 0; {
		var l []byte
		l, b = line(b)
		if v, ok := bytes.CutPrefix(l, []byte("Pid:")); ok {
			w, _ := word(v)
			return "/proc/" + string(w)
		}
	}
	return ""
}

func (p *fdReader) mountDev(id uint64) (uint32, bool) {
	if p.mounts == nil {
		ns := string(p.readLink(p.dir, "ns/mnt"))
		p.s.mu.Lock()
		m := p.s.mounts[ns]
		if m == nil {
			m = &mountTable{}
			p.s.mounts[ns] = m
		}
		p.s.mu.Unlock()
		m.once.Do(func() { m.devs = mounts(p.readText(p.dir, "mountinfo")) })
		p.mounts = m
	}
	dev, ok := p.mounts.devs[id]
	return dev, ok
}

// readText reads a file below dir.
func (w *worker) readText(dir int, name string) []byte {
	return w.s.readText(filepath.Join("/proc/self/fd", strconv.Itoa(dir), name))
}

// openFlags converts the flags of fdinfo to the flags of events.
func openFlags(native uint64) uint32 {
	flags := accessModes[native&unix.O_ACCMODE]
	for _, f := range nativeFlags {
		if f.native != 0 && native&f.native == f.native {
			flags |= f.value
		}
	}
	return flags
}

func openFlag(name string) uint32 { return event.MustValue("open_flags", name) }

var accessModes = [unix.O_ACCMODE + 1]uint32{
	unix.O_RDONLY: openFlag("O_RDONLY"), unix.O_WRONLY: openFlag("O_WRONLY"), unix.O_RDWR: openFlag("O_RDWR"),
}

var nativeFlags = []struct {
	native uint64
	value  uint32
}{
	{unix.O_CREAT, openFlag("O_CREAT")}, {unix.O_APPEND, openFlag("O_APPEND")}, {unix.O_EXCL, openFlag("O_EXCL")},
	{unix.O_NONBLOCK, openFlag("O_NONBLOCK")}, {unix.O_SYNC, openFlag("O_SYNC")}, {unix.O_DSYNC, openFlag("O_DSYNC")},
	{unix.O_TRUNC, openFlag("O_TRUNC")}, {unix.O_DIRECT, openFlag("O_DIRECT")}, {unix.O_DIRECTORY, openFlag("O_DIRECTORY")},
	{largeFile, openFlag("O_LARGEFILE")}, {unix.O_CLOEXEC, openFlag("O_CLOEXEC")},
}

// largeFile is the kernel's O_LARGEFILE, which package unix has as 0 on 64-bit
// systems.
var largeFile = func() uint64 {
	switch runtime.GOARCH {
	case "arm64", "arm":
		return 0o400000
	case "ppc64le", "ppc64":
		return 0o200000
	}
	return 0o100000
}()
