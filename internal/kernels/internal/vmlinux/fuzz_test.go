// SPDX-License-Identifier: Apache-2.0

package vmlinux

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels/internal/kerneltest"
	"github.com/scaplab/scaplab/internal/testutil"
)

func FuzzExtract(f *testing.F) {
	elf := testutil.TinyELF(f, "Xen", 18, "")
	f.Add(elf)
	for _, method := range []string{"gz", "xz", "zst", "lz4"} {
		f.Add(kerneltest.BzImage(f, method, elf, "6.1.0-test"))
	}
	f.Fuzz(func(t *testing.T, image []byte) {
		kerneltest.InBoundedMemory(t, func() {
			require.LessOrEqual(t, len(Release(image)), 256)
			HasPVHEntry(image)
			vmlinux, err := Extract(image)
			if err != nil {
				require.Nil(t, vmlinux)
				return
			}
			require.LessOrEqual(t, len(vmlinux), maxImage)
			HasPVHEntry(vmlinux)
		})
	})
}
