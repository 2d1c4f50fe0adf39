// SPDX-License-Identifier: Apache-2.0

// Package vmlinux unpacks kernel images.
package vmlinux

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/kernels/internal/packed"
)

// maxImage bounds an unpacked kernel; the largest seen are below 120 MB.
const maxImage = 512 << 20

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

// IsBzImage reports whether b begins like an x86 kernel image with a boot protocol header.
func IsBzImage(b []byte) bool {
	return len(b) > bzPayloadLength+4 && string(b[bzMagic:bzMagic+4]) == "HdrS"
}

// Release returns the release string in the boot header.
func Release(b []byte) string {
	if !IsBzImage(b) {
		return ""
	}
	at := int(binary.LittleEndian.Uint16(b[bzKernelVersion:])) + 0x200
	if at <= 0x200 || at >= len(b) {
		return ""
	}
	text, _, _ := bytes.Cut(b[at:min(at+256, len(b))], []byte{0})
	release, _, _ := strings.Cut(string(text), " ")
	if !IsRelease(release) {
		return ""
	}
	return release
}

// IsRelease reports whether s can be a kernel release. It becomes a part of paths.
func IsRelease(s string) bool {
	const longest = 64 // __NEW_UTS_LEN
	return len(s) <= longest && releaseRE.MatchString(s)
}

var releaseRE = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._+~-]*$`)

// Extract unpacks the ELF kernel from a bzImage. This halves the time of a boot, because
// an emulated guest does not have to do it.
func Extract(b []byte) ([]byte, error) {
	if !IsBzImage(b) {
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
		return nil, errors.New("unpack kernel: payload is not an ELF file")
	}
	return elfImage, nil
}

// packing is a method with which a kernel may be packed. The first bytes identify it.
type packing struct{ magic, name, method string }

var packings = []packing{
	{"\x02\x21\x4c\x18", "lz4", "lz4"}, // legacy frame
	{"\x28\xb5\x2f\xfd", "zstd", "zst"},
	{"\x1f\x8b", "gzip", "gz"},
	{"\xfd7zXZ\x00", "xz", "xz"},
}

// decompressKernel unpacks a payload. Its last 4 bytes are the unpacked size; a gzip
// stream itself ends with that number.
func decompressKernel(p []byte) ([]byte, error) {
	size := int64(binary.LittleEndian.Uint32(p[len(p)-4:]))
	if size == 0 || size > maxImage {
		return nil, fmt.Errorf("payload claims %d bytes unpacked", size)
	}
	i := slices.IndexFunc(packings, func(k packing) bool { return bytes.HasPrefix(p, []byte(k.magic)) })
	if i < 0 {
		return nil, fmt.Errorf("unknown compression, payload starts with % x (known: lz4, zstd, gzip, xz)", p[:4])
	}
	name := packings[i].name
	r, err := packed.Reader(packings[i].method, bytes.NewReader(p))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer r.Close()
	// Kernels become four to five times as large.
	out, err := packed.ReadFull(r, size, 8*int64(len(p)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// HasPVHEntry reports whether an ELF kernel has the note that lets QEMU enter it
// directly (CONFIG_PVH).
func HasPVHEntry(vmlinux []byte) bool {
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
