// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"math/bits"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

func pageShift() int { return bits.TrailingZeros(uint(os.Getpagesize())) }

// attach attaches a program in the way that its type needs.
func attach(p *ebpf.Program, tracepoint string) (link.Link, error) {
	switch p.Type() {
	case ebpf.TracePoint:
		// For the tracepoints of single calls, sys_exit_openat and so on, kernel 7.3 does not disable preemption.
		return link.Tracepoint("raw_syscalls", tracepoint, p, nil)
	case ebpf.RawTracepoint:
		return link.AttachRawTracepoint(link.RawTracepointOptions{Name: tracepoint, Program: p})
	}
	return link.AttachTracing(link.TracingOptions{Program: p})
}
