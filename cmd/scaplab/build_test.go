// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
)

func TestHeadersAreForOneKernel(t *testing.T) {
	for _, kernels := range [][]string{nil, {"--kernel", "5.10,6.1"}} {
		_, stderr, code := scaplab(t, append([]string{"build", "kmod", "--headers", t.TempDir(), "--out", t.TempDir()}, kernels...)...)
		require.Equal(t, cli.ExitUsage, code, stderr)
		require.Contains(t, stderr, "--headers is for one kernel")
	}
}
