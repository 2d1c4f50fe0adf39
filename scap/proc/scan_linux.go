// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/ns"
	"github.com/scaplab/scaplab/scap/event"
)

// Scan reads the state of the system. A process that ends during the scan is missing
// or incomplete, and fields without permission to read are empty. The error wraps
// [fs.ErrNotExist] if /proc does not exist or is empty. A scan takes about 0.3 ms of
// processor time per process with 20 open files.
//
// Anyone can make a machine's state large. When ctx is done or a limit of opts is
// reached, Scan returns what it has, and State.Cut says what is missing. Everything is
// read of all processes before more is read of one: first the processes, then some open
// files of each, the other threads, and the other open files.
func Scan(ctx context.Context, opts Options) (*State, error) {
	s, err := newScanner(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer s.close()
	state := &State{}
	state.Machine = s.machine()
	state.Interfaces = s.interfaces()
	state.Users = parsePasswd(s.rootFile("etc/passwd"))
	state.Groups = parseGroup(s.rootFile("etc/group"))
	pids, err := s.pids()
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", s.procPath, err)
	}
	if len(pids) == 0 {
		return nil, fmt.Errorf("scan %s: no processes (is proc mounted?): %w", s.procPath, fs.ErrNotExist)
	}
	if s.foreign() {
		s.reached("the pids in " + s.procPath + " are those of another pid namespace than the events' (mount the machine's proc)")
		s.processes.Add(uint64(len(pids)))
	} else {
		state.Threads = s.threads(pids)
	}
	pidnsStarts(state.Threads)
	state.Cut = s.cut()
	return state, nil
}

// ScanThread reads one thread, with the open files if it is its process's main
// thread. The error wraps [fs.ErrNotExist] if the thread does not exist.
func ScanThread(opts Options, tid event.PID) (*Thread, error) {
	s, err := newScanner(context.Background(), opts)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.machine() // for the boot time
	w := newWorker(s)
	// /proc/TID exists for every thread, though /proc lists main threads only.
	p := process{pid: tid}
	if !w.process(&p) {
		return nil, fmt.Errorf("scan thread %d: %w", tid, fs.ErrNotExist)
	}
	p.thread.PidnsInitStart = 0 // it is the namespace, whose init is not read
	if p.thread.Leader() && !opts.NoFDs {
		w.fds(&p, s.maxFDs)
	}
	return &p.thread, nil
}

// Defaults of the limits in [Options], above what real machines have.
const (
	defaultMaxFDs    = 1 << 16
	defaultMaxAllFDs = 1_000_000
	defaultMaxBytes  = 1 << 30
)

// scanner is what the workers of one scan share.
type scanner struct {
	ctx      context.Context
	opts     Options
	root     string
	procPath string
	proc     *os.File
	bootTime uint64 // that start times of processes count from
	cgroups  *cgroups
	maxFDs   int

	fdsLeft   atomic.Int64
	bytesLeft atomic.Int64
	processes atomic.Uint64 // left out
	tables    atomic.Uint64 // of open files that are not whole

	mu     sync.Mutex
	why    map[string]bool // limits that were reached
	nets   map[string]*netTable
	mounts map[string]*mountTable
}

// stop reports whether a limit for the whole scan is reached.
func (s *scanner) stop() bool {
	switch {
	case errors.Is(s.ctx.Err(), context.Canceled):
		s.reached("the scan was ended early")
	case s.ctx.Err() != nil:
		s.reached("the scan's time was over")
	case s.bytesLeft.Load() < 0:
		s.reached(fmt.Sprintf("the state has more than %d bytes", cmp.Or(s.opts.MaxBytes, defaultMaxBytes)))
	default:
		return false
	}
	return true
}

func (s *scanner) reached(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why[why] = true
}

func (s *scanner) cut() Cut {
	return Cut{
		Processes: s.processes.Load(), Tables: s.tables.Load(),
		Why: strings.Join(slices.Sorted(maps.Keys(s.why)), "; "),
	}
}

type mountTable struct {
	once sync.Once
	devs map[uint64]uint32
}

