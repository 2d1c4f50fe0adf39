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

func TestCallsOf32BitTasksAloneHavePlacesOfTheirOwn(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("other architectures make no typed events of 32-bit tasks")
	}
	owner := make(map[int]string)
	for _, id := range IDs() {
		place, ok := Place(id.Name, id.NR)
		if !ok {
			continue
		}
		require.Empty(t, owner[place], "%d is %s and %s", place, owner[place], id.Name)
		require.Less(t, place, Calls)
		owner[place] = id.Name
		if id.NR.on("amd64") < 0 {
			require.Equal(t, Syscalls+int(id.Code), place, id.Name)
		}
	}
	require.Equal(t, "ipc", owner[Syscalls+276])
	require.Empty(t, owner[abi.UnknownCall])
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
