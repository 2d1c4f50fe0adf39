// SPDX-License-Identifier: Apache-2.0

// Package rpm unpacks RPM packages. Of their headers it reads the lengths only: what a header says of files, the cpio archive
// behind it says, too. https://rpm-software-management.github.io/rpm/manual/format_v4.html
package rpm

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cavaliergopher/cpio"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels/internal/packed"
)

const (
	leadSize   = 96
	headerSize = 16 // magic, reserved, number of entries, bytes of their data
	entrySize  = 16
	most       = 256 << 20 // of a header
)

var (
	leadMagic   = []byte{0xed, 0xab, 0xee, 0xdb}
	headerMagic = []byte{0x8e, 0xad, 0xe8, 0x01}
)

// Is reports whether a file that begins so is an RPM package.
func Is(begin []byte) bool { return bytes.HasPrefix(begin, leadMagic) }

// Unpack unpacks the files of a package into dir. No link leads out of dir.
func Unpack(r io.Reader, dir string) error {
	b := bufio.NewReaderSize(r, 1<<20)
	if lead, err := b.Peek(leadSize); err != nil || !Is(lead) {
		return errors.New("no RPM package")
	}
	if _, err := b.Discard(leadSize); err != nil {
		return err
	}
	size, err := skipHeader(b)
	if err != nil {
		return fmt.Errorf("signature header: %w", err)
	}
	if _, err := b.Discard(-size & 7); err != nil { // the next one is aligned
		return fmt.Errorf("signature header: %w", err)
	}
	if _, err := skipHeader(b); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	payload, err := open(b)
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	defer payload.Close()
	in, out := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := toTar(payload, out)
		if err == nil {
			_, err = io.Copy(io.Discard, payload) // checksums come last
		}
		out.CloseWithError(err)
	}()
	err = files.Untar(in, dir)
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	in.Close()
	<-ended
	return err
}

func skipHeader(r *bufio.Reader) (size int, err error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, err
	}
	if !bytes.HasPrefix(h[:], headerMagic) {
		return 0, fmt.Errorf("it begins with %x (want %x)", h[:4], headerMagic)
	}
	length := int64(binary.BigEndian.Uint32(h[8:]))*entrySize + int64(binary.BigEndian.Uint32(h[12:]))
	if length > most {
		return 0, fmt.Errorf("it claims %d bytes (want %d at most)", length, most)
	}
	if _, err := io.CopyN(io.Discard, r, length); err != nil {
		return 0, err
	}
	return headerSize + int(length), nil
}

// open unpacks the payload, whose compression its first bytes tell.
func open(r *bufio.Reader) (io.ReadCloser, error) {
	begin, err := r.Peek(6)
	if err != nil {
		return nil, err
	}
	for magic, method := range map[string]string{"070701": "", "070702": "", "\x1f\x8b": "gz", "\xfd7zXZ\x00": "xz", "\x28\xb5\x2f\xfd": "zst"} {
		if bytes.HasPrefix(begin, []byte(magic)) {
			return packed.Reader(method, r)
		}
	}
	if bytes.HasPrefix(begin, []byte("BZh")) {
		return io.NopCloser(bzip2.NewReader(r)), nil
	}
	return nil, fmt.Errorf("unknown compression, it begins with %x (want gzip, xz, zstd, bzip2 or none)", begin)
}

// toTar writes a cpio archive as a tar archive. Of names of one file all but the last have no content; they become links to it.
func toTar(r io.Reader, w io.Writer) error {
	in, out := cpio.NewReader(r), tar.NewWriter(w)
	names := map[int64][]*cpio.Header{} // of files that come later, by inode
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if h.Mode.IsRegular() && h.Links > 1 && h.Size == 0 {
			names[h.Inode] = append(names[h.Inode], h)
			continue
		}
		if err := writeOne(out, h, in); err != nil {
			return err
		}
		if h.Mode.IsRegular() && h.Links > 1 {
			for _, n := range names[h.Inode] {
				if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: n.Name, Linkname: h.Name}); err != nil {
					return err
				}
			}
			delete(names, h.Inode)
		}
	}
	for _, group := range names { // the file is empty
		for _, h := range group {
			if err := writeOne(out, h, nil); err != nil {
				return err
			}
		}
	}
	return out.Close()
}

func writeOne(out *tar.Writer, h *cpio.Header, content io.Reader) error {
	t := &tar.Header{Name: h.Name, Mode: int64(h.Mode.Perm()), ModTime: h.ModTime, Format: tar.FormatPAX}
	switch {
	case h.Mode.IsDir():
		t.Typeflag = tar.TypeDir
	case h.Mode&cpio.ModeType == cpio.TypeSymlink:
		t.Typeflag, t.Linkname = tar.TypeSymlink, h.Linkname
	case h.Mode.IsRegular():
		t.Typeflag, t.Size = tar.TypeReg, h.Size
	default:
		return nil // devices are no headers
	}
	if err := out.WriteHeader(t); err != nil {
		return err
	}
	if t.Typeflag != tar.TypeReg || t.Size == 0 {
		return nil
	}
	_, err := io.Copy(out, content)
	return err
}
