// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package machinetest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResultsAreReadFromAConsole(t *testing.T) {
	const console = "[    0.1] Linux version\r\n=== RUN   TestGuestA\r\n    a_test.go:1: said\r\n[    0.2] random: crng init done\r\n--- PASS: TestGuestA (0.02s)\r\n" +
		"=== RUN   TestGuestB\r\n=== RUN   TestGuestB/one\r\n    a_test.go:7: needs\r\n=== RUN   TestGuestB/two\r\n    a_test.go:8: is wrong\r\n" +
		"--- FAIL: TestGuestB (0.10s)\r\n    --- SKIP: TestGuestB/one (0.00s)\r\n    --- FAIL: TestGuestB/two (0.00s)\r\nFAIL\r\n\r\n" + exitMark + "1\r\n"
	got := results(console)
	require.Equal(t, []result{
		{"TestGuestA", "PASS", "    a_test.go:1: said\n[    0.2] random: crng init done\n--- PASS: TestGuestA (0.02s)"},
		{"TestGuestB", "FAIL", "--- FAIL: TestGuestB (0.10s)"},
		{"TestGuestB/one", "SKIP", "    a_test.go:7: needs\n    --- SKIP: TestGuestB/one (0.00s)"},
		{"TestGuestB/two", "FAIL", "    a_test.go:8: is wrong\n    --- FAIL: TestGuestB/two (0.00s)"},
	}, got)
	require.Equal(t, "needs", skipped(got[2].text))
	require.Empty(t, results("Kernel panic - not syncing\n"))
}
