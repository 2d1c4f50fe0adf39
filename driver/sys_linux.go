// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"math/bits"
	"os"

	"golang.org/x/sys/unix"
)

// bootOffset is the time of boot, ns since the epoch: of several readings that
// whose two clocks were read closest together.
func bootOffset() (uint64, error) {
	var best, offset int64 = 1 << 62, 0
	for range 16 {
		var before, wall, after unix.Timespec
		for _, r := range []struct {
			clock int32
			ts    *unix.Timespec
		}{{unix.CLOCK_BOOTTIME, &before}, {unix.CLOCK_REALTIME, &wall}, {unix.CLOCK_BOOTTIME, &after}} {
			if err := unix.ClockGettime(r.clock, r.ts); err != nil {
				return 0, err
			}
		}
		if gap := after.Nano() - before.Nano(); gap < best {
			best, offset = gap, wall.Nano()-before.Nano()-gap/2
		}
	}
	return uint64(offset), nil
}

func pageShift() int { return bits.TrailingZeros(uint(os.Getpagesize())) }
