// SPDX-License-Identifier: Apache-2.0

// Package driver loads the eBPF driver: its compiled programs are in driver/bpf,
// table_gen.go lists the events they make, and Load fits both to the running
// kernel. Package scap/ebpf reads the rings. ModuleSource is the source of the
// kernel module, which makes the same events.
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
