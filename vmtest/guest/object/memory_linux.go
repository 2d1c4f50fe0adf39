// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/expr"
)

func region0(r Region, err error) func(what string, fields map[string]any) (any, error) {
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

func pattern(_ *Maker, args []any) (any, error) {
	n, err := argSize(args, 0)
	if err != nil {
		return nil, err
	}
	r, err := NewRegion(n)
	for i := range r.b {
		r.b[i] = patternByte(i)
	}
	return region0(r, err)("pattern", nil)
}

func zeros(_ *Maker, args []any) (any, error) {
	n, err := argSize(args, 0)
	if err != nil {
		return nil, err
	}
	return region0(NewRegion(n))("buffer", nil)
}

func join(_ *Maker, args []any) (any, error) {
	var all []byte
	for i := range args {
		b, err := argBytes(args, i)
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return region0(newRegionOf(all))("buffer", nil)
}

func cString(_ *Maker, args []any) (any, error) {
	s, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	return region0(newRegionOf(append([]byte(s), 0)))("string", map[string]any{"text": s})
}

func letters(_ *Maker, args []any) (any, error) {
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

// times returns memory that holds the same bytes n times.
func times(_ *Maker, args []any) (any, error) {
	b, err := argBytes(args, 0)
	if err != nil {
		return nil, err
	}
	n, err := argSize(args, 1)
	if err != nil {
		return nil, err
	}
	o, err := region0(newRegionOf(bytes.Repeat(b, n)))("memory", nil)
	if err == nil {
		o.(*Object).keep = args // what the bytes point to
	}
	return o, err
}

func unmapped(_ *Maker, _ []any) (any, error) {
	r, err := NewRegion(0)
	return int64(r.Addr()), err
}

func mapped(_ *Maker, args []any) (any, error) {
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
	// A number rather than memory, because its protection may forbid reading.
	return number("mapping", int64(addrOf(b)), map[string]any{"addr": int64(addrOf(b)), "len": int64(n)}), nil
}

func s32s(_ *Maker, args []any) (any, error) {
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

func u64s(_ *Maker, args []any) (any, error) {
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

// pairOf returns a function that makes structs of two 64-bit numbers.
func pairOf(what string) func(*Maker, []any) (any, error) {
	return func(_ *Maker, args []any) (any, error) {
		if len(args) != 2 {
			return nil, fmt.Errorf("%d arguments (want 2)", len(args))
		}
		s := &expr.StructValue{Values: args}
		for _, f := range structs[what].fields {
			s.Names = append(s.Names, f.name)
		}
		return newStruct(what, s)
	}
}

// pointerAndSize returns the fields of an iovec for an object or for [ptr, len].
func pointerAndSize(v any) (ptr, size uint64, err error) {
	switch v := v.(type) {
	case *Object:
		if b, ok := v.plain.([]byte); ok && v.hasAddr {
			return v.addr, uint64(len(b)), nil
		}
	case []any:
		if len(v) == 2 {
			p, err := Register(v[0], "")
			if err != nil {
				return 0, 0, err
			}
			n, err := expr.ToInt(v[1])
			return uint64(p), uint64(n), err
		}
	case []byte, string:
		p, err := Register(v, "")
		if err != nil {
			return 0, 0, err
		}
		b, err := expr.ToBytes(v)
		return uint64(p), uint64(len(b)), err
	}
	return 0, 0, errors.New("neither memory nor [ptr, len]")
}

func ioVec(c *Maker, args []any) (any, error) {
	var w words
	for i, a := range args {
		p, n, err := pointerAndSize(a)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		w.u64(p)
		w.u64(n)
	}
	o, err := region0(newRegionOf(w.b))("iovec", map[string]any{"count": int64(len(args))})
	if err == nil {
		o.(*Object).keep = args
	}
	return o, err
}

// structArg returns the {name: value} argument of functions such as msghdr.
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

func msgHdr(c *Maker, args []any) (any, error) {
	m, err := structArg(args, "name", "namelen", "iov", "iovlen", "control", "controllen", "flags")
	if err != nil {
		return nil, err
	}
	// place returns the address, and the length unless another field has it.
	place := func(name, lenName string, unit uint64) (addr, n uint64, err error) {
		if v, ok := m[name]; ok {
			if o, isObject := v.(*Object); isObject {
				if a, isAddr := o.fields["addr"].(*Object); isAddr { // a socket: its address
					v = a
				}
			}
			p, size, sizeErr := pointerAndSize(v)
			if sizeErr != nil { // a number
				reg, err := Register(v, "")
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
	r, err := newRegionOf(w.b)
	if err != nil {
		return nil, err
	}
	o := memory("msghdr", r, nil)
	o.keep = args
	o.live = func() map[string]any { return structs["user_msghdr"].read(r.b) }
	return o, nil
}

// mmsgHdrs makes consecutive msghdrs, each with its msg_len.
func mmsgHdrs(_ *Maker, args []any) (any, error) {
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
	r, err := newRegionOf(w.b)
	if err != nil {
		return nil, err
	}
	o := memory("mmsghdrs", r, nil)
	o.keep = args
	one := structs["mmsghdr"]
	for i := range args {
		o.elems = append(o.elems, &Object{what: "mmsghdr", live: func() map[string]any { return one.read(r.b[i*one.size:]) }})
	}
	return o, nil
}

// descriptorAndEvents parses an argument of the form [fd, events].
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

func pollFDs(_ *Maker, args []any) (any, error) {
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

func capHeader(_ *Maker, args []any) (any, error) {
	pid, err := argIntOr(args, 0, 0)
	if err != nil {
		return nil, err
	}
	var w words
	w.u32(unix.LINUX_CAPABILITY_VERSION_3)
	w.u32(uint32(pid))
	return region0(newRegionOf(w.b))("cap_header", nil)
}

func capData(_ *Maker, args []any) (any, error) {
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

func argVector(c *Maker, args []any) (any, error) {
	var w words
	var all []byte
	first := ""
	rest := 0
	for i := range args {
		text, err := argText(args, i)
		if err != nil {
			return nil, err
		}
		p, err := Register(text, "")
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

func pointers(c *Maker, args []any) (any, error) {
	var w words
	for i, a := range args {
		p, err := Register(a, "")
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		w.u64(uint64(p))
	}
	o, err := region0(newRegionOf(w.b))("pointers", nil)
	if err == nil {
		o.(*Object).keep = args
	}
	return o, err
}

// lookAt reads size bytes at the address of an object, or at a number.
func lookAt(c *Maker, args []any, size int) ([]byte, error) {
	if len(args) == 0 {
		return nil, errors.New("argument 1 is missing")
	}
	p, err := Register(args[0], "")
	if err != nil {
		return nil, err
	}
	off, err := argIntOr(args, 1, 0)
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	// The kernel reads the memory: a bad address is then an error, not a crash.
	local := []unix.Iovec{{Base: &b[0], Len: uint64(size)}}
	remote := []unix.RemoteIovec{{Base: p + uintptr(off), Len: size}}
	n, err := unix.ProcessVMReadv(os.Getpid(), local, remote, 0)
	if err == nil && n != size {
		err = unix.EFAULT
	}
	if err != nil {
		return nil, fmt.Errorf("read %d bytes at %#x: %w", size, uint64(p)+uint64(off), err)
	}
	return b, nil
}

func s32At(c *Maker, args []any) (any, error) {
	b, err := lookAt(c, args, 4)
	if err != nil {
		return nil, err
	}
	return int64(int32(binary.NativeEndian.Uint32(b))), nil
}

func u32At(c *Maker, args []any) (any, error) {
	b, err := lookAt(c, args, 4)
	if err != nil {
		return nil, err
	}
	return int64(binary.NativeEndian.Uint32(b)), nil
}

func memAt(c *Maker, args []any) (any, error) {
	n, err := argSize(args, 1)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return []byte{}, nil
	}
	return lookAt(c, args[:1], n)
}

// stringAt returns the text up to a NUL.
func stringAt(c *Maker, args []any) (any, error) {
	off, err := argIntOr(args, 1, 0)
	if err != nil {
		return nil, err
	}
	for text := []byte{}; ; off++ {
		b, err := lookAt(c, []any{args[0], off}, 1)
		if err != nil {
			return nil, err
		}
		if b[0] == 0 {
			return string(text), nil
		}
		text = append(text, b[0])
	}
}

func u64At(c *Maker, args []any) (any, error) {
	b, err := lookAt(c, args, 8)
	if err != nil {
		return nil, err
	}
	return int64(binary.NativeEndian.Uint64(b)), nil
}

// bindMemory binds pages to the first node.
func bindMemory(_ *Maker, args []any) (any, error) {
	addr, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	n, err := argInt(args, 1)
	if err != nil {
		return nil, err
	}
	const bind = 2 // MPOL_BIND
	nodes := uint64(1)
	if _, _, errno := unix.RawSyscall6(unix.SYS_MBIND, uintptr(addr), uintptr(n), bind, uintptr(unsafe.Pointer(&nodes)), 64, 0); errno != 0 {
		return nil, errno
	}
	return addr, nil
}

// newPkey allocates a protection key.
func newPkey(_ *Maker, _ []any) (any, error) {
	key, _, errno := unix.RawSyscall(unix.SYS_PKEY_ALLOC, 0, 0, 0)
	if errno != 0 {
		return nil, errno
	}
	return int64(key), nil
}
