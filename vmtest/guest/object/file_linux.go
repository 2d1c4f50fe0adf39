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

	"github.com/scaplab/scaplab/internal/abi"
)

// encodeDev packs a device number like events do.
func encodeDev(dev uint64) int64 {
	return int64(abi.EncodeDev(unix.Major(dev), unix.Minor(dev)))
}

func tempDir(c *Maker, _ []any) (any, error) {
	path := c.unused("d")
	return path, os.Mkdir(path, 0o755)
}

func tempFile(c *Maker, args []any) (any, error) {
	data, err := argBytes(args, 0)
	if err != nil {
		return nil, err
	}
	path := c.unused("f")
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if n, err := unix.Pwrite(fd, data, 0); err != nil || n != len(data) {
		return nil, fmt.Errorf("%s: wrote %d of %d bytes: %w", path, n, len(data), err)
	}
	return fileObject(fd, path)
}

func fileObject(fd int, path string) (any, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("fstat: %w", err)
	}
	return number("file", int64(fd), map[string]any{
		"fd": int64(fd), "path": path, "dev": encodeDev(uint64(st.Dev)), "ino": int64(st.Ino),
	}), nil
}

func newFile(c *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	data, err := argBytes(args, 1)
	if err != nil {
		return nil, err
	}
	return path, os.WriteFile(path, data, 0o644)
}

func mkDir(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	return path, os.Mkdir(path, 0o755)
}

func symlink(_ *Maker, args []any) (any, error) {
	target, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	path, err := argText(args, 1)
	if err != nil {
		return nil, err
	}
	return path, os.Symlink(target, path)
}

// setXattr sets an attribute of the file itself, if it is a symbolic link.
func setXattr(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	name, err := argText(args, 1)
	if err != nil {
		return nil, err
	}
	value, err := argBytes(args, 2)
	if err != nil {
		return nil, err
	}
	return name, unix.Lsetxattr(path, name, value, 0)
}

func openFile(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	flags, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	mode, err := argIntOr(args, 2, 0)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, int(flags), uint32(mode))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return fileObject(fd, path)
}

func closeFD(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	return fd, unix.Close(int(fd))
}

func writeAll(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	data, err := argBytes(args, 1)
	if err != nil {
		return nil, err
	}
	n, err := unix.Write(int(fd), data)
	if err == nil && n != len(data) {
		err = fmt.Errorf("wrote %d of %d bytes", n, len(data))
	}
	return int64(n), err
}

func fileHandle(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, path, 0)
	if err != nil {
		return nil, fmt.Errorf("handle of %s: %w", path, err)
	}
	var w words
	w.u32(uint32(h.Size()))
	w.u32(uint32(h.Type()))
	w.b = append(w.b, h.Bytes()...)
	return region0(newRegionOf(w.b))("file_handle", nil)
}

func fsOpen(_ *Maker, args []any) (any, error) {
	typ, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Fsopen(typ, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen %s: %w", typ, err)
	}
	return int64(fd), nil
}

// fsCreate makes the file system of a context.
func fsCreate(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	return fd, unix.FsconfigCreate(int(fd))
}

func fsMount(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	m, err := unix.Fsmount(int(fd), unix.FSMOUNT_CLOEXEC, 0)
	return int64(m), err
}

// newInotify makes a queue that watches for new files at these paths.
func newInotify(_ *Maker, args []any) (any, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	for i := range args {
		path, err := argText(args, i)
		if err != nil {
			return nil, err
		}
		if _, err := unix.InotifyAddWatch(fd, path, unix.IN_CREATE); err != nil {
			return nil, fmt.Errorf("watch %s: %w", path, err)
		}
	}
	return int64(fd), nil
}

func newFanotify(_ *Maker, _ []any) (any, error) {
	fd, err := unix.FanotifyInit(unix.FAN_CLOEXEC, unix.O_RDONLY)
	return int64(fd), err
}

func mount(_ *Maker, args []any) (any, error) {
	typ, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	path, err := argText(args, 1)
	if err != nil {
		return nil, err
	}
	if Isolation() == 0 {
		return nil, errors.New("no mount namespace of its own (needs root)")
	}
	return path, unix.Mount(typ, path, typ, 0, "")
}

// changeRoot gives the process of the case another root directory.
func changeRoot(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Chroot(path); err != nil {
		return nil, err
	}
	return path, unix.Chdir("/")
}

// mountID returns the id of a mount that no other mount has, on kernels that have such ids.
func mountID(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	const unique = 0x4000 // STATX_MNT_ID_UNIQUE
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unique, &st); err != nil {
		return nil, err
	}
	if st.Mask&unique == 0 {
		return nil, errors.New("the kernel has no such ids")
	}
	return int64(st.Mnt_id), nil
}

func newPipe(_ *Maker, _ []any) (any, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	r, err := fileObject(p[0], "")
	if err != nil {
		return nil, err
	}
	w, err := fileObject(p[1], "")
	if err != nil {
		return nil, err
	}
	return &Object{what: "pipe", fields: map[string]any{"r": r, "w": w}, elems: []any{r, w}}, nil
}

