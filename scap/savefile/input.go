// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"errors"
	"io"
)

// readSize is the size of reads, once a first read of firstReadSize was full. It is
// large enough that the cost of calls does not matter, and small enough for the
// processor's cache.
const (
	readSize      = 512 << 10
	firstReadSize = 16 << 10
)

// input is the read buffer: buf[r:w] is read and not yet used.
type input struct {
	src  io.Reader
	buf  []byte
	r, w int
	base int64 // offset in the stream of buf[0]
	full bool  // the last read filled the buffer

	packed *counter // the compressed bytes below src; nil: src is not compressed
}

// counter counts the bytes read through it.
type counter struct {
	src io.Reader
	n   int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n += int64(n)
	return n, err
}

func newInput(src io.Reader) *input { return &input{src: src, buf: make([]byte, firstReadSize)} }

// offset returns the offset of the next byte in the stream.
func (in *input) offset() int64 { return in.base + int64(in.r) }

func (in *input) avail() int { return in.w - in.r }

// fill makes at least n bytes available. It returns io.EOF if there are no more bytes,
// io.ErrUnexpectedEOF if there are fewer than n. If it has to read, it moves the
// buffer. The buffer grows only as bytes arrive. Callers limit n.
func (in *input) fill(n int) error {
	if in.avail() >= n {
		return nil
	}
	if in.r > 0 {
		copy(in.buf, in.buf[in.r:in.w])
		in.base += int64(in.r)
		in.w -= in.r
		in.r = 0
	}
	for empty := 0; in.w < n; {
		if in.w == len(in.buf) {
			size := min(2*len(in.buf), roundUp(n, readSize))
			in.grow(size)
		} else if in.full && len(in.buf) < readSize {
			in.grow(readSize)
		}
		m, err := in.src.Read(in.buf[in.w:])
		in.w += m
		in.full = in.w == len(in.buf)
		if in.w >= n {
			return nil
		}
		switch {
		case err == nil && m == 0:
			if empty++; empty == 100 {
				return io.ErrNoProgress
			}
		case errors.Is(err, io.EOF):
			if in.w > 0 {
				return io.ErrUnexpectedEOF
			}
			return io.EOF
		case err != nil:
			return err
		}
	}
	return nil
}

func (in *input) grow(size int) {
	grown := make([]byte, size)
	copy(grown, in.buf[:in.w])
	in.buf = grown
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// discard drops n bytes without holding them all.
func (in *input) discard(n int64) error {
	for n > 0 {
		if err := in.fill(1); err != nil {
			return err
		}
		m := min(n, int64(in.avail()))
		in.r += int(m)
		n -= m
	}
	return nil
}
