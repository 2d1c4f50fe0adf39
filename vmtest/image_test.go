// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

func compressed(t *testing.T, method string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch method {
	case "":
		return data
	case "gz":
		w = gzip.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	case "zst":
		w, err = zstd.NewWriter(&b)
	case "lz4":
		z := lz4.NewWriter(&b)
		err = z.Apply(lz4.LegacyOption(true))
		w = z
	}
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// tinyELF is the smallest ELF executable with the given note.
func tinyELF(t *testing.T, noteName string, noteType uint32, interp string) []byte {
	t.Helper()
	var note bytes.Buffer
	for _, v := range []any{uint32(len(noteName) + 1), uint32(4), noteType} {
		require.NoError(t, binary.Write(&note, binary.LittleEndian, v))
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
		require.NoError(t, binary.Write(&b, binary.LittleEndian, v))
	}
	b.Write(note.Bytes())
	b.WriteString(interp + "\x00")
	return b.Bytes()
}

// bzImage packs vmlinux the way the kernel's build does.
func bzImage(t *testing.T, method string, vmlinux []byte, release string) []byte {
	t.Helper()
	const setup = 5 * 512 // 4 sectors and the boot sector
	payload := compressed(t, method, vmlinux)
	if method != "gz" {
		payload = binary.LittleEndian.AppendUint32(payload, uint32(len(vmlinux)))
	}
	b := make([]byte, setup)
	b[bzSetupSects] = 4
	copy(b[bzMagic:], "HdrS")
	binary.LittleEndian.PutUint16(b[bzVersion:], 0x20f)
	binary.LittleEndian.PutUint16(b[bzKernelVersion:], 0x400-0x200)
	copy(b[0x400:], release+" (builder) #1 SMP\x00")
	binary.LittleEndian.PutUint32(b[bzPayloadOffset:], 16)
	binary.LittleEndian.PutUint32(b[bzPayloadLength:], uint32(len(payload)))
	return append(append(append(b, make([]byte, 16)...), payload...), "trailing sections"...)
}

// deb makes a Debian package with the files in it.
func deb(t *testing.T, method string, files map[string]string) []byte {
	t.Helper()
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	for name, text := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}
		if strings.HasSuffix(name, "/") {
			h.Typeflag, h.Size = tar.TypeDir, 0
		}
		require.NoError(t, w.WriteHeader(h))
		if h.Size > 0 {
			_, err := io.WriteString(w, text)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	member := "data.tar"
	if method != "" {
		member += "." + method
	}
	b := []byte("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.xz", []byte("odd")}, {member, compressed(t, method, data.Bytes())}} {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		b = append(b, m.data...)
		if len(m.data)%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

func TestKernelIsFoundInEveryPackageLayout(t *testing.T) {
	for _, row := range []struct{ method, name, release string }{
		{"xz", "./boot/vmlinuz-6.1.0-56-cloud-amd64", "6.1.0-56-cloud-amd64"},
		{"zst", "./usr/lib/modules/7.3.4+deb13-cloud-amd64/vmlinuz", "7.3.4+deb13-cloud-amd64"},
		{"gz", "./boot/vmlinux-6.12.107-riscv64", "6.12.107-riscv64"},
		{"", "./boot/vmlinuz-5.10.0", "5.10.0"},
	} {
		f, err := kernelFromDeb(bytes.NewReader(deb(t, row.method, map[string]string{
			"./boot/": "", "./boot/config-6.1": "CONFIG_X=y", row.name: "the kernel", "./usr/share/doc/vmlinuz-readme": "no",
		})))
		require.NoError(t, err, row.name)
		require.Equal(t, "the kernel", string(f.Data))
		require.Equal(t, row.release, releaseOf(f.Name))
	}
}

func TestBadPackagesAreRefused(t *testing.T) {
	good := deb(t, "xz", map[string]string{"./boot/vmlinuz-6.1": strings.Repeat("kernel", 1000)})
	rows := []struct {
		name string
		in   []byte
		want string
	}{
		{"no archive", []byte("#!/bin/sh\n"), "no ar archive"},
		{"empty", nil, "no ar archive"},
		{"without data", good[:8+60+4+60+4], "no data.tar member"},
		{"bad size", bytes.Replace(good, []byte("4         `"), []byte("x         `"), 1), `bad header of member "debian-binary"`},
		{"cut", good[:len(good)-40], `member "data.tar.xz"`},
		{"without kernel", deb(t, "xz", map[string]string{"./usr/share/doc/x": "meta"}), errNoKernel.Error()},
		{"odd compression", bytes.Replace(good, []byte("data.tar.xz "), []byte("data.tar.br "), 1), `unknown compression ".br"`},
	}
	for _, row := range rows {
		_, err := kernelFromDeb(bytes.NewReader(row.in))
		require.ErrorContains(t, err, row.want, row.name)
	}
}

func TestVmlinuxIsUnpackedWhateverTheMethod(t *testing.T) {
	vmlinux := append(tinyELF(t, "Xen", 18, ""), bytes.Repeat([]byte("kernel text "), 100_000)...)
	for _, method := range []string{"gz", "xz", "zst", "lz4"} {
		image := bzImage(t, method, vmlinux, "6.1.0-test")
		require.Equal(t, "6.1.0-test", bzImageRelease(image))
		got, err := extractVmlinux(image)
		require.NoError(t, err, method)
		require.True(t, bytes.Equal(vmlinux, got), method)
	}
}

func TestDamagedImagesAreRefused(t *testing.T) {
	vmlinux := append(tinyELF(t, "Xen", 18, ""), bytes.Repeat([]byte("kernel text "), 10_000)...)
	image := bzImage(t, "zst", vmlinux, "6.1")
	edit := func(at int, b ...byte) []byte {
		c := bytes.Clone(image)
		copy(c[at:], b)
		return c
	}
	for name, row := range map[string]struct {
		in   []byte
		want string
	}{
		"no kernel":          {make([]byte, 4096), "not a bzImage"},
		"short":              {image[:300], "not a bzImage"},
		"old protocol":       {edit(bzVersion, 0x07, 0x02), "boot protocol 0x207"},
		"payload outside":    {edit(bzPayloadLength, 0xff, 0xff, 0xff, 0x7f), "outside the image"},
		"unknown packing":    {edit(5*512+16, 'B', 'Z', 'h'), "unknown compression"},
		"damaged payload":    {edit(5*512+16+20, 0xff, 0xff, 0xff), "zstd: "},
		"payload is no ELF":  {bzImage(t, "gz", []byte("#!/bin/sh and more"), ""), "no ELF file"},
		"claims to be empty": {bzImage(t, "zst", nil, ""), "claims 0 bytes"},
	} {
		_, err := extractVmlinux(row.in)
		require.ErrorContains(t, err, row.want, name)
	}
}

func TestPVHEntryIsRecognised(t *testing.T) {
	require.True(t, hasPVHEntry(tinyELF(t, "Xen", 18, "")))
	require.False(t, hasPVHEntry(tinyELF(t, "Xen", 6, "")), "another Xen note")
	require.False(t, hasPVHEntry(tinyELF(t, "GNU", 18, "")))
	require.False(t, hasPVHEntry([]byte("not ELF")))
}

// readNewc reads an archive back: name -> mode and data.
func readNewc(t *testing.T, b []byte) map[string]string {
	t.Helper()
	got := map[string]string{}
	for at := 0; ; {
		require.Equal(t, "070701", string(b[at:at+6]), "at %d", at)
		field := func(i int) int {
			v, err := strconv.ParseUint(string(b[at+6+8*i:at+14+8*i]), 16, 32)
			require.NoError(t, err)
			return int(v)
		}
		name := string(b[at+110 : at+110+field(11)-1])
		data := at + (110+field(11)+3)&^3
		if name == "TRAILER!!!" {
			require.Len(t, b, data)
			return got
		}
		got[name] = fmt.Sprintf("%o %s", field(1), b[data:data+field(6)])
		at = data + (field(6)+3)&^3
	}
}

func TestInitramfsHasInitAndDirectories(t *testing.T) {
	program := tinyELF(t, "Go", 4, "")
	b, err := newInitramfs(program)
	require.NoError(t, err)
	got := readNewc(t, b)
	require.Equal(t, "100755 "+string(program), got["init"])
	require.Equal(t, "40755 ", got["proc"])
	require.Len(t, got, 1+len(initramfsDirs))

	_, err = newInitramfs(tinyELF(t, "Go", 4, "/lib64/ld-linux-x86-64.so.2"))
	require.EqualError(t, err, "init program needs /lib64/ld-linux-x86-64.so.2 (build it with CGO_ENABLED=0)")
	_, err = newInitramfs([]byte("#!/bin/sh\n"))
	require.ErrorContains(t, err, "init program: ")

	require.NoError(t, checkArch(program, "amd64"))
	require.EqualError(t, checkArch(program, "arm64"), "init program is for EM_X86_64, the kernel for arm64")
}

func TestWriteFileAtomicLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a", "b")
	require.NoError(t, writeFileAtomic(file, []byte("1")))
	require.NoError(t, writeFileAtomic(file, []byte("2")))
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "2", string(got))
	all, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, all, 1)
}
