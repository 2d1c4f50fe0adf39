// SPDX-License-Identifier: Apache-2.0

//go:build linux

package proc

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/scaptest"
)

func mustWrite(tb testing.TB, root, name, text string) {
	tb.Helper()
	path := filepath.Join(root, name)
	require.NoError(tb, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(tb, os.WriteFile(path, []byte(text), 0o644))
}

func mustLink(tb testing.TB, root, name, target string) {
	tb.Helper()
	path := filepath.Join(root, name)
	require.NoError(tb, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(tb, os.Symlink(target, path))
}

// mustProcess writes a process's directory in /proc. fds are the targets of its links.
func mustProcess(tb testing.TB, root string, pid int, fds ...string) string {
	tb.Helper()
	dir := "proc/" + strconv.Itoa(pid)
	mustWrite(tb, root, dir+"/stat", fmt.Sprintf("%d (a) (b) S 1 %d %d 34816 -1 4194560 11 0 12 0 1 2 0 0 20 0 1 0 500 1000 50 0 1 1 0\n", pid, pid, pid))
	mustWrite(tb, root, dir+"/status", fmt.Sprintf("Name:\ta) (b\nTgid:\t%d\nPid:\t%d\nPPid:\t1\nUid:\t1\t1000\t3\t4\nGid:\t5\t100\t7\t8\n"+
		"NStgid:\t%d\t7\nNSpid:\t%d\t8\nNSpgid:\t%d\t9\nNSsid:\t%d\t1\nVmSize:\t  100 kB\nVmRSS:\t   50 kB\nVmSwap:\t    2 kB\nThreads:\t1\n"+
		"CapInh:\t0000000000000001\nCapPrm:\t0000000000000002\nCapEff:\t000001ffffffffff\n", pid, pid, pid, pid, pid, pid))
	mustWrite(tb, root, dir+"/cmdline", "/bin/x\x00-a\x00b c\x00")
	mustWrite(tb, root, dir+"/environ", "A=1\x00B=\x00")
	mustWrite(tb, root, dir+"/limits", "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 4096                 files     \n")
	mustWrite(tb, root, dir+"/cgroup", "4:cpu,cpuacct:/a\n1:name=systemd:/s\n0::/u\n")
	mustWrite(tb, root, dir+"/loginuid", "1001")
	mustLink(tb, root, dir+"/exe", "/usr/bin/x (deleted)")
	mustLink(tb, root, dir+"/cwd", "/home")
	mustLink(tb, root, dir+"/root", "/")
	mustLink(tb, root, dir+"/ns/net", "net:[1]")
	mustLink(tb, root, dir+"/ns/pid", fmt.Sprintf("pid:[%d]", 4000+pid))
	for i, target := range fds {
		mustLink(tb, root, dir+"/fd/"+strconv.Itoa(i), target)
		mustWrite(tb, root, dir+"/fdinfo/"+strconv.Itoa(i), "pos:\t0\nflags:\t02100002\nmnt_id:\t21\nino:\t5\nPid:\t77\n")
	}
	return dir
}

func mustMachine(tb testing.TB) string {
	tb.Helper()
	root := tb.TempDir()
	mustWrite(tb, root, "proc/stat", "cpu  1 2\ncpu0 1\ncpu1 2\nintr 5\nbtime 1700000000\n")
	mustWrite(tb, root, "proc/meminfo", "MemTotal:       16 kB\nMemFree: 3 kB\n")
	mustWrite(tb, root, "proc/sys/kernel/hostname", "other\n")
	mustWrite(tb, root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n+nis\n#no:x:1:1::/:/x\nshort:x:1\nbad:x:y:1::/:/x\nwrap:x:4294967296:0::/:/x\nnone:x:4294967295:1::/:/x\nwide:x:1:4294967296::/:/x\nu:x:1000:100:U:/home/u:/bin/zsh\n")
	mustWrite(tb, root, "etc/group", "root:x:0:\nusers:x:100:u,v\n-nis\nbad:x:q:\nwrap:x:4294967296:\n")
	return root
}

const tcpText = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 501 1 0000000000000000 100 0 0 10 0
   1: 0100007F:C350 0200007F:01BB 01 00000000:00000000 00:00000000 00000000     0        0 502 1 0000000000000000 100 0 0 10 0
   2: garbage
`

const udp6Text = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:0035 B80D0120000000000000000001000000:0036 07 00000000:00000000 00:00000000 00000000     0        0 503 2 0 0
   1: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 504 2 0 0
`

const unixText = `Num       RefCount Protocol Flags    Type St Inode Path
ffff888000000800: 00000002 00000000 00010000 0001 01 505 /run/with blank
0000000000000000: 00000003 00000000 00000000 0001 03 506
0000000000000000: 00000003 00000000 00000000 0001 03 507 @abstract
`

const netlinkText = `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
ffff888000000900 0   1          00000000 0        0        0     2        0        508
`

func TestAnotherRootIsRead(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "riscv64" {
		t.Skip("the texts are those of a little-endian machine with the generic open flags")
	}
	root := mustMachine(t)
	dir := mustProcess(t, root, 42,
		"/etc/nothere", "socket:[501]", "socket:[502]", "socket:[503]", "socket:[504]", "socket:[505]", "socket:[506]", "socket:[507]", "socket:[508]", "socket:[999]",
		"pipe:[11]", "anon_inode:[eventfd]", "anon_inode:[eventpoll]", "anon_inode:inotify", "anon_inode:[timerfd]", "anon_inode:[signalfd]",
		"anon_inode:bpf-map", "anon_inode:[userfaultfd]", "anon_inode:[io_uring]", "anon_inode:[pidfd]", "pidfd:[12]", "/memfd:label (deleted)",
		"anon_inode:[perf_event]", "net:[4026531840]", root, "/gone (deleted)", filepath.Join(root, "fifo"))
	require.NoError(t, unix.Mkfifo(filepath.Join(root, "fifo"), 0o600))
	mustWrite(t, root, dir+"/net/tcp", tcpText)
	mustWrite(t, root, dir+"/net/udp6", udp6Text)
	mustWrite(t, root, dir+"/net/unix", unixText)
	mustWrite(t, root, dir+"/net/netlink", netlinkText)
	mustWrite(t, root, dir+"/mountinfo", "21 1 8:257 / / rw - ext4 /dev/x rw\nbad\n")
	mustWrite(t, root, "proc/1/net/if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\nbad\n")
	mustWrite(t, root, "proc/1/net/route", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"+
		"eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\neth0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
	mustWrite(t, root, "proc/1/net/fib_trie", "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.168.2.7\n        /32 host LOCAL\n"+
		"     |-- 192.168.2.255\n        /32 link BROADCAST\nLocal:\n     |-- 192.168.2.7\n        /32 host LOCAL\n")
	mustWrite(t, root, "sys/class/net/eth0/speed", "1000\n")
	// Not a process, a kernel thread, a zombie, a process that is about to end.
	mustWrite(t, root, "proc/self/stat", "no")
	mustProcess(t, root, 2)
	mustWrite(t, root, "proc/2/stat", "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n")
	mustProcess(t, root, 3)
	mustWrite(t, root, "proc/3/stat", "3 (z) Z 1 3 3 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n")
	mustWrite(t, root, "proc/4/stat", "4 (half")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "proc/5"), 0o755))

	s, err := Scan(t.Context(), Options{Root: root})
	require.NoError(t, err)
	require.Equal(t, Machine{NumCPUs: 2, Memory: 16 << 10, Hostname: "other", BootTime: 1_700_000_000e9}, s.Machine)
	require.Equal(t, []User{{0, 0, "root", "/root", "/bin/sh"}, {1000, 100, "u", "/home/u", "/bin/zsh"}}, s.Users)
	require.Equal(t, []Group{{0, "root"}, {100, "users"}}, s.Groups)
	addr, ap := netip.MustParseAddr, netip.MustParseAddrPort
	require.Equal(t, []Interface{
		{Name: "lo", Addr: addr("127.0.0.1"), Netmask: addr("255.0.0.0"), Broadcast: addr("0.0.0.0")},
		{Name: "eth0", Addr: addr("192.168.2.7"), Netmask: addr("255.255.255.0"), Broadcast: addr("192.168.2.255"), Speed: 1000},
		{Name: "lo", Addr: addr("::1"), Netmask: addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Broadcast: addr("::")},
	}, s.Interfaces)

	require.Len(t, s.Threads, 1)
	got := s.Threads[0]
	fds := map[event.FD]FD{}
	for _, fd := range got.FDs {
		num := fd.Num
		fd.Num = 0
		fds[num] = fd
	}
	got.FDs = nil
	require.Equal(t, Thread{
		TID: 42, PID: 42, PTID: 1, SID: 42, VPGID: 9, PGID: 42, VTID: 8, VPID: 7,
		Comm: "a) (b", Exe: "/bin/x", ExePath: "/usr/bin/x", Args: "-a\x00b c\x00", Env: "A=1\x00B=\x00",
		Cgroups: "cpuset=/u\x00cpu=/a\x00cpuacct=/a\x00io=/u\x00memory=/u\x00", CWD: "/home", Root: "/",
		FDLimit: 1024, UID: 1000, GID: 100, LoginUID: 1001, TTY: 34816, VMSize: 100, VMRSS: 50, VMSwap: 2, PFMajor: 12, PFMinor: 11,
		CloneTime: 1_700_000_005e9, CapInheritable: 1, CapPermitted: 2, CapEffective: 1<<41 - 1,
	}, got)

	fileFlags := uint32(3 | 1<<11 | 1<<12) // O_RDWR|O_LARGEFILE|O_CLOEXEC
	mapped, rootIno := fds[24].Ino, fds[24].Type
	require.NotZero(t, mapped)
	require.Equal(t, FDDirectory, rootIno)
	delete(fds, 24)
	require.NotZero(t, fds[26].Ino)
	require.Equal(t, FD{Ino: fds[26].Ino, Type: FDPipe, Name: filepath.Join(root, "fifo"), CloseOnExec: true}, fds[26])
	delete(fds, 26)
	require.Equal(t, map[event.FD]FD{
		0:  {Type: FDRegular, Name: "/etc/nothere", OpenFlags: fileFlags, Dev: 8<<8 | 1 | 1<<20, CloseOnExec: true},
		1:  {Ino: 501, Type: FDIPv4Server, L4: L4TCP, Src: ap("127.0.0.1:80"), CloseOnExec: true},
		2:  {Ino: 502, Type: FDIPv4, L4: L4TCP, Src: ap("127.0.0.1:50000"), Dst: ap("127.0.0.2:443"), CloseOnExec: true},
		3:  {Ino: 503, Type: FDIPv6, L4: L4UDP, Src: ap("[::1]:53"), Dst: ap("[2001:db8::1]:54"), CloseOnExec: true},
		4:  {Ino: 504, Type: FDIPv6Server, L4: L4UDP, Src: ap("[::]:53"), CloseOnExec: true},
		5:  {Ino: 505, Type: FDUnix, UnixSrc: 0xffff888000000800, Name: "/run/with blank", CloseOnExec: true},
		6:  {Ino: 506, Type: FDUnix, CloseOnExec: true},
		7:  {Ino: 507, Type: FDUnix, Name: "abstract", CloseOnExec: true},
		8:  {Ino: 508, Type: FDNetlink, UnixSrc: 0xffff888000000900, Name: "socket:[508]", CloseOnExec: true},
		9:  {Ino: 999, Type: FDUnsupported, Name: "socket:[999]", CloseOnExec: true},
		10: {Ino: 11, Type: FDPipe, Name: "pipe:[11]", CloseOnExec: true},
		11: {Type: FDEvent, Name: "anon_inode:[eventfd]", CloseOnExec: true},
		12: {Type: FDEventPoll, Name: "anon_inode:[eventpoll]", CloseOnExec: true},
		13: {Type: FDInotify, Name: "anon_inode:inotify", CloseOnExec: true},
		14: {Type: FDTimer, Name: "anon_inode:[timerfd]", CloseOnExec: true},
		15: {Type: FDSignal, Name: "anon_inode:[signalfd]", CloseOnExec: true},
		16: {Type: FDBPF, Name: "anon_inode:bpf-map", CloseOnExec: true},
		17: {Type: FDUserfault, Name: "anon_inode:[userfaultfd]", CloseOnExec: true},
		18: {Type: FDIOUring, Name: "anon_inode:[io_uring]", CloseOnExec: true},
		19: {Type: FDPidfd, Name: "/proc/77", CloseOnExec: true},
		20: {Ino: 12, Type: FDPidfd, Name: "/proc/77", CloseOnExec: true},
		21: {Type: FDMemfd, Name: "label", CloseOnExec: true},
		22: {Type: FDUnsupported, Name: "anon_inode:[perf_event]", CloseOnExec: true},
		23: {Ino: 4026531840, Type: FDUnsupported, Name: "net:[4026531840]", CloseOnExec: true},
		25: {Type: FDRegular, Name: "/gone", OpenFlags: fileFlags, Dev: 8<<8 | 1 | 1<<20, CloseOnExec: true},
	}, fds)

	none, err := Scan(t.Context(), Options{Root: root, NoFDs: true})
	require.NoError(t, err)
	require.Empty(t, none.Threads[0].FDs)
	empty := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(empty, "proc"), 0o755))
	_, err = Scan(t.Context(), Options{Root: empty})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "is proc mounted?")
	_, err = Scan(t.Context(), Options{Root: filepath.Join(root, "none")})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// fdOf returns the scan's view of an fd of this process.
