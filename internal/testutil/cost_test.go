// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuadraticCostIsNoticed(t *testing.T) {
	var sink int
	linear := func(n int) {
		for i := range 20 * n {
			sink += i
		}
	}
	quadratic := func(n int) {
		for i := range n {
			sink += strings.Count(strings.Repeat("x", 1+i), "y")
		}
	}
	w := watch(func(tb testing.TB) { CostGrowsSlowly(tb, 20000, linear) })
	require.False(t, w.failed, w.log)
	w = watch(func(tb testing.TB) { CostGrowsSlowly(tb, 3000, quadratic) })
	require.True(t, w.failed)
	require.Contains(t, w.log, "an input 16 times as long takes")
	require.NotZero(t, sink+1)
}
