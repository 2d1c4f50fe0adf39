// SPDX-License-Identifier: Apache-2.0

//go:build race

package testutil

// Race reports whether the race detector is on. A sync.Pool then drops some of what it is
// given, so that code which uses one allocates.
const Race = true
