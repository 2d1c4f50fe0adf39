// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/synth"
	"golang.org/x/sys/unix"
)

func TestANamedPipeWithoutReaderEndsTheCapture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	go func() {
		if in, err := os.Open(path); err == nil {
			_, _ = in.Read(make([]byte, 100)) // what it reads does not matter
			in.Close()
		}
	}()
	ended := make(chan error, 1)
	go func() {
		f, err := Create(path, FileOptions{})
		if err == nil {
			err = synth.Write(f, 100_000)
			_ = f.Close() // the failure is that of the write
		}
		ended <- err
	}()
	require.ErrorIs(t, <-ended, unix.EPIPE)
}
