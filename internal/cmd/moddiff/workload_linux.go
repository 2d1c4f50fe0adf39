// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where the workload works, and under which names it is started.
const (
	workDir    = "/tmp/moddiff"
	workloadAt = "/bin/workload"
	childAt    = "/bin/child"
	beaconAt   = "/bin/beacon" // does nothing; its events show that a capture runs
	childExit  = 7
)

// workload makes calls and records what a capture must show of them.
type workload struct {
	account account
	pinned  []any // arguments, until the end
	err     error
}

// call makes a system call of this thread and returns what the kernel returned: a
// negative errno when it failed. Nothing of the Go runtime comes between.
func (w *workload) call(nr uintptr, args ...any) int64 {
	var a [6]uintptr
	for i, arg := range args {
		switch arg := arg.(type) {
		case int:
			a[i] = uintptr(arg)
		case int64:
			a[i] = uintptr(arg)
		case string:
			b := append([]byte(arg), 0)
			w.pinned = append(w.pinned, b)
			a[i] = uintptr(unsafe.Pointer(&b[0]))
		case []byte:
			w.pinned = append(w.pinned, arg)
			a[i] = uintptr(unsafe.Pointer(&arg[0]))
		case unsafe.Pointer:
			w.pinned = append(w.pinned, arg)
			a[i] = uintptr(arg)
		default:
			panic(fmt.Sprintf("argument of type %T", arg))
		}
	}
	r, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return -int64(errno)
	}
	return int64(r)
}

// good is call for one that must not fail.
func (w *workload) good(name string, nr uintptr, args ...any) int64 {
	r := w.call(nr, args...)
	if r < 0 && w.err == nil {
		w.err = fmt.Errorf("%s: %w", name, syscall.Errno(-r))
	}
	return r
}

// want adds the next wanted event, with at least these params, given as name and value
// in turn.
func (w *workload) want(event string, params ...any) *wanted {
	w.account.Wanted = append(w.account.Wanted, wanted{TID: w.account.TID, Event: event, Params: texts(params)})
	return &w.account.Wanted[len(w.account.Wanted)-1]
}

func texts(values []any) (all []string) {
	for _, v := range values {
		all = append(all, fmt.Sprint(v))
	}
	return all
}

