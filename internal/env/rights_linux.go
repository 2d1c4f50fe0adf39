// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const sudo = "run it with sudo"

// lockdown is where securityfs tells the kernel's lockdown: kernel_lockdown(7).
const lockdown = "/sys/kernel/security/lockdown"

// MayLoadPrograms reports what this process lacks to load eBPF programs that trace: capabilities(7), and a kernel that
// lets them read its memory. A lockdown is not seen where securityfs is not mounted.
func MayLoadPrograms() error {
	// Loading would fail program by program without this reason: the helpers that read memory are not there.
	if modes, err := os.ReadFile(lockdown); err == nil && strings.Contains(string(modes), "[confidentiality]") {
		return Lacks("the kernel is locked down (confidentiality), so eBPF programs may not read its memory",
			"boot with lockdown=integrity or without lockdown")
	}
	// Capabilities of a user namespace are not those that the kernel asks for.
	if ids, err := os.ReadFile("/proc/self/uid_map"); err == nil && strings.Join(strings.Fields(string(ids)), " ") != "0 0 4294967295" {
		return Lacks("this process is in a user namespace, where no one may load eBPF programs", "run it on the machine itself")
	}
	var have [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &have[0]); err != nil {
		return Lacks(fmt.Sprintf("the capabilities of this process are not known: %v", err), sudo)
	}
	has := func(capability int) bool { return have[capability/32].Effective>>(capability%32)&1 != 0 }
	if has(unix.CAP_SYS_ADMIN) { // it contains the others
		return nil
	}
	var lacks []string
	if !has(unix.CAP_BPF) {
		lacks = append(lacks, "CAP_BPF")
	}
	if !has(unix.CAP_PERFMON) {
		lacks = append(lacks, "CAP_PERFMON")
	}
	if lacks != nil {
		return Lacks(fmt.Sprintf("user %d lacks %s to load eBPF programs", os.Geteuid(), strings.Join(lacks, " and ")), sudo)
	}
	return nil
}
