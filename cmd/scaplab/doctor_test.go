// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// program is the head of a program that needs the loader of the C library, as go
// run makes it where there is a C compiler, or needs nothing.
func program(t *testing.T, loader string) []byte {
	t.Helper()
	var b bytes.Buffer
	header := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	require.NoError(t, binary.Write(&b, binary.LittleEndian, header))
	segment := elf.Prog64{Type: uint32(elf.PT_LOAD)}
	if loader != "" {
		segment = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 64 + 56, Filesz: uint64(len(loader))}
	}
	require.NoError(t, binary.Write(&b, binary.LittleEndian, segment))
	b.WriteString(loader)
	return b.Bytes()
}

const loader = "/lib64/ld-linux-x86-64.so.2"

func TestAProgramThatNeedsLibrariesIsFineWhereAGuestCanBeBuilt(t *testing.T) {
	got := checkGuest(program(t, loader))
	require.True(t, got.OK, got.Detail)
	require.Contains(t, got.Detail, "needs libraries, so matrix builds a static one from ")

	t.Chdir(t.TempDir())
	got = checkGuest(program(t, loader))
	require.False(t, got.OK)
	require.Contains(t, got.Detail, "init program needs /lib64/ld-linux-x86-64.so.2")
	require.Contains(t, got.Detail, "tables/syscalls.yaml is in no directory above this one")
}

func TestWithoutGoNoGuestCanBeBuilt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	got := checkGuest(program(t, loader))
	require.False(t, got.OK)
	require.True(t, got.Needed)
	require.Contains(t, got.Detail, "the go command is not installed")
	require.Contains(t, got.Fix, "CGO_ENABLED=0")
}

func TestAStaticProgramIsAGuestEverywhere(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", "")
	got := checkGuest(program(t, ""))
	require.True(t, got.OK, got.Detail)
	require.Contains(t, got.Detail, "static, ")
}
