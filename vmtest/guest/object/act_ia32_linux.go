// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Numbers of 32-bit tasks on amd64.
const (
	ia32Open       = 5
	ia32Unlink     = 10
	ia32Execve     = 11
	ia32Ptrace     = 26
	ia32Kill       = 37
	ia32Socketcall = 102
	ia32Openat     = 295
	ia32Connect    = 362

	ia32SubConnect = 3 // of socketcall

	x32Bit = 0x40000000

	atCWD = 1<<32 + unix.AT_FDCWD // in 32 bits
)

// lowText returns the address of a string where 32-bit pointers can point.
func lowText(text string) (uint32, error) { return lowBytes(cText(text)) }

func lowBytes(b []byte) (uint32, error) {
	before := LowMemory
	LowMemory = true
	defer func() { LowMemory = before }()
	r, err := newRegionOf(b)
	return uint32(r.Addr()), err
}

// lowVector returns the address of a list of strings.
func lowVector(text ...string) (uint32, error) {
	var w words
	for _, s := range text {
		at, err := lowText(s)
		if err != nil {
			return 0, err
		}
		w.u32(at)
	}
	w.u32(0)
	return lowBytes(w.b)
}

// ia32Call makes a 32-bit call that must succeed.
func ia32Call(nr uint32, args ...uint32) (int32, error) {
	var a [6]uint32
	copy(a[:], args)
	r := Int80(nr, &a)
	if r < 0 && r > -4096 {
		return r, fmt.Errorf("call %d of a 32-bit task: %w", nr, unix.Errno(-r))
	}
	return r, nil
}

// ia32Path makes a call with a path as its argument of that number.
func ia32Path(nr uint32, at int, rest ...uint32) func(*Maker, []any) (any, error) {
	return func(_ *Maker, args []any) (any, error) {
		path, err := argText(args, 0)
		if err != nil {
			return nil, err
		}
		low, err := lowText(path)
		if err != nil {
			return nil, err
		}
		all := append([]uint32{}, rest...)
		all[at] = low
		r, err := ia32Call(nr, all...)
		return acted(map[string]any{"res": int64(r)}), err
	}
}

// ia32Connects connects a socket, by connect or by socketcall.
func ia32Connects(bySocketcall bool) func(*Maker, []any) (any, error) {
	return func(_ *Maker, args []any) (any, error) {
		fd, err := argInt(args, 0)
		if err != nil {
			return nil, err
		}
		peer, err := argAddress(args, 1)
		if err != nil {
			return nil, err
		}
		at, err := lowBytes(peer)
		if err != nil {
			return nil, err
		}
		nr, a := uint32(ia32Connect), []uint32{uint32(fd), at, uint32(len(peer))}
		if bySocketcall {
			var w words
			for _, v := range a {
				w.u32(v)
			}
			low, err := lowBytes(w.b)
			if err != nil {
				return nil, err
			}
			nr, a = ia32Socketcall, []uint32{ia32SubConnect, low}
		}
		r, err := ia32Call(nr, a...)
		return acted(map[string]any{"res": int64(r)}), err
	}
}

// ia32Exec executes a program with the 32-bit call, in a new process.
func ia32Exec(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	pid, err := ran(func() error {
		low, err := lowText(path)
		if err != nil {
			return err
		}
		argv, err := lowVector("from", "32 bits")
		if err != nil {
			return err
		}
		env, err := lowVector("K=V")
		if err != nil {
			return err
		}
		_, err = ia32Call(ia32Execve, low, argv, env)
		return err
	})
	return executed(pid, err, map[string]any{})
}

// ia32Attach attaches to a process as a debugger does.
func ia32Attach(_ *Maker, args []any) (any, error) {
	pid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	r, err := ia32Call(ia32Ptrace, unix.PTRACE_ATTACH, uint32(pid))
	return acted(map[string]any{"res": int64(r)}), err
}

func ia32Kills(_ *Maker, args []any) (any, error) {
	pid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	r, err := ia32Call(ia32Kill, uint32(pid), uint32(unix.SIGTERM))
	return acted(map[string]any{"res": int64(r)}), err
}

// x32Open opens a file by the number of x32 tasks. A kernel without them, or with them switched off, refuses.
func x32Open(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	at, err := textAddr(path)
	if err != nil {
		return nil, err
	}
	dir := unix.AT_FDCWD
	res, _ := sysValue(x32Bit|unix.SYS_OPENAT, uintptr(dir), at, unix.O_RDWR)
	return acted(map[string]any{"res": res}), nil
}