func memFD(_ *Maker, args []any) (any, error) {
	name, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return fileObject(fd, "/memfd:"+name)
}

// newProgram writes a minimal executable that ends with status 0.
// deepDir makes directories in one another. Their path may be longer than a call takes.
func deepDir(c *Maker, args []any) (any, error) {
	n, err := argSize(args, 0)
	if err != nil {
		return nil, err
	}
	length, err := argSize(args, 1)
	if err != nil {
		return nil, err
	}
	path, name := c.unused("d"), strings.Repeat("n", length)
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	for i := 0; i < n && err == nil; i++ {
		up := fd
		if err = unix.Mkdirat(up, name, 0o755); err == nil {
			fd, err = unix.Openat(up, name, unix.O_PATH|unix.O_CLOEXEC, 0)
		}
		unix.Close(up)
		path += "/" + name
	}
	if err != nil {
		return nil, fmt.Errorf("directory %d of %d: %w", strings.Count(path, name), n, err)
	}
	return number("directory", int64(fd), map[string]any{"fd": int64(fd), "path": path}), nil
}

// lastNames returns the end of a path that has n names.
func lastNames(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	n, err := argSize(args, 1)
	if err != nil {
		return nil, err
	}
	names := strings.Split(path, "/")
	if n >= len(names) {
		return nil, fmt.Errorf("%s has %d names (want more than %d)", path, len(names)-1, n)
	}
	return "/" + strings.Join(names[len(names)-n:], "/"), nil
}

func newProgram(c *Maker, args []any) (any, error) {
	at, dir := unix.AT_FDCWD, c.unused("d")
	name := filepath.Join(dir, "program")
	if len(args) == 0 {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	} else {
		o, err := argObject(args, 0)
		if err != nil || o.what != "directory" {
			return nil, fmt.Errorf("argument 1 is no directory of deep(): %w", err)
		}
		at, dir, name = int(o.fields["fd"].(int64)), o.fields["path"].(string), "program"
	}
	path := filepath.Join(dir, "program")
	fd, err := unix.Openat(at, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o755)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	_, err = unix.Write(fd, tinyELF())
	if err := errors.Join(err, unix.Close(fd)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(at, name, &st, 0); err != nil {
		return nil, err
	}
	return &Object{what: "program", plain: path, fields: map[string]any{
		"path": path, "dev": encodeDev(uint64(st.Dev)), "ino": int64(st.Ino), "ctime": st.Ctim.Nano(), "mtime": st.Mtim.Nano(),
	}}, nil
}

// tinyELF returns a static executable with one segment that calls exit_group(0).
func tinyELF() []byte {
	const base, headers = 0x400000, 64 + 56
	var w words
	w.b = append(w.b, "\x7fELF\x02\x01\x01"...)
	w.align(16)
	w.u16(2) // executable
	w.u16(elfMachine)
	w.u32(1)
	w.u64(base + headers) // entry
	w.u64(64)             // program headers
	w.u64(0)              // section headers
	w.u32(0)              // flags
	w.u16(64)
	w.u16(56)
	w.u16(1)
	w.u16(64)
	w.u16(0)
	w.u16(0)

	size := uint64(headers + len(exitCode))
	w.u32(1) // load
	w.u32(5) // readable, executable
	w.u64(0)
	w.u64(base)
	w.u64(base)
	w.u64(size)
	w.u64(size)
	w.u64(4096)
	w.b = append(w.b, exitCode...)
	return w.b
}

func newEpoll(_ *Maker, args []any) (any, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	for i := range args {
		fd, events, err := descriptorAndEvents(args, i)
		if err != nil {
			return nil, err
		}
		ev := unix.EpollEvent{Events: uint32(events), Fd: int32(fd)}
		if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, int(fd), &ev); err != nil {
			return nil, fmt.Errorf("epoll_ctl: %w", err)
		}
	}
	return number("epoll queue", int64(epfd), map[string]any{"fd": int64(epfd)}), nil
}

func statObject(st *unix.Stat_t) any {
	return &Object{what: "stat", fields: map[string]any{
		"dev": encodeDev(uint64(st.Dev)), "ino": int64(st.Ino), "mode": int64(st.Mode), "size": st.Size,
		"uid": int64(st.Uid), "gid": int64(st.Gid), "nlink": int64(st.Nlink), "rdev": encodeDev(uint64(st.Rdev)),
		"ctime": st.Ctim.Nano(), "mtime": st.Mtim.Nano(), "atime": st.Atim.Nano(),
	}}
}

func fstat(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return statObject(&st), nil
}

func stat(_ *Maker, args []any) (any, error)  { return statPath(args, unix.Stat) }
func lstat(_ *Maker, args []any) (any, error) { return statPath(args, unix.Lstat) }

func statPath(args []any, call func(string, *unix.Stat_t) error) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := call(path, &st); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return statObject(&st), nil
}