func fdOf(t *testing.T, s *State, fd uintptr) FD {
	t.Helper()
	for i := range s.Threads {
		if s.Threads[i].TID != event.PID(os.Getpid()) {
			continue
		}
		for _, f := range s.Threads[i].FDs {
			if f.Num == event.FD(fd) {
				return f
			}
		}
	}
	require.Fail(t, "fd not found", "%d", fd)
	return FD{}
}

func TestThisProcessIsSeenAsItIs(t *testing.T) {
	dir := t.TempDir()
	file, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	require.NoError(t, err)
	defer file.Close()
	opened, err := os.Open(dir)
	require.NoError(t, err)
	defer opened.Close()
	var pipe [2]int
	require.NoError(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	var own []int
	for _, open := range []func() (int, error){
		func() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) },
		func() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) },
		func() (int, error) { return unix.InotifyInit1(unix.IN_CLOEXEC) },
		func() (int, error) { return unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC) },
		func() (int, error) { return unix.MemfdCreate("label", unix.MFD_CLOEXEC) },
		func() (int, error) { return unix.PidfdOpen(os.Getpid(), 0) },
		func() (int, error) {
			return unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		},
		func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) },
		func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) },
		func() (int, error) { return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) },
	} {
		fd, err := open()
		require.NoError(t, err)
		defer unix.Close(fd)
		own = append(own, fd)
	}
	loopback := [4]byte{127, 0, 0, 1}
	require.NoError(t, unix.Bind(own[7], &unix.SockaddrInet4{Addr: loopback}))
	require.NoError(t, unix.Listen(own[7], 1))
	bound, err := unix.Getsockname(own[7])
	require.NoError(t, err)
	require.NoError(t, unix.Connect(own[8], bound))
	local, err := unix.Getsockname(own[8])
	require.NoError(t, err)
	require.NoError(t, unix.Bind(own[6], &unix.SockaddrNetlink{Family: unix.AF_NETLINK})) // an unbound socket is in no table
	path := filepath.Join(dir, "sock")
	require.NoError(t, unix.Bind(own[9], &unix.SockaddrUnix{Name: path}))

	s, err := Scan(t.Context(), Options{})
	require.NoError(t, err)
	var st unix.Stat_t
	require.NoError(t, unix.Fstat(int(file.Fd()), &st))
	f := fdOf(t, s, file.Fd())
	require.Equal(t, FDRegular, f.Type)
	require.Equal(t, file.Name(), f.Name)
	require.Equal(t, st.Ino, f.Ino)
	require.True(t, f.CloseOnExec)
	require.Equal(t, uint32(3|1<<3|1<<12), f.OpenFlags&^(1<<11)&^(1<<6), "O_RDWR|O_APPEND|O_CLOEXEC")
	f = fdOf(t, s, opened.Fd())
	require.Equal(t, FDDirectory, f.Type)
	require.Equal(t, dir, f.Name)
	require.Equal(t, FDPipe, fdOf(t, s, uintptr(pipe[0])).Type)
	require.NotZero(t, fdOf(t, s, uintptr(pipe[0])).Ino)
	require.Equal(t, fdOf(t, s, uintptr(pipe[0])).Ino, fdOf(t, s, uintptr(pipe[1])).Ino)
	require.True(t, fdOf(t, s, uintptr(pipe[0])).CloseOnExec)
	inherited, err := unix.FcntlInt(uintptr(pipe[0]), unix.F_DUPFD, 0)
	require.NoError(t, err)
	defer unix.Close(inherited)
	for i, want := range []FDType{FDEvent, FDEventPoll, FDInotify, FDTimer, FDMemfd, FDPidfd, FDNetlink, FDIPv4Server, FDIPv4, FDUnix} {
		require.Equal(t, want, fdOf(t, s, uintptr(own[i])).Type, "%d", i)
	}
	require.Equal(t, "label", fdOf(t, s, uintptr(own[4])).Name)
	require.Equal(t, fmt.Sprint("/proc/", os.Getpid()), fdOf(t, s, uintptr(own[5])).Name)
	at := func(sa unix.Sockaddr) netip.AddrPort {
		v4 := sa.(*unix.SockaddrInet4)
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), uint16(v4.Port))
	}
	require.Equal(t, at(bound), fdOf(t, s, uintptr(own[7])).Src)
	require.Equal(t, at(local), fdOf(t, s, uintptr(own[8])).Src)
	require.Equal(t, at(bound), fdOf(t, s, uintptr(own[8])).Dst)
	require.Equal(t, L4TCP, fdOf(t, s, uintptr(own[8])).L4)
	require.Equal(t, path, fdOf(t, s, uintptr(own[9])).Name)

	again, err := Scan(t.Context(), Options{})
	require.NoError(t, err)
	require.False(t, fdOf(t, again, uintptr(inherited)).CloseOnExec)

	me, err := ScanThread(Options{}, event.PID(os.Getpid()))
	require.NoError(t, err)
	require.Equal(t, event.PID(os.Getppid()), me.PTID)
	require.Equal(t, os.Args[0], me.Exe)
	require.Equal(t, os.Args[1:], Items(me.Args))
	cwd, err := os.Getwd()
	require.NoError(t, err)
	require.Equal(t, cwd, me.CWD)
	require.Equal(t, event.UID(os.Geteuid()), me.UID)
	require.Equal(t, event.GID(os.Getegid()), me.GID)
	require.NotEmpty(t, me.FDs)

	before := time.Now()
	cat := exec.Command("cat") // until its input ends
	in, err := cat.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cat.Start())
	after := time.Now()
	child, err := ScanThread(Options{}, event.PID(cat.Process.Pid))
	require.NoError(t, err)
	require.NoError(t, in.Close())
	require.NoError(t, cat.Wait())
	const margin = 2 * time.Second // the kernel tells its start in seconds
	require.WithinRange(t, time.Unix(0, int64(child.CloneTime)), before.Add(-margin), after.Add(margin))

	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, host, s.Machine.Hostname)
	require.NotZero(t, s.Machine.NumCPUs)

	_, err = ScanThread(Options{}, 1<<30)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestASocketThatNoTableHasKeepsItsName(t *testing.T) {
	root := mustMachine(t)
	mustProcess(t, root, 42, "socket:[999]", "socket:[999]")
	s, err := Scan(t.Context(), Options{Root: root})
	require.NoError(t, err)
	for _, fd := range s.Threads[0].FDs {
		require.Equal(t, FD{Num: fd.Num, Ino: 999, Type: FDUnsupported, Name: "socket:[999]", CloseOnExec: true}, fd)
	}
}

