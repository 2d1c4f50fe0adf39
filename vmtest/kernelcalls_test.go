// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

func TestTheKernelsListOfCallsIsComparedWithTheTable(t *testing.T) {
	hello := &guest.Hello{Release: "6.12.1", Arch: "amd64", Calls: []guest.KernelCall{
		{Symbol: "openat", Args: 4}, {Symbol: "newfstat", Args: 2}, {Symbol: "umount", Args: 2}, {Symbol: "sendfile64", Args: 4}, {Symbol: "bpf", Args: 3},
		{Symbol: "no_such_call", Args: 2}, {Symbol: "close", Args: 2}, {Symbol: "newuname", Args: 1},
	}}
	rep := newReport(Options{Kernels: []Kernel{{Kernel: kernels.Kernel{Name: "6.12", Arch: "amd64"}}}, Command: "scaplab"})
	k := rep.opts.Kernels[0]
	rep.welcome(k, guest.Drivers{A: guest.EBPF}, hello, "cold boot")
	rep.welcome(k, guest.Drivers{A: guest.Kmod}, hello, "cold boot")
	var got []string
	for _, f := range rep.Failures() {
		require.Equal(t, judge.ClassTable, f.Class)
		require.Equal(t, "scaplab matrix --kernel 6.12 --driver ebpf --syscall getppid", f.Repro)
		got = append(got, f.Cell()+": "+f.Reason)
	}
	require.Equal(t, []string{
		"close/as-the-kernel-lists-it@6.12/ebpf: kernel 6.12.1 has close with 2 arguments, the table with 1 (signature, or grown)",
		"no_such_call/as-the-kernel-lists-it@6.12/ebpf: kernel 6.12.1 has the call no_such_call with 2 arguments, the table lacks it",
	}, got, "once for a kernel")

	hello.Calls = []guest.KernelCall{{Symbol: "bpf", Args: 3}}
	hello.Release = "7.2.0"
	require.Len(t, wrongCalls(hello, "amd64"), 1)
	hello.Calls[0].Args = 5
	require.Empty(t, wrongCalls(hello, "amd64"))
}
