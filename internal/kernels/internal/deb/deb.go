// SPDX-License-Identifier: Apache-2.0

// Package deb reads Debian packages and orders their versions.
package deb

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// ErrNotFound says that a package has no file of the kind looked for.
var ErrNotFound = errors.New("no such file in the package")

// maxFile bounds a file taken out of a package.
const maxFile = 1 << 30

// File is what a Debian package's data archive is searched for.
type File struct {
	Name string // path inside the package, without "./"
	Data []byte
}

// Find returns the first regular file of a Debian package that want accepts.
func Find(r io.Reader, want func(name string) bool) (*File, error) {
	br := bufio.NewReaderSize(r, 1<<20)
	var start [8]byte
	if _, err := io.ReadFull(br, start[:]); err != nil || string(start[:]) != "!<arch>\n" {
		return nil, errors.New("not a Debian package: no ar archive")
	}
	for {
		var header [60]byte
		if _, err := io.ReadFull(br, header[:]); errors.Is(err, io.EOF) {
			return nil, errors.New("not a Debian package: no data.tar member")
		} else if err != nil {
			return nil, fmt.Errorf("read package: %w", err)
		}
		name := strings.TrimSuffix(strings.TrimSpace(string(header[:16])), "/")
		size, err := strconv.ParseInt(strings.TrimSpace(string(header[48:58])), 10, 64)
		if err != nil || size < 0 || string(header[58:]) != "`\n" {
			return nil, fmt.Errorf("read package: bad header of member %q", name)
		}
		if !strings.HasPrefix(name, "data.tar") {
			if _, err := io.CopyN(io.Discard, br, size+size&1); err != nil {
				return nil, fmt.Errorf("read package: member %q: %w", name, err)
			}
			continue
		}
		data, err := Decompressor(name, bufio.NewReaderSize(io.LimitReader(br, size), 1<<20))
		if err != nil {
			return nil, fmt.Errorf("read package: member %q: %w", name, err)
		}
		for tr := tar.NewReader(data); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				return nil, ErrNotFound
			} else if err != nil {
				return nil, fmt.Errorf("read package: member %q: %w", name, err)
			}
			file := strings.TrimPrefix(path.Clean(h.Name), "/")
			if h.Typeflag != tar.TypeReg || !want(file) {
				continue
			}
			b, err := io.ReadAll(io.LimitReader(tr, maxFile))
			if err != nil {
				return nil, fmt.Errorf("read package: %s: %w", file, err)
			}
			return &File{Name: file, Data: b}, nil
		}
	}
}

// Decompressor picks the method by the member's file name.
func Decompressor(name string, r io.Reader) (io.Reader, error) {
	switch ext := filepath.Ext(name); ext {
	case ".tar":
		return r, nil
	case ".gz":
		return gzip.NewReader(r)
	case ".xz":
		return xz.NewReader(r)
	case ".zst":
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(256<<20))
	default:
		return nil, fmt.Errorf("unknown compression %q", ext)
	}
}
