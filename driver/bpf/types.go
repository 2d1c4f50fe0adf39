// SPDX-License-Identifier: Apache-2.0

package bpf

import "structs"

// Config is struct config of maps.h: the settings that may change while programs run.
type Config struct {
	_              structs.HostLayout
	BootOffset     uint64
	Snaplen        uint32
	SamplingRatio  uint32
	WakeBytes      uint32
	FullPortFirst  uint16
	FullPortLast   uint16
	StatsdPort     uint16
	Slow           uint8
	Dropping       uint8
	DropFailed     uint8
	DynamicSnaplen uint8
	Pad            [6]uint8
	_              [4]byte
}

// Counters is struct counters of maps.h.
type Counters struct {
	_             structs.HostLayout
	Seen          uint64
	Delivered     uint64
	DropBuffer    uint64
	DropTooLarge  uint64
	DropScratch   uint64
	DropNoProgram uint64
	DropNoRing    uint64
	DropMessages  uint64
}

// CPU is struct cpu of maps.h: the entry of a CPU in the map cpus.
type CPU struct {
	_           structs.HostLayout
	Events      Counters
	PageFaults  Counters
	Arg         [6]uint64
	CallPidTgid uint64
	CallKind    uint32
	CallNr      uint32
	Head        uint64
	Unwoken     uint32
	ScratchBusy uint32
	CallNumber  uint32
	CallLayout  uint32
	Pad         [5]uint64
	Tail        uint64
	TailPad     [7]uint64
}
