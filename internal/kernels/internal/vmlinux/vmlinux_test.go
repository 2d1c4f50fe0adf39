// SPDX-License-Identifier: Apache-2.0

package vmlinux

import (
	"bytes"
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
		"no kernel":          {make([]byte, 4096), "not a bzImage"},
		"short":              {image[:300], "not a bzImage"},
		"old protocol":       {edit(bzVersion, 0x07, 0x02), "boot protocol 0x207"},
		"payload outside":    {edit(bzPayloadLength, 0xff, 0xff, 0xff, 0x7f), "outside the image"},
		"unknown packing":    {edit(5*512+16, 'B', 'Z', 'h'), "unknown compression"},
		"damaged payload":    {edit(5*512+16+20, 0xff, 0xff, 0xff), "zstd: "},
		"payload is no ELF":  {kerneltest.BzImage(t, "gz", []byte("#!/bin/sh and more"), ""), "no ELF file"},
		"claims to be empty": {kerneltest.BzImage(t, "zst", nil, ""), "claims 0 bytes"},
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
