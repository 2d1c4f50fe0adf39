// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/scaplab/scaplab/internal/abi"
)

// Builder builds events, for tests, the synthetic source and conversions. It
// reuses its buffer for the next event.
//
//	b.Begin(event.TypeCloseExit, ts, tid, 2)
//	b.AddInt64(0)
//	b.AddInt64(3)
//	raw, err := b.End()
type Builder struct {
	buf  []byte
	n    int // params announced
	i    int // params added
	wide bool
	err  error
}

// Begin starts an event of nparams params.
func (b *Builder) Begin(t Type, ts uint64, tid PID, nparams int) {
	b.n, b.i, b.wide, b.err = nparams, 0, t.LargePayload(), nil
	if nparams < 0 || nparams > MaxParams {
		b.n, b.err = 0, fmt.Errorf("%d params: %w", nparams, ErrTooLarge)
	}
	size := HeaderSize + 2*b.n
	if b.wide {
		size += 2 * b.n
	}
	if cap(b.buf) < size {
		b.buf = make([]byte, 0, max(size, 512))
	}
	b.buf = b.buf[:size]
	clear(b.buf)
	binary.NativeEndian.PutUint64(b.buf, ts)
	binary.NativeEndian.PutUint64(b.buf[abi.EventTID:], uint64(tid))
	binary.NativeEndian.PutUint16(b.buf[abi.EventType:], uint16(t))
	binary.NativeEndian.PutUint32(b.buf[abi.EventNumParams:], uint32(b.n))
}

func (b *Builder) added(n int) {
	switch {
	case b.err != nil:
	case b.i >= b.n:
		b.err = fmt.Errorf("param %d of %d: %w", b.i, b.n, ErrCorrupt)
	case !b.wide && n > math.MaxUint16, n > math.MaxInt32:
		b.err = fmt.Errorf("param %d has %d bytes: %w", b.i, n, ErrTooLarge)
	case b.wide:
		binary.NativeEndian.PutUint32(b.buf[HeaderSize+4*b.i:], uint32(n))
	default:
		binary.NativeEndian.PutUint16(b.buf[HeaderSize+2*b.i:], uint16(n))
	}
	b.i++
}

// Add adds value as the next param; a value of length 0 is the empty param.
func (b *Builder) Add(value []byte) {
	b.added(len(value))
	b.buf = append(b.buf, value...)
}

// AddEmpty adds the empty param, which means that there is no value.
func (b *Builder) AddEmpty() { b.added(0) }

// AddString adds s and a NUL.
func (b *Builder) AddString(s string) {
	b.added(len(s) + 1)
	b.buf = append(b.buf, s...)
	b.buf = append(b.buf, 0)
}

// AddUint8 adds a value of one byte.
func (b *Builder) AddUint8(v uint8) {
	b.added(1)
	b.buf = append(b.buf, v)
}

// AddUint16 adds a value of two bytes.
func (b *Builder) AddUint16(v uint16) {
	b.added(2)
	b.buf = binary.NativeEndian.AppendUint16(b.buf, v)
}

// AddUint32 adds a value of four bytes.
func (b *Builder) AddUint32(v uint32) {
	b.added(4)
	b.buf = binary.NativeEndian.AppendUint32(b.buf, v)
}

// AddUint64 adds a value of eight bytes.
func (b *Builder) AddUint64(v uint64) {
	b.added(8)
	b.buf = binary.NativeEndian.AppendUint64(b.buf, v)
}

// AddInt32 adds a signed value of four bytes.
func (b *Builder) AddInt32(v int32) { b.AddUint32(uint32(v)) }

// AddInt64 adds a signed value of eight bytes: fd, pid, errno and int64 params.
func (b *Builder) AddInt64(v int64) { b.AddUint64(uint64(v)) }

// End completes the event and returns its bytes, valid until the next Begin.
// Params that Begin announced and nothing added are empty. The error wraps
// [ErrTooLarge] or [ErrCorrupt] (more params than announced).
func (b *Builder) End() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	if len(b.buf) > MaxSize && !b.wide {
		return nil, fmt.Errorf("%d bytes: %w", len(b.buf), ErrTooLarge)
	}
	binary.NativeEndian.PutUint32(b.buf[abi.EventLen:], uint32(len(b.buf)))
	return b.buf, nil
}
