// SPDX-License-Identifier: Apache-2.0

package env

import "os"

// BTFFile is where the running kernel describes its types.
const BTFFile = "/sys/kernel/btf/vmlinux"

// HasBTF reports what is missing for eBPF programs to find the kernel's types.
func HasBTF() error {
	if _, err := os.Stat(BTFFile); err != nil {
		return Lacks(err.Error(), "needs a kernel with CONFIG_DEBUG_INFO_BTF")
	}
	return nil
}
