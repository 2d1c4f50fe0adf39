// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Operations of io_uring and flags, which x/sys does not have.
const (
	ringOpConnect  = 16
	ringOpOpenat   = 18
	ringOpRead     = 22
	ringOpWrite    = 23
	ringOpUnlinkat = 36

	ringSetupSQPoll    = 1 << 1
	ringEnterGetEvents = 1 << 0
	ringEnterWakeup    = 1 << 1
	ringNeedWakeup     = 1 << 0 // in the submission queue's flags
)

// request is an operation, as in struct io_uring_sqe.
type request struct {
	op      byte
	fd      int32
	off     uint64
	addr    uint64
	length  uint32
	opFlags uint32
}

// submit makes one request and returns its result. With a polled ring no system call submits it; one
// may wake the thread that polls.
func (r *ring) submit(q request) (int32, error) {
	b := r.requests[:ringRequestSize]
	clear(b)
	b[0] = q.op
	binary.NativeEndian.PutUint32(b[4:], uint32(q.fd))
	binary.NativeEndian.PutUint64(b[8:], q.off)
	binary.NativeEndian.PutUint64(b[16:], q.addr)
	binary.NativeEndian.PutUint32(b[24:], q.length)
	binary.NativeEndian.PutUint32(b[28:], q.opFlags)
	binary.NativeEndian.PutUint32(r.queues[r.param(ringSQArray):], 0)
	atomic.AddUint32(r.word(ringSQTail), 1)
	if r.flags()&ringSetupSQPoll == 0 {
		if n, err := sysValue(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 1, ringEnterGetEvents); err != nil || n != 1 {
			return 0, fmt.Errorf("io_uring_enter submits %d requests: %w", n, err)
		}
	}
	head := atomic.LoadUint32(r.word(ringCQHead))
	for atomic.LoadUint32(r.word(ringCQTail)) == head {
		if atomic.LoadUint32(r.word(ringSQFlags))&ringNeedWakeup != 0 {
			if err := sysCall(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 0, 0, ringEnterWakeup); err != nil {
				return 0, fmt.Errorf("wake the ring's thread: %w", err)
			}
		}
		nap()
	}
	at := r.param(ringCompletions) + 16*int(head&*r.word(ringCQMask))
	result := int32(binary.NativeEndian.Uint32(r.queues[at+ringResult:]))
	atomic.StoreUint32(r.word(ringCQHead), head+1)
	return result, nil
}

func (r *ring) flags() uint32 { return uint32(r.param(ringFlags)) }

// throughRing makes one request through a new ring, and an act's facts of it: the ring, and the result.
func throughRing(flags uint32, q request, fields map[string]any) (any, error) {
	const idle = 1 // a thread that polls keeps a machine of one processor busy
	r, err := newRing(1, flags, idle)
	if err != nil {
		return nil, err
	}
	result, err := r.submit(q)
	if err != nil {
		return nil, err
	}
	if result < 0 {
		return nil, fmt.Errorf("operation %d of io_uring: %w", q.op, unix.Errno(-result))
	}
	fields["ring"], fields["res"] = int64(r.fd), int64(result)
	return acted(fields), nil
}

func openRequest(args []any) (request, error) {
	path, err := argText(args, 0)
	if err != nil {
		return request{}, err
	}
	addr, err := textAddr(path)
	return request{op: ringOpOpenat, fd: unix.AT_FDCWD, addr: uint64(addr), opFlags: unix.O_RDWR}, err
}

// ringOpen opens a file through a ring.
func ringOpen(_ *Maker, args []any) (any, error) {
	q, err := openRequest(args)
	if err != nil {
		return nil, err
	}
	return throughRing(0, q, map[string]any{})
}

// ringOpenPolled does so through a ring whose queue a thread of the kernel polls: no system call
// submits the request.
func ringOpenPolled(_ *Maker, args []any) (any, error) {
	q, err := openRequest(args)
	if err != nil {
		return nil, err
	}
	return throughRing(ringSetupSQPoll, q, map[string]any{})
}

// ringOpenAndRead opens a file through a ring, and reads it with the system call.
func ringOpenAndRead(c *Maker, args []any) (any, error) {
	v, err := ringOpen(c, args)
	if err != nil {
		return nil, err
	}
	o := v.(*Object)
	r, err := NewRegion(16)
	if err != nil {
		return nil, err
	}
	n, err := sysValue(unix.SYS_READ, uintptr(o.fields["res"].(int64)), uintptr(r.Addr()), 16)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	o.fields["data"] = r.b[:n]
	return o, nil
}

func ringConnect(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	peer, err := argAddress(args, 1)
	if err != nil {
		return nil, err
	}
	r, err := newRegionOf(peer)
	if err != nil {
		return nil, err
	}
	return throughRing(0, request{op: ringOpConnect, fd: int32(fd), addr: r.Addr(), off: uint64(len(peer))}, map[string]any{})
}

func ringRead(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	r, err := NewRegion(16)
	if err != nil {
		return nil, err
	}
	return throughRing(0, request{op: ringOpRead, fd: int32(fd), addr: r.Addr(), length: 16}, map[string]any{"data": r.b})
}

func ringWrite(_ *Maker, args []any) (any, error) {
	fd, err := argInt(args, 0)
	if err != nil {
		return nil, err
	}
	data, err := argBytes(args, 1)
	if err != nil {
		return nil, err
	}
	r, err := newRegionOf(data)
	if err != nil {
		return nil, err
	}
	return throughRing(0, request{op: ringOpWrite, fd: int32(fd), addr: r.Addr(), length: uint32(len(data))}, map[string]any{"data": r.b})
}

func ringUnlink(_ *Maker, args []any) (any, error) {
	path, err := argText(args, 0)
	if err != nil {
		return nil, err
	}
	addr, err := textAddr(path)
	if err != nil {
		return nil, err
	}
	return throughRing(0, request{op: ringOpUnlinkat, fd: unix.AT_FDCWD, addr: uint64(addr)}, map[string]any{})
}