func newScanner(ctx context.Context, opts Options) (*scanner, error) {
	s := &scanner{
		ctx: ctx, opts: opts, root: cmp.Or(opts.Root, "/"), maxFDs: cmp.Or(opts.MaxFDs, defaultMaxFDs),
		why: map[string]bool{}, nets: map[string]*netTable{}, mounts: map[string]*mountTable{},
	}
	s.fdsLeft.Store(int64(cmp.Or(opts.MaxAllFDs, defaultMaxAllFDs)))
	s.bytesLeft.Store(cmp.Or(opts.MaxBytes, defaultMaxBytes))
	s.procPath = filepath.Join(s.root, "proc")
	f, err := os.Open(s.procPath)
	if err != nil {
		return nil, fmt.Errorf("scan processes: %w", err)
	}
	s.proc = f
	s.cgroups = s.newCgroups()
	return s, nil
}

func (s *scanner) close() { s.proc.Close() }

// maxText is how much is read of a file that lists what users have: sockets, mounts.
const maxText = 64 << 20

// rootFile returns the contents of a file below the root; nil after an error.
func (s *scanner) rootFile(name string) []byte { return s.readText(filepath.Join(s.root, name)) }

// readText returns the contents of a file; nil after an error. It stops at a limit,
// after a whole line.
func (s *scanner) readText(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var b bytes.Buffer
	for !s.stop() {
		n, err := io.CopyN(&b, f, 1<<20)
		if err != nil {
			if errors.Is(err, io.EOF) || n > 0 {
				return b.Bytes()
			}
			return nil
		}
		if b.Len() >= maxText {
			s.reached(fmt.Sprintf("%s has more than %d bytes", filepath.Base(path), maxText))
			break
		}
	}
	text := b.Bytes()
	return text[:bytes.LastIndexByte(text, '\n')+1]
}

func (s *scanner) machine() (m Machine) {
	for b := s.rootFile("proc/stat"); len(b) > 0; {
		var l []byte
		l, b = line(b)
		switch {
		case len(l) > 3 && string(l[:3]) == "cpu" && l[3] != ' ':
			m.NumCPUs++
		case bytes.HasPrefix(l, []byte("btime ")):
			m.BootTime = number(l[6:]) * 1e9
		}
	}
	for b := s.rootFile("proc/meminfo"); len(b) > 0; {
		var l []byte
		l, b = line(b)
		if rest, ok := bytes.CutPrefix(l, []byte("MemTotal:")); ok {
			w, _ := word(rest)
			m.Memory = number(w) << 10
			break
		}
	}
	s.bootTime = m.BootTime
	if offset := s.bootOffset(); offset != 0 {
		// Start times count from the boot of the time namespace. Which of the two boots
		// btime is depends on the kernel.
		var wall, boot unix.Timespec
		if unix.ClockGettime(unix.CLOCK_REALTIME, &wall) == nil && unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) == nil {
			s.bootTime = uint64(wall.Nano() - boot.Nano())
			m.BootTime = s.bootTime + uint64(offset)
		}
	}
	m.Hostname = strings.TrimSpace(string(s.rootFile("proc/sys/kernel/hostname")))
	return m
}

// foreign reports whether proc shows another pid namespace than the initial one.
func (s *scanner) foreign() bool {
	link, err := os.Readlink(filepath.Join(s.procPath, "self"))
	return err == nil && s.opts.Self != 0 && number([]byte(link)) != uint64(s.opts.Self)
}

// bootOffset returns the offset of the boot clock for a scan of the running machine.
func (s *scanner) bootOffset() int64 {
	if _, err := os.Readlink(filepath.Join(s.procPath, "self")); err != nil {
		return 0 // a copy of another machine's files, or no process of ours in it
	}
	return ns.BootOffset()
}

func (s *scanner) pids() ([]event.PID, error) {
	var pids []event.PID
	err := eachName(s.proc, func(name string) bool {
		if pid, err := strconv.ParseInt(name, 10, 32); err == nil && pid > 0 {
			pids = append(pids, event.PID(pid))
		}
		return true
	})
	slices.Sort(pids)
	return pids, err
}

