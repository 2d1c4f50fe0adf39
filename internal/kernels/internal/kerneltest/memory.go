// SPDX-License-Identifier: Apache-2.0

package kerneltest

import (
	"runtime"
	"testing"
)

// mostMemory is what may be allocated to read some bytes that claim to be more: the
// windows of two decoders, and what they really unpack.
const mostMemory = 1 << 30

// InBoundedMemory fails when f allocates more than any bytes are worth.
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
