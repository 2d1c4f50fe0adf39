// SPDX-License-Identifier: Apache-2.0

//go:build unix

package testutil

import (
	"syscall"
	"testing"
)

// Umask sets the umask of this process until the test ends.
func Umask(tb testing.TB, mask int) {
	tb.Helper()
	old := syscall.Umask(mask)
	tb.Cleanup(func() { syscall.Umask(old) })
}
