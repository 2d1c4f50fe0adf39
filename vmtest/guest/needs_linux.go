// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// needs are the words of `needs`. Each has a probe that returns why this machine does
// not meet it, or nil.
var needs = map[string]func() error{
	"root":         needRoot,
	"ipv6":         func() error { return object.CanBind("[::1]:0") },
	"ipv4":         func() error { return object.CanBind("127.0.0.1:0") },
	"smp":          needSMP,
	"userns":       func() error { return needFile("/proc/self/ns/user") },
	"cgroup2":      func() error { return needFile("/sys/fs/cgroup/cgroup.controllers") },
	"mqueue":       func() error { return needFile("/proc/sys/fs/mqueue/msg_max") },
	"sysvipc":      func() error { return needFile("/proc/sysvipc/shm") },
	"swap":         func() error { return needFile("/proc/swaps") },
	"keys":         func() error { return needCall(unix.SYS_KEYCTL, 0) },
	"aio":          func() error { return needCall(unix.SYS_IO_DESTROY) },
	"quota":        func() error { return needFile("/proc/sys/fs/quota") },
	"modules":      func() error { return needFile("/proc/modules") },
	"audit":        func() error { return needFile("/proc/self/loginuid") },
	"landlock":     func() error { return needCall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1) },
	"io_uring":     needIOURing,
	"ia32":         env.HasIA32,
	"memfd_secret": func() error { return needCall(unix.SYS_MEMFD_SECRET, ^uintptr(0)) },
	"userfault":    needUserfault,
	"pkeys":        needPkeys,
	"lsm":          func() error { return needCall(sysLSMListModules) },
	"rseq_slice":   func() error { return needCall(sysRseqSliceYield) },
	"rseq":         needRseq,
	"overlayfs":    func() error { return needFilesystem("overlay") },
	"ext4":         func() error { return needFilesystem("ext4") },
	"numa":         func() error { return needCall(unix.SYS_GET_MEMPOLICY, 0, 0, 0, 0, 0) },
	"kexec":        func() error { return needFile("/sys/kernel/kexec_loaded") },
	"kexec_file":   func() error { return needCall(unix.SYS_KEXEC_FILE_LOAD, ^uintptr(0), ^uintptr(0), 0, 0, ^uintptr(0)) }, // no such flags
	"acct":         func() error { return needFile("/proc/sys/kernel/acct") },
	"hugetlb":      func() error { return needFile("/proc/sys/vm/nr_hugepages") },
	"vm": func() error {
		if os.Getpid() != 1 {
			return errors.New("not in a virtual machine of the harness")
		}
		return nil
	},
}

// Numbers on all architectures.
const (
	sysLSMListModules = 461
	sysRseqSliceYield = 471
)

// probeNeeds calls each probe once.
func probeNeeds() map[string]string {
	lacks := map[string]string{}
	for word, probe := range needs {
		if err := probe(); err != nil {
			lacks[word] = err.Error()
		}
	}
	return lacks
}

func needRoot() error {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("user id is %d", uid)
	}
	return nil
}

func needSMP() error {
	if runtime.NumCPU() < 2 {
		return errors.New("one processor")
	}
	return nil
}

func needFile(path string) error {
	_, err := os.Stat(path)
	return err
}

func needFilesystem(name string) error {
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(string(b)), name) {
		return fmt.Errorf("%s is not in /proc/filesystems", name)
	}
	return nil
}

// needCall makes a call with arguments that make it fail. Only ENOSYS means
// that it is missing.
func needCall(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if rawCall(nr, &a) == -int64(unix.ENOSYS) {
		return unix.ENOSYS
	}
	return nil
}

// needIOURing requests a ring without entries. The kernel checks the rights before it refuses that.
func needIOURing() error {
	if ret := rawCall(unix.SYS_IO_URING_SETUP, &[6]uintptr{}); ret != -int64(unix.EFAULT) && ret != -int64(unix.EINVAL) {
		return unix.Errno(-ret)
	}
	return nil
}

func needUserfault() error {
	fd := rawCall(unix.SYS_USERFAULTFD, &[6]uintptr{unix.O_CLOEXEC})
	if fd < 0 {
		return unix.Errno(-fd)
	}
	return unix.Close(int(fd))
}

// needPkeys allocates a key and frees it.
func needPkeys() error {
	key, _, errno := unix.RawSyscall(unix.SYS_PKEY_ALLOC, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_PKEY_FREE, key, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// hello describes this machine.
func (r *runner) hello() Hello {
	h := Hello{Arch: runtime.GOARCH, Init: r.init, CPUs: runtime.NumCPU(), Mailbox: r.mailbox, Lacks: r.lacks, Warnings: r.warnings}
	h.Release, h.Version = running()
	h.BTF = needFile(btfPath) == nil
	h.Calls = kernelCalls()
	for _, name := range slices.Sorted(engineNames()) {
		state := DriverState{Name: name}
		if err := r.attach(Drivers{A: name}); err != nil {
			state.Error = err.Error()
		} else {
			state = r.inUse[0].state()
		}
		h.Drivers = append(h.Drivers, state)
	}
	return h
}

// running returns what uname says of the kernel: -r and -v.
func running() (release, version string) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return "", ""
	}
	return unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Version[:])
}

const btfPath = "/sys/kernel/btf/vmlinux"

// kernelCalls returns the syscalls of this kernel; nil without tracefs or CONFIG_FTRACE_SYSCALLS. BTF would also have those
// that only return ENOSYS.
func kernelCalls() (calls []KernelCall) {
	for _, dir := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		found, _ := filepath.Glob(dir + "/events/syscalls/sys_enter_*/format") // sorted; the pattern is right
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			symbol := strings.TrimPrefix(filepath.Base(filepath.Dir(path)), "sys_enter_")
			calls = append(calls, KernelCall{Symbol: symbol, Args: countArgs(string(text))})
		}
		if calls != nil {
			break
		}
	}
	return calls
}

// countArgs counts the arguments in the format of an event: the fields after that of the number, but not the texts that
// kernels from 6.19 on add to some events.
func countArgs(format string) (n int) {
	_, fields, _ := strings.Cut(format, "__syscall_nr;")
	for line := range strings.Lines(fields) {
		if strings.HasPrefix(line, "\tfield:") && !strings.HasPrefix(line, "\tfield:__data_loc") {
			n++
		}
	}
	return n
}

// rseqArea is where needRseq lets the kernel write.
var rseqArea [64]byte

// needRseq reports whether a thread can register a restartable sequence. A thread of a program with a C library cannot: the library
// has one of its own (glibc since 2.35), and the kernel takes one of each thread (rseq(2)).
func needRseq() error {
	if err := needCall(unix.SYS_RSEQ); err != nil {
		return err
	}
	const size, signature, unregister = 32, 0x53053053, 1 // linux/rseq.h
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	at := (uintptr(unsafe.Pointer(&rseqArea)) + size - 1) &^ (size - 1)
	if _, _, errno := unix.RawSyscall6(unix.SYS_RSEQ, at, size, 0, signature, 0, 0); errno == unix.EINVAL {
		return errors.New("the C library of this program has registered a sequence already (a program built with CGO_ENABLED=0 has none)")
	} else if errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall6(unix.SYS_RSEQ, at, size, unregister, signature, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
