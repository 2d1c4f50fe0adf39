// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// InNamespaces runs this test program again in new namespaces, which the flags of
// unshare(1) name, with a variable NAME=VALUE in its environment and with args, and returns
// what it prints. It skips the test if it cannot.
func InNamespaces(t *testing.T, flags []string, variable string, args ...string) []byte {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make namespaces")
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("needs unshare of util-linux")
	}
	if slices.Contains(flags, "--time") {
		if _, err := os.Stat("/proc/self/ns/time"); err != nil {
			t.Skip("the kernel has no time namespaces (they came with 5.6)")
		}
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(unshare, slices.Concat(flags, []string{self}, args)...)
	cmd.Env = append(os.Environ(), variable)
	out, err := cmd.Output()
	require.NoError(t, err, "%s", out)
	return out
}
