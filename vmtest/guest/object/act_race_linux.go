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

// These acts change what a call points to while the call runs. A thread makes a call that blocks after the
// kernel has read its arguments; when it sleeps, the memory, or the file system, is changed, and then
// the call may go on. So the race is won every time, whatever the machine's speed.

// blocked is a thread in a call that blocks.
type blocked struct {
	call [2]op
	tid  int
}

// block starts a thread that makes the call, and waits until it sleeps there.
func block(nr uintptr, args ...uintptr) (*blocked, error) {
	b := &blocked{call: [2]op{sys(nr, args...)}}
	var err error
	if b.tid, err = startThread(&b.call); err != nil {
		return nil, err
	}
	return b, untilAsleep(os.Getpid(), b.tid, nr)
}

// end waits for the thread's end and returns the facts of its call.
func (b *blocked) end(fields map[string]any) (any, error) {
	untilGone(b.tid)
	res, err := b.call[0].result()
	if err != nil {
		return nil, fmt.Errorf("the call that blocked: %w", err)
	}
	fields["tid"], fields["res"] = int64(b.tid), res
	return acted(fields), nil
}

// innocent is what a false path ends with.
const innocent = "innocent-file"

// fifo makes a pipe with a name, which open waits at, and a path of the same length to be put in its place.
func (c *Maker) fifo() (path, lie string, err error) {
	path, lie = filepath.Join(c.Dir, "guilty---file"), filepath.Join(c.Dir, innocent)
	if err = unix.Mkfifo(path, 0o644); err == nil {
		err = os.WriteFile(lie, nil, 0o644)
	}
	return path, lie, err
}

// opened lets an open of a fifo go on, by opening its other end.
func opened(path string, flags int) error {
	_, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	return err
}

// racingOpens are the calls whose path race_open rewrites, by name: number, arguments, and the flags that open the
// other end of the fifo.
var racingOpens = map[string]func(path uintptr) (nr uintptr, args []uintptr, other int, err error){
	"open": openCall, "creat": creatCall,
	"openat": func(path uintptr) (uintptr, []uintptr, int, error) {
		return unix.SYS_OPENAT, []uintptr{dirCWD, path, unix.O_RDONLY}, unix.O_WRONLY, nil
	},
	"openat2": func(path uintptr) (uintptr, []uintptr, int, error) {
		r, err := NewRegion(24) // struct open_how: O_RDONLY
		return unix.SYS_OPENAT2, []uintptr{dirCWD, path, uintptr(r.Addr()), 24}, unix.O_WRONLY, err
	},
}

const dirCWD = ^uintptr(99) // AT_FDCWD

// raceOpen rewrites the path of an open that waits.
func raceOpen(c *Maker, args []any) (any, error) {
	name, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	path, lie, err := c.fifo()
	if err != nil {
		return nil, err
	}
	r, err := newRegionOf(cText(path))
	if err != nil {
		return nil, err
	}
	return c.raceAt(name, r.b, uintptr(r.Addr()), path, lie)
}

// raceAt makes the call with the path at an address, and rewrites it in memory while the call waits.
func (c *Maker) raceAt(name string, mem []byte, at uintptr, path, lie string) (any, error) {
	prepare, ok := racingOpens[name]
	if !ok {
		return nil, fmt.Errorf("unknown call %s", name)
	}
	nr, a, other, err := prepare(at)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b, err := block(nr, a...)
	if err != nil {
		return nil, err
	}
	copy(mem, lie)
	if err := opened(path, other); err != nil {
		return nil, err
	}
	return b.end(map[string]any{"path": path, "lie": lie})
}

