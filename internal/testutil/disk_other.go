// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package testutil

import "testing"

// SmallDisk needs Linux.
func SmallDisk(tb testing.TB, _ string) string {
	tb.Skip("a small disk is mounted on Linux only")
	return ""
}

// ReadOnly needs Linux.
func ReadOnly(testing.TB, string) {}
