// SPDX-License-Identifier: Apache-2.0

package deb

import (
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
