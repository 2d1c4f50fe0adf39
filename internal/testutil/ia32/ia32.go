// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

// Package ia32 makes calls like 32-bit and x32 tasks for tests of both drivers, and has
// the events that these calls make.
package ia32

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap/event"
)

// Low returns n bytes of memory below 4 GiB, where 32-bit pointers can point.
func Low(tb testing.TB, n int) []byte {
	tb.Helper()
	m, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_32BIT)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, unix.Munmap(m)) })
	return m
}

// Address returns the address of memory from Low.
func Address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(&b[0]))) }

// Call makes a 32-bit system call from this 64-bit program: the kernel treats it
// like a call of a 32-bit program. It blocks signals meanwhile: the runtime preempts
// goroutines with SIGURG, which ends a sleeping call with ERESTART_RESTARTBLOCK and
// makes the kernel restart it as another call. Where [env.HasIA32] has an error it ends the program.
func Call(tb testing.TB, nr uint32, args ...uint32) int32 {
	tb.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	require.NoError(tb, unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before))
	defer func() { require.NoError(tb, unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)) }()
	code, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(tb, err)
	defer unix.Munmap(code)
	var result int32
	b := []byte{0x55} // push rbp
	imm := func(op byte, v uint32) { b = binary.LittleEndian.AppendUint32(append(b, op), v) }
	imm(0xb8, nr) // mov eax, nr
	args = append(args, make([]uint32, 6-len(args))...)
	for i, op := range []byte{0xbb, 0xb9, 0xba, 0xbe, 0xbf, 0xbd} { // mov ebx, ecx, edx, esi, edi, ebp
		imm(op, args[i])
	}
	b = append(b, 0xcd, 0x80) // int 0x80
	b = append(b, 0x48, 0xb9) // mov rcx, &result
	b = binary.LittleEndian.AppendUint64(b, uint64(uintptr(unsafe.Pointer(&result))))
	b = append(b, 0x89, 0x01, 0x5d, 0xc3) // mov [rcx], eax; pop rbp; ret
	copy(code, b)
	entry := &code[0]
	fn := &entry
	(*(*func())(unsafe.Pointer(&fn)))()
	return result
}

const x32Bit = 0x40000000

// Case is a call and the event that it makes.
type Case struct {
	Name string
	NR   uint32
	Args []uint32
	Raw  bool       // the number and the arguments of a 64-bit task's call
	Want event.Type // its params follow
	Text []string   // * is any
}

// Make makes the call.
func (c *Case) Make(tb testing.TB) {
	if !c.Raw {
		Call(tb, c.NR, c.Args...)
		return
	}
	var a [6]uintptr
	for i, v := range c.Args {
		a[i] = uintptr(v)
	}
	unix.RawSyscall6(uintptr(c.NR), a[0], a[1], a[2], a[3], a[4], a[5])
}

// Check requires that the call made one event of its type with its params. The calls
// around it make generic events as well.
func (c *Case) Check(tb testing.TB, events []event.Event) {
	tb.Helper()
	var found [][]string
	matches := 0
	for i := range events {
		if events[i].Type() == c.Want {
			text := Params(&events[i])
			found = append(found, text)
			if slices.EqualFunc(text, c.Text, func(got, want string) bool { return want == "*" || got == want }) {
				matches++
			}
		}
	}
	require.Equal(tb, 1, matches, "events with the params %q; there are %q", c.Text, found)
}

// Params returns the params of an event as text.
func Params(e *event.Event) (out []string) {
	for i := range e.NumParams() {
		out = append(out, string(e.AppendParam(nil, i)))
	}
	return out
}

// statfs returns the params of a statfs of path that succeeds; first is path, or a descriptor.
func statfs(path string, first any) []string {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return []string{err.Error()} // no event has it
	}
	var flags []string
	for i, name := range []string{"RDONLY", "NOSUID", "NODEV", "NOEXEC", "SYNCHRONOUS", "VALID", "MANDLOCK", "", "", "", "NOATIME", "NODIRATIME", "RELATIME"} {
		if st.Flags>>i&1 != 0 {
			flags = append(flags, "ST_"+name)
		}
	}
	return []string{"0", fmt.Sprint(first), "*", fmt.Sprint(st.Bsize), fmt.Sprint(st.Blocks), "*", "*", fmt.Sprint(st.Files), "*",
		strings.Join(flags, "|")}
}

