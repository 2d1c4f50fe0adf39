// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

// readNewc reads an archive and returns mode and data by name.
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
	program := testutil.TinyELF(t, "Go", 4, "")
	b, err := Initramfs(program, nil)
	require.NoError(t, err)
	got := readNewc(t, b)
	require.Equal(t, "100755 "+string(program), got["init"])
	require.Equal(t, "40755 ", got["proc"])
	require.Len(t, got, 1+len(initramfsDirs))

	_, err = Initramfs(testutil.TinyELF(t, "Go", 4, "/lib64/ld-linux-x86-64.so.2"), nil)
	require.EqualError(t, err, "init program needs /lib64/ld-linux-x86-64.so.2 (build it with CGO_ENABLED=0)")
	_, err = Initramfs([]byte("#!/bin/sh\n"), nil)
	require.ErrorContains(t, err, "init program: ")

	require.NoError(t, checkArch(program, "amd64"))
	require.EqualError(t, checkArch(program, "arm64"), "init program is for EM_X86_64, the kernel for arm64")
}
