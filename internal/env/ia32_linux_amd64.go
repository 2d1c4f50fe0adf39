// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// HasIA32 reports why this kernel takes no 32-bit system calls: it was built or booted without
// them, or its hypervisor does not pass them on. A task that tries is killed then, and nothing
// else tells, so a child process tries.
func HasIA32() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// A fault whose signal is blocked ends the child at once; else the Go runtime's handler would run in it.
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		return fmt.Errorf("block signals: %w", err)
	}
	pid := forkInt80()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil); err != nil {
		return fmt.Errorf("unblock signals: %w", err)
	}
	if pid < 0 {
		return fmt.Errorf("fork: %w", unix.Errno(-pid))
	}
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return fmt.Errorf("wait for the child that tries a 32-bit call: %w", err)
		}
	}
	if status.Signaled() {
		return fmt.Errorf("a 32-bit system call ends in %v", status.Signal())
	}
	return nil
}

func forkInt80() int