// Cases returns calls that fail, or do nothing, with memory from Low.
func Cases(tb testing.TB) []Case {
	m := Low(tb, 8192)
	at := func(offset int, words ...uint32) uint32 {
		for i, w := range words {
			binary.LittleEndian.PutUint32(m[offset+4*i:], w)
		}
		return Address(m[offset:])
	}
	copy(m, "/no/such\x00")
	path := Address(m)
	data := func(offset int, text string) uint32 {
		copy(m[offset:], text)
		return Address(m[offset:])
	}
	vectors := at(256, data(0x110, "abc"), 3, data(0x120, "de"), 2)
	message := at(1024, 0, 0, vectors, 2, 0, 0, 0)
	limits := at(1100, 1000, ^uint32(0))
	spec := at(512, 0, 777)
	spec64 := at(528, 0, 0, 777, 0)
	ids := at(560, 0x10007, 0x2ffff)
	groups := at(3200, 0x10007, 0x2ffff)
	dev, err := unix.Open("/dev", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, unix.Close(dev)) })
	const none = ^uint32(0)
	generic := event.TypeGenericExit
	return []Case{
		{Name: "close", NR: 6, Args: []uint32{9999}, Want: event.TypeCloseExit, Text: []string{"-9(EBADF)", "9999"}},
		{Name: "open", NR: 5, Args: []uint32{path, unix.O_RDWR | unix.O_CREAT, 0600}, Want: event.TypeOpenExit, Text: []string{"-2(ENOENT)", "/no/such", "O_CREAT|O_RDWR", "0600", "0", "0"}},
		{Name: "writev, with iovecs of 8 bytes", NR: 146, Args: []uint32{none, vectors, 2}, Want: event.TypeWritevExit, Text: []string{"-9(EBADF)", "abcde", "-1(EPERM)", "5"}},
		{Name: "nanosleep, with a timespec of 8 bytes", NR: 162, Args: []uint32{spec}, Want: event.TypeNanosleepExit, Text: []string{"0", "777"}},
		{Name: "sendmsg, with a header of 28 bytes", NR: 370, Args: []uint32{none, message}, Want: event.TypeSendmsgExit, Text: []string{"-9(EBADF)", "abcde", "-1(EPERM)", "5", "NULL"}},
		{Name: "setrlimit, with limits of 4 bytes", NR: 75, Args: []uint32{99, limits}, Want: event.TypeSetrlimitExit, Text: []string{"-22(EINVAL)", "1000", "-1", "RLIMIT_UNKNOWN"}},

		{Name: "lchown, with ids of 16 bits", NR: 16, Args: []uint32{path, 0xffff, 0x10007}, Want: event.TypeLchownExit, Text: []string{"-2(ENOENT)", "/no/such", "4294967295", "7"}},
		{Name: "chown, with ids of 16 bits", NR: 182, Args: []uint32{path, 0x1ffff, 7}, Want: event.TypeChownExit, Text: []string{"-2(ENOENT)", "/no/such", "4294967295", "7"}},
		{Name: "fchown, with ids of 16 bits", NR: 95, Args: []uint32{none, 7, 0xffff}, Want: event.TypeFchownExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "7", "4294967295"}},
		{Name: "setreuid, with ids of 16 bits", NR: 70, Args: []uint32{0xffff, 0xffff}, Want: event.TypeSetreuidExit, Text: []string{"0", "-1", "-1"}},
		{Name: "setregid, with ids of 16 bits", NR: 71, Args: []uint32{0xffff, 0xffff}, Want: event.TypeSetregidExit, Text: []string{"0", "-1", "-1"}},
		{Name: "setresuid, with ids of 16 bits", NR: 164, Args: []uint32{0xffff, 0xffff, 0xffff}, Want: event.TypeSetresuidExit, Text: []string{"0", "-1", "-1", "-1"}},
		{Name: "getresuid, with ids of 16 bits", NR: 165, Args: []uint32{0, ids, ids + 4}, Want: event.TypeGetresuidExit, Text: []string{"-14(EFAULT)", "0", "7", "-1"}},
		{Name: "setfsuid, with ids of 16 bits", NR: 138, Args: []uint32{0xffff}, Want: event.TypeSetfsuidExit, Text: []string{"0", "-1"}},
		{Name: "chown32", NR: 212, Args: []uint32{path, none, 7}, Want: event.TypeChownExit, Text: []string{"-2(ENOENT)", "/no/such", "4294967295", "7"}},
		{Name: "lchown32", NR: 198, Args: []uint32{path, 0xffff, none}, Want: event.TypeLchownExit, Text: []string{"-2(ENOENT)", "/no/such", "65535", "4294967295"}},
		{Name: "fchown32", NR: 207, Args: []uint32{none, 70000, 7}, Want: event.TypeFchownExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "70000", "7"}},
		{Name: "setreuid32", NR: 203, Args: []uint32{none, none}, Want: event.TypeSetreuidExit, Text: []string{"0", "-1", "-1"}},
		{Name: "setregid32", NR: 204, Args: []uint32{none, none}, Want: event.TypeSetregidExit, Text: []string{"0", "-1", "-1"}},
		{Name: "setgroups, with ids of 16 bits", NR: 81, Args: []uint32{70000, groups}, Want: event.TypeSetgroupsExit, Text: []string{"-22(EINVAL)", "70000", "7 1 65535 2 0 0 0 0 0 0 0 0 0 0 0 0"}},
		{Name: "setgroups32", NR: 206, Args: []uint32{70000, groups}, Want: event.TypeSetgroupsExit, Text: []string{"-22(EINVAL)", "70000", "65543 196607 0 0 0 0 0 0 0 0 0 0 0 0 0 0"}},
		{Name: "setfsuid32", NR: 215, Args: []uint32{none}, Want: event.TypeSetfsuidExit, Text: []string{"0", "-1"}},
		{Name: "setfsgid32", NR: 216, Args: []uint32{none}, Want: event.TypeSetfsgidExit, Text: []string{"0", "-1"}},

		{Name: "truncate, to a negative length", NR: 92, Args: []uint32{path, 0xfffffffb}, Want: event.TypeTruncateExit, Text: []string{"-22(EINVAL)", "/no/such", "-5"}},
		{Name: "truncate64", NR: 193, Args: []uint32{path, 3, 2}, Want: event.TypeTruncateExit, Text: []string{"-2(ENOENT)", "/no/such", "8589934595"}},
		{Name: "ftruncate, of a negative length", NR: 93, Args: []uint32{none, 0xfffffffb}, Want: event.TypeFtruncateExit, Text: []string{"-22(EINVAL)", "-1(EPERM)", "-5"}},
		{Name: "ftruncate64", NR: 194, Args: []uint32{none, 3, 2}, Want: event.TypeFtruncateExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "8589934595"}},
		{Name: "pread64", NR: 180, Args: []uint32{none, data(0x110, "abc"), 3, 5, 7}, Want: event.TypePreadExit, Text: []string{"-9(EBADF)", "NULL", "-1(EPERM)", "3", "30064771077"}},
		{Name: "pwrite64", NR: 181, Args: []uint32{none, data(0x110, "abc"), 3, 5, 7}, Want: event.TypePwriteExit, Text: []string{"-9(EBADF)", "abc", "-1(EPERM)", "3", "30064771077"}},
		{Name: "preadv", NR: 333, Args: []uint32{none, vectors, 2, 5, 7}, Want: event.TypePreadvExit, Text: []string{"-9(EBADF)", "0", "NULL", "-1(EPERM)", "30064771077"}},
		{Name: "pwritev", NR: 334, Args: []uint32{none, vectors, 2, 5, 7}, Want: event.TypePwritevExit, Text: []string{"-9(EBADF)", "abcde", "-1(EPERM)", "5", "30064771077"}},
		{Name: "fallocate", NR: 324, Args: []uint32{none, 1, 2, 3, 4, 5}, Want: event.TypeFallocateExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "FALLOC_FL_KEEP_SIZE", "12884901890", "21474836484"}},
		{Name: "readahead", NR: 225, Args: []uint32{none, 1, 2, 3}, Want: event.TypeReadaheadExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "8589934593", "3"}},
		{Name: "sync_file_range", NR: 314, Args: []uint32{none, 1, 2, 3, 4, 5}, Want: event.TypeSyncFileRangeExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "8589934593", "17179869187", "SYNC_FILE_RANGE_WAIT_BEFORE|SYNC_FILE_RANGE_WAIT_AFTER"}},
		{Name: "fadvise64_64", NR: 272, Args: []uint32{none, 1, 2, 3, 4, 5}, Want: event.TypeFadvise64Exit, Text: []string{"-9(EBADF)", "-1(EPERM)", "8589934593", "17179869187", "POSIX_FADV_NOREUSE"}},
		{Name: "lseek, to a negative offset", NR: 19, Args: []uint32{none, 0xfffffffb, 1}, Want: event.TypeLseekExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "18446744073709551611", "SEEK_CUR"}},
		{Name: "_llseek", NR: 140, Args: []uint32{none, 2, 1, 0, 2}, Want: event.TypeLseekExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "8589934593", "SEEK_END"}},
		{Name: "sendfile, with an offset of 4 bytes", NR: 187, Args: []uint32{none, none, at(600, 5, 6), 1}, Want: event.TypeSendfileExit, Text: []string{"-9(EBADF)", "5", "-1(EPERM)", "-1(EPERM)", "1"}},
		{Name: "sendfile64", NR: 239, Args: []uint32{none, none, at(600, 5, 6), 1}, Want: event.TypeSendfileExit, Text: []string{"-9(EBADF)", "25769803781", "-1(EPERM)", "-1(EPERM)", "1"}},
		{Name: "mmap, with arguments in memory", NR: 90, Args: []uint32{at(640, 0, 4096, 1, 2, none, 4096)}, Want: event.TypeMmapExit, Text: []string{"-9(EBADF)", "*", "*", "*", "*", "4096", "PROT_READ", "MAP_PRIVATE", "-1(EPERM)", "4096"}},
		{Name: "mmap2, with an offset in pages", NR: 192, Args: []uint32{0, 4096, 1, 2, none, 0x100001}, Want: event.TypeMmapExit, Text: []string{"-9(EBADF)", "*", "*", "*", "*", "4096", "PROT_READ", "MAP_PRIVATE", "-1(EPERM)", "4294971392"}},

		{Name: "setitimer, with timevals of 8 bytes", NR: 104, Args: []uint32{99, at(3300, 1, 2, 3, 4), 0}, Want: event.TypeSetitimerExit, Text: []string{"-22(EINVAL)", "99", "1000002000", "3000004000", "<NA>", "<NA>"}},
		{Name: "settimeofday, with a timeval of 8 bytes", NR: 79, Args: []uint32{at(3320, 3, 1000000), at(3340, 4, 5)}, Want: event.TypeSettimeofdayExit, Text: []string{"-22(EINVAL)", "1970-01-01 00:00:04.000000000", "4", "5"}},
		{Name: "set_robust_list, with a head of 12 bytes", NR: 311, Args: []uint32{at(3360, 5, 0xfffffff8, 7), 13}, Want: event.TypeSetRobustListExit, Text: []string{"-22(EINVAL)", "*", "13", "5", "-8", "7"}},
		{Name: "shmctl, with a struct of 84 bytes", NR: 396, Args: []uint32{none, 0x101, at(3400, 1, 2, 3, 4, 5, 0640)}, Want: event.TypeShmctlExit, Text: []string{"-22(EINVAL)", "-1", "IPC_SET", "2", "3", "0640", "<NA>", "<NA>", "<NA>", "<NA>"}},
		{Name: "shmget", NR: 395, Args: []uint32{5, 0, 0400}, Want: event.TypeShmgetExit, Text: []string{"-2(ENOENT)", "5", "0", "S_IRUSR"}},
		{Name: "times, in memory that is not there", NR: 43, Args: []uint32{16}, Want: event.TypeTimesExit, Text: []string{"-14(EFAULT)", "<NA>", "<NA>", "<NA>", "<NA>"}},
		{Name: "time, in memory that is not there", NR: 13, Args: []uint32{16}, Want: event.TypeTimeExit, Text: []string{"-14(EFAULT)", "<NA>", "10"}},
		{Name: "tee", NR: 315, Args: []uint32{none, none, 5, 2}, Want: event.TypeTeeExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "-1(EPERM)", "5", "SPLICE_F_NONBLOCK"}},

		{Name: "fstatat64", NR: 300, Args: []uint32{none, path, 0, 0}, Want: event.TypeNewfstatatExit, Text: []string{"-2(ENOENT)", "-1(EPERM)", "/no/such", "0"}},
		{Name: "umount", NR: 22, Args: []uint32{path, 2}, Want: event.TypeUmount2Exit, Text: []string{"-2(ENOENT)", "/no/such", "0"}},
		{Name: "select, with arguments in memory", NR: 82, Args: []uint32{at(700, 0, 0, 0, 0, at(720, 0, 1))}, Want: event.TypeSelectExit, Text: []string{"0"}},
		{Name: "_newselect", NR: 142, Args: []uint32{0, 0, 0, 0, at(720, 0, 1)}, Want: event.TypeSelectExit, Text: []string{"0"}},
		{Name: "ppoll_time64", NR: 414, Args: []uint32{0, 0, at(576, 0, 0, 2e9, 0), 0, 0}, Want: event.TypePpollExit, Text: []string{"-22(EINVAL)", "", "2000000000", ""}},
		{Name: "recvmmsg_time64", NR: 417, Args: []uint32{none, at(2048), 1, 0, spec64}, Want: event.TypeRecvmmsgExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "0", "NULL", "NULL", "NULL"}},
		{Name: "futex_time64", NR: 422, Args: []uint32{0, 1, 1, spec64}, Want: event.TypeFutexExit, Text: []string{"-14(EFAULT)", "0", "FUTEX_WAKE", "1"}},
		{Name: "pselect6_time64", NR: 413, Args: []uint32{0, 0, 0, 0, at(3660, 0, 0, 777, 0), 0}, Want: event.TypePselect6Exit, Text: []string{"0", "0", "*", "*", "*", "0", ""}},
		{Name: "semtimedop_time64", NR: 420, Args: []uint32{none, at(3700, 0xfffe0001, 0x800), 1, spec64}, Want: event.TypeSemtimedopExit, Text: []string{"-22(EINVAL)", "1", "1", "-2", "IPC_NOWAIT", "<NA>", "<NA>", "<NA>", "-1", "777"}},
		{Name: "rt_sigtimedwait_time64", NR: 421, Args: []uint32{at(3720, 0x800, 4), 0, spec64, 8}, Want: event.TypeRtSigtimedwaitExit, Text: []string{"-11(EAGAIN)", "*", "4", "777", "<NA>", "<NA>", "<NA>", "<NA>", "8"}},
		{Name: "rt_sigqueueinfo, with a value of 4 bytes", NR: 178, Args: []uint32{0x7fffffff, 10, at(3740, 0, 0, none, 7, 8, 9)}, Want: event.TypeRtSigqueueinfoExit, Text: []string{"-3(ESRCH)", "2147483647", "10(SIGUSR1)", "SI_QUEUE", "7", "8", "9"}},
		{Name: "sched_setaffinity, with a mask of longs of 4 bytes", NR: 241, Args: []uint32{0x7fffffff, 8, at(3900, 3, 5)}, Want: event.TypeSchedSetaffinityExit, Text: []string{"-3(ESRCH)", "2147483647", "8", "3 5"}},
		{Name: "preadv2", NR: 378, Args: []uint32{none, vectors, 2, 5, 7, 1}, Want: event.TypePreadv2Exit, Text: []string{"-9(EBADF)", "0", "NULL", "-1(EPERM)", "30064771077", "RWF_HIPRI"}},
		{Name: "futimesat, with timevals of 8 bytes", NR: 299, Args: []uint32{none, path, at(3920, 5, 1, 6, 2)}, Want: event.TypeFutimesatExit, Text: []string{"-2(ENOENT)", "-1(EPERM)", "/no/such", "1970-01-01 00:00:05.000001000", "1970-01-01 00:00:06.000002000"}},
		{Name: "process_madvise, with iovecs of 8 bytes", NR: 440, Args: []uint32{none, vectors, 2, 99}, Want: event.TypeProcessMadviseExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "*", "3 2", "2", "99", "0"}},
		{Name: "clock_nanosleep_time64", NR: 407, Args: []uint32{1, 0, at(3072, 0, 0, 777, 0), 0}, Want: event.TypeClockNanosleepExit, Text: []string{"0", "CLOCK_MONOTONIC", "0", "777", "<NA>"}},
		{Name: "waitpid, of a process that is no child", NR: 7, Args: []uint32{0x7fffffff, 0, 1}, Want: event.TypeWait4Exit, Text: []string{"-10", "2147483647", "<NA>", "<NA>", "<NA>", "WNOHANG", "<NA>", "<NA>", "<NA>"}},
		{Name: "utime, with times of 4 bytes", NR: 30, Args: []uint32{path, at(3440, 5, 6)}, Want: event.TypeUtimeExit, Text: []string{"-2(ENOENT)", "/no/such", "1970-01-01 00:00:05.000000000", "1970-01-01 00:00:06.000000000"}},
		{Name: "utimes, with timevals of 8 bytes", NR: 271, Args: []uint32{path, at(3460, 5, 1, 6, 2)}, Want: event.TypeUtimesExit, Text: []string{"-2(ENOENT)", "/no/such", "1970-01-01 00:00:05.000001000", "1970-01-01 00:00:06.000002000"}},
		{Name: "timer_settime, with times of 8 bytes", NR: 260, Args: []uint32{none, 1, at(3500, 1, 2, 3, 4), 0}, Want: event.TypeTimerSettimeExit, Text: []string{"-22(EINVAL)", "-1", "TIMER_ABSTIME", "1000000002", "3000000004", "<NA>", "<NA>"}},
		{Name: "timerfd_settime64", NR: 411, Args: []uint32{none, 1, at(3540, 1, 0, 2, 0, 3, 0, 4, 0), 0}, Want: event.TypeTimerfdSettimeExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "TFD_TIMER_ABSTIME", "1000000002", "3000000004", "<NA>", "<NA>"}},
		{Name: "timer_create, with a sigevent of 32-bit tasks", NR: 259, Args: []uint32{99, at(3580, 5, 10, 1), 0}, Want: event.TypeTimerCreateExit, Text: []string{"-22(EINVAL)", "99", "SIGEV_NONE", "10(SIGUSR1)", "5", "<NA>"}},
		{Name: "sigaltstack, with a stack of 12 bytes", NR: 186, Args: []uint32{at(3620, 0x1000, 0x40, 5), 0}, Want: event.TypeSigaltstackExit, Text: []string{"-22(EINVAL)", "1000", "64", "5", "<NA>", "<NA>", "<NA>"}},
		{Name: "vmsplice, with iovecs of 8 bytes", NR: 316, Args: []uint32{none, vectors, 2, 8}, Want: event.TypeVmspliceExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "5", "2", "SPLICE_F_GIFT"}},
		{Name: "readv, with iovecs of 8 bytes", NR: 145, Args: []uint32{none, vectors, 2}, Want: event.TypeReadvExit, Text: []string{"-9(EBADF)", "0", "NULL", "-1(EPERM)"}},
		{Name: "process_vm_readv, with iovecs of 8 bytes", NR: 347, Args: []uint32{0x7fffffff, vectors, 1, vectors, 1, 0}, Want: event.TypeProcessVMReadvExit, Text: []string{"-3", "2147483647", "NULL"}},
		{Name: "rt_sigaction, with a struct of 20 bytes", NR: 174, Args: []uint32{65, at(5000, 0x1000, 0x10000004, 0x2000, 0x201, 6), 0, 8}, Want: event.TypeRtSigactionExit, Text: []string{"-22(EINVAL)", "65", "1000", "SA_SIGINFO|SA_RESTART", "SIGHUP SIGUSR1", "6", "<NA>", "<NA>", "<NA>", "8"}},
		{Name: "mq_getsetattr, with attributes of 32 bytes", NR: 282, Args: []uint32{none, at(5040, unix.O_NONBLOCK, 1, 2, 3), 0}, Want: event.TypeMQGetsetattrExit, Text: []string{"-9(EBADF)", "-1(EPERM)", "O_NONBLOCK", "<NA>", "<NA>", "<NA>", "<NA>"}},
		{Name: "msgctl, with a struct of 88 bytes", NR: 402, Args: []uint32{none, 0x101, at(5080, 1, 2, 3, 4, 5, 0640)}, Want: event.TypeMsgctlExit, Text: []string{"-22(EINVAL)", "-1", "IPC_SET", "2", "3", "0640", "0", "<NA>", "<NA>", "<NA>", "<NA>"}},
		{Name: "io_submit, with pointers of 4 bytes", NR: 248, Args: []uint32{77, 1, at(5180, at(5188, 0, 0, 0, 0, 5, 9, 0, 0, 11, 0, 13, 1))}, Want: event.TypeIOSubmitExit, Text: []string{"-22(EINVAL)", "4D", "1", "5(IOCB_CMD_POLL)", "9", "11", "4294967309"}},
		{Name: "adjtimex, with a struct of 128 bytes", NR: 124, Args: []uint32{at(5300, 0x8002, 1, 2, 3, 4, 0x40)}, Want: event.TypeAdjtimexExit, Text: []string{"-22(EINVAL)", "<NA>", "ADJ_FREQUENCY", "1", "2", "STA_UNSYNC", "0", "0", "0", "1970-01-01 00:00:00.000000000"}},
		{Name: "waitid", NR: 284, Args: []uint32{99, 5, 0, 4, 0}, Want: event.TypeWaitidExit, Text: []string{"-22(EINVAL)", "99", "<NA>", "<NA>", "WEXITED", "<NA>", "<NA>", "<NA>", "<NA>", "<NA>", "<NA>", "<NA>"}},
		{Name: "io_getevents, with a timespec of 8 bytes", NR: 247, Args: []uint32{77, 1, 2, 0, spec}, Want: event.TypeIOGeteventsExit, Text: []string{"-22(EINVAL)", "4D", "1", "2", "0", "777", "NULL", "NULL"}},
		{Name: "statfs64", NR: 268, Args: []uint32{data(0x140, "/proc\x00"), 84, at(5440)}, Want: event.TypeStatfsExit, Text: []string{"0", "/proc", "PROC_SUPER_MAGIC", "4096", "0", "0", "0", "0", "0", "*"}},
		{Name: "statfs, with a struct of 64 bytes", NR: 99, Args: []uint32{data(0x150, "/dev\x00"), at(5560)}, Want: event.TypeStatfsExit, Text: statfs("/dev", "/dev")},
		{Name: "statfs64, with numbers of 64 bits", NR: 268, Args: []uint32{data(0x150, "/dev\x00"), 84, at(5640)}, Want: event.TypeStatfsExit, Text: statfs("/dev", "/dev")},
		{Name: "fstatfs64", NR: 269, Args: []uint32{uint32(dev), 84, at(5740)}, Want: event.TypeFstatfsExit, Text: statfs("/dev", dev)},
		{Name: "mkdir", NR: 39, Args: []uint32{data(0x160, "/no/such/dir\x00"), 0750}, Want: event.TypeMkdirExit, Text: []string{"-2(ENOENT)", "/no/such/dir", "1E8"}},
		{Name: "unlink", NR: 10, Args: []uint32{path}, Want: event.TypeUnlinkExit, Text: []string{"-2(ENOENT)", "/no/such"}},
		{Name: "rename", NR: 38, Args: []uint32{path, data(0x160, "/no/such/dir\x00")}, Want: event.TypeRenameExit, Text: []string{"-2(ENOENT)", "/no/such", "/no/such/dir"}},
		{Name: "kill", NR: 37, Args: []uint32{0x7fffffff, 10}, Want: event.TypeKillExit, Text: []string{"-3(ESRCH)", "2147483647", "10(SIGUSR1)"}},
		{Name: "dup", NR: 41, Args: []uint32{none}, Want: event.TypeDupExit, Text: []string{"-9(EBADF)", "-1(EPERM)"}},
		{Name: "ipc", NR: 117, Args: []uint32{999}, Want: generic, Text: []string{"276", "117"}},
		{Name: "socketcall, of a number that is none", NR: 102, Args: []uint32{77, ids}, Want: generic, Text: []string{"277", "102"}},
		{Name: "socketcall, of number 0", NR: 102, Args: []uint32{0, ids}, Want: generic, Text: []string{"277", "102"}},
		{Name: "a number without a call", NR: 17, Want: generic, Text: []string{"0", "17"}},
		{Name: "a number of a newer kernel", NR: 500, Want: generic, Text: []string{"0", "500"}},
		{Name: "a number beyond the tables", NR: 4000, Want: generic, Text: []string{"0", "4000"}},

		{Name: "x32: close", NR: x32Bit + 3, Raw: true, Args: []uint32{9999}, Want: event.TypeCloseExit, Text: []string{"*", "9999"}},
		{Name: "x32: writev, with iovecs of 8 bytes", NR: x32Bit + 516, Raw: true, Args: []uint32{none, vectors, 2}, Want: event.TypeWritevExit, Text: []string{"*", "abcde", "-1(EPERM)", "5"}},
		{Name: "x32: recvmmsg", NR: x32Bit + 537, Raw: true, Args: []uint32{none, at(2048), 1, 0, spec64}, Want: event.TypeRecvmmsgExit, Text: []string{"*", "-1(EPERM)", "0", "NULL", "NULL", "NULL"}},
		{Name: "x32: a number without a call", NR: x32Bit + 600, Raw: true, Want: generic, Text: []string{"0", "600"}},
		{Name: "a number beyond the tables, of a 64-bit task", NR: 4001, Raw: true, Want: generic, Text: []string{"0", "4001"}},
	}
}
