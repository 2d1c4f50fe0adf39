// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const setBytes = 8 // of a set of signals

// blockSignals sets the mask of the calling thread.
func blockSignals(_ *Maker, args []any) (any, error) {
	mask, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	const set = 2 // SIG_SETMASK
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, set, uintptr(unsafe.Pointer(&mask)), 0, setBytes, 0, 0); errno != 0 {
		return nil, errno
	}
	return mask, nil
}

// action is the kernel's struct sigaction.
type action struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const (
	onStack     = 0x8000000 // SA_ONSTACK: the runtime gave this thread a stack for signals
	hasRestorer = 0x4000000 // SA_RESTORER
	ignored     = 1         // SIG_IGN
)

func setAction(sig int64, a action) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&a)), 0, setBytes, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// catchSignal makes a handler that does nothing, so that the signal interrupts the call. A later one interrupts nothing.
func catchSignal(c *Maker, args []any) (any, error) {
	sig, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	c.Caught = uintptr(sig)
	c.Behind = append(c.Behind, func() {
		if err := setAction(sig, action{handler: ignored}); err != nil {
			panic(fmt.Sprintf("ignore signal %d: %v", sig, err))
		}
	})
	return sig, setAction(sig, action{handler: signalHandler(), flags: onStack | hasRestorer, restorer: signalRestorer()})
}

func sendSignal(_ *Maker, args []any) (any, error) {
	pid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	sig, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	return sig, unix.Kill(int(pid), unix.Signal(sig))
}

// sendValue sends a signal as sigqueue(3) does.
func sendValue(_ *Maker, args []any) (any, error) {
	var n [3]int64
	for i := range n {
		v, err := argInt(args, i)
		if err != nil {
			return nil, err
		}
		n[i] = v
	}
	info := struct {
		signo, errno, code, _ int32
		pid                   int32
		uid                   uint32
		value                 int64
		_                     [24]int32
	}{signo: int32(n[1]), code: -1, pid: int32(unix.Getpid()), uid: uint32(unix.Getuid()), value: n[2]} // SI_QUEUE
	if _, _, errno := unix.RawSyscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(n[0]), uintptr(n[1]), uintptr(unsafe.Pointer(&info))); errno != 0 {
		return nil, errno
	}
	return n[1], nil
}

// signalHandler returns the address of a handler that does nothing, and signalRestorer
// that of the code that ends a handler. The kernel calls them: they have no frame.
func signalHandler() uintptr
func signalRestorer() uintptr

// refuseCall makes seccomp refuse the call of the case. It comes in effect right before the call, and stays: calls with another
// first argument go on, so that a process may end.
func refuseCall(c *Maker, args []any) (any, error) {
	errno, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	c.Before = append(c.Before, func() {
		const nrAt, argAt = 0, 16 // in struct seccomp_data
		filter := [...]unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: nrAt},
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(c.Number), Jf: 3},
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: argAt},
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(c.First), Jf: 1},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		}
		prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		if _, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
			panic(fmt.Sprintf("no_new_privs: %v", errno))
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); errno != 0 {
			panic(fmt.Sprintf("seccomp: %v", errno))
		}
	})
	return errno, nil
}
