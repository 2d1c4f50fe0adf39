// SPDX-License-Identifier: Apache-2.0

package deb

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersionsAreOrderedAsDpkgDoes(t *testing.T) {
	sorted := []string{"6.1~rc1-1", "6.1-1", "6.1.99-1", "6.1.192-1", "6.1.192-2~bpo1", "6.1.192-2", "6.1.192-2+b1", "6.12.1-1", "7.3.4-1~bpo13+1", "7.3.4-1", "1:1.0-1"}
	for i, a := range sorted {
		for j, b := range sorted {
			got := Compare(a, b)
			switch {
			case i < j:
				require.Negative(t, got, "%s < %s", a, b)
			case i > j:
				require.Positive(t, got, "%s > %s", a, b)
			default:
				require.Zero(t, got, a)
			}
		}
	}
	require.Zero(t, Compare("1.02-1", "1.2-1"))
	require.Negative(t, Compare("1.a-1", "1.+-1"), "letters come before other characters")
}

func TestDpkgAgrees(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip(err)
	}
	versions := []string{"1", "1.0", "01", "1-0", "1~", "1~~", "1a", "1+", "1.a", "1.+", "1:0.1", "0:1", "1-1~bpo1", "1-1+b1", "1.10", "1.9", "1-a-1", "1-a-2"}
	for _, a := range versions {
		for _, b := range versions {
			op := map[int]string{-1: "lt", 0: "eq", 1: "gt"}[Compare(a, b)]
			require.NoError(t, exec.CommandContext(t.Context(), dpkg, "--compare-versions", a, op, b).Run(), "%s %s %s", a, op, b)
		}
	}
}
