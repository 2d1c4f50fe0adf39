// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package testutil

import (
	"runtime"
	"testing"
	"time"
)

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	tb.Skip("the CPU time of a process is not known on " + runtime.GOOS)
	return 0
}
