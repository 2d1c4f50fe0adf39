// SPDX-License-Identifier: Apache-2.0

//go:build unix

package machine

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASignalFromOutsideIsToldFromAFaultOfQEMU(t *testing.T) {
	for script, want := range map[string]string{
		"kill -KILL $$": "signal: killed",
		"kill -SEGV $$": "",
		"kill -ABRT $$": "",
		"exit 1":        "",
	} {
		cmd := exec.Command("sh", "-c", script)
		_ = cmd.Run() // its state is tested
		require.Equal(t, want, killedBy(cmd.ProcessState, "qemu: a message"), script)
	}
	cmd := exec.Command("true")
	require.NoError(t, cmd.Run())
	require.Equal(t, "signal 15 from pid 77 (kill)", killedBy(cmd.ProcessState, "qemu-system-x86_64: terminating on signal 15 from pid 77 (kill)\nbye"))
}
