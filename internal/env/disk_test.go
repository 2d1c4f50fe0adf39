// SPDX-License-Identifier: Apache-2.0

package env

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatTheDiskSaysIsAboutThisMachine(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES} {
		err := Disk(fmt.Errorf("keep kernel: %w", &fs.PathError{Op: "write", Path: "/c/x", Err: errno}))
		require.True(t, IsDisk(err))
		require.ErrorIs(t, err, errno)
		require.ErrorContains(t, err, "keep kernel: write /c/x: "+errno.Error()+" (")
		require.ErrorContains(t, err, "XDG_CACHE_HOME")
		require.Equal(t, err, Disk(err), "said once")
	}
	for _, other := range []error{nil, fs.ErrNotExist, syscall.ECONNRESET, Lacks("no apt", "install it"), errors.New("no space left on device")} {
		require.Equal(t, other, Disk(other))
		require.False(t, IsDisk(other))
	}
}

func TestWhatAProgramSaysOfTheDiskIsUnderstood(t *testing.T) {
	status := &exec.ExitError{}
	err := DiskSaid(fmt.Errorf("tar: %w", status), "tar: x: Cannot write: No space left on device\n")
	require.True(t, IsDisk(err))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, ": no space left on device (make room")
	require.ErrorIs(t, DiskSaid(status, "mkdir: cannot create directory 'x': Read-only file system"), syscall.EROFS)
	require.Equal(t, error(status), DiskSaid(status, "main.c:1:1: error: space left"))
}
