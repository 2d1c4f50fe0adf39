// SPDX-License-Identifier: Apache-2.0

//go:build unix

package files

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATemporaryLockIsHeldByOneAndLeavesNoFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	var holders, took atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				unlock, err := TemporaryLock(t.Context(), name)
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold it", n)
				}
				took.Add(1)
				holders.Add(-1)
				unlock()
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 40, took.Load())
	require.NoFileExists(t, name)

	unlock, err := TemporaryLock(t.Context(), name)
	require.NoError(t, err)
	defer unlock()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = TemporaryLock(ended, name)
	require.ErrorIs(t, err, context.Canceled)
	_, free, err := TryLock(name)
	require.NoError(t, err)
	require.False(t, free)
}
