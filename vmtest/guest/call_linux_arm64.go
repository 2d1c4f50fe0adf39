// SPDX-License-Identifier: Apache-2.0

package guest

import "golang.org/x/sys/unix"

func mayFork(nr uintptr) bool {
	switch nr {
	case unix.SYS_CLONE, unix.SYS_CLONE3:
		return true
	}
	return false
}

// Calls of 32-bit tasks are not available.
func prepareSocketcall() error                  { return nil }
func socketcall(_ uintptr, _ *[6]uintptr) int64 { return -int64(unix.ENOSYS) }
