// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package kerneltest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The workload runs as a process of its own, whose role a variable names.
const (
	roleVariable = "SINSP_WORK"
	roleMain     = "main"
	roleWait     = "wait"   // waits until its standard input ends
	roleEnd      = "end"    // ends at once
	roleSpace    = "space"  // in namespaces of its own: makes processes and waits
	roleThread   = "thread" // a thread other than the main one executes this program, as roleWait

	readyLine = "ready\n"
)

// work does not return.
func work(role string) {
	runtime.LockOSThread()
	switch role {
	case roleMain:
		mainWork()
		os.Stdout.WriteString(readyLine)
	case roleWait:
		must(0, unix.Close(3)) // tells the parent that all is done
	case roleSpace:
		must(0, os.Chdir("/"))
		must(0, unix.Dup2(must(unix.Eventfd(0, 0)), doneFD))
		fork(
			sys(unix.SYS_CLOSE, 3),
		)
		spawn(roleWait, nil)
		must(0, unix.Close(3))
	case roleThread:
		go func() {
			runtime.LockOSThread() // the main thread is locked, too: this is another one
			must(0, os.Setenv(roleVariable, roleWait))
			must(0, syscall.Exec("/proc/self/exe", []string{"worker", "of a thread"}, os.Environ()))
		}()
		select {}
	case roleEnd:
		os.Exit(0)
	}
	os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

func must[T any](v T, err error) T {
	if err != nil {
		_, file, line, _ := runtime.Caller(1)
		fmt.Fprintf(os.Stderr, "%s:%d: %v\n", filepath.Base(file), line, err)
		os.Exit(1)
	}
	return v
}

func mainWork() {
	done := must(unix.Eventfd(0, 0))
	must(0, unix.Dup2(done, doneFD))
	dir := must(filepath.EvalSymlinks(os.TempDir()))
	must(0, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	files(dir)
	objects(dir)
	sockets(dir)
	passed(dir)
	processes(dir)
	ids()
	threads()
	churn()
}

func open(path string, flags int) int { return must(unix.Open(path, flags, 0o640)) }

// files opens, copies and closes.
func files(dir string) {
	f := open(dir+"/new", unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC)
	open(dir+"/new", unix.O_RDONLY|unix.O_APPEND)
	d := open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	must(0, unix.Mkdir(dir+"/sub", 0o755))
	must(unix.Openat(d, "sub", unix.O_RDONLY|unix.O_DIRECTORY, 0))
	must(unix.Openat(d, "./sub/../below", unix.O_WRONLY|unix.O_CREAT, 0o600))
	must(unix.Openat2(d, "new", &unix.OpenHow{Flags: unix.O_RDONLY}))
	must(unix.Creat(dir+"/created", 0o600))
	must(0, unix.Chdir(dir+"/sub"))
	open("../new", unix.O_RDONLY)
	must(0, unix.Fchdir(d))
	open("sub/x", unix.O_RDWR|unix.O_CREAT)

	must(unix.Dup(f))
	must(0, unix.Dup2(f, 100))
	must(0, unix.Dup3(f, 101, unix.O_CLOEXEC))
	must(unix.FcntlInt(uintptr(f), unix.F_DUPFD, 110))
	must(unix.FcntlInt(uintptr(f), unix.F_DUPFD_CLOEXEC, 120))
	must(unix.FcntlInt(100, unix.F_SETFD, unix.FD_CLOEXEC))
	must(0, unix.Dup2(d, 1000)) // far from the others
	for n := 200; n < 220; n++ {
		must(0, unix.Dup2(f, n))
	}
	must(0, unix.CloseRange(205, 210, 0))
	closeRangeCloexec(211, 212)
	must(0, unix.Close(203))
	must(0, unix.Dup2(d, 204)) // in place of another
}

// closeRangeCloexec marks descriptors, or closes them where the kernel, before 5.11,
// cannot mark them.
func closeRangeCloexec(first, last uint) {
	if unix.CloseRange(first, last, unix.CLOSE_RANGE_CLOEXEC) != nil {
		must(0, unix.CloseRange(first, last, 0))
	}
}

// objects opens what has no path.
func objects(dir string) {
	var p [2]int
	must(0, unix.Pipe2(p[:], unix.O_CLOEXEC))
	must(0, unix.Pipe2(p[:], 0))
	must(unix.Eventfd(0, unix.EFD_CLOEXEC))
	must(unix.EpollCreate1(0))
	must(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	must(unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC))
	must(unix.InotifyInit1(unix.IN_CLOEXEC))
	s := must(unix.Signalfd(-1, &unix.Sigset_t{}, 0))
	must(unix.Signalfd(s, &unix.Sigset_t{}, 0))
	must(unix.MemfdCreate("label", unix.MFD_CLOEXEC))
	must(unix.MemfdCreate("another", 0))
	me := must(unix.PidfdOpen(os.Getpid(), 0))
	must(unix.PidfdGetfd(me, p[0], 0))
}

// sockets binds, connects, accepts.
func sockets(dir string) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		a := netip.MustParseAddr(ip)
		family := unix.AF_INET
		address := func(port int) unix.Sockaddr { return &unix.SockaddrInet4{Addr: a.As4(), Port: port} }
		if a.Is6() {
			family = unix.AF_INET6
			address = func(port int) unix.Sockaddr { return &unix.SockaddrInet6{Addr: a.As16(), Port: port} }
		}
		port := 20000 + os.Getpid()%10000
		server := must(unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
		if err := unix.Bind(server, address(port)); err == unix.EADDRNOTAVAIL { // no IPv6
			unix.Close(server)
			continue
		} else {
			must(0, err)
		}
		must(0, unix.Listen(server, 5))
		client := must(unix.Socket(family, unix.SOCK_STREAM, 0))
		must(0, unix.Connect(client, address(port)))
		conn, _, err := unix.Accept4(server, unix.SOCK_CLOEXEC)
		must(0, err)
		must(unix.Write(client, []byte("request")))
		must(unix.Read(conn, make([]byte, 10)))

		to := must(unix.Socket(family, unix.SOCK_DGRAM, 0))
		must(0, unix.Bind(to, address(port+1)))
		from := must(unix.Socket(family, unix.SOCK_DGRAM, 0))
		must(0, unix.Connect(from, address(port+1)))
		must(unix.Write(from, []byte("datagram")))
	}
	must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	server := must(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0))
	must(0, unix.Bind(server, &unix.SockaddrUnix{Name: dir + "/sock"}))
	must(0, unix.Listen(server, 5))
	client := must(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0))
	must(0, unix.Connect(client, &unix.SockaddrUnix{Name: dir + "/sock"}))
	_, _, err := unix.Accept(server)
	must(0, err)
	netlink := must(unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE))
	must(0, unix.Bind(netlink, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
}

// passed gets descriptors by a message.
func passed(dir string) {
	pair := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0))
	f := open(dir+"/passed", unix.O_RDWR|unix.O_CREAT)
	must(0, unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(f, 0), nil, 0))
	_, _, _, _, err := unix.Recvmsg(pair[1], make([]byte, 1), make([]byte, 64), 0)
	must(0, err)
	// Another process gets them, too.
	must(0, unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(f, must(unix.Eventfd(0, 0))), nil, 0))
	message.iov = unix.Iovec{Base: &message.data, Len: 1}
	message.header = unix.Msghdr{Iov: &message.iov, Iovlen: 1, Control: &message.control[0], Controllen: uint64(len(message.control))}
	fork(
		sys(unix.SYS_CLOSE, uintptr(f)),
		sys(unix.SYS_RECVMSG, uintptr(pair[1]), uintptr(unsafe.Pointer(&message.header)), unix.MSG_CMSG_CLOEXEC),
	)
}

