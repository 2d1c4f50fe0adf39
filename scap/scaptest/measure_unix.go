// SPDX-License-Identifier: Apache-2.0

//go:build unix

package scaptest

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what the program has used so far, in its own code and in the kernel.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
