// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheVersionIsInTheBanner(t *testing.T) {
	image := filepath.Join(t.TempDir(), "vmlinux")
	version := func(text string) (string, error) {
		require.NoError(t, os.WriteFile(image, []byte(text), 0o644))
		return UnameVersion(Kernel{Image: image, Release: "6.12.1-amd64"})
	}
	const compiler = "(who@where) (gcc-14 (Debian 14.2.0-19) 14.2.0, GNU ld (GNU Binutils for Debian) 2.44) "
	got, err := version("\x7fELF\x00Linux version %s (%s)\x00Linux version 6.12.1-amd64 " + compiler + "# SMP Debian\n\x00" +
		"Linux version 6.12.1-amd64 " + compiler + "#1 SMP PREEMPT_DYNAMIC Debian 6.12.1-1 (2026-11-20)\n\x00rest")
	require.NoError(t, err)
	require.Equal(t, "#1 SMP PREEMPT_DYNAMIC Debian 6.12.1-1 (2026-11-20)", got)

	got, err = version("Linux version 6.12.1-amd64 (a@b) (gcc) #26~22.04.1-Ubuntu SMP Mon Apr 24 01:58:15 UTC 2023")
	require.NoError(t, err)
	require.Equal(t, "#26~22.04.1-Ubuntu SMP Mon Apr 24 01:58:15 UTC 2023", got)

	for _, text := range []string{"", "Linux version 6.12.10-amd64 (a@b) (gcc) #1 SMP\n", "Linux version 6.12.1-amd64 (a@b) (gcc)\x00#1"} {
		_, err = version(text)
		require.ErrorIs(t, err, ErrNoBanner, text)
		require.ErrorContains(t, err, image)
	}
	_, err = UnameVersion(Kernel{Image: filepath.Join(t.TempDir(), "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
}
