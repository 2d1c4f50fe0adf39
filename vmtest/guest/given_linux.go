// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/expr"
)

// functions are what `given`, `call` and `after` may call, as helpers.yaml
// declares them.
var functions map[string]func(c *child, args []any) (any, error)

func init() {
	functions = map[string]func(c *child, args []any) (any, error){
		"tempdir": tempDir, "tempfile": tempFile, "file": newFile, "mkdir": mkDir, "symlink": symlink,
		"open": openFile, "close": closeFD, "seek": seek, "write": writeAll, "file_handle": fileHandle, "fsopen": fsOpen, "mount": mount, "pipe": newPipe,
		"memfd": memFD, "program": newProgram, "epoll": newEpoll, "io_uring": newIOURing, "semaphores": newSemaphores,

		"tcp": tcpBound, "tcp_listen": tcpListen, "tcp_connect": tcpConnect, "tcp_pair": tcpPair,
		"udp": udpBound, "udp_connect": udpConnect, "unix_dgram": unixDgram, "unix_listen": unixListen,
		"unix_stream": unixStream, "unix_connect": unixConnect, "socket": plainSocket, "sockopt": socketOption, "socketpair": socketPair, "send": sendBytes, "sendto": sendTo,
		"sockaddr": sockaddrMemory,

		"pattern": pattern, "zeros": zeros, "cstr": cString, "text": letters, "unmapped": unmapped, "mapped": mapped,
		"s32s": s32s, "u64s": u64s, "timespec": pairOf("timespec"), "timeval": pairOf("timeval"),
		"rlimit": pairOf("rlimit"), "iovec": ioVec, "msghdr": msgHdr, "mmsghdrs": mmsgHdrs, "pollfds": pollFDs, "open_how": openHow,
		"io_uring_params": ioURingParams, "cap_header": capHeader, "cap_data": capData, "clone_args": cloneArgsMemory, "argv": argVector,
		"pointers": pointers,

		"become": become, "umask": setUmask, "no_fds": noFDs, "no_tasks": noTasks, "child": sleepingChild, "traced": tracedChild, "self": self,
		"uids": setIDs(unix.SYS_SETRESUID), "gids": setIDs(unix.SYS_SETRESGID), "group": ownGroup, "pidfd": pidFD,

		"key": newKey, "keyring": newKeyring, "module": newModule, "load_module": loadImage,

		"fstat": fstat, "stat": stat, "lstat": lstat, "getsockname": getSockName, "getpeername": getPeerName,
		"s32": s32At, "u32": u32At, "u64": u64At, "mem": memAt, "child_self": childSelf,
	}
}

// Arguments of functions: argInt and its siblings read the i-th or say what
// is missing.

func argInt(args []any, i int) (int64, error) {
	if i >= len(args) {
		return 0, fmt.Errorf("argument %d is missing", i+1)
	}
	n, err := expr.ToInt(args[i])
	if err != nil {
		return 0, fmt.Errorf("argument %d: %w", i+1, err)
	}
	return n, nil
}

func argIntOr(args []any, i int, def int64) (int64, error) {
	if i >= len(args) {
		return def, nil
	}
	return argInt(args, i)
}

func argText(args []any, i int) (string, error) {
	if i >= len(args) {
		return "", fmt.Errorf("argument %d is missing", i+1)
	}
	s, err := expr.ToText(args[i])
	if err != nil {
		return "", fmt.Errorf("argument %d: %w", i+1, err)
	}
	return s, nil
}

func argBytes(args []any, i int) ([]byte, error) {
	if i >= len(args) {
		return nil, nil
	}
	b, err := expr.ToBytes(args[i])
	if err != nil {
		return nil, fmt.Errorf("argument %d: %w", i+1, err)
	}
	return b, nil
}

func argObject(args []any, i int) (*object, error) {
	if i < len(args) {
		if o, ok := args[i].(*object); ok {
			return o, nil
		}
	}
	return nil, fmt.Errorf("argument %d must be an object of `given`", i+1)
}

// encodeDev packs a device number as events do: 12 bits major, 20 bits minor
// in two parts.
func encodeDev(dev uint64) int64 {
	major, minor := uint64(unix.Major(dev)), uint64(unix.Minor(dev))
	return int64(minor&0xff | major<<8 | minor&^0xff<<12)
}

