// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

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
	"ia32":         func() error { return needFile("/proc/sys/abi/vsyscall32") },
	"memfd_secret": func() error { return needCall(unix.SYS_MEMFD_SECRET, ^uintptr(0)) },
	"userfault":    needUserfault,
	"overlayfs":    func() error { return needFilesystem("overlay") },
	"ext4":         func() error { return needFilesystem("ext4") },
	"numa":         func() error { return needCall(unix.SYS_GET_MEMPOLICY, 0, 0, 0, 0, 0) },
	"kexec":        func() error { return needFile("/sys/kernel/kexec_loaded") },
	"acct":         func() error { return needFile("/proc/sys/kernel/acct") },
	"hugetlb":      func() error { return needFile("/proc/sys/vm/nr_hugepages") },
	"vm": func() error {
		if os.Getpid() != 1 {
			return errors.New("not in a virtual machine of the harness")
		}
		return nil
	},
}

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

// hello describes this machine.
func (r *runner) hello() Hello {
	var uts unix.Utsname
	h := Hello{Arch: runtime.GOARCH, Init: r.init, CPUs: runtime.NumCPU(), Lacks: r.lacks, Warnings: r.warnings}
	if err := unix.Uname(&uts); err == nil {
		h.Release, h.Version = unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Version[:])
	}
	h.BTF = needFile(btfPath) == nil
	h.Present, h.From = presentSyscalls()
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

const btfPath = "/sys/kernel/btf/vmlinux"

// presentSyscalls returns the system calls of this kernel, by the names of their
// tracepoints. Without tracefs it uses BTF, which also has calls that only
// return ENOSYS.
func presentSyscalls() (names []string, from string) {
	for _, dir := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		found, _ := filepath.Glob(dir + "/events/syscalls/sys_exit_*")
		for _, f := range found {
			names = append(names, strings.TrimPrefix(filepath.Base(f), "sys_exit_"))
		}
		if len(names) > 0 {
			slices.Sort(names)
			return names, "tracefs"
		}
	}
	b, err := os.ReadFile(btfPath)
	if err != nil {
		return nil, ""
	}
	prefix := map[string]string{"amd64": "\x00__x64_sys_", "arm64": "\x00__arm64_sys_"}[runtime.GOARCH]
	for rest := b; prefix != ""; {
		i := bytes.Index(rest, []byte(prefix))
		if i < 0 {
			break
		}
		rest = rest[i+len(prefix):]
		end := bytes.IndexByte(rest, 0)
		if end < 0 {
			break
		}
		names = append(names, string(rest[:end]))
		rest = rest[end:]
	}
	slices.Sort(names)
	return slices.Compact(names), "btf"
}
