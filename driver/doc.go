// SPDX-License-Identifier: Apache-2.0

// Package driver is the eBPF driver: its compiled programs (in driver/bpf), the
// table of events they make (table_gen.go), and Load, which fits both to the
// running kernel. Reading the rings is the business of scap/ebpf.
//
//	d, err := driver.Load(driver.Options{Select: driver.Selection{Syscalls: []string{"openat"}}})
//	...
//	err = d.Attach()
//	for _, r := range d.Rings() { // BPF ring buffers: map r.Map.FD(), read, repeat
//	}
//
// Programs never wake a reader unless Settings.WakeBytes says so: poll, and
// move the consumer position once per batch, because every move costs the
// producing CPU a cache miss.
package driver
