// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// SmallDisk is a directory on a disk of its own of the given size, as mount(8) takes it.
func SmallDisk(tb testing.TB, size string) string {
	tb.Helper()
	SkipUnlessRoot(tb)
	dir := tb.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		tb.Skip("mount: ", err)
	}
	tb.Cleanup(func() { require.NoError(tb, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// ReadOnly has the disk of SmallDisk refuse what is written.
func ReadOnly(tb testing.TB, dir string) {
	tb.Helper()
	require.NoError(tb, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
}
