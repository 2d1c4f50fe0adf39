// SPDX-License-Identifier: Apache-2.0

package ns

import (
	"os"
	"strconv"
	"strings"
)

// Inodes of the initial namespaces, the same on every kernel: include/linux/proc_ns.h.
const (
	initialPID  = "pid:[4026531836]"
	initialTime = "time:[4026531834]"
)

// PID returns the pid of this process in the initial pid namespace; ok is false if it is in another, where only the kernel knows.
func PID() (pid int, ok bool) {
	link, err := os.Readlink("/proc/self/ns/pid")
	return os.Getpid(), err == nil && link == initialPID
}

// BootOffset returns how much the boot clock of this process is ahead of the machine's, in ns: time_namespaces(7).
func BootOffset() int64 { return bootOffset("/proc/self") }

func bootOffset(self string) int64 {
	link, err := os.Readlink(self + "/ns/time")
	if err != nil || link == initialTime { // before Linux 5.6 there is only one
		return 0
	}
	// The file has the offsets of the namespace for children, which is this one unless the process has just made it.
	text, err := os.ReadFile(self + "/timens_offsets")
	if err != nil {
		return 0
	}
	return parseOffsets(string(text))
}

// parseOffsets reads lines of clock, seconds and nanoseconds.
func parseOffsets(text string) int64 {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		const boottime = "7" // CLOCK_BOOTTIME, as kernels before 5.7 tell it
		if len(f) != 3 || f[0] != "boottime" && f[0] != boottime {
			continue
		}
		sec, err1 := strconv.ParseInt(f[1], 10, 64)
		nsec, err2 := strconv.ParseInt(f[2], 10, 64)
		if err1 == nil && err2 == nil {
			return sec*1e9 + nsec
		}
	}
	return 0
}
