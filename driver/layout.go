// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/scaplab/scaplab/driver/bpf"
)

// config returns the settings as the programs read them.
func config(s Settings, bootOffset uint64) bpf.Config {
	return bpf.Config{
		BootOffset:     bootOffset,
		Snaplen:        uint32(s.Snaplen),
		SamplingRatio:  s.SamplingRatio,
		WakeBytes:      s.WakeBytes,
		FullPortFirst:  s.FullPorts[0],
		FullPortLast:   s.FullPorts[1],
		StatsdPort:     s.StatsdPort,
		Slow:           u8(s.Dropping || s.DropFailed),
		Dropping:       u8(s.Dropping),
		DropFailed:     u8(s.DropFailed),
		DynamicSnaplen: u8(s.DynamicSnaplen),
	}
}

func u8(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// countersAt reads a CPU's entry of the map cpus.
func countersAt(m *ebpf.Memory, cpu int) Counters {
	var c bpf.CPU
	view := unsafe.Slice((*byte)(unsafe.Pointer(&c)), unsafe.Sizeof(c))
	if _, err := m.ReadAt(view, int64(cpu)*int64(len(view))); err != nil {
		return Counters{}
	}
	var sum Counters
	for _, c := range []*bpf.Counters{&c.Events, &c.PageFaults} {
		sum.add(Counters{
			Seen:          c.Seen,
			Delivered:     c.Delivered,
			DropBuffer:    c.DropBuffer,
			DropTooLarge:  c.DropTooLarge,
			DropScratch:   c.DropScratch,
			DropNoProgram: c.DropNoProgram,
			DropNoRing:    c.DropNoRing,
			DropMessages:  c.DropMessages,
		})
	}
	return sum
}

// positions returns where the positions of a CPU are in the map cpus.
func positions(m *ebpf.Map, cpus, cpu int) Positions {
	var c bpf.CPU
	entry := cpu * int(unsafe.Sizeof(c))
	return Positions{
		Map:  m,
		Size: cpus * int(unsafe.Sizeof(c)),
		Head: entry + int(unsafe.Offsetof(c.Head)),
		Tail: entry + int(unsafe.Offsetof(c.Tail)),
	}
}
