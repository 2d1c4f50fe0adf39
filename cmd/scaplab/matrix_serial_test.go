// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
)

func TestTheLimitOfTheCacheIsASize(t *testing.T) {
	for _, row := range [][]string{
		{"--cache-limit many: not a size (want a number with KB, MB or GB)", "--cache-limit", "many"},
		{"--cache-limit runs one kernel after the other", "--cache-limit", "1GB", "--shard", "1/2"},
	} {
		var out, stderr bytes.Buffer
		require.Equal(t, cli.ExitUsage, run(t.Context(), append([]string{"matrix"}, row[1:]...), &out, &stderr))
		require.Contains(t, stderr.String(), row[0])
	}
}
