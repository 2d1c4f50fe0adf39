// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// A case runs in a process of its own. Executing this program again for each case takes most of
// a case's time under emulation, so a fork server is started once: this program again, which
// forks a child for each request and does nothing else.
//
// The Go runtime of a forked child has lost all of its threads but one. A lock that another
// thread held is never released: the monitor thread of the runtime takes the scheduler's lock
// every 10 ms or more often (retake). So the program that was executed forks only once, the
// server, which has no other thread and says so after it has taken that lock: what it forks in
// turn finds all locks free. A server that says nothing is replaced.
//
// Three more conditions make the runtime work without its other threads:
//
//   - GOMAXPROCS is 1, and the thread that forks has the scheduler's only processor. It is not
//     locked to its goroutine. The scheduler of the child finds no idle processor, so it never
//     wakes another thread: goroutines, timers and channels work on this one. While it blocks in
//     a system call, no other goroutine runs.
//   - There is no garbage collection (GOGC), which gives work to other threads.
//   - The runtime waits for files with an epoll queue, which a child would share with the server
//     and its other children: each child gets its own queue instead.
//
// A child's parent is the guest, not the server (CLONE_PARENT): the guest waits for it. A case
// that ends the server, e.g. with a signal to all processes, keeps its outcome.

// Descriptors of a fork server. They are high numbers, which cases do not use.
const (
	inheritedReport  = 3
	inheritedControl = 4
	reportFD         = 1000
	controlFD        = 1001

	requestLimit = 4096 // bytes
	answerLimit  = 5 * time.Minute
	// A server that says nothing has found a lock taken, or the machine is slow.
	startLimit = time.Minute
	startTries = 5
)

// order tells a child what to do.
type order struct {
	ids    []string // of the cases; see together
	number uint32   // of the first one's marks; the next ones' follow it
	parent int      // the thread that is its parent
	dir    string   // where it runs
	log    string   // path of the kernel's log, to which it says its cases; "" for none
}

func (o order) String() string {
	return strings.Join(append([]string{strconv.FormatUint(uint64(o.number), 10), strconv.Itoa(o.parent), o.dir, o.log}, o.ids...), "\x00")
}

func parseOrder(text string) (o order, err error) {
	part := strings.Split(text, "\x00")
	if len(part) < 5 {
		return o, fmt.Errorf("order of %d parts", len(part))
	}
	number, err := strconv.ParseUint(part[0], 10, 32)
	if err != nil {
		return o, fmt.Errorf("number: %w", err)
	}
	o = order{number: uint32(number), dir: part[2], log: part[3], ids: part[4:]}
	o.parent, err = strconv.Atoi(part[1])
	return o, err
}

// forkServer is a running fork server, as seen by the guest.
type forkServer struct {
	process *os.Process
	control *os.File // a packet is an order; the answer is the child's process id; the first answer is its own
	thread  int      // of the guest, the parent of the children
	reports *os.File // the children's reports
	stderr  *os.File // their standard error
	release chan struct{}
}

