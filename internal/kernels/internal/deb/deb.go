// SPDX-License-Identifier: Apache-2.0

// Package deb reads Debian packages and orders their versions.
package deb

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/internal/kernels/internal/packed"
)

// ErrNotFound: a package has no file that was looked for.
var ErrNotFound = errors.New("no such file in the package")

// maxFile bounds a file taken out of a package, maxData the data that is searched for it.
const (
	maxFile = 512 << 20
	maxData = 8 << 30
)

// File is a file of a Debian package's data archive.
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
		method, ok := strings.CutPrefix(name, "data.tar.")
		if !ok && name != "data.tar" {
			return nil, fmt.Errorf("read package: unknown member %q", name)
		}
		if !ok {
			method = ""
		}
		data, err := packed.Reader(method, bufio.NewReaderSize(io.LimitReader(br, size), 1<<20))
		if err != nil {
			return nil, fmt.Errorf("read package: member %q: %w", name, err)
		}
		defer data.Close()
		f, err := findInTar(io.LimitReader(data, maxData), want)
		if err != nil && !errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("read package: member %q: %w", name, err)
		}
		return f, err
	}
}

func findInTar(data io.Reader, want func(name string) bool) (*File, error) {
	for tr := tar.NewReader(data); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil, ErrNotFound
		} else if err != nil {
			return nil, err
		}
		file := strings.TrimPrefix(path.Clean(h.Name), "/")
		if h.Typeflag != tar.TypeReg || !want(file) {
			continue
		}
		if h.Size > maxFile {
			return nil, fmt.Errorf("%s: has %d bytes (at most %d are read)", file, h.Size, maxFile)
		}
		b, err := packed.ReadFull(tr, h.Size, 64<<20)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return &File{Name: file, Data: b}, nil
	}
}
