// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Each call of an architecture is typed or generic, and a param is asserted if a case wants
// a value of it.
func TestCoverage(t *testing.T) {
	table := mustLoad(t, ".")
	c := table.Coverage("amd64")
	require.Contains(t, c.Typed, "openat")
	require.Contains(t, c.Absent, "create_module")
	require.NotContains(t, c.Generic, "create_module")
	for _, name := range c.Generic {
		require.NotContains(t, c.Typed, name)
	}
	arm := table.Coverage("arm64")
	require.NotContains(t, append(arm.Typed, arm.Generic...), "open")

	all, without := table.Unasserted()
	require.Contains(t, without, "sched_yield.res", "it is always 0")
	require.NotContains(t, without, "openat.ino")
	require.GreaterOrEqual(t, 20*(all-len(without)), 19*all, "%d of %d params have no value in any case: %v", len(without), all, without)
}
