// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/abi"
)

func TestEventsStandInTheOrderOfTheirCodes(t *testing.T) {
	for i := 1; i < len(events); i++ {
		require.Less(t, events[i-1].Code, events[i].Code)
	}
}

func TestNumbersBelongToOneCall(t *testing.T) {
	for _, arch := range arches {
		for _, from := range []string{"sys_enter", "sys_exit"} {
			owner := make(map[int]string)
			for i := range events {
				if events[i].From != from {
					continue
				}
				for j := range events[i].Calls {
					c := &events[i].Calls[j]
					nr, ok := c.NR.Number(arch)
					if !ok {
						continue
					}
					require.Less(t, nr, Syscalls, c.Name)
					require.Empty(t, owner[nr], "%s: %d is %s and %s", arch, nr, owner[nr], c.Name)
					owner[nr] = c.Name
				}
			}
		}
	}
}

func TestIA32CallsBecomeTheirAMD64Namesakes(t *testing.T) {
	table := IA32()
	for ia32, amd64 := range map[int]int16{1: 60, 3: 0, 5: 2, 11: 59, 295: 257, 322: 283} {
		require.Equal(t, amd64, table[ia32], "%d", ia32)
	}
	require.EqualValues(t, -1, table[Syscalls-1])
}

func TestListsAreTheCallersOwn(t *testing.T) {
	Events()[0].Symbol = "changed"
	for i, e := range Events() {
		if len(e.Calls) > 0 {
			e.Calls[0].Name = "changed"
			require.NotEqual(t, "changed", Events()[i].Calls[0].Name)
			break
		}
	}
	require.NotEqual(t, "changed", Events()[0].Symbol)
	IDs()[0].Name = "changed"
	require.NotEqual(t, "changed", IDs()[0].Name)
}

func TestNumbersOfThe32BitExecsAreMarked(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("other architectures make no events of 32-bit tasks")
	}
	p, err := new(Driver).plan(Selection{All: true})
	require.NoError(t, err)
	var marked []int
	for nr, bits := range p.interest {
		if bits&abi.InterestAfterExec != 0 {
			marked = append(marked, nr)
		}
	}
	require.Equal(t, []int{11, 358}, marked)
}
