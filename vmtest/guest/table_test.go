// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/tables"
	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// Every case of the table gets as far as its call, whatever comes of it.
func TestTheCasesOfTheTableCanBeRun(t *testing.T) {
	r := newTestRunner(t)
	for word, why := range probeNeeds() {
		r.lacks[word] = why
	}
	n := 0
	for i := range Syscalls {
		sc := &Syscalls[i]
		if _, ok := sc.Number(runtime.GOARCH); !ok || strings.HasPrefix(sc.Name, "t_") {
			continue
		}
		for j := range sc.Cases {
			cs := &sc.Cases[j]
			if cs.Unsafe || cs.Generated { // generated ones take nothing that must be made
				continue
			}
			res := r.runCase(sc.ID(cs), &RunRequest{Timeout: 20 * time.Second})
			switch res.Outcome {
			case Ran, Skipped:
			case Crashed:
				require.NotEmpty(t, cs.NoEvent, "%s: %s\n%s", res.Case, res.Reason, res.Stderr)
			default:
				t.Errorf("%s: %s: %s\n%s", res.Case, res.Outcome, res.Reason, res.Stderr)
			}
			n++
		}
	}
	require.Positive(t, n)
}

// What helpers.yaml declares for cases is what the guest has.
func TestTheGuestHasTheDeclaredFunctions(t *testing.T) {
	table, err := tables.Load("../../tables")
	require.NoError(t, err)
	declared := map[string]bool{}
	for _, h := range table.Helpers {
		if h.Kind == "given" || h.Kind == "after" {
			declared[h.Name] = true
			require.Contains(t, object.Functions(), h.Name, "declared at %v", h.Pos)
		}
	}
	for _, name := range object.Functions() {
		require.True(t, declared[name], "%s is not declared in helpers.yaml", name)
	}
}

// A word without a probe would hold everywhere, whatever is lacking.
func TestEveryNeedHasAProbe(t *testing.T) {
	require.Equal(t, slices.Sorted(maps.Keys(tables.Needs)), slices.Sorted(maps.Keys(needs)))
}

func TestAChildsEventIsTheCallsOnlyWhereItReturnsFromIt(t *testing.T) {
	sc := FindSyscall("clone3")
	require.Equal(t, uint16(event.TypeClone3Exit), sc.ChildCode("amd64"))
	require.Equal(t, uint16(event.TypeCloneExit), sc.ChildCode("arm64"))
	require.Zero(t, FindSyscall("openat").ChildCode("arm64"))
}
