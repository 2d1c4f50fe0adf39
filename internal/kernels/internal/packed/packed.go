// SPDX-License-Identifier: Apache-2.0

// Package packed unpacks kernels, packages and their lists in bounded memory, whatever
// size they claim.
package packed

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/therootcompany/xz"
)

// maxWindow bounds the window of a decoder. It is the largest that the kernel's build
// asks xz and zstd for.
const maxWindow = 128 << 20

// Reader unpacks data of a method: gz, xz, zst, lz4, or "" for data that is not packed.
func Reader(method string, r io.Reader) (io.ReadCloser, error) {
	switch method {
	case "":
		return io.NopCloser(r), nil
	case "gz":
		return gzip.NewReader(r)
	case "xz":
		x, err := xz.NewReader(r, maxWindow)
		return io.NopCloser(x), err
	case "zst":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case "lz4":
		return io.NopCloser(lz4.NewReader(r)), nil
	}
	return nil, fmt.Errorf("unknown compression %q", method)
}

// ReadFull reads size bytes. It first allocates expect bytes, and more as they are read.
func ReadFull(r io.Reader, size, expect int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(size, expect)))
	if n, err := io.CopyN(&b, r, size); err == io.EOF && n > 0 {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
