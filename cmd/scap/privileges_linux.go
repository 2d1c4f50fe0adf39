// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// invoker returns the user and group that sudo, or a set-user-ID program, was started by; ok is false if that
// is the user that this process has.
func invoker() (uid, gid int, ok bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	if os.Getuid() != 0 {
		return os.Getuid(), os.Getgid(), true
	}
	uid, err1 := strconv.Atoi(os.Getenv("SUDO_UID"))
	gid, err2 := strconv.Atoi(os.Getenv("SUDO_GID"))
	return uid, gid, err1 == nil && err2 == nil && uid > 0 && gid >= 0
}

// capset is a set of capabilities.
type capset uint64

func caps(list ...int) (s capset) {
	for _, c := range list {
		s |= 1 << c
	}
	return s
}

// apply gives all threads these capabilities.
func (s capset) apply() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(s), Permitted: uint32(s)},
		{Effective: uint32(s >> 32), Permitted: uint32(s >> 32)},
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0)
	runtime.KeepAlive(&data)
	if errno != 0 {
		return fmt.Errorf("set capabilities: %w", errno)
	}
	return nil
}

// dropPrivileges makes this process one of the user that invoked it, and leaves it the capabilities that n needs.
// It does nothing for a user who is root anyway.
func dropPrivileges(n need) error {
	uid, gid, ok := invoker()
	if !ok {
		return nil
	}
	// Threads of all users are looked up in /proc, and the state is read again for a next file.
	keep := caps(unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH)
	if n.driver {
		keep |= caps(unix.CAP_BPF, unix.CAP_PERFMON)
	}
	// A program with cgo has threads that Go does not know of.
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0, 0, 0, 0); errno == unix.ENOTSUP {
		return errors.New("this program is built with cgo (build it with CGO_ENABLED=0)")
	} else if errno != 0 {
		return fmt.Errorf("keep capabilities: %w", errno)
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"leave groups", func() error { return syscall.Setgroups(nil) }},
		{"become group " + strconv.Itoa(gid), func() error { return syscall.Setresgid(gid, gid, gid) }},
		{"become user " + strconv.Itoa(uid), func() error { return syscall.Setresuid(uid, uid, uid) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	// No capability is in force now, so this asks what the user may do.
	if n.dir != "" && unix.Faccessat(unix.AT_FDCWD, n.dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS) != nil {
		keep |= caps(unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER) // to create files, and to replace what others put there
	}
	if err := keep.apply(); err != nil {
		return err
	}
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("set no_new_privs: %w", errno)
	}
	return nil
}