func TestThreadsFollowTheirProcesses(t *testing.T) {
	release := make(chan struct{})
	tid := make(chan int)
	go func() {
		runtime.LockOSThread()
		tid <- unix.Gettid()
		<-release
	}()
	other := <-tid
	defer close(release)
	s, err := Scan(t.Context(), Options{NoFDs: true})
	require.NoError(t, err)
	leaders := map[event.PID]bool{}
	seen := false
	last := true
	for i := range s.Threads {
		th := &s.Threads[i]
		if th.Leader() {
			require.True(t, last, "leaders come first")
			leaders[th.PID] = true
			continue
		}
		last = false
		require.True(t, leaders[th.PID])
		require.Empty(t, th.FDs)
		require.NotZero(t, th.Flags)
		if th.TID == event.PID(other) {
			seen = true
			require.Equal(t, event.PID(os.Getpid()), th.PID)
			require.Equal(t, os.Args[0], th.Exe)
		}
	}
	require.True(t, seen || other == os.Getpid())
}

func TestProcessesThatVanishAreNoError(t *testing.T) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = exec.Command("/bin/true").Run() // whether it works does not matter
			}
		}
	})
	for range 10 {
		s, err := Scan(t.Context(), Options{})
		require.NoError(t, err)
		require.NotEmpty(t, s.Threads)
	}
	close(stop)
	wg.Wait()
}