// Files.

func (c *child) unused(prefix string) string {
	c.made++
	return filepath.Join(c.dir, fmt.Sprintf("%s%d", prefix, c.made))
}

func tempDir(c *child, _ []any) (any, error) {
	path := c.unused("d")
	return path, os.Mkdir(path, 0o755)
}

func tempFile(c *child, args []any) (any, error) {
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

func newFile(c *child, args []any) (any, error) {
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

func mkDir(_ *child, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	return path, os.Mkdir(path, 0o755)
}

func symlink(_ *child, args []any) (any, error) {
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

func openFile(_ *child, args []any) (any, error) {
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

func closeFD(_ *child, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	return fd, unix.Close(int(fd))
}

func seek(_ *child, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	off, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	return unix.Seek(int(fd), off, unix.SEEK_SET)
}

func writeAll(_ *child, args []any) (any, error) {
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

func fileHandle(_ *child, args []any) (any, error) {
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

func fsOpen(_ *child, args []any) (any, error) {
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

func mount(_ *child, args []any) (any, error) {
	typ, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	path, err := argText(args, 1)
	if err != nil {
		return nil, err
	}
	if isolation() == 0 {
		return nil, errors.New("no mount namespace of its own (needs root)")
	}
	return path, unix.Mount(typ, path, typ, 0, "")
}

func newPipe(_ *child, _ []any) (any, error) {
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
	return &object{what: "pipe", fields: map[string]any{"r": r, "w": w}, elems: []any{r, w}}, nil
}

func memFD(_ *child, args []any) (any, error) {
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

// newProgram writes the smallest executable: it ends with status 0.
func newProgram(c *child, _ []any) (any, error) {
	dir := c.unused("d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, tinyELF(), 0o755); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, err
	}
	return &object{what: "program", plain: path, fields: map[string]any{
		"path": path, "dev": encodeDev(uint64(st.Dev)), "ino": int64(st.Ino), "ctime": st.Ctim.Nano(), "mtime": st.Mtim.Nano(),
	}}, nil
}

// tinyELF is a static executable of one segment that calls exit_group(0).
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

// Memory.

func region0(r region, err error) func(what string, fields map[string]any) (any, error) {
	return func(what string, fields map[string]any) (any, error) {
		if err != nil {
			return nil, err
		}
		return memory(what, r, fields), nil
	}
}

func argSize(args []any, i int) (int, error) {
	n, err := argInt(args, i)
	if err == nil && (n < 0 || n > 1<<26) {
		err = fmt.Errorf("argument %d: %d bytes (0 to %d)", i+1, n, 1<<26)
	}
	return int(n), err
}

func pattern(_ *child, args []any) (any, error) {
	n, err := argSize(args, 0)
	if err != nil {
		return nil, err
	}
	r, err := newRegion(n)
	for i := range r.b {
		r.b[i] = PatternByte(i)
	}
	return region0(r, err)("pattern", nil)
}

func zeros(_ *child, args []any) (any, error) {
	n, err := argSize(args, 0)
	if err != nil {
		return nil, err
	}
	return region0(newRegion(n))("buffer", nil)
}

func cString(_ *child, args []any) (any, error) {
	s, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	return region0(newRegionOf(append([]byte(s), 0)))("string", map[string]any{"text": s})
}

func letters(_ *child, args []any) (any, error) {
	n, err := argSize(args, 0)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return string(b), nil
}

func unmapped(_ *child, _ []any) (any, error) {
	r, err := newRegion(0)
	return int64(r.addr()), err
}

func mapped(_ *child, args []any) (any, error) {
	n, err := argSize(args, 0)
	if err != nil {
		return nil, err
	}
	prot, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	b, err := unix.Mmap(-1, 0, n, int(prot), unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	// A number, not memory: the rights may not allow to look at it.
	return number("mapping", int64(addrOf(b)), map[string]any{"addr": int64(addrOf(b)), "len": int64(n)}), nil
}

func s32s(_ *child, args []any) (any, error) {
	var w words
	for i := range args {
		n, err := argInt(args, i)
		if err != nil {
			return nil, err
		}
		w.u32(uint32(n))
	}
	return region0(newRegionOf(w.b))("numbers", nil)
}

func u64s(_ *child, args []any) (any, error) {
	var w words
	for i := range args {
		n, err := argInt(args, i)
		if err != nil {
			return nil, err
		}
		w.u64(uint64(n))
	}
	return region0(newRegionOf(w.b))("numbers", nil)
}

// pairOf makes structs of two 64-bit numbers.
func pairOf(what string) func(*child, []any) (any, error) {
	return func(c *child, args []any) (any, error) {
		if len(args) != 2 {
			return nil, fmt.Errorf("%d arguments (want 2)", len(args))
		}
		v, err := u64s(c, args)
		if err != nil {
			return nil, err
		}
		o := v.(*object)
		o.what = what
		return o, nil
	}
}

// pointerAndSize is what an iovec holds for an object, or for [ptr, len].
func (c *child) pointerAndSize(v any) (ptr, size uint64, err error) {
	switch v := v.(type) {
	case *object:
		if b, ok := v.plain.([]byte); ok && v.hasAddr {
			return v.addr, uint64(len(b)), nil
		}
	case []any:
		if len(v) == 2 {
			p, err := c.register(v[0], "")
			if err != nil {
				return 0, 0, err
			}
			n, err := expr.ToInt(v[1])
			return uint64(p), uint64(n), err
		}
	case []byte, string:
		p, err := c.register(v, "")
		if err != nil {
			return 0, 0, err
		}
		b, err := expr.ToBytes(v)
		return uint64(p), uint64(len(b)), err
	}
	return 0, 0, errors.New("neither memory nor [ptr, len]")
}

func ioVec(c *child, args []any) (any, error) {
	var w words
	for i, a := range args {
		p, n, err := c.pointerAndSize(a)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		w.u64(p)
		w.u64(n)
	}
	o, err := region0(newRegionOf(w.b))("iovec", map[string]any{"count": int64(len(args))})
	if err == nil {
		o.(*object).keep = args
	}
	return o, err
}

// structArg is the {name: value} argument of functions such as msghdr.
func structArg(args []any, known ...string) (map[string]any, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("%d arguments (want one {name: value})", len(args))
	}
	s, ok := args[0].(*expr.StructValue)
	if !ok {
		return nil, errors.New("the argument must be {name: value, ...}")
	}
	m := map[string]any{}
next:
	for i, n := range s.Names {
		for _, k := range known {
			if n == k {
				m[n] = s.Values[i]
				continue next
			}
		}
		return nil, fmt.Errorf("unknown field %s (want one of %s)", n, strings.Join(known, ", "))
	}
	return m, nil
}

func msgHdr(c *child, args []any) (any, error) {
	m, err := structArg(args, "name", "namelen", "iov", "iovlen", "control", "controllen", "flags")
	if err != nil {
		return nil, err
	}
	// place gives the address and, unless a field of its own says it, the length.
	place := func(name, lenName string, unit uint64) (addr, n uint64, err error) {
		if v, ok := m[name]; ok {
			if o, isObject := v.(*object); isObject {
				if a, isAddr := o.fields["addr"].(*object); isAddr { // a socket: its address
					v = a
				}
			}
			p, size, sizeErr := c.pointerAndSize(v)
			if sizeErr != nil { // a number
				reg, err := c.register(v, "")
				if err != nil {
					return 0, 0, fmt.Errorf("%s: %w", name, err)
				}
				p = uint64(reg)
			}
			addr, n = p, size/unit
		}
		if v, ok := m[lenName]; ok {
			k, err := expr.ToInt(v)
			if err != nil {
				return 0, 0, fmt.Errorf("%s: %w", lenName, err)
			}
			n = uint64(k)
		}
		return addr, n, nil
	}
	name, nameLen, err := place("name", "namelen", 1)
	if err != nil {
		return nil, err
	}
	iov, iovLen, err := place("iov", "iovlen", 16)
	if err != nil {
		return nil, err
	}
	control, controlLen, err := place("control", "controllen", 1)
	if err != nil {
		return nil, err
	}
	var flags int64
	if v, ok := m["flags"]; ok {
		if flags, err = expr.ToInt(v); err != nil {
			return nil, fmt.Errorf("flags: %w", err)
		}
	}
	var w words
	w.u64(name)
	w.u32(uint32(nameLen))
	w.u32(0)
	w.u64(iov)
	w.u64(iovLen)
	w.u64(control)
	w.u64(controlLen)
	w.u32(uint32(flags))
	w.u32(0)
	o, err := region0(newRegionOf(w.b))("msghdr", nil)
	if err == nil {
		o.(*object).keep = args
	}
	return o, err
}

// mmsgHdrs puts msghdrs one after the other, each with its msg_len.
func mmsgHdrs(_ *child, args []any) (any, error) {
	var w words
	for i := range args {
		m, err := argObject(args, i)
		if err != nil {
			return nil, err
		}
		b, ok := m.plain.([]byte)
		if !ok || m.what != "msghdr" {
			return nil, fmt.Errorf("argument %d is a %s (want a msghdr)", i+1, m.what)
		}
		w.b = append(w.b, b...)
		w.u64(0)
	}
	o, err := region0(newRegionOf(w.b))("mmsghdrs", nil)
	if err == nil {
		o.(*object).keep = args
	}
	return o, err
}

// descriptorAndEvents is the [fd, events] that an argument must be.
func descriptorAndEvents(args []any, i int) (fd, events int64, err error) {
	pair, ok := args[i].([]any)
	if !ok || len(pair) != 2 {
		return 0, 0, fmt.Errorf("argument %d must be [fd, events]", i+1)
	}
	if fd, err = argInt(pair, 0); err != nil {
		return 0, 0, err
	}
	events, err = argInt(pair, 1)
	return fd, events, err
}

func newEpoll(_ *child, args []any) (any, error) {
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

func pollFDs(_ *child, args []any) (any, error) {
	var w words
	for i := range args {
		fd, events, err := descriptorAndEvents(args, i)
		if err != nil {
			return nil, err
		}
		w.u32(uint32(fd))
		w.u32(uint32(uint16(events))) // and revents 0
	}
	return region0(newRegionOf(w.b))("pollfds", nil)
}

func openHow(c *child, args []any) (any, error) {
	if len(args) != 3 {
		return nil, fmt.Errorf("%d arguments (want 3)", len(args))
	}
	return u64s(c, args)
}

func capHeader(_ *child, args []any) (any, error) {
	pid, err := argIntOr(args, 0, 0)
	if err != nil {
		return nil, err
	}
	var w words
	w.u32(unix.LINUX_CAPABILITY_VERSION_3)
	w.u32(uint32(pid))
	return region0(newRegionOf(w.b))("cap_header", nil)
}

func capData(_ *child, args []any) (any, error) {
	var masks [3]uint64
	for i := range masks {
		n, err := argInt(args, i)
		if err != nil {
			return nil, err
		}
		masks[i] = uint64(n)
	}
	var w words
	for half := range 2 {
		for _, m := range masks {
			w.u32(uint32(m >> (32 * half)))
		}
	}
	return region0(newRegionOf(w.b))("cap_data", nil)
}

var cloneArgFields = []string{"flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls",
	"set_tid", "set_tid_size", "cgroup"}

func cloneArgsMemory(c *child, args []any) (any, error) {
	m, err := structArg(args, cloneArgFields...)
	if err != nil {
		return nil, err
	}
	var w words
	for _, f := range cloneArgFields {
		v, ok := m[f]
		if !ok {
			w.u64(0)
			continue
		}
		n, err := c.register(v, "")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		w.u64(uint64(n))
	}
	return region0(newRegionOf(w.b))("clone_args", nil)
}

func argVector(c *child, args []any) (any, error) {
	var w words
	var all []byte
	first := ""
	rest := 0
	for i := range args {
		text, err := argText(args, i)
		if err != nil {
			return nil, err
		}
		p, err := c.register(text, "")
		if err != nil {
			return nil, err
		}
		w.u64(uint64(p))
		all = append(append(all, text...), 0)
		if i == 0 {
			first, rest = text, len(all)
		}
	}
	w.u64(0)
	return region0(newRegionOf(w.b))("argv", map[string]any{"first": first, "rest": all[rest:], "all": all})
}

func pointers(c *child, args []any) (any, error) {
	var w words
	for i, a := range args {
		p, err := c.register(a, "")
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		w.u64(uint64(p))
	}
	o, err := region0(newRegionOf(w.b))("pointers", nil)
	if err == nil {
		o.(*object).keep = args
	}
	return o, err
}

// Processes.

// become changes the ids of this thread only; the functions of x/sys change
// those of all threads.
func become(c *child, args []any) (any, error) {
	uid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	gid, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, 0, 0, 0},
		{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
		{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return nil, errno
		}
	}
	return uid, nil
}

// setIDs makes a call that sets three ids of this thread.
func setIDs(nr uintptr) func(*child, []any) (any, error) {
	return func(_ *child, args []any) (any, error) {
		var ids [3]int64
		for i := range ids {
			n, err := argInt(args, i)
			if err != nil {
				return nil, err
			}
			ids[i] = n
		}
		if _, _, errno := unix.RawSyscall(nr, uintptr(ids[0]), uintptr(ids[1]), uintptr(ids[2])); errno != 0 {
			return nil, errno
		}
		return ids[1], nil
	}
}

func ownGroup(_ *child, args []any) (any, error) {
	pid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Setpgid(int(pid), 0); err != nil {
		return nil, err
	}
	pgid, err := unix.Getpgid(int(pid))
	return int64(pgid), err
}

func pidFD(_ *child, args []any) (any, error) {
	pid, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	fd, err := unix.PidfdOpen(int(pid), 0)
	return int64(fd), err
}

func setUmask(_ *child, args []any) (any, error) {
	mask, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	unix.Umask(int(mask))
	return mask, nil
}

// noFDs makes every new descriptor fail with EMFILE while the call is done.
func noFDs(c *child, _ []any) (any, error) { return noMore(c, unix.RLIMIT_NOFILE) }

// noTasks makes every new process or thread fail with EAGAIN while the call is
// done, unless the caller is root or has CAP_SYS_ADMIN or CAP_SYS_RESOURCE.
func noTasks(c *child, _ []any) (any, error) { return noMore(c, unix.RLIMIT_NPROC) }

// noMore lowers a soft limit to 0 while the call is done; what it was is the value.
func noMore(c *child, resource int) (any, error) {
	var was unix.Rlimit
	if err := unix.Prlimit(0, resource, nil, &was); err != nil {
		return nil, err
	}
	set := func(cur uint64) {
		lim := unix.Rlimit{Cur: cur, Max: was.Max}
		if _, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(resource), uintptr(unsafe.Pointer(&lim)), 0, 0, 0); errno != 0 {
			panic(fmt.Sprintf("set limit %d to %d: %v", resource, cur, errno))
		}
	}
	c.before = append(c.before, func() { set(0) })
	c.behind = append(c.behind, func() { set(was.Cur) })
	return int64(was.Cur), nil
}

func sleepingChild(_ *child, _ []any) (any, error) {
	pid, err := startProgram(program(opPause, op{nr: opJump}), 0)
	if err != nil {
		return nil, err
	}
	return number("child", int64(pid), map[string]any{"pid": int64(pid)}), nil
}

// program keeps ops where nothing moves them and points jumps without a
// target at the first one.
func program(ops ...op) []op {
	for i := range ops {
		if ops[i].nr == opJump && ops[i].arg[0] == 0 {
			ops[i].arg[0] = uintptr(unsafe.Pointer(&ops[0]))
		}
	}
	return ops
}

// tracedWord is what a traced child has at the address its object tells.
const tracedWord = 0x7363_6170_6c61_6221

func tracedChild(_ *child, _ []any) (any, error) {
	r, err := newRegion(8)
	if err != nil {
		return nil, err
	}
	word := (*uint64)(unsafe.Pointer(&r.b[0]))
	*word = tracedWord
	pid, err := startProgram(program(opPause, op{nr: opJump}), 0)
	if err != nil {
		return nil, err
	}
	if err := unix.PtraceAttach(pid); err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
		return nil, fmt.Errorf("wait for it to stop: %w", err)
	}
	return number("traced child", int64(pid), map[string]any{
		"pid": int64(pid), "addr": int64(r.addr()), "word": int64(tracedWord),
	}), nil
}
