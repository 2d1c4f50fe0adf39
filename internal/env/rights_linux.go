// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mayLoad says why this process may not load eBPF programs that trace.
func mayLoad() error {
	var have [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &have[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	has := func(capability int) bool { return have[capability/32].Effective>>(capability%32)&1 != 0 }
	if !has(unix.CAP_SYS_ADMIN) && !(has(unix.CAP_BPF) && has(unix.CAP_PERFMON)) {
		return fmt.Errorf("user %d has neither CAP_SYS_ADMIN nor CAP_BPF and CAP_PERFMON", os.Geteuid())
	}
	return nil
}
