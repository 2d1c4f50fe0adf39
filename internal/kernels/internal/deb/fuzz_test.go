// SPDX-License-Identifier: Apache-2.0

package deb

import (
	"bytes"
	"path"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels/internal/kerneltest"
)

func FuzzFind(f *testing.F) {
	for _, method := range []string{"", "gz", "xz", "zst"} {
		f.Add(kerneltest.Deb(f, method, map[string]string{"./boot/": "", "./boot/vmlinuz-6.1": "a kernel"}))
	}
	f.Add(kerneltest.Deb(f, "", nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		want := func(name string) bool { ok, _ := path.Match("boot/vmlinuz-*", name); return ok }
		kerneltest.InBoundedMemory(t, func() {
			file, err := Find(bytes.NewReader(data), want)
			if err != nil {
				require.Nil(t, file)
				return
			}
			require.True(t, want(file.Name), file.Name)
			require.LessOrEqual(t, len(file.Data), maxFile)
		})
	})
}

func FuzzCompare(f *testing.F) {
	f.Add("1:6.1~rc1-1", "6.12.107-2~bpo13+1")
	f.Add("0:", "~")
	f.Fuzz(func(t *testing.T, a, b string) {
		require.Equal(t, Compare(a, b), -Compare(b, a))
		require.Zero(t, Compare(a, a))
	})
}