func TestItemsOfLists(t *testing.T) {
	require.Nil(t, Items(""))
	require.Nil(t, Items("\x00"))
	require.Equal(t, []string{"a", "", "b"}, Items("a\x00\x00b\x00"))
	require.Equal(t, []string{"a", "b"}, Items("a\x00b"))
	require.Equal(t, "b\x00", clipList([]byte("b")))
	require.Equal(t, "", clipList(nil))
	long := strings.Repeat("x", 4000) + "\x00" + strings.Repeat("y", 4000) + "\x00"
	require.Equal(t, long[:4001], clipList([]byte(long)))
}

// The bytes of /proc are the kernel's, but another root may hold anything.
func FuzzParse(f *testing.F) {
	for _, s := range []string{tcpText, udp6Text, unixText, netlinkText, "1 (x) S 1 2 3 4 5 6 7", "Uid:\t1\t2", "4:cpu:/a\n0::/", "21 1 8:1 / /"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sockets := map[uint64]FD{}
		parseInet(sockets, b, L4TCP)
		parseUnix(sockets, b)
		parseNetlink(sockets, b)
		if _, ok := sockets[0]; ok {
			t.Fatal("a socket without an inode")
		}
		parseStat(b)
		parseStatus(b, new(Thread))
		parsePasswd(b)
		parseGroup(b)
		mounts(b)
		openFiles(b)
		if l := clipList(b); len(l) > maxList {
			t.Fatal("too long")
		}
		(&cgroups{lists: map[string]string{}, known: map[string]map[string]bool{}}).list(b)
		parseUnixDiag(map[uint32]uint32{}, b)
		parsePacket(sockets, b)
	})
}

