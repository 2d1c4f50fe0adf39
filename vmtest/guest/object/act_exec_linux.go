// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// execute executes a path; it returns only if that fails.
func execute(path string, argv ...string) error {
	v, err := newVector(argv...)
	if err != nil {
		return err
	}
	env, err := newVector("K=V")
	if err != nil {
		return err
	}
	at, err := textAddr(path)
	if err != nil {
		return err
	}
	err = sysCall(unix.SYS_EXECVE, at, v.addr(), env.addr())
	kept(v, env)
	return fmt.Errorf("execve: %w", err)
}

// executeFD executes an open file.
func executeFD(fd int, argv ...string) error {
	v, err := newVector(argv...)
	if err != nil {
		return err
	}
	env, err := newVector()
	if err != nil {
		return err
	}
	at, err := textAddr("")
	if err != nil {
		return err
	}
	err = sysCall(unix.SYS_EXECVEAT, uintptr(fd), at, v.addr(), env.addr(), unix.AT_EMPTY_PATH)
	kept(v, env)
	return fmt.Errorf("execveat: %w", err)
}

func executed(pid int, err error, fields map[string]any) (any, error) {
	if err != nil {
		return nil, err
	}
	fields["pid"] = int64(pid)
	return acted(fields), nil
}

// execProgram executes a program in a new process, with arguments from argv[0] on.
func execProgram(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	var argv []string
	for i := 1; i < len(args); i++ {
		a, err := argText(args, i)
		if err != nil {
			return nil, err
		}
		argv = append(argv, a)
	}
	pid, err := ran(func() error { return execute(path, argv...) })
	return executed(pid, err, map[string]any{})
}

// execMemfd executes a program that is in memory only.
func execMemfd(_ *Maker, _ []any) (any, error) {
	fd, err := unix.MemfdCreate("payload", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if _, err := unix.Write(fd, tinyELF()); err != nil {
		return nil, err
	}
	pid, err := ran(func() error { return executeFD(fd, "[kworker/0:1]") })
	return executed(pid, err, map[string]any{"path": "/memfd:payload", "filename": fmt.Sprintf("/dev/fd/%d", fd)})
}

// execDeleted executes a program that has no name any more.
func execDeleted(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Unlink(path); err != nil {
		return nil, err
	}
	pid, err := ran(func() error { return executeFD(fd, "sshd") })
	return executed(pid, err, map[string]any{"path": path})
}

// execScript executes a script whose first line names a program with an argument.
func execScript(c *Maker, args []any) (any, error) {
	program, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	script := filepath.Join(c.Dir, "script")
	if err := os.WriteFile(script, []byte("#!"+program+" -x\n"), 0o755); err != nil {
		return nil, err
	}
	pid, err := ran(func() error { return execute(script, "innocent", "word") })
	return executed(pid, err, map[string]any{"script": script, "args": "-x\x00" + script + "\x00word\x00"})
}

// execVfork executes a program in a process that shares its parent's memory up to there.
func execVfork(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	at, err := textAddr(path)
	if err != nil {
		return nil, err
	}
	argv, err := newVector("vforked")
	if err != nil {
		return nil, err
	}
	env, err := newVector()
	if err != nil {
		return nil, err
	}
	ops := []op{sys(unix.SYS_EXECVE, at, argv.addr(), env.addr()), sys(unix.SYS_EXIT, 127)}
	pid, err := startTask(ops, cloneArgs{flags: unix.CLONE_VM | unix.CLONE_VFORK, exitSignal: uint64(unix.SIGCHLD)})
	kept(argv, env)
	if err == nil {
		err = endedWell(pid)
	}
	return executed(pid, err, map[string]any{})
}

// execThread executes a program in a second thread of a new process, whose first one sleeps: the
// process goes on under the number of the first.
func execThread(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	told, err := shared(1)
	if err != nil {
		return nil, err
	}
	pid, err := ran(func() error {
		at, err := textAddr(path)
		if err != nil {
			return err
		}
		argv, err := newVector("threaded")
		if err != nil {
			return err
		}
		env, err := newVector()
		if err != nil {
			return err
		}
		ops := []op{sys(unix.SYS_EXECVE, at, argv.addr(), env.addr()), sys(unix.SYS_EXIT_GROUP, 127)}
		where := uint64(uintptr(unsafe.Pointer(&told[0])))
		if _, err := startTask(ops, cloneArgs{flags: threadFlags | unix.CLONE_PARENT_SETTID, parentTID: where}); err != nil {
			return err
		}
		for {
			_ = sysCall(unix.SYS_PPOLL, 0, 0, 0, 0)
		}
	})
	return executed(pid, err, map[string]any{"thread": int64(told[0])})
}
