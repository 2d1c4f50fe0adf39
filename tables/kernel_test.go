// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kver"
)

// The facts are what kernels 5.10 to 7.3 list themselves; every run of the matrix compares the running kernel's list, too.
func TestTheTableHasTheCallsOfAllKernels(t *testing.T) {
	b, err := os.ReadFile(facts + "kernel-syscalls.json")
	if err != nil {
		t.Skip("needs the facts about kernels:", err)
	}
	var kernel struct {
		Syscalls map[string]struct {
			NR   int    `json:"nr"`
			Impl string `json:"impl"`
			Sigs []struct {
				From string  `json:"from"`
				Args [][]any `json:"args"`
			} `json:"sigs"`
		} `json:"syscalls"`
		Absent map[string]int `json:"reserved_but_not_implemented"`
	}
	require.NoError(t, json.Unmarshal(b, &kernel))
	require.NotEmpty(t, kernel.Syscalls)
	table := mustLoad(t, ".")
	var wrong []string
	for _, id := range table.IDs {
		_, absent := kernel.Absent[id.Name]
		if absent != slices.Contains(id.Absent, "amd64") {
			wrong = append(wrong, fmt.Sprintf("%s: that no kernel has it is %v", id.Name, absent))
		}
	}
	for name, f := range kernel.Syscalls {
		i := slices.IndexFunc(table.Syscalls, func(s *Syscall) bool { return s.Name == name })
		j := slices.IndexFunc(table.IDs, func(id *ID) bool { return id.Name == name })
		switch {
		case i >= 0 && table.Syscalls[i].NR["amd64"] != f.NR, i < 0 && j >= 0 && table.IDs[j].NR["amd64"] != f.NR:
			wrong = append(wrong, fmt.Sprintf("%s has the number %d", name, f.NR))
		case i < 0 && j < 0:
			wrong = append(wrong, name+" is not in the table")
		}
		if f.Impl != name && (j < 0 || table.IDs[j].Symbol != f.Impl) {
			wrong = append(wrong, fmt.Sprintf("%s has the symbol %s", name, f.Impl))
		}
		for _, sig := range f.Sigs {
			if i < 0 || len(sig.Args) == 0 { // some have no event that lists the arguments
				continue
			}
			s := table.Syscalls[i]
			args := len(s.Params)
			for version, n := range s.Grown {
				if !kver.MustParse(sig.From).Less(kver.MustParse(version)) {
					args = n
				}
			}
			if args != len(sig.Args) {
				wrong = append(wrong, fmt.Sprintf("%s has %d arguments from kernel %s on, in the table %d", name, len(sig.Args), sig.From, args))
			}
		}
	}
	slices.Sort(wrong)
	require.Empty(t, wrong)
}