// message is what a process without exec receives.
var message struct {
	header  unix.Msghdr
	iov     unix.Iovec
	data    byte
	control [64]byte
}

// call is a system call of a process that is made without exec. The language's own code
// does not run there.
type call struct {
	nr    uintptr
	args  [6]uintptr
	child []call // of clone: what the child does
}

func sys(nr uintptr, args ...uintptr) call {
	c := call{nr: nr}
	copy(c.args[:], args)
	return c
}

var exit = sys(unix.SYS_EXIT_GROUP)

// forks is the call that makes a process which makes those calls.
func forks(calls ...call) call { return clones(0, calls...) }

func clones(flags uintptr, calls ...call) call {
	c := sys(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD))
	c.child = append(calls, sys(unix.SYS_WRITE, doneFD, uintptr(unsafe.Pointer(&one)), 8), sys(unix.SYS_PAUSE))
	return c
}

// doneFD is an eventfd that counts the processes that have made their calls and wait.
const doneFD = 150

var one uint64 = 1

// waiting returns how many processes will wait that the call makes, directly or not.
func (c *call) waiting() (n uint64) {
	if c.child == nil {
		return 0
	}
	n = 1
	for i := range c.child {
		if c.child[i].nr == exit.nr {
			return n - 1
		}
		n += c.child[i].waiting()
	}
	return n
}

