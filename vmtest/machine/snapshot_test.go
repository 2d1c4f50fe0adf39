// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOldSnapshotsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	s := Snapshots(dir)
	c := &Config{Arch: "amd64", QEMU: "/q", Kernel: Image{Digest: strings.Repeat("d", 64)}, CPUs: 1}
	write := func(base string, age time.Duration) {
		t.Helper()
		require.NoError(t, os.WriteFile(base+".json", nil, 0o600))
		require.NoError(t, os.WriteFile(base+".state", nil, 0o600))
		used := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(base+".state", used, used))
	}
	write(s.base(c), 0)
	for i := range 2 * keptSnapshots {
		write(fmt.Sprintf("%s%016d", s.stem(c), i), time.Hour)
	}
	write(filepath.Join(dir, "of-a-kernel-that-is-gone"), 2*snapshotAge)
	s.prune(c)
	left, err := filepath.Glob(filepath.Join(dir, "*.state"))
	require.NoError(t, err)
	require.Len(t, left, keptSnapshots)
	require.Contains(t, left, s.base(c)+".state", "those used last are kept")
	left, err = filepath.Glob(filepath.Join(dir, "*.json"))
	require.NoError(t, err)
	require.Len(t, left, keptSnapshots)
}
