// SPDX-License-Identifier: Apache-2.0

package vmlinux

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels/internal/kerneltest"
	"github.com/scaplab/scaplab/internal/testutil"
)

func TestVmlinuxIsUnpackedWhateverTheMethod(t *testing.T) {
	vmlinux := append(testutil.TinyELF(t, "Xen", 18, ""), bytes.Repeat([]byte("kernel text "), 100_000)...)
	for _, method := range []string{"gz", "xz", "zst", "lz4"} {
		image := kerneltest.BzImage(t, method, vmlinux, "6.1.0-test")
		require.Equal(t, "6.1.0-test", Release(image))
		got, err := Extract(image)
		require.NoError(t, err, method)
		require.True(t, bytes.Equal(vmlinux, got), method)
	}
}

// The kernel's build makes xz convert the targets of x86 calls first (BCJ filter).
func TestAPayloadOfTheKernelsOwnXzIsUnpacked(t *testing.T) {
	// printf '\x7fELF kernel text \xe8\x01\x02\x03\x00 end' | xz --check=crc32 --x86 --lzma2=dict=1MiB
	payload, err := hex.DecodeString("fd377a585a0000016922de3602010400210110008b216f490100197f454c46206b65726e656c207465787420e8" +
		"1702030020656e64000000af640d4100012e1a7d45e3d69042990d010000000001595a")
	require.NoError(t, err)
	want := "\x7fELF kernel text \xe8\x01\x02\x03\x00 end"
	image := kerneltest.BzImage(t, "", []byte("the payload goes here"), "6.1")
	image = image[:bytes.Index(image, []byte("the payload"))]
	image = append(image, binary.LittleEndian.AppendUint32(payload, uint32(len(want)))...)
	binary.LittleEndian.PutUint32(image[bzPayloadLength:], uint32(len(payload)+4))
	got, err := Extract(image)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

func TestDamagedImagesAreRefused(t *testing.T) {
	vmlinux := append(testutil.TinyELF(t, "Xen", 18, ""), bytes.Repeat([]byte("kernel text "), 10_000)...)
	image := kerneltest.BzImage(t, "zst", vmlinux, "6.1")
	edit := func(at int, b ...byte) []byte {
		c := bytes.Clone(image)
		copy(c[at:], b)
		return c
	}
	for name, row := range map[string]struct {
		in   []byte
		want string
	}{
		"no kernel":                  {make([]byte, 4096), "not a bzImage"},
		"short":                      {image[:300], "not a bzImage"},
		"old protocol":               {edit(bzVersion, 0x07, 0x02), "boot protocol 0x207"},
		"payload outside":            {edit(bzPayloadLength, 0xff, 0xff, 0xff, 0x7f), "outside the image"},
		"unknown packing":            {edit(5*512+16, 'B', 'Z', 'h'), "unknown compression"},
		"damaged payload":            {edit(5*512+16+20, 0xff, 0xff, 0xff), "zstd: "},
		"payload is not an ELF file": {kerneltest.BzImage(t, "gz", []byte("#!/bin/sh and more"), ""), "not an ELF file"},
		"claims to be empty":         {kerneltest.BzImage(t, "zst", nil, ""), "claims 0 bytes"},
	} {
		_, err := Extract(row.in)
		require.ErrorContains(t, err, row.want, name)
	}
}

func TestPVHEntryIsRecognised(t *testing.T) {
	require.True(t, HasPVHEntry(testutil.TinyELF(t, "Xen", 18, "")))
	require.False(t, HasPVHEntry(testutil.TinyELF(t, "Xen", 6, "")), "another Xen note")
	require.False(t, HasPVHEntry(testutil.TinyELF(t, "GNU", 18, "")))
	require.False(t, HasPVHEntry([]byte("not ELF")))
}

func TestAReleaseIsNoPath(t *testing.T) {
	for _, s := range []string{"6.1.0-18-cloud-amd64", "5.10", "7.3+unreleased-amd64", "6.12.0-rc1~x_y"} {
		require.True(t, IsRelease(s), s)
	}
	for _, s := range []string{"", ".", "..", "../x", "6.1/../../x", "/etc", "-o", "6.1\x1b[2J", "6.1\n", "6 1", strings.Repeat("6", 65)} {
		require.False(t, IsRelease(s), s)
		image := make([]byte, 0x1000)
		copy(image[bzMagic:], "HdrS")
		image[bzKernelVersion] = 0x50
		copy(image[0x250:], s+" (x) #1")
		if first, _, _ := strings.Cut(s, " "); !IsRelease(first) {
			require.Empty(t, Release(image), s)
		}
	}
}
