// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReleaseWantsAllKeysOrNone(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	for want, row := range map[string]struct{ args, env []string }{
		"usage: scripts/release OUT KERNELS":                                               {},
		"release: give all of SIGN_KEY, SIGN_CERT, MINISIGN_KEY and MINISIGN_PUB, or none": {[]string{out, "6.12"}, []string{"SIGN_KEY=x", "MINISIGN_PUB=y"}},
	} {
		cmd := exec.CommandContext(t.Context(), "sh", append([]string{"./release"}, row.args...)...)
		cmd.Env = append(cmd.Environ(), row.env...)
		text, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, 2, cmd.ProcessState.ExitCode())
		require.Equal(t, want+"\n", string(text))
	}
	require.NoDirExists(t, out+".keys")
}