// eachName calls f with the names in a directory until f returns false.
func eachName(dir *os.File, f func(name string) bool) error {
	for {
		names, err := dir.Readdirnames(512)
		for _, name := range names {
			if !f(name) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// process is a process while it is read.
type process struct {
	pid     event.PID
	start   uint64 // in ticks: tells it from a later process of that pid
	thread  Thread // its main thread
	others  []Thread
	threads uint64
	found   bool
	unread  bool  // there may be open files that are not read
	sockets []int // indices of open files: sockets of other network namespaces, or of kinds that the kernel does not list
}

// fdRounds are the limits on open files of one process, round by round: a process with very
// many does not take the time and memory from the others.
var fdRounds = []int{256, 4096, math.MaxInt}

// threads reads all processes, in the order of pids. Main threads come first, so that a
// reader knows the process of each other thread.
func (s *scanner) threads(pids []event.PID) []Thread {
	all := make([]process, len(pids))
	s.each(len(all), func(w *worker, i int) {
		all[i].pid = pids[i]
		if s.stop() {
			s.processes.Add(1)
			return
		}
		all[i].found = w.process(&all[i])
	})
	all = slices.DeleteFunc(all, func(p process) bool { return !p.found })
	for round, limit := range fdRounds {
		s.each(len(all), func(w *worker, i int) {
			if all[i].unread {
				w.fds(&all[i], min(limit, s.maxFDs))
			}
		})
		if round > 0 {
			continue
		}
		s.each(len(all), func(w *worker, i int) {
			if all[i].threads > 1 {
				w.others(&all[i])
			}
		})
	}
	s.otherSockets(all)
	var threads []Thread
	for i := range all {
		threads = append(threads, all[i].thread)
		if all[i].unread {
			s.tables.Add(1)
		}
	}
	for i := range all {
		threads = append(threads, all[i].others...)
	}
	return threads
}

// each calls f for 0 to n-1, with a worker for each processor.
func (s *scanner) each(n int, f func(w *worker, i int)) {
	workers := s.opts.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	// A worker takes some processes at a time, so that it seldom waits for the others.
	const run = 16
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, (n+run-1)/run) {
		wg.Go(func() {
			w := newWorker(s)
			for {
				end := int(next.Add(run))
				if end-run >= n {
					return
				}
				for i := end - run; i < min(end, n); i++ {
					f(w, i)
				}
			}
		})
	}
	wg.Wait()
}

// pidnsStarts replaces PidnsInitStart of threads in nested pid namespaces, which holds
// the namespace's inode until here, by the start of the namespace's init.
func pidnsStarts(threads []Thread) {
	starts := map[uint64]uint64{}
	for i := range threads {
		if t := &threads[i]; t.PidnsInitStart != 0 && t.VTID == 1 {
			starts[t.PidnsInitStart] = t.CloneTime
		}
	}
	for i := range threads {
		if t := &threads[i]; t.PidnsInitStart != 0 {
			t.PidnsInitStart = starts[t.PidnsInitStart]
		}
	}
}

// worker reads one process at a time.
type worker struct {
	s    *scanner
	buf  []byte
	link [4097]byte
}

func newWorker(s *scanner) *worker { return &worker{s: s, buf: make([]byte, 64<<10)} }

// read reads a file below dir into the worker's buffer, which the next read
// overwrites. It truncates longer files.
func (w *worker) read(dir int, name string) []byte {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n := 0
	for n < len(w.buf) {
		m, err := unix.Read(fd, w.buf[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || m == 0 {
			break
		}
		n += m
	}
	return w.buf[:n]
}

// readLink returns the target of a link below dir, in a buffer that the next call
// overwrites.
func (w *worker) readLink(dir int, name string) []byte {
	n, err := unix.Readlinkat(dir, name, w.link[:])
	if err != nil || n <= 0 {
		return nil
	}
	return w.link[:n]
}

const deleted = " (deleted)"

// open opens the directory of a process.
func (w *worker) open(pid event.PID) (dir int, err error) {
	return unix.Openat(int(w.s.proc.Fd()), strconv.FormatInt(int64(pid), 10), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// process reads the main thread of a process, without its open files. It omits kernel
// threads and zombies, which have no user memory.
func (w *worker) process(p *process) bool {
	dir, err := w.open(p.pid)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	st, ok := parseStat(w.read(dir, "stat"))
	if !ok || st.kernel || st.state == 'Z' || st.state == 'X' {
		return false
	}
	t := &p.thread
	*t = Thread{TID: p.pid, PID: p.pid, VTID: p.pid, VPID: p.pid, LoginUID: event.NoUID}
	threads, nested := parseStatus(w.read(dir, "status"), t)
	p.start, p.threads, p.unread = st.startTicks, threads, !w.s.opts.NoFDs
	w.fromStat(t, &st)

	cmdline := w.read(dir, "cmdline")
	exe, args, _ := bytes.Cut(cmdline, []byte{0})
	t.Exe = string(exe)
	t.Args = clipList(args)
	t.ExePath = strings.TrimSuffix(string(w.readLink(dir, "exe")), deleted)
	if t.Exe == "" && t.ExePath == "" {
		return false // ended in the meantime, or a kernel thread
	}
	t.ExeFromMemfd = strings.HasPrefix(t.ExePath, "/memfd:")
	t.CWD = string(w.readLink(dir, "cwd"))
	t.Root = string(w.readLink(dir, "root"))
	t.Env = clipList(w.read(dir, "environ"))
	t.Cgroups = w.s.cgroups.list(w.read(dir, "cgroup"))
	t.FDLimit = openFiles(w.read(dir, "limits"))
	if b := w.read(dir, "loginuid"); len(b) > 0 {
		t.LoginUID = event.UID(number(b))
	}
	w.executable(dir, t)
	if nested {
		t.PidnsInitStart = namespaceInode(w.readLink(dir, "ns/pid"))
	}
	if t.TID != t.PID {
		t.Flags = threadFlags
	}
	w.s.bytesLeft.Add(-int64(unsafe.Sizeof(*t)) - int64(len(t.Comm)+len(t.Exe)+len(t.Args)+len(t.ExePath)+len(t.CWD)+len(t.Root)+len(t.Env)+len(t.Cgroups)))
	return true
}

func (w *worker) fromStat(t *Thread, st *stat) {
	t.Comm = st.comm
	t.SID = st.sid
	if t.PGID < 0 { // the kernel does not report NSpgid
		t.PGID, t.VPGID = st.pgrp, st.pgrp
	}
	t.TTY = st.tty
	t.PFMinor, t.PFMajor = st.minflt, st.majflt
	t.CloneTime = w.s.bootTime + st.startTicks*(1e9/userHZ)
}

// userHZ is the number of time units per second in /proc/PID/stat, the same on all
// current architectures.
const userHZ = 100

// threadFlags are the clone flags of a thread that is not its process's first.
var threadFlags = event.MustValue("clone_flags", "CLONE_THREAD", "CLONE_SIGHAND", "CLONE_VM", "CLONE_FILES")

// others reads the process's other threads: copies of the main thread with the fields
// that differ.
func (w *worker) others(p *process) {
	dir, err := w.open(p.pid)
	if err != nil {
		return
	}
	defer unix.Close(dir)
	task, err := unix.Openat(dir, "task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(task), "task")
	defer f.Close()
	_ = eachName(f, func(name string) bool {
		if w.s.stop() {
			return false
		}
		tid, err := strconv.ParseInt(name, 10, 32)
		if err != nil || event.PID(tid) == p.pid {
			return true
		}
		st, ok := parseStat(w.read(task, name+"/stat"))
		if !ok || st.state == 'Z' || st.state == 'X' {
			return true
		}
		t := p.thread
		t.FDs = nil
		t.Flags = threadFlags
		t.TID, t.VTID = event.PID(tid), event.PID(tid)
		parseStatus(w.read(task, name+"/status"), &t)
		w.fromStat(&t, &st)
		p.others = append(p.others, t)
		w.s.bytesLeft.Add(-int64(unsafe.Sizeof(t)))
		return true
	}) // a directory that is gone has no more threads
	slices.SortFunc(p.others, func(a, b Thread) int { return cmp.Compare(a.TID, b.TID) })
}

// executable fills in the fields about the executable's file. ExeWritable depends on
// the file's mode, owner and CAP_DAC_OVERRIDE alone, not on ACLs or mount flags.
func (w *worker) executable(dir int, t *Thread) {
	var st unix.Stat_t
	if unix.Fstatat(dir, "exe", &st, 0) != nil {
		return
	}
	t.ExeIno = st.Ino
	t.ExeCtime = uint64(st.Ctim.Nano())
	t.ExeMtime = uint64(st.Mtim.Nano())
	const overrideDAC = 1 << 1 // CAP_DAC_OVERRIDE
	switch {
	case t.CapEffective&overrideDAC != 0:
		t.ExeWritable = true
	case event.UID(st.Uid) == t.UID:
		t.ExeWritable = st.Mode&unix.S_IWUSR != 0
	case event.GID(st.Gid) == t.GID:
		t.ExeWritable = st.Mode&unix.S_IWGRP != 0
	default:
		t.ExeWritable = st.Mode&unix.S_IWOTH != 0
	}
}

// namespaceInode returns N of "pid:[N]".
func namespaceInode(link []byte) uint64 {
	_, rest, _ := bytes.Cut(link, []byte("["))
	return number(rest)
}
