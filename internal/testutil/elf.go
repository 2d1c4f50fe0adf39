// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// TinyELF is the smallest ELF executable with the given note.
func TinyELF(tb testing.TB, noteName string, noteType uint32, interp string) []byte {
	tb.Helper()
	var note bytes.Buffer
	for _, v := range []any{uint32(len(noteName) + 1), uint32(4), noteType} {
		require.NoError(tb, binary.Write(&note, binary.LittleEndian, v))
	}
	note.WriteString(noteName + "\x00")
	for note.Len()%4 != 0 {
		note.WriteByte(0)
	}
	note.Write([]byte{0, 0, 0, 1})
	const headers = 64 + 2*56
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2, Shentsize: 64}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	second := elf.Prog64{Type: uint32(elf.PT_LOAD)}
	if interp != "" {
		second = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: headers + uint64(note.Len()), Filesz: uint64(len(interp) + 1)}
	}
	var b bytes.Buffer
	for _, v := range []any{h, elf.Prog64{Type: uint32(elf.PT_NOTE), Off: headers, Filesz: uint64(note.Len())}, second} {
		require.NoError(tb, binary.Write(&b, binary.LittleEndian, v))
	}
	b.Write(note.Bytes())
	b.WriteString(interp + "\x00")
	return b.Bytes()
}
