// SPDX-License-Identifier: Apache-2.0

package field

import (
	"math/bits"
	"strconv"
)

// capabilityNames are the names of Linux capabilities by their numbers.
var capabilityNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// capabilities sets the names of the capabilities in a set, separated by blanks. A
// capability of a newer kernel has its number as name.
func capabilities(set uint64, v *Value) bool {
	b := v.Scratch()
	for ; set != 0; set &= set - 1 {
		if len(b) > 0 {
			b = append(b, ' ')
		}
		if n := bits.TrailingZeros64(set); n < len(capabilityNames) {
			b = append(b, capabilityNames[n]...)
		} else {
			b = strconv.AppendInt(append(b, "CAP_"...), int64(n), 10)
		}
	}
	return v.SetScratch(b)
}