func startForkServer() (s *forkServer, err error) {
	for range startTries {
		if s, err = tryForkServer(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func tryForkServer() (_ *forkServer, err error) {
	// Its first argument is the path of the program, as it is in the events of its children.
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("own program: %w", err)
	}
	s := &forkServer{release: make(chan struct{})}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	// Files, not pipes: a process that a case leaves would keep a pipe open.
	if s.reports, err = memoryFile("reports"); err != nil {
		return nil, err
	}
	if s.stderr, err = memoryFile("stderr"); err != nil {
		return nil, err
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	theirs := os.NewFile(uintptr(ends[1]), "control")
	defer theirs.Close()
	if err = unix.SetNonblock(ends[0], true); err != nil {
		return nil, err
	}
	s.control = os.NewFile(uintptr(ends[0]), "control")
	env := []string{envMode + "=" + modeFork, "HOME=/", "PATH=/bin:/usr/bin", "GOTRACEBACK=single", "GOMAXPROCS=1", "GOGC=off"}
	if v, ok := os.LookupEnv("GORACE"); ok {
		env = append(env, "GORACE="+v) // the race detector makes each child sleep 1 s before it ends, unless it is told not to
	}
	cmd := &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{exe},
		Env:        env,
		Stderr:     s.stderr,
		ExtraFiles: []*os.File{inheritedReport - 3: s.reports, inheritedControl - 3: theirs},
	}
	started := make(chan error)
	go func() {
		// Events name the thread that is the parent of the children: it must be known, and must not end.
		runtime.LockOSThread()
		s.thread = unix.Gettid()
		err := cmd.Start()
		s.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait()
			<-s.release
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	pid, err := s.answer(startLimit)
	if err != nil {
		return nil, err
	}
	s.process, err = os.FindProcess(pid)
	return s, err
}

// answer returns the process id that is the server's next answer.
func (s *forkServer) answer(limit time.Duration) (pid int, err error) {
	if err := s.control.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return 0, err
	}
	var answer [8]byte
	if n, err := s.control.Read(answer[:]); err != nil || n != len(answer) {
		return 0, fmt.Errorf("answer of %d bytes: %w", n, errors.Join(err, errors.New(tail(s.stderr))))
	}
	if pid = int(int64(binary.NativeEndian.Uint64(answer[:]))); pid < 0 {
		return 0, fmt.Errorf("fork: %w", unix.Errno(-pid))
	}
	return pid, nil
}

func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err == nil {
		// All writers share one offset in the file; with O_APPEND writes go to the file's end.
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_APPEND)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// stop ends the server. Running children are not affected.
func (s *forkServer) stop() {
	if s.process != nil {
		_ = s.process.Kill()
	}
	close(s.release)
	for _, f := range []*os.File{s.control, s.reports, s.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// fork starts a child.
func (s *forkServer) fork(o order) (*os.Process, error) {
	o.parent = s.thread
	if err := errors.Join(s.reports.Truncate(0), s.stderr.Truncate(0)); err != nil {
		return nil, err
	}
	text := o.String()
	if len(text) > requestLimit {
		return nil, fmt.Errorf("order of %d bytes (at most %d)", len(text), requestLimit)
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(answerLimit)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(s.control, text); err != nil {
		return nil, err
	}
	pid, err := s.answer(answerLimit)
	if err != nil {
		return nil, err
	}
	return os.FindProcess(pid)
}

// forkMain makes the fork server. It returns the exit status of three kinds of processes: at once in the
// one that was executed, when the guest has closed the socket in the server, and in each child after run has
// executed its order.
func forkMain(run func(order string) int) int {
	for _, f := range [][2]int{{inheritedReport, reportFD}, {inheritedControl, controlFD}} {
		if err := unix.Dup3(f[0], f[1], unix.O_CLOEXEC); err != nil {
			fmt.Fprintf(os.Stderr, "guest: descriptor %d: %v\n", f[0], err)
			return 3
		}
		unix.Close(f[0])
	}
	queues, err := epollQueues()
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest: epoll queues: %v\n", err)
		return 3
	}
	if err := warmUp(); err != nil {
		fmt.Fprintf(os.Stderr, "guest: %v\n", err)
		return 3
	}
	if pid := fork(); pid != 0 {
		if pid < 0 {
			answer(pid)
		}
		return 0
	}
	runtime.Gosched() // takes the scheduler's lock
	answer(os.Getpid())
	text, child := serveForks()
	if !child {
		return 0
	}
	unix.Close(controlFD)
	if err := renew(queues); err != nil {
		fmt.Fprintf(os.Stderr, "guest: epoll queue: %v\n", err)
		return 3
	}
	return run(text)
}

// warmUp does once what every child would have to do: it parses the table's cases, and makes
// the encoder learn the types of a report.
func warmUp() error {
	Syscalls()
	Suites()
	_, err := json.Marshal(report{Facts: object.Facts{"": object.IntFact(0)}})
	return err
}

// epollQueues returns the descriptors of this process's epoll queues. The runtime creates
// one when a file is opened, at the latest here.
func epollQueues() (queues []int, err error) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err != nil || to != "anon_inode:[eventpoll]" {
			continue
		}
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, err
		}
		queues = append(queues, fd)
	}
	return queues, err
}

// renew replaces inherited epoll queues by new ones. They lack the event with which the runtime
// wakes threads; there is only one thread.
func renew(queues []int) error {
	for _, fd := range queues {
		queue, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return err
		}
		if err := unix.Dup3(queue, fd, unix.O_CLOEXEC); err != nil {
			return err
		}
		unix.Close(queue)
	}
	return nil
}

// serveForks forks a child for each order. It returns in each child with the order, and in
// the server when there are no more orders.
func serveForks() (text string, child bool) {
	buf := make([]byte, requestLimit)
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, controlFD, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 || n == 0 {
			return "", false
		}
		pid := fork()
		if pid == 0 {
			return string(buf[:n]), true
		}
		answer(pid)
	}
}

// fork returns the child's process id, 0 in the child, or -errno.
func fork() int {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return -int(errno)
	}
	return int(pid)
}

// answer tells the guest a process id, or -errno.
func answer(pid int) {
	packet := int64(pid)
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, controlFD, uintptr(unsafe.Pointer(&packet)), unsafe.Sizeof(packet))
}

// namespacedCalls change, or tell of, what belongs to a namespace: mounts, the names of the machine, System V
// objects and message queues.
var namespacedCalls = []string{
	"mount", "umount", "umount2", "pivot_root", "move_mount", "open_tree", "open_tree_attr", "fsmount", "mount_setattr", "statmount", "listmount", "listns",
	"sethostname", "setdomainname",
	"msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semtimedop", "semctl", "shmget", "shmat", "shmdt", "shmctl",
	"mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
}

// isolated reports whether a case needs namespaces of its own, as an act may. They take a good part of a case's time:
// to end a mount namespace, the kernel waits for all CPUs.
func isolated(sc *Syscall, cs *Case) bool {
	return sc.Suite || slices.Contains(namespacedCalls, sc.Name) || slices.ContainsFunc(cs.Given, func(b Binding) bool {
		return slices.ContainsFunc(object.Namespaced, func(function string) bool { return strings.Contains(b.Expr, function+"(") })
	})
}

// sharedState describes what cases could leave behind outside of their processes and directories.
func sharedState() string {
	var text strings.Builder
	for _, file := range []string{"/proc/self/mountinfo", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname", "/proc/sysvipc/msg", "/proc/sysvipc/sem", "/proc/sysvipc/shm"} {
		b, err := os.ReadFile(file)
		if err != nil {
			b = []byte(err.Error())
		}
		fmt.Fprintf(&text, "%s: %s\n", file, bytes.TrimSpace(b))
	}
	return text.String()
}

// isolate gives this process its own namespaces: mounts, names and System V objects of a
// case end with it.
func isolate() error {
	flags := object.Isolation()
	if flags == 0 {
		return nil
	}
	if err := unix.Unshare(int(flags)); err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	if err := syscall.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	return nil
}
