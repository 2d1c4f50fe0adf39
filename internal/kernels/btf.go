// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf/btf"

	"github.com/scaplab/scaplab/internal/kernels/internal/vmlinux"
)

// LoadBTF reads the types that a kernel has in its image: an ELF kernel (vmlinux), a bzImage, an unpacked image of another
// architecture, or the types alone, as /sys/kernel/btf/vmlinux and archives of them have them.
func LoadBTF(file string) (*btf.Spec, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if vmlinux.IsBzImage(b) {
		if b, err = vmlinux.Extract(b); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	types := findBTF(b)
	if f, err := elf.NewFile(bytes.NewReader(b)); err == nil { // its other sections may look like BTF
		types = nil
		if s := f.Section(".BTF"); s != nil {
			if types, err = s.Data(); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	if types == nil {
		return nil, fmt.Errorf("%s: %w", file, ErrNoBTF)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(types))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return spec, nil
}

// ErrNoBTF: a file has no BTF, for instance because its kernel was built without CONFIG_DEBUG_INFO_BTF.
var ErrNoBTF = errors.New("no BTF in it (want an image or a file of types of a kernel with CONFIG_DEBUG_INFO_BTF)")

// btfHeader is the beginning of BTF: a magic number, version 1, no flags and the length of the header.
var btfHeader = []byte{0x9f, 0xeb, 1, 0, 24, 0, 0, 0}

// findBTF returns the BTF in an image that has no list of its sections, or nil. The header's own numbers must make sense: the
// types come first, and the strings directly after them.
func findBTF(image []byte) []byte {
	for from := 0; ; from++ {
		i := bytes.Index(image[from:], btfHeader)
		if i < 0 || len(image) < from+i+24 {
			return nil
		}
		from += i
		number := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(image[from+at:])) }
		typesAt, typesLen, stringsAt, stringsLen := number(8), number(12), number(16), number(20)
		if end := 24 + stringsAt + stringsLen; typesAt == 0 && typesLen > 0 && stringsAt == typesLen && end <= uint64(len(image)-from) {
			return image[from:][:end]
		}
	}
}