// mappedText puts a string into a file and maps it: it is not in memory, as far as the page tables of this
// process say, until somebody reads it.
func (c *Maker) mappedText(text string) ([]byte, error) {
	file := c.unused("text")
	if err := os.WriteFile(file, append([]byte(text), make([]byte, pageSize)...), 0o644); err != nil {
		return nil, err
	}
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return unix.Mmap(fd, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
}

// openAbsent opens a file whose path is not in memory when the call begins: the kernel reads it in.
func openAbsent(c *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	b, err := c.mappedText(path)
	if err != nil {
		return nil, err
	}
	res, err := sysValue(unix.SYS_OPENAT, dirCWD, uintptr(addrOf(b)), unix.O_RDWR)
	return acted(map[string]any{"res": res}), err
}

// raceAbsent does both: the path is not in memory when the call begins, and another one when it ends.
func raceAbsent(c *Maker, _ []any) (any, error) {
	path, lie, err := c.fifo()
	if err != nil {
		return nil, err
	}
	b, err := c.mappedText(path)
	if err != nil {
		return nil, err
	}
	return c.raceAt("openat", b, uintptr(addrOf(b)), path, lie)
}

// raceLink makes a symbolic link lead to another file while the open of the first one waits.
func raceLink(c *Maker, _ []any) (any, error) {
	path, lie, err := c.fifo()
	if err != nil {
		return nil, err
	}
	link, other := filepath.Join(c.Dir, "link"), filepath.Join(c.Dir, "other")
	if err := errors.Join(unix.Symlink(path, link), unix.Symlink(lie, other)); err != nil {
		return nil, err
	}
	at, err := textAddr(link)
	if err != nil {
		return nil, err
	}
	b, err := block(unix.SYS_OPENAT, dirCWD, at, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	if err := unix.Rename(other, link); err != nil {
		return nil, err
	}
	if err := opened(path, unix.O_WRONLY); err != nil {
		return nil, err
	}
	var st, now unix.Stat_t
	if err := errors.Join(unix.Stat(path, &st), unix.Stat(link, &now)); err != nil {
		return nil, err
	}
	return b.end(map[string]any{"link": link, "dev": encodeDev(uint64(st.Dev)), "ino": int64(st.Ino), "lie_ino": int64(now.Ino)})
}

// raceConnect rewrites the address of a connect that waits, for a listener whose queue is full.
func raceConnect(c *Maker, _ []any) (any, error) {
	guilty, lie := filepath.Join(c.Dir, "guilty--socket"), filepath.Join(c.Dir, "innocentsocket")
	listener, err := boundSocketAt(unix.SOCK_STREAM, false, "unix:"+guilty)
	if err != nil {
		return nil, err
	}
	lfd := int(listener.plain.(int64))
	if err := unix.Listen(lfd, 0); err != nil {
		return nil, err
	}
	peer, err := parseEndpoint("unix:" + guilty)
	if err != nil {
		return nil, err
	}
	r, err := newRegionOf(peer.raw)
	if err != nil {
		return nil, err
	}
	for full := false; !full; {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		err = sysCall(unix.SYS_CONNECT, uintptr(fd), uintptr(r.Addr()), uintptr(len(r.b)))
		if full = errors.Is(err, unix.EAGAIN); err != nil && !full {
			return nil, fmt.Errorf("fill the queue: %w", err)
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	b, err := block(unix.SYS_CONNECT, uintptr(fd), uintptr(r.Addr()), uintptr(len(r.b)))
	if err != nil {
		return nil, err
	}
	copy(r.b[2:], lie)
	if _, _, err := unix.Accept4(lfd, unix.SOCK_CLOEXEC); err != nil {
		return nil, err
	}
	wire := func(path string) []byte { return Address{Family: familyUnix, Path: path}.Wire() }
	return b.end(map[string]any{"fd": int64(fd), "addr": wire(guilty), "lie": wire(lie)})
}

// raceWrite rewrites the data of a write that waits, for a pipe that is full after the first page of it.
func raceWrite(_ *Maker, _ []any) (any, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	if _, err := unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, pageSize); err != nil {
		return nil, err
	}
	size := 2 * pageSize
	secret, lie := strings.Repeat("secret..", size/8), strings.Repeat("nothing.", size/8)
	r, err := newRegionOf([]byte(secret))
	if err != nil {
		return nil, err
	}
	b, err := block(unix.SYS_WRITE, uintptr(p[1]), uintptr(r.Addr()), uintptr(size))
	if err != nil {
		return nil, err
	}
	copy(r.b, lie)
	got := make([]byte, 0, size)
	for len(got) < size {
		n, err := unix.Read(p[0], got[len(got):size])
		if err != nil {
			return nil, err
		}
		got = got[:len(got)+n]
	}
	if !strings.HasPrefix(string(got), secret[:pageSize]) {
		return nil, errors.New("the kernel did not copy the first page before the call waited")
	}
	return b.end(map[string]any{"fd": int64(p[1]), "data": got[:80], "lie": lie[:80]})
}
