// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/tables"
	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// Every case of the table gets as far as its call, whatever the call returns.
func TestTheCasesOfTheTableCanBeRun(t *testing.T) {
	r := newTestRunner(t)
	for word, why := range probeNeeds() {
		r.lacks[word] = why
	}
	n := 0
	for _, sc := range slices.Concat(Syscalls(), Suites()) {
		if !sc.OnArch(runtime.GOARCH) {
			continue
		}
		for j := range sc.Cases {
			cs := &sc.Cases[j]
			if cs.Unsafe || cs.Generated || cs.Arch != "" && cs.Arch != runtime.GOARCH { // generated cases have no objects
				continue
			}
			res := r.runCase(sc.ID(cs), &RunRequest{Timeout: CaseLimit})
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

// The text of the cases is that of the table.
func TestTheCasesAreThoseOfTheTable(t *testing.T) {
	table, err := tables.Load("../../tables")
	require.NoError(t, err)
	bindings := func(list []tables.Binding) (out []Binding) {
		for _, b := range list {
			out = append(out, Binding{b.Name, b.Expr.String()})
		}
		return out
	}
	var names []string
	for _, s := range table.Syscalls {
		names = append(names, s.Name)
		got := FindSyscall(s.Name)
		require.NotNil(t, got, s.Name)
		require.Equal(t, s.NR, got.NR, s.Name)
		require.Len(t, got.Params, len(s.Params), s.Name)
		for i, p := range s.Params {
			require.Equal(t, Param{p.Type, p.Name}, got.Params[i], s.Name)
		}
		require.Equal(t, s.Exit.Code, got.Exit, s.Name)
		for i, c := range s.Cases {
			g := got.Cases[i]
			require.Equal(t, cmp.Or(c.Name, "works"), g.Name, s.Name)
			require.False(t, g.Generated, "%s %s", s.Name, g.Name)
			require.Equal(t, fmt.Sprintf("%s:%d", strings.TrimPrefix(c.Pos.File, "../../"), c.Pos.Line), got.Place(&g), "%s %s", s.Name, g.Name)
			require.Equal(t, c.Call.String(), g.Call, "%s %s", s.Name, g.Name)
			require.Equal(t, bindings(c.Given), g.Given, "%s %s", s.Name, g.Name)
			require.Equal(t, bindings(c.Want), g.Want, "%s %s", s.Name, g.Name)
		}
		for _, g := range got.Cases[len(s.Cases):] {
			require.True(t, g.Generated, "%s %s", s.Name, g.Name)
			require.Equal(t, got.Place(nil), got.Place(&g), "%s %s", s.Name, g.Name)
		}
	}
	var got []string
	for _, s := range Syscalls() {
		got = append(got, s.Name)
	}
	require.Equal(t, names, got)
	require.Nil(t, FindSyscall("nothing"))
}

// The text of the scenarios is that of the table.
func TestTheScenariosAreThoseOfTheTable(t *testing.T) {
	table, err := tables.Load("../../tables")
	require.NoError(t, err)
	require.NotEmpty(t, table.Suites)
	require.Len(t, Suites(), len(table.Suites))
	for i, s := range table.Suites {
		got := Suites()[i]
		require.Equal(t, s.Name, got.Name)
		require.True(t, got.Suite)
		require.Same(t, got, FindEntry(s.Name))
		require.Nil(t, FindSyscall(s.Name), "it is no syscall")
		require.Len(t, got.Cases, len(s.Scenarios), s.Name)
		for j, c := range s.Scenarios {
			g := got.Cases[j]
			require.Equal(t, c.Name, g.Name)
			require.Equal(t, fmt.Sprintf("%s:%d", strings.TrimPrefix(c.Pos.File, "../../"), c.Pos.Line), got.Place(&g), g.Name)
			require.Equal(t, c.Act.String(), g.Act, g.Name)
			require.NotEmpty(t, g.Select, g.Name)
			items := slices.Concat(c.Shows, c.Never)
			require.Len(t, g.Items, len(items), g.Name)
			for k, item := range items {
				require.Equal(t, item.Event.Code, g.Items[k].Code, g.Name)
				require.Equal(t, k >= len(c.Shows), g.Items[k].Never, g.Name)
				require.Len(t, g.Items[k].With, len(item.With), g.Name)
				require.Len(t, g.Items[k].Missed, len(item.Missed), g.Name)
			}
			found, _ := Find(got.ID(&g))
			require.Same(t, got, found, g.Name)
		}
	}
}

func TestALineThatIsNoneOfTheCases(t *testing.T) {
	for text, want := range map[string]string{
		"nr amd64=one":            `cases_gen.txt: f, line 1: "nr amd64=one": strconv.Atoi: parsing "one": invalid syntax (scaplab gen writes it)`,
		"exit 307\n\nwhat else":   `cases_gen.txt: f, line 3: "what else": unknown key (scaplab gen writes it)`,
		"exit 307\n\tcall f()":    `cases_gen.txt: f, line 2: "\tcall f()": belongs to no case (scaplab gen writes it)`,
		"case works\n\twith a 1":  `cases_gen.txt: f, line 2: "\twith a 1": belongs to no event (scaplab gen writes it)`,
		"case works\n\tcalls f()": `cases_gen.txt: f, line 2: "\tcalls f()": unknown key (scaplab gen writes it)`,
	} {
		require.PanicsWithValue(t, want, func() { mustParse("f", text) })
	}
}

// helpers.yaml declares the functions that the guest has for cases.
func TestTheGuestHasTheDeclaredFunctions(t *testing.T) {
	table, err := tables.Load("../../tables")
	require.NoError(t, err)
	declared := map[string]bool{}
	for _, h := range table.Helpers {
		if h.Kind == "given" || h.Kind == "after" || h.Kind == "act" {
			declared[h.Name] = true
			require.Contains(t, object.Functions(), h.Name, "declared at %v", h.Pos)
		}
	}
	for _, name := range object.Functions() {
		require.True(t, declared[name], "%s is not declared in helpers.yaml", name)
	}
}

// A word without a probe would count as met on every machine.
func TestEveryNeedHasAProbe(t *testing.T) {
	require.Equal(t, slices.Sorted(maps.Keys(tables.Needs)), slices.Sorted(maps.Keys(needs)))
}

func TestAChildsEventIsTheCallsOnlyWhereItReturnsFromIt(t *testing.T) {
	sc := FindSyscall("clone3")
	require.Equal(t, uint16(event.TypeClone3Exit), sc.ChildCode("amd64"))
	require.Equal(t, uint16(event.TypeCloneExit), sc.ChildCode("arm64"))
	require.Zero(t, FindSyscall("openat").ChildCode("arm64"))
}
