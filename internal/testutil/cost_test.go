// SPDX-License-Identifier: Apache-2.0

package testutil

import (
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
		sum := 0 // in a register: a fast machine takes 0.2 s for the large input, enough to be measured
		for i := range n {
			for j := range i {
				sum += j
			}
		}
		sink += sum
	}
	w := watch(func(tb testing.TB) { CostGrowsSlowly(tb, 20000, linear) })
	require.False(t, w.failed, w.log)
	w = watch(func(tb testing.TB) { CostGrowsSlowly(tb, 2500, quadratic) })
	require.True(t, w.failed)
	require.Contains(t, w.log, "an input 16 times as long takes")
	require.NotZero(t, sink+1)
}