// sockaddr returns an IPv4 address of the loopback device.
func sockaddr(port int) []byte {
	return []byte{unix.AF_INET, 0, byte(port >> 8), byte(port), 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
}

// runWorkload is main of the program workloadAt. Its argument is the file
// for the account.
func runWorkload(report string) error {
	runtime.LockOSThread()
	w := &workload{account: account{PID: int64(os.Getpid()), TID: int64(unix.Gettid())}}
	// The first and the last call mark the start and the end.
	w.call(unix.SYS_MKDIR, workDir, 0o755)
	w.want("mkdir", "res", 0, "path", workDir, "mode", "1ED")
	w.files()
	w.descriptors()
	w.network()
	w.processes()
	w.call(unix.SYS_RMDIR, workDir)
	w.want("rmdir", "res", 0, "path", workDir)
	if w.err != nil {
		return w.err
	}
	text, err := json.Marshal(w.account)
	if err != nil {
		return err
	}
	return os.WriteFile(report, text, 0o600)
}

func (w *workload) files() {
	file := filepath.Join(workDir, "file")
	const text = "written by the workload"
	fd := w.good("openat", unix.SYS_OPENAT, unix.AT_FDCWD, file, unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC, 0o640)
	var st unix.Stat_t
	w.good("fstat", unix.SYS_FSTAT, fd, unsafe.Pointer(&st))
	w.want("openat", "fd", fd, "dirfd", "-100(AT_FDCWD)", "name", file,
		"flags", "16647(O_TRUNC|O_CREAT|O_RDWR|O_F_CREATED)", "mode", "0640", "ino", st.Ino)
	w.want("fstat", "res", 0)
	n := w.good("write", unix.SYS_WRITE, fd, []byte(text), len(text))
	w.want("write", "res", n, "data", text, "fd", fd, "size", len(text)).FDName = file
	n = w.good("pwrite64", unix.SYS_PWRITE64, fd, []byte("W"), 1, 0)
	w.want("pwrite", "res", n, "data", "W", "fd", fd, "size", 1, "pos", 0).FDName = file
	r := w.good("lseek", unix.SYS_LSEEK, fd, 8, unix.SEEK_SET)
	w.want("lseek", "res", r, "fd", fd, "offset", 8, "whence", "0(SEEK_SET)").FDName = file
	n = w.good("read", unix.SYS_READ, fd, make([]byte, 64), 64)
	w.want("read", "res", n, "data", text[8:], "fd", fd, "size", 64).FDName = file
	n = w.good("pread64", unix.SYS_PREAD64, fd, make([]byte, 2), 2, 8)
	w.want("pread", "res", n, "data", text[8:10], "fd", fd, "size", 2, "pos", 8).FDName = file
	d := w.good("dup", unix.SYS_DUP, fd)
	w.want("dup", "res", d, "oldfd", fd)
	d2 := w.good("fcntl", unix.SYS_FCNTL, d, unix.F_DUPFD_CLOEXEC, 20)
	w.want("fcntl", "res", d2, "fd", d, "cmd", "26(F_DUPFD_CLOEXEC)")
	w.good("close", unix.SYS_CLOSE, d2)
	w.want("close", "res", 0, "fd", d2).FDName = file
	w.good("close", unix.SYS_CLOSE, d)
	w.want("close", "res", 0, "fd", d).FDName = file
	w.good("fchmod", unix.SYS_FCHMOD, fd, 0o600)
	w.want("fchmod", "res", 0, "fd", fd, "mode", "0600")
	w.good("close", unix.SYS_CLOSE, fd)
	w.want("close", "res", 0, "fd", fd).FDName = file
	r = w.call(unix.SYS_CLOSE, fd)
	w.want("close", "res", fmt.Sprintf("%d(EBADF)", r), "fd", fd)

	other := file + ".other"
	w.good("link", unix.SYS_LINK, file, other)
	w.want("link", "res", 0, "oldpath", file, "newpath", other)
	w.good("unlink", unix.SYS_UNLINK, other)
	w.want("unlink", "res", 0, "path", other)
	w.good("symlink", unix.SYS_SYMLINK, "file", other)
	w.want("symlink", "res", 0, "target", "file", "linkpath", other)
	w.good("rename", unix.SYS_RENAME, other, file+".new")
	w.want("rename", "res", 0, "oldpath", other, "newpath", file+".new")
	w.good("unlinkat", unix.SYS_UNLINKAT, unix.AT_FDCWD, file+".new", 0)
	w.want("unlinkat", "res", 0, "dirfd", "-100(AT_FDCWD)", "name", file+".new", "flags", 0)
	w.good("chmod", unix.SYS_CHMOD, file, 0o644)
	w.want("chmod", "res", 0, "filename", file, "mode", "0644")
	w.good("unlink", unix.SYS_UNLINK, file)
	w.want("unlink", "res", 0, "path", file)
	r = w.call(unix.SYS_OPENAT, unix.AT_FDCWD, file, unix.O_RDONLY, 0)
	w.want("openat", "fd", fmt.Sprintf("%d(ENOENT)", r), "dirfd", "-100(AT_FDCWD)", "name", file, "flags", "1(O_RDONLY)")
	w.good("chdir", unix.SYS_CHDIR, workDir)
	w.want("chdir", "res", 0, "path", workDir)
	w.good("chdir", unix.SYS_CHDIR, "/")
	w.want("chdir", "res", 0, "path", "/")
}

func (w *workload) descriptors() {
	var p [2]int32
	w.good("pipe2", unix.SYS_PIPE2, unsafe.Pointer(&p), unix.O_CLOEXEC)
	w.want("pipe2", "res", 0, "fd1", p[0], "fd2", p[1], "flags", "4096(O_CLOEXEC)")
	long := []byte(strings.Repeat("0123456789", 20))
	n := w.good("write", unix.SYS_WRITE, int(p[1]), long, len(long))
	w.want("write", "res", n, "data", string(long[:80]), "fd", p[1], "size", len(long)) // cut at the snaplen
	n = w.good("read", unix.SYS_READ, int(p[0]), make([]byte, 10), 10)
	w.want("read", "res", n, "data", string(long[:10]), "fd", p[0], "size", 10)
	w.good("close", unix.SYS_CLOSE, int(p[0]))
	w.want("close", "res", 0, "fd", p[0])
	w.good("close", unix.SYS_CLOSE, int(p[1]))
	w.want("close", "res", 0, "fd", p[1])
	for _, c := range []struct {
		name string
		nr   uintptr
		args []any
		want []any
	}{
		{"eventfd2", unix.SYS_EVENTFD2, []any{3, unix.EFD_CLOEXEC}, []any{"initval", 3, "flags", "4096(O_CLOEXEC)"}},
		{"epoll_create1", unix.SYS_EPOLL_CREATE1, []any{unix.EPOLL_CLOEXEC}, []any{"flags", "1(EPOLL_CLOEXEC)"}},
		{"timerfd_create", unix.SYS_TIMERFD_CREATE, []any{unix.CLOCK_MONOTONIC, 0}, []any{"flags", 0}},
		{"inotify_init1", unix.SYS_INOTIFY_INIT1, []any{unix.IN_CLOEXEC}, []any{"flags", "4096(O_CLOEXEC)"}},
		{"memfd_create", unix.SYS_MEMFD_CREATE, []any{"interop", unix.MFD_CLOEXEC}, []any{"name", "interop", "flags", "1(MFD_CLOEXEC)"}},
	} {
		fd := w.good(c.name, c.nr, c.args...)
		key := "res"
		if c.name == "memfd_create" {
			key = "fd"
		}
		w.want(c.name, append([]any{key, fd}, c.want...)...)
		w.good("close", unix.SYS_CLOSE, fd)
		w.want("close", "res", 0, "fd", fd)
	}
	at := w.good("mmap", unix.SYS_MMAP, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON, -1, 0)
	w.want("mmap", "res", at, "length", 8192, "prot", "3(PROT_READ|PROT_WRITE)", "flags", "10(MAP_PRIVATE|MAP_ANONYMOUS)")
	w.good("mprotect", unix.SYS_MPROTECT, at, 4096, unix.PROT_READ)
	w.want("mprotect", "res", 0, "addr", fmt.Sprintf("%X", at), "length", 4096, "prot", "1(PROT_READ)")
	w.good("munmap", unix.SYS_MUNMAP, at, 8192)
	w.want("munmap", "res", 0, "addr", fmt.Sprintf("%X", at), "length", 8192)
}

func (w *workload) network() {
	const serverPort, clientPort = 40001, 40002
	server, client := "127.0.0.1:"+strconv.Itoa(serverPort), "127.0.0.1:"+strconv.Itoa(clientPort)
	one := []byte{1, 0, 0, 0}
	open := func(typ int, text string, port int) int64 {
		fd := w.good("socket", unix.SYS_SOCKET, unix.AF_INET, typ, 0)
		w.want("socket", "fd", fd, "domain", "2(AF_INET)", "type", text, "proto", 0)
		w.good("setsockopt", unix.SYS_SETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, one, 4)
		w.want("setsockopt", "res", 0, "fd", fd, "level", "1(SOL_SOCKET)", "optname", "2(SO_REUSEADDR)", "val", 1, "optlen", 4)
		w.good("bind", unix.SYS_BIND, fd, sockaddr(port), 16)
		w.want("bind", "res", 0, "addr", "127.0.0.1:"+strconv.Itoa(port), "fd", fd)
		return fd
	}
	l := open(unix.SOCK_STREAM, "1", serverPort)
	w.good("listen", unix.SYS_LISTEN, l, 5)
	w.want("listen", "res", 0, "fd", l, "backlog", 5)
	c := open(unix.SOCK_STREAM, "1", clientPort)
	w.good("connect", unix.SYS_CONNECT, c, sockaddr(serverPort), 16)
	w.want("connect", "res", 0, "tuple", client+"->"+server, "fd", c, "addr", server).FDName = client + "->" + server
	var from [16]byte
	size := []byte{16, 0, 0, 0}
	a := w.good("accept4", unix.SYS_ACCEPT4, l, from[:], size, unix.SOCK_CLOEXEC)
	w.want("accept4", "fd", a, "tuple", client+"->"+server, "queuelen", 0, "queuemax", 5).FDName = client + "->" + server
	n := w.good("sendto", unix.SYS_SENDTO, c, []byte("ping"), 4, 0, 0, 0)
	w.want("sendto", "res", n, "data", "ping", "fd", c, "size", 4).FDName = client + "->" + server
	n = w.good("recvfrom", unix.SYS_RECVFROM, a, make([]byte, 16), 16, 0, 0, 0)
	w.want("recvfrom", "res", n, "data", "ping", "fd", a, "size", 16)
	iov := []unix.Iovec{{Base: &[]byte("po")[0], Len: 2}, {Base: &[]byte("ng")[0], Len: 2}}
	n = w.good("writev", unix.SYS_WRITEV, a, unsafe.Pointer(&iov[0]), 2)
	w.want("writev", "res", n, "data", "pong", "fd", a, "size", 4)
	n = w.good("read", unix.SYS_READ, c, make([]byte, 16), 16)
	w.want("read", "res", n, "data", "pong", "fd", c, "size", 16).FDName = client + "->" + server
	w.good("shutdown", unix.SYS_SHUTDOWN, a, unix.SHUT_WR)
	w.want("shutdown", "res", 0, "fd", a, "how", "1(SHUT_WR)")
	// Reset, so that the ports are free for the next time.
	linger := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	w.good("setsockopt", unix.SYS_SETSOCKOPT, a, unix.SOL_SOCKET, unix.SO_LINGER, linger, 8)
	w.want("setsockopt", "res", 0, "fd", a, "level", "1(SOL_SOCKET)", "optname", "13(SO_LINGER)", "optlen", 8)
	for _, fd := range []int64{a, c, l} {
		w.good("close", unix.SYS_CLOSE, fd)
		w.want("close", "res", 0, "fd", fd)
	}
	r := w.call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_UDP)
	w.want("socket", "fd", fmt.Sprintf("%d(EPROTONOSUPPORT)", r), "domain", "2(AF_INET)", "type", "1", "proto", unix.IPPROTO_UDP)

	u := open(unix.SOCK_DGRAM, "2", serverPort)
	v := open(unix.SOCK_DGRAM, "2", clientPort)
	n = w.good("sendto", unix.SYS_SENDTO, v, []byte("datagram"), 8, 0, sockaddr(serverPort), 16)
	w.want("sendto", "res", n, "data", "datagram", "fd", v, "size", 8, "tuple", client+"->"+server)
	n = w.good("recvfrom", unix.SYS_RECVFROM, u, make([]byte, 16), 16, 0, from[:], size)
	w.want("recvfrom", "res", n, "data", "datagram", "fd", u, "size", 16, "tuple", client+"->"+server)
	for _, fd := range []int64{u, v} {
		w.good("close", unix.SYS_CLOSE, fd)
		w.want("close", "res", 0, "fd", fd)
	}

	var pair [2]int32
	w.good("socketpair", unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM, 0, unsafe.Pointer(&pair))
	w.want("socketpair", "res", 0, "fd1", pair[0], "fd2", pair[1])
	for _, fd := range pair {
		w.good("close", unix.SYS_CLOSE, int(fd))
		w.want("close", "res", 0, "fd", fd)
	}
}

