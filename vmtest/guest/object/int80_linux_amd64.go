// SPDX-License-Identifier: Apache-2.0

package object

// Int80 makes a 32-bit system call from this 64-bit program. A kernel without them kills the caller.
//
//go:noescape
func Int80(nr uint32, args *[6]uint32) int32
