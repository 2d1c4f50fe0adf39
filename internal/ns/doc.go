// SPDX-License-Identifier: Apache-2.0

// Package ns says how this process sees the machine's pids and clocks. In a pid or time namespace libc and /proc tell other
// numbers than the kernel puts into events.
package ns