// run makes a call of the parent and returns its result. A child makes its own calls,
// the last of them for ever.
//
//go:norace
//go:nosplit
//go:noinline
func (c *call) run() uintptr {
	ret, _, _ := syscall.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
	if ret != 0 || c.child == nil {
		return ret
	}
	calls := c.child
	for i := 0; ; {
		c := &calls[i]
		ret, _, _ := syscall.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		switch {
		case ret == 0 && c.child != nil:
			calls, i = c.child, 0
		case i < len(calls)-1:
			i++
		}
	}
}

// fork makes a process that makes those calls and then waits for ever, unless exit is
// one of them. It returns when all processes wait.
func fork(calls ...call) int { return clone(0, calls...) }

func clone(flags uintptr, calls ...call) int {
	c := clones(flags, calls...)
	return c.make()
}

// make makes the process of a clone-like call, as fork does.
func (c *call) make() int {
	pid := c.run()
	if errno := syscall.Errno(-pid); int(pid) < 0 {
		must(0, error(errno))
	}
	for n := c.waiting(); n > 0; {
		var b [8]byte
		must(unix.Read(doneFD, b[:]))
		n -= binary.NativeEndian.Uint64(b[:])
	}
	return int(pid)
}

// text returns the address of s and a NUL.
func text(s string) uintptr {
	p := must(unix.BytePtrFromString(s))
	texts = append(texts, p)
	return uintptr(unsafe.Pointer(p))
}

var texts []*byte // keeps them

// start runs this program in another role. It does not use package os/exec, whose
// processes get a descriptor that no event tells of (CLONE_PIDFD).
func start(role string, attr *syscall.SysProcAttr, files ...*os.File) int {
	fds := []uintptr{0, 1, 2}
	for _, f := range files {
		fds = append(fds, f.Fd())
	}
	must(0, os.Setenv(roleVariable, role))
	pid, _, err := syscall.StartProcess("/proc/self/exe", []string{"worker", "an argument", ""}, &syscall.ProcAttr{
		Env: os.Environ(), Files: fds, Sys: attr,
	})
	return must(pid, err)
}

// processes makes processes in all the ways that there are.
func processes(dir string) {
	jail, sub, other := text(dir+"/jail"), text(dir+"/sub"), text("/")
	name := text("renamed")
	must(0, unix.Mkdir(dir+"/jail", 0o755))
	// The other calls that make processes.
	like := func(nr uintptr, args ...uintptr) call {
		c := sys(nr, args...)
		c.child = forks(sys(unix.SYS_DUP2, 100, 310)).child
		return c
	}
	byFork := like(unix.SYS_FORK)
	byFork.make()
	byClone3 := like(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&cloneArgs)), unsafe.Sizeof(cloneArgs))
	byClone3.make()
	// The table, the directories and the ids of the child are its own.
	fork(
		sys(unix.SYS_CLOSE, 100),
		sys(unix.SYS_CLOSE_RANGE, 200, 1<<31, 0),
		sys(unix.SYS_CHDIR, sub),
		sys(unix.SYS_SETPGID, 0, 0),
		sys(unix.SYS_PRCTL, unix.PR_SET_NAME, name),
	)
	fork(
		sys(unix.SYS_SETSID),
		sys(unix.SYS_SETRESGID, 1000, 1001, 1002),
		sys(unix.SYS_SETRESUID, 1000, 1001, 1002),
	)
	fork(
		sys(unix.SYS_CHROOT, jail),
		sys(unix.SYS_CHDIR, other),
	)
	// Orphans come to the subreaper.
	orphan := fork(forks(), forks(forks(), exit), exit)
	must(unix.Wait4(orphan, nil, 0, nil))
	// What a child shares changes in both.
	clone(unix.CLONE_FILES,
		sys(unix.SYS_CLOSE, 201),
		sys(unix.SYS_DUP2, 100, 300),
	)
	clone(unix.CLONE_FS,
		sys(unix.SYS_CHDIR, sub),
	)
	clone(unix.CLONE_FILES|unix.CLONE_FS,
		sys(unix.SYS_UNSHARE, unix.CLONE_FILES|unix.CLONE_FS),
		sys(unix.SYS_CLOSE, 202),
		sys(unix.SYS_CHDIR, other),
	)
	clone(unix.CLONE_PARENT, exit)

	spawn(roleWait, nil)
	spawn(roleThread, nil)
	spawn(roleWait, &syscall.SysProcAttr{Setsid: true})
	spawn(roleWait, &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: 1000, Gid: 1001, NoSetGroups: true}})
	spawn(roleWait, &syscall.SysProcAttr{Chroot: "/"})
	space := spawn(roleSpace, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS})
	pidns := open(fmt.Sprintf("/proc/%d/ns/pid", space), unix.O_RDONLY|unix.O_CLOEXEC)
	mntns := open(fmt.Sprintf("/proc/%d/ns/mnt", space), unix.O_RDONLY|unix.O_CLOEXEC)
	closePidns, closeMntns := sys(unix.SYS_CLOSE, uintptr(pidns)), sys(unix.SYS_CLOSE, uintptr(mntns)) // a scan cannot tell their paths
	fork(
		sys(unix.SYS_SETNS, uintptr(pidns), unix.CLONE_NEWPID),
		closePidns, closeMntns,
		forks(forks()),
	)
	fork(
		sys(unix.SYS_SETNS, uintptr(mntns), unix.CLONE_NEWNS),
		closePidns, closeMntns,
		forks(sys(unix.SYS_CHDIR, text("/proc"))),
	)
	must(0, unix.Close(pidns))
	must(0, unix.Close(mntns))
	// The orphan comes to the init of the namespace. Inside, only a child's own event says
	// which thread it is, and its parent goes on before or after that. The one that ends waits
	// until its child runs: an event of the child between the exit of the parent and the
	// adoption names the old parent.
	runs := uintptr(must(unix.Eventfd(0, 0)))
	tell := sys(unix.SYS_WRITE, runs, uintptr(unsafe.Pointer(&one)), 8)
	wait := sys(unix.SYS_READ, runs, uintptr(unsafe.Pointer(&message.control)), 8)
	fork(
		sys(unix.SYS_UNSHARE, unix.CLONE_NEWPID|unix.CLONE_NEWNS),
		forks(
			forks(forks(tell), wait, exit),
			sys(unix.SYS_CLOSE, 100),
			sys(unix.SYS_DUP2, 200, 311),
			sys(unix.SYS_CHDIR, sub),
			sys(unix.SYS_SETSID),
		),
		sys(unix.SYS_CLOSE, 201),
		sys(unix.SYS_SETSID),
	)
	spawn(roleSpace, &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC})
}