func (w *workload) processes() {
	pid := os.Getpid()
	w.good("kill", unix.SYS_KILL, pid, 0)
	w.want("kill", "res", 0, "pid", pid, "sig", 0)
	r := w.call(unix.SYS_KILL, 1<<22-1, int(unix.SIGTERM))
	w.want("kill", "res", fmt.Sprintf("%d(ESRCH)", r), "pid", 1<<22-1, "sig", "15(SIGTERM)")
	w.good("getppid", unix.SYS_GETPPID) // the reference schema has no event for it
	w.want("getppid")
	w.good("setpgid", unix.SYS_SETPGID, 0, 0)
	w.want("setpgid", "res", 0, "pid", 0, "pgid", 0)
	w.good("prctl", unix.SYS_PRCTL, unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	w.want("prctl", "res", 0, "option", "36(PR_SET_CHILD_SUBREAPER)")
	var limit [2]uint64
	w.good("prlimit64", unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, 0, unsafe.Pointer(&limit))
	w.want("prlimit", "res", 0, "pid", 0, "oldcur", limit[0], "oldmax", limit[1])

	// Go has no fork; this is a clone that shares memory until the exec.
	started, err := syscall.ForkExec(childAt, []string{childAt, "one", "two three"}, &syscall.ProcAttr{Env: []string{"A=1", "B=two"}})
	if err != nil {
		w.err = fmt.Errorf("start %s: %w", childAt, err)
		return
	}
	child := int64(started)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(started, &status, 0, nil); err != nil || status.ExitStatus() != childExit {
		w.err = fmt.Errorf("%s: exit status %d, %v", childAt, status.ExitStatus(), err)
		return
	}
	w.account.Child = child
	w.want("clone", "res", child, "exe", workloadAt, "tid", w.account.TID, "pid", w.account.PID, "comm", filepath.Base(workloadAt))
	of := func(event string, params ...any) { w.want(event, params...).TID = child }
	of("clone", "res", 0, "exe", workloadAt, "tid", child, "pid", child, "ptid", w.account.PID, "comm", filepath.Base(workloadAt))
	of("execve", "res", 0, "exe", childAt, "args", "one.two three.", "tid", child, "pid", child, "ptid", w.account.PID,
		"comm", filepath.Base(childAt), "env", "A=1.B=two.", "pgid", w.account.PID, "trusted_exepath", childAt)
	of("procexit", "status", childExit<<8, "ret", childExit, "sig", 0)
}
