// SPDX-License-Identifier: Apache-2.0

package object

import "golang.org/x/sys/unix"

// Int80 is not available: no case that needs it runs here.
//
//go:nosplit
func Int80(_ uint32, _ *[6]uint32) int32 { return -int32(unix.ENOSYS) }