// cloneArgs are the arguments of a clone3 that does what fork does.
var cloneArgs = struct{ flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls uint64 }{exitSignal: uint64(unix.SIGCHLD)}

// spawn runs this program in another role and waits until it has done its work.
func spawn(role string, attr *syscall.SysProcAttr) (pid int) {
	r, w, err := os.Pipe()
	must(0, err)
	pid = start(role, attr, w)
	must(0, w.Close())
	must(0, ignoreEOF(r.Read(make([]byte, 1))))
	must(0, r.Close())
	return pid
}

func ignoreEOF(_ int, err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// ids changes what the process may do.
func ids() {
	var limit unix.Rlimit
	must(0, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	limit.Cur -= 100
	must(0, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	name := must(unix.BytePtrFromString("main-work"))
	must(0, unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0))
	fork(
		sys(unix.SYS_SETRESUID, ^uintptr(0), 1000, ^uintptr(0)),
	)
	fork(
		sys(unix.SYS_SETREUID, 1000, 1000),
		sys(unix.SYS_SETREGID, 1000, 1000),
	)
	fork(
		sys(unix.SYS_SETRESUID, ^uintptr(0), 1000, ^uintptr(0)),
		sys(unix.SYS_SETRESUID, ^uintptr(0), 0, ^uintptr(0)),
	)
	fork(
		sys(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1),
		sys(unix.SYS_SETUID, 1000),
	)
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{{Effective: 1 << unix.CAP_CHOWN, Permitted: 1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL}}
	fork(
		sys(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(data))),
	)
	fork(
		sys(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
	)
}

// threads makes threads, of which half end.
func threads() {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			runtime.LockOSThread()
			f := open("/dev/null", unix.O_RDONLY)
			if i%2 == 0 {
				must(0, unix.Close(f))
			}
			wg.Done()
			if i < 4 {
				return // the thread ends
			}
			select {}
		}()
	}
	wg.Wait()
}

// churn makes processes that come and go.
func churn() {
	for range 50 {
		pid := fork(exit)
		must(unix.Wait4(pid, nil, 0, nil))
	}
	for range 10 {
		must(unix.Wait4(start(roleEnd, nil), nil, 0, nil))
	}
}
