// SPDX-License-Identifier: Apache-2.0

package abi

import "runtime"

// Requests of the module's devices, by their number; Request makes the whole of it.
const (
	DroppingOff   = 2
	DroppingOn    = 3
	Snaplen       = 4
	DynSnaplenOff = 8
	DynSnaplenOn  = 9
	VTID          = 10
	VPID          = 11
	CurrentTID    = 12
	CurrentPID    = 13
	Proclist      = 16
	TPHits        = 20
	DriverVersion = 21
	PortRange     = 22
	Statsd        = 23
	APIVersion    = 24
	SchemaVersion = 25
	SyscallOn     = 29
	SyscallOff    = 30
	TPOn          = 31
	TPOff         = 32
	DropFailedOn  = 33
	DropFailedOff = 34
	OwnEvents     = 200 // of this project's module only: the client knows codes from FirstOwn on
)

// Request is _IO('s', number) of the kernel's headers.
func Request(number uint) uint {
	request := uint('s')<<8 | number
	if runtime.GOARCH == "ppc64le" { // where the direction "none" has a bit
		request |= 1 << 29
	}
	return request
}

// Tracepoints, as TPOn numbers them.
const (
	TPSysEnter = iota
	TPSysExit
	TPProcessExit
	TPSwitch
	TPPageFaultUser
	TPPageFaultKernel
	TPSignal
	TPFork
	TPExec
	TPCount
)

// The page that module and client share of a ring: two positions, then counters.
const (
	RingHead     = 0 // u32, the module's: where it writes next
	RingTail     = 4 // u32, the client's: where it reads next
	RingCounters = 8 // u64 each
	RingInfoSize = RingCounters + 8*CounterCount
)

// The counters of a ring.
const (
	CounterEvents = iota
	CounterDropsBuffer
	CounterDropsCloneFork
	CounterDropsExecve
	CounterDropsConnectEnter
	CounterDropsConnect
	CounterDropsOpenEnter
	CounterDropsOpen
	CounterDropsDirFile
	CounterDropsOtherInterest
	CounterDropsClose
	CounterDropsProcExit
	CounterDropsFault
	CounterPreemptions
	CounterSwitches
	CounterDropsMessages // ours: not in the page of another module
	CounterCount
)
