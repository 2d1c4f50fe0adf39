// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// inPIDNamespace executes a program in the first process of a new pid namespace.
func inPIDNamespace(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	pid, err := cloned(unix.CLONE_NEWPID, func() error {
		if pid := os.Getpid(); pid != 1 {
			return fmt.Errorf("process %d of a new pid namespace (want 1)", pid)
		}
		return execute(path, "first")
	})
	if err == nil {
		err = endedWell(pid)
	}
	return executed(pid, err, map[string]any{})
}

// inUserNamespace executes a program as the root of a new user namespace, for whom the real user is another.
func inUserNamespace(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	const outside = 1234
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) // that user may not see the case's directory
	if err != nil {
		return nil, err
	}
	ready, err := shared(2)
	if err != nil {
		return nil, err
	}
	pid, err := forked(func() error {
		for _, c := range [][4]uintptr{{unix.SYS_SETGROUPS}, {unix.SYS_SETRESGID, outside, outside, outside}, {unix.SYS_SETRESUID, outside, outside, outside}} {
			if err := sysCall(c[0], c[1], c[2], c[3]); err != nil {
				return fmt.Errorf("become %d: %w", outside, err)
			}
		}
		if err := unix.Unshare(unix.CLONE_NEWUSER); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		ready[0] = 1
		for ready[1] == 0 {
			nap()
		}
		if uid := os.Getuid(); uid != 0 {
			return fmt.Errorf("user %d in the namespace (want 0)", uid)
		}
		return executeFD(fd, "root")
	})
	if err != nil {
		return nil, err
	}
	for ready[0] == 0 {
		if st, err := ReadStat(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || st.State == 'Z' {
			return nil, fmt.Errorf("the process ended before it had its namespace: %w", endedWell(pid))
		}
		nap()
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/uid_map", pid), fmt.Appendf(nil, "0 %d 1", outside), 0); err != nil {
		return nil, err
	}
	ready[1] = 1
	return executed(pid, endedWell(pid), map[string]any{"uid": int64(outside)})
}

// threadBecomes changes the user of a second thread alone, as the kernel allows and libraries hide, and
// opens a file in it.
func threadBecomes(_ *Maker, args []any) (any, error) {
	uid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	u := uintptr(uid)
	ops := []op{sys(unix.SYS_SETRESUID, u, u, u), sys(unix.SYS_EXIT)}
	tid, err := startTask(ops, cloneArgs{flags: threadFlags})
	if err != nil {
		return nil, err
	}
	untilGone(tid)
	res, err := ops[0].result()
	return acted(map[string]any{"tid": int64(tid), "res": res}), err
}

// hiddenParent makes a process whose parent ends first: the process is another one's child from then on.
func hiddenParent(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	told, err := shared(1)
	if err != nil {
		return nil, err
	}
	parent, err := forked(func() error {
		self := os.Getpid()
		pid, err := forked(func() error {
			for os.Getppid() == self {
				nap()
			}
			return execute(path, "orphan")
		})
		told[0] = uint64(pid)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := endedWell(parent); err != nil {
		return nil, err
	}
	pid := int(told[0])
	for { // a child of the guest now, which reaps it when the case has ended
		if st, err := ReadStat(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || st.State == 'Z' {
			break
		}
		nap()
	}
	return executed(pid, nil, map[string]any{"parent": int64(parent)})
}

// sibling makes a process that is its own parent's child (CLONE_PARENT), so that it does not look like this one's.
func sibling(c *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	pid, err := cloned(unix.CLONE_PARENT, func() error { return execute(path, "sibling") })
	if err != nil {
		return nil, err
	}
	for {
		if st, err := ReadStat(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || st.State == 'Z' {
			break
		}
		nap()
	}
	return executed(pid, nil, map[string]any{"parent": int64(c.Parent)})
}

// renamed changes the name of this thread, then executes a program.
func renamed(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	name, err := textAddr("kworker/u8:3")
	if err != nil {
		return nil, err
	}
	pid, err := forked(func() error {
		if err := sysCall(unix.SYS_PRCTL, unix.PR_SET_NAME, name); err != nil {
			return err
		}
		return execute(path, "renamed")
	})
	if err == nil {
		err = endedWell(pid)
	}
	return executed(pid, err, map[string]any{"name": "kworker/u8:3"})
}
