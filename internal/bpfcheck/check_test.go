// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package bpfcheck

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/driver/bpf"
)

func mustOpen(tb testing.TB, name string) *Object {
	tb.Helper()
	text, err := bpf.Object(name)
	require.NoError(tb, err)
	o, err := Open(name+".o", text)
	require.NoError(tb, err)
	return o
}

// The types that one object has of the kernel stand for a kernel that has nothing else.
func TestWhatAKernelLacksIsNamed(t *testing.T) {
	k, err := NewKernel(mustOpen(t, "time").Spec.Types)
	require.NoError(t, err)
	o := mustOpen(t, "memory")
	failed := map[string]Need{}
	for _, program := range o.Programs() {
		needs, err := o.Check(program, k)
		require.NoError(t, err)
		for _, n := range needs {
			if n.Fails() {
				failed[n.Kind+" "+n.What] = n
			}
		}
	}
	read, ok := failed["read struct mm_struct.total_vm"]
	require.True(t, ok, "%v", failed)
	require.True(t, strings.HasPrefix(read.Program, "x_"), read.Program)
	require.Regexp(t, `^[a-z./_]+\.h:\d+$`, read.Source)
	require.Contains(t, read.Line, "total_vm")
	require.Regexp(t, `^\S+:\d+: x_\w+: read struct mm_struct\.total_vm: the kernel does not have it$`, read.String())
	require.Contains(t, failed, "attach sys_exit")
	require.Contains(t, failed, "helper bpf_probe_read_user (number 112)")
}

// Instructions behind a branch that a constant decides are not reached.
func TestConstantsDecideWhatIsReached(t *testing.T) {
	call := asm.FnMapLookupElem.Call()
	for _, row := range []struct {
		name    string
		code    asm.Instructions
		reached bool
	}{
		{"equal", asm.Instructions{asm.Mov.Imm(asm.R1, 0), asm.JEq.Imm(asm.R1, 0, ""), call, asm.Return()}, false},
		{"not equal", asm.Instructions{asm.Mov.Imm(asm.R1, 1), asm.JEq.Imm(asm.R1, 0, ""), call, asm.Return()}, true},
		{"unknown", asm.Instructions{asm.LoadMem(asm.R1, asm.R2, 0, asm.Word), asm.JEq.Imm(asm.R1, 0, ""), call, asm.Return()}, true},
		{"computed", asm.Instructions{asm.Mov.Imm(asm.R1, 6), asm.And.Imm(asm.R1, 1), asm.JEq.Imm(asm.R1, 0, ""), call, asm.Return()}, false},
		{"32 bits", asm.Instructions{asm.Mov.Imm(asm.R1, -1), asm.Mov.Imm32(asm.R2, -1), asm.JEq.Reg(asm.R1, asm.R2, ""), call, asm.Return()}, true},
		{"on the stack", asm.Instructions{asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.R10, -8, asm.R1, asm.DWord), asm.LoadMem(asm.R3, asm.R10, -8, asm.DWord), asm.JEq.Imm(asm.R3, 0, ""), call, asm.Return()}, false},
		{"overwritten in part", asm.Instructions{asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.R10, -8, asm.R1, asm.DWord), asm.StoreMem(asm.R10, -4, asm.R2, asm.Word), asm.LoadMem(asm.R3, asm.R10, -8, asm.DWord), asm.JEq.Imm(asm.R3, 0, ""), call, asm.Return()}, true},
		{"after a call", asm.Instructions{asm.Mov.Imm(asm.R1, 0), asm.FnGetSmpProcessorId.Call(), asm.JEq.Imm(asm.R1, 0, ""), call, asm.Return()}, true},
		{"kept over a call", asm.Instructions{asm.Mov.Imm(asm.R6, 0), asm.FnGetSmpProcessorId.Call(), asm.JEq.Imm(asm.R6, 0, ""), call, asm.Return()}, false},
		{"signed", asm.Instructions{asm.Mov.Imm(asm.R1, -1), asm.JSLT.Imm(asm.R1, 0, ""), call, asm.Return()}, false},
		{"unsigned", asm.Instructions{asm.Mov.Imm(asm.R1, -1), asm.JLT.Imm(asm.R1, 1, ""), call, asm.Return()}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			at := 0
			for i := range row.code {
				if row.code[i].IsBuiltinCall() && row.code[i].Constant == int64(asm.FnMapLookupElem) {
					at = i
				}
				if row.code[i].OpCode.JumpOp() != asm.Call && row.code[i].OpCode.JumpOp() != asm.Exit && row.code[i].OpCode.Class().IsJump() {
					row.code[i].Offset = 1 // over the call
				}
			}
			w := newWalk(&Object{Spec: &ebpf.CollectionSpec{}}, row.code)
			w.run()
			require.Equal(t, row.reached, w.reached(at))
			require.True(t, w.reached(len(row.code)-1))
		})
	}
}

// Where two ways join, only what both know is known.
func TestWaysThatJoinForgetWhatDiffers(t *testing.T) {
	code := asm.Instructions{
		asm.Mov.Imm(asm.R6, 0),
		asm.LoadMem(asm.R1, asm.R2, 0, asm.Word),
		asm.JEq.Imm(asm.R1, 7, ""), // over the next one
		asm.Mov.Imm(asm.R6, 1),
		asm.JEq.Imm(asm.R6, 0, ""),
		asm.FnGetSmpProcessorId.Call(),
		asm.Return(),
	}
	code[2].Offset, code[4].Offset = 1, 1
	w := newWalk(&Object{Spec: &ebpf.CollectionSpec{}}, code)
	w.run()
	for i := range code {
		require.True(t, w.reached(i), "%d", i)
	}
}

func TestReadsHaveTheNamesOfTheSource(t *testing.T) {
	uses, err := mustOpen(t, "memory").Uses()
	require.NoError(t, err)
	var text []string
	for _, r := range uses {
		text = append(text, r.Kind+" "+r.String())
	}
	require.Contains(t, text, "byte_off struct mm_struct.total_vm")
	require.Contains(t, text, "type_exists struct mm_rss_stat")
	for _, r := range uses {
		require.Regexp(t, `^x_\w+$`, r.Program)
		require.NotContains(t, r.String(), "___", "a flavor is no name of the kernel's")
		require.Equal(t, strings.HasSuffix(r.Kind, "_exists"), r.Asks())
	}
	_, err = pathOf(&btf.Struct{Name: "s"}, []int{0, 3})
	require.ErrorContains(t, err, "struct s has no member 3")
}