const (
	benchProcesses = 1000
	benchFDs       = 20
)

// BenchmarkScan reads a tree of files that look like /proc.
func BenchmarkScan(b *testing.B) {
	root := mustMachine(b)
	for pid := range benchProcesses {
		var links []string
		for i := range benchFDs {
			switch i % 4 {
			case 0, 1:
				links = append(links, fmt.Sprintf("/var/lib/file%d", i))
			case 2:
				links = append(links, fmt.Sprintf("socket:[%d]", 501+i%2))
			default:
				links = append(links, fmt.Sprintf("pipe:[%d]", 1000*pid+i))
			}
		}
		dir := mustProcess(b, root, 1000+pid, links...)
		if pid == 0 {
			mustWrite(b, root, dir+"/net/tcp", tcpText)
		}
	}
	benchScan(b, Options{Root: root})
}

// BenchmarkScanLive reads /proc of this machine with benchProcesses more processes,
// which have files, sockets and pipes open.
func BenchmarkScanLive(b *testing.B) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		b.Skip(err)
	}
	var files []*os.File
	for i := 3; i < benchFDs; i++ {
		var f *os.File
		switch i % 4 {
		case 0, 1:
			f, err = os.Create(filepath.Join(b.TempDir(), "f"))
		case 2:
			var fd int
			fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			f = os.NewFile(uintptr(fd), "socket")
		default:
			var w *os.File
			f, w, err = os.Pipe()
			defer w.Close()
		}
		require.NoError(b, err)
		defer f.Close()
		files = append(files, f)
	}
	// The shell prints a line once all have started.
	cmd := exec.Command(shell, "-c", fmt.Sprintf("i=0; while [ $i -lt %d ]; do sleep 600 & i=$((i+1)); done; echo; wait", benchProcesses))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.ExtraFiles = files
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	defer func() {
		require.NoError(b, unix.Kill(-cmd.Process.Pid, unix.SIGKILL))
		_ = cmd.Wait() // it was killed
	}()
	_, err = out.Read(make([]byte, 1))
	require.NoError(b, err)
	benchScan(b, Options{})
}

func benchScan(b *testing.B, opts Options) {
	b.ReportAllocs()
	meter := scaptest.Measure(b)
	for b.Loop() {
		s, err := Scan(b.Context(), opts)
		require.NoError(b, err)
		n := 0
		for i := range s.Threads {
			if len(s.Threads[i].FDs) >= benchFDs {
				n++
			}
		}
		require.GreaterOrEqual(b, n, benchProcesses)
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/scan")
	b.ReportMetric(meter.CPU().Seconds()*1000/float64(b.N), "cpu-ms/scan")
}
