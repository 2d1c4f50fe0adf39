// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/ns"
)

// reading is a reading of the time of boot, in ns since the epoch, with its margin of error.
type reading struct{ ns, margin int64 }

// or returns r if the two readings agree within their margins of error, else later.
func (r reading) or(later reading) reading {
	if d := later.ns - r.ns; -r.margin-later.margin <= d && d <= r.margin+later.margin {
		return r
	}
	return later
}

var boot struct {
	sync.Mutex
	last reading
}

// BootOffset returns the time of boot in ns since the epoch, which drivers add to
// times since boot. A reading is never exact, but every call returns the same one
// until somebody sets the clock, so that all captures of a process agree.
func BootOffset() (uint64, error) {
	now, err := read()
	if err != nil {
		return 0, err
	}
	boot.Lock()
	defer boot.Unlock()
	boot.last = boot.last.or(now)
	return uint64(boot.last.ns), nil
}

// SinceBoot returns the kernel's time since boot in ns, whatever the time namespace.
func SinceBoot() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0 // every Linux with our drivers has this clock
	}
	return uint64(t.Nano() - ns.BootOffset())
}

// read samples both clocks 16 times and keeps the sample with the smallest gap between them.
func read() (reading, error) {
	best := reading{margin: 1 << 62}
	for range 16 {
		var before, wall, after unix.Timespec
		for _, r := range []struct {
			clock int32
			ts    *unix.Timespec
		}{{unix.CLOCK_BOOTTIME, &before}, {unix.CLOCK_REALTIME, &wall}, {unix.CLOCK_BOOTTIME, &after}} {
			if err := unix.ClockGettime(r.clock, r.ts); err != nil {
				return reading{}, err
			}
		}
		if half := (after.Nano() - before.Nano() + 1) / 2; half < best.margin {
			best = reading{wall.Nano() - before.Nano() - half + ns.BootOffset(), half}
		}
	}
	return best, nil
}
