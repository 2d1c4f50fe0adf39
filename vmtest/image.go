// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// errNoKernel says that a package holds no kernel image.
var errNoKernel = errors.New("no kernel image in the package (looked for boot/vmlinu[xz]-* and usr/lib/modules/*/vmlinuz)")

// maxImage bounds an unpacked kernel; the largest seen are below 120 MB.
const maxImage = 1 << 30

// debMember is what a Debian package's data archive is searched for.
type debFile struct {
	Name string // path inside the package, without "./"
	Data []byte
}

// kernelFromDeb returns the kernel image in the package. From Linux 7.2 on
// Debian keeps it beside the modules, before that in /boot.
func kernelFromDeb(r io.Reader) (*debFile, error) {
	return findInDeb(r, func(name string) bool {
		for _, pattern := range []string{"boot/vmlinuz-*", "boot/vmlinux-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz"} {
			if ok, _ := path.Match(pattern, name); ok {
				return true
			}
		}
		return false
	})
}

// findInDeb returns the first regular file of a Debian package that want accepts.
func findInDeb(r io.Reader, want func(name string) bool) (*debFile, error) {
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
		data, err := decompressor(name, bufio.NewReaderSize(io.LimitReader(br, size), 1<<20))
		if err != nil {
			return nil, fmt.Errorf("read package: member %q: %w", name, err)
		}
		for tr := tar.NewReader(data); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				return nil, errNoKernel
			} else if err != nil {
				return nil, fmt.Errorf("read package: member %q: %w", name, err)
			}
			file := strings.TrimPrefix(path.Clean(h.Name), "/")
			if h.Typeflag != tar.TypeReg || !want(file) {
				continue
			}
			b, err := io.ReadAll(io.LimitReader(tr, maxImage))
			if err != nil {
				return nil, fmt.Errorf("read package: %s: %w", file, err)
			}
			return &debFile{Name: file, Data: b}, nil
		}
	}
}

// decompressor picks the method by the member's file name.
func decompressor(name string, r io.Reader) (io.Reader, error) {
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

// releaseOf returns the kernel release an image of the given path is for,
// "" when the path does not tell.
func releaseOf(file string) string {
	base := path.Base(file)
	for _, p := range []string{"vmlinuz-", "vmlinux-"} {
		if r, ok := strings.CutPrefix(base, p); ok {
			return r
		}
	}
	if base == "vmlinuz" && path.Base(path.Dir(path.Dir(file))) == "modules" {
		return path.Base(path.Dir(file))
	}
	return ""
}

// bzImage boot protocol, Documentation/arch/x86/boot.rst.
const (
	bzSetupSects     = 0x1f1
	bzMagic          = 0x202 // "HdrS"
	bzVersion        = 0x206
	bzKernelVersion  = 0x20e
	bzPayloadOffset  = 0x248
	bzPayloadLength  = 0x24c
	bzPayloadVersion = 0x208 // first protocol version with the payload fields
)

// isBzImage says whether b starts an x86 kernel image with a boot protocol header.
func isBzImage(b []byte) bool {
	return len(b) > bzPayloadLength+4 && string(b[bzMagic:bzMagic+4]) == "HdrS"
}

// bzImageRelease returns the release string stored in the boot header.
func bzImageRelease(b []byte) string {
	if !isBzImage(b) {
		return ""
	}
	at := int(binary.LittleEndian.Uint16(b[bzKernelVersion:])) + 0x200
	if at <= 0x200 || at >= len(b) {
		return ""
	}
	text, _, _ := bytes.Cut(b[at:min(at+256, len(b))], []byte{0})
	release, _, _ := strings.Cut(string(text), " ")
	return release
}

// extractVmlinux unpacks the ELF kernel from a bzImage. Doing it here rather
// than in an emulated guest halves the time of a boot.
func extractVmlinux(b []byte) ([]byte, error) {
	if !isBzImage(b) {
		return nil, errors.New("unpack kernel: not a bzImage")
	}
	if v := binary.LittleEndian.Uint16(b[bzVersion:]); v < bzPayloadVersion {
		return nil, fmt.Errorf("unpack kernel: boot protocol %#x has no payload offset", v)
	}
	sects := int(b[bzSetupSects])
	if sects == 0 {
		sects = 4
	}
	start := (sects+1)*512 + int(binary.LittleEndian.Uint32(b[bzPayloadOffset:]))
	length := int(binary.LittleEndian.Uint32(b[bzPayloadLength:]))
	if length < 4 || start+length > len(b) {
		return nil, fmt.Errorf("unpack kernel: payload at %d of %d bytes is outside the image of %d", start, length, len(b))
	}
	elfImage, err := decompressKernel(b[start : start+length])
	if err != nil {
		return nil, fmt.Errorf("unpack kernel: %w", err)
	}
	if !bytes.HasPrefix(elfImage, []byte(elf.ELFMAG)) {
		return nil, errors.New("unpack kernel: payload is no ELF file")
	}
	return elfImage, nil
}

// decompressKernel unpacks a payload, whose last 4 bytes are the unpacked size
// for every method but gzip (which ends with the same number by itself).
func decompressKernel(p []byte) ([]byte, error) {
	size := int64(binary.LittleEndian.Uint32(p[len(p)-4:]))
	if size == 0 || size > maxImage {
		return nil, fmt.Errorf("payload claims %d bytes unpacked", size)
	}
	var r io.Reader
	var err error
	var method string
	in := bytes.NewReader(p)
	switch {
	case bytes.HasPrefix(p, []byte{0x02, 0x21, 0x4c, 0x18}): // legacy frame
		method, r = "lz4", lz4.NewReader(in)
	case bytes.HasPrefix(p, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		method = "zstd"
		var d *zstd.Decoder
		if d, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxImage)); err == nil {
			defer d.Close()
			r = d
		}
	case bytes.HasPrefix(p, []byte{0x1f, 0x8b}):
		method = "gzip"
		r, err = gzip.NewReader(in)
	case bytes.HasPrefix(p, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		method = "xz"
		r, err = xz.NewReader(in)
	default:
		return nil, fmt.Errorf("unknown compression, payload starts with % x (known: lz4, zstd, gzip, xz)", p[:4])
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	out := make([]byte, size)
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return out, nil
}

// hasPVHEntry says whether an ELF kernel has the note that lets QEMU enter it
// directly (CONFIG_PVH).
func hasPVHEntry(vmlinux []byte) bool {
	const xenElfnotePhys32Entry = 18
	f, err := elf.NewFile(bytes.NewReader(vmlinux))
	if err != nil {
		return false
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(p.Open(), 1<<20))
		if err != nil {
			return false
		}
		for len(b) >= 12 {
			namesz := int(f.ByteOrder.Uint32(b))
			descsz := int(f.ByteOrder.Uint32(b[4:]))
			typ := f.ByteOrder.Uint32(b[8:])
			end := 12 + (namesz+3)&^3 + (descsz+3)&^3
			if namesz < 0 || descsz < 0 || end > len(b) || 12+namesz > len(b) {
				break
			}
			if typ == xenElfnotePhys32Entry && string(bytes.TrimRight(b[12:12+namesz], "\x00")) == "Xen" {
				return true
			}
			b = b[end:]
		}
	}
	return false
}

// writeFileAtomic writes a file so that no reader ever sees a part of it.
func writeFileAtomic(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
