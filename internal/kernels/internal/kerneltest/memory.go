// SPDX-License-Identifier: Apache-2.0

package kerneltest

import (
	"runtime"
	"testing"
)

// mostMemory bounds what reading a few bytes may allocate, whatever size they claim: the
// windows of two decoders, and the data that is really there.
const mostMemory = 1 << 30

// InBoundedMemory fails if f allocates more than mostMemory.
func InBoundedMemory(tb testing.TB, f func()) {
	tb.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > mostMemory {
		tb.Fatalf("%d MB were allocated", n>>20)
	}
}
