// SPDX-License-Identifier: Apache-2.0

package ebpf

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/scaplab/scaplab/internal/ns"
	"github.com/scaplab/scaplab/scap/event"
)

// Self returns the pid of this process as events have it; 0: not known.
func (e *engine) Self() event.PID {
	if pid, ok := ns.PID(); ok {
		return event.PID(pid)
	}
	return askKernel()
}

// askKernel runs a program that returns the caller's pid. In a pid namespace only the kernel knows it. Linux 5.8 and 5.9
// cannot run such a program, and it returns 0.
func askKernel() event.PID {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.RawTracepoint, License: "GPL",
		Instructions: asm.Instructions{
			asm.FnGetCurrentPidTgid.Call(),
			asm.RSh.Imm(asm.R0, 32),
			asm.Return(),
		},
	})
	if err != nil {
		return 0
	}
	defer p.Close()
	pid, err := p.Run(&ebpf.RunOptions{})
	if err != nil {
		return 0
	}
	return event.PID(pid)
}
