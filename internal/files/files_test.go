// SPDX-License-Identifier: Apache-2.0

package files

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWaitingForAnotherRunCanBeInterrupted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), file)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockPace)
	defer cancel()
	_, err = Lock(ctx, file)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	time.AfterFunc(lockPace, unlock)
	unlock, err = Lock(t.Context(), file)
	require.NoError(t, err, "it waits until the other is done")
	unlock()
}

func TestWriteAtomicLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a", "b")
	require.NoError(t, WriteAtomic(file, []byte("1")))
	require.NoError(t, WriteAtomic(file, []byte("2")))
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "2", string(got))
	all, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, all, 1)
}
