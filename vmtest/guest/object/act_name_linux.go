// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// openNew opens a path below a directory, "" for none, creates the file, and returns its facts.
func openNew(dir int, path string) (any, error) {
	at, err := textAddr(path)
	if err != nil {
		return nil, err
	}
	res, err := sysValue(unix.SYS_OPENAT, uintptr(dir), at, unix.O_RDWR|unix.O_CREAT, 0o600)
	if err != nil {
		return nil, fmt.Errorf("openat: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(res), &st); err != nil {
		return nil, err
	}
	return acted(map[string]any{"res": res, "path": []byte(path), "dir": int64(dir), "dev": encodeDev(uint64(st.Dev)), "ino": int64(st.Ino)}), nil
}

// openLong opens a file by the longest path that the kernel takes: 4095 bytes.
func openLong(c *Maker, _ []any) (any, error) {
	const longest = unix.PathMax - 1
	const name = "file"
	room := longest - len(c.Dir) - len(name) - 1
	return openNew(unix.AT_FDCWD, c.Dir+"/"+strings.Repeat("/", room%2)+strings.Repeat("./", room/2)+name)
}

// openStrange opens a file whose name is not UTF-8 and would write to a terminal.
func openStrange(c *Maker, _ []any) (any, error) {
	return openNew(unix.AT_FDCWD, c.Dir+"/\xff\xc3\x28\n\x1b[2J ")
}

// openDots opens a file by a path that goes up again and names a directory twice.
func openDots(c *Maker, _ []any) (any, error) {
	if err := os.Mkdir(filepath.Join(c.Dir, "tmp"), 0o755); err != nil {
		return nil, err
	}
	return openNew(unix.AT_FDCWD, c.Dir+"/tmp/..//./file")
}

// openBelow opens a file below a directory that was renamed after it was opened.
func openBelow(c *Maker, _ []any) (any, error) {
	dir := filepath.Join(c.Dir, "etc")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Rename(dir, filepath.Join(c.Dir, "tmp")); err != nil {
		return nil, err
	}
	return openNew(fd, "shadow")
}

// openRemoved opens a file that has no name any more, by the link of its descriptor.
func openRemoved(c *Maker, _ []any) (any, error) {
	path := filepath.Join(c.Dir, "removed")
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Unlink(path); err != nil {
		return nil, err
	}
	return openNew(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd))
}

// connectNamed connects to a unix socket of a name, which is abstract if it begins with a NUL.
func connectNamed(name string) (any, error) {
	raw := append([]byte{unix.AF_UNIX, 0}, name...) // little-endian on all architectures of the guest
	r, err := newRegionOf(raw)
	if err != nil {
		return nil, err
	}
	at, size := uintptr(r.Addr()), uintptr(len(raw))
	server, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(sysCall(unix.SYS_BIND, uintptr(server), at, size), unix.Listen(server, 1)); err != nil {
		return nil, err
	}
	if err := sysCall(unix.SYS_CONNECT, uintptr(client), at, size); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	wire := append([]byte{familyUnix}, strings.TrimPrefix(name, "\x00")...)
	return acted(map[string]any{"fd": int64(client), "addr": append(wire, 0)}), nil
}

func connectAbstract(c *Maker, _ []any) (any, error) {
	return connectNamed(fmt.Sprintf("\x00hidden-%d", c.TID))
}

// connectNUL connects to an abstract name with a NUL and other bytes inside.
func connectNUL(c *Maker, _ []any) (any, error) {
	return connectNamed(fmt.Sprintf("\x00dbus-%d\x00\xff\n", c.TID))
}
