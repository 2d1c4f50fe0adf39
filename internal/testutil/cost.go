// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"testing"
	"time"
)

// CostGrowsSlowly fails the test when the CPU time of f grows like the square of
// its input rather than like its length. f works on an input of the given length;
// it runs with n and with 16 n. No time is compared with a clock: a machine may be
// slow or busy.
func CostGrowsSlowly(tb testing.TB, n int, f func(n int)) {
	tb.Helper()
	least := func(n, rounds int) time.Duration {
		best := time.Duration(1<<63 - 1)
		for range rounds {
			before := cpuTime(tb)
			f(n)
			best = min(best, cpuTime(tb)-before)
		}
		return best
	}
	// A linear cost is 16 times as high, a quadratic one 256 times.
	const times, limit = 16, 64
	small := max(least(n, 5), 2*time.Millisecond) // shorter times say little
	large := least(times*n, 1)
	if large > limit*small {
		large = min(large, least(times*n, 2))
	}
	if large > limit*small {
		tb.Errorf("an input %d times as long takes %.0f times the CPU time: %v for %d, %v for %d (want less than %d times)",
			times, float64(large)/float64(small), large, times*n, small, n, limit)
	}
}
