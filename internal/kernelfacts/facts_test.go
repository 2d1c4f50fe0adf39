// SPDX-License-Identifier: Apache-2.0

package kernelfacts

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
)

// mustFetched returns the kernels for amd64 that were fetched before; tests do not use the network.
func mustFetched(t *testing.T) []kernels.Kernel {
	t.Helper()
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	list, err := (&kernels.Store{Catalog: catalog, Arch: "amd64"}).List()
	if err != nil {
		t.Skip(err)
	}
	var found []kernels.Kernel
	for _, k := range list {
		if k.Kernel != nil {
			found = append(found, *k.Kernel)
		}
	}
	if len(found) == 0 {
		t.Skip("no kernel was fetched yet (scaplab kernels fetch)")
	}
	return found
}

func mustFacts(t *testing.T, k kernels.Kernel) *Facts {
	t.Helper()
	types, err := kernels.LoadBTF(k.Image)
	require.NoError(t, err)
	image, err := os.ReadFile(k.Image)
	require.NoError(t, err)
	f, err := Of(image, k.Arch, types, nil)
	require.NoError(t, err)
	return f
}

func (f *Facts) call(name string) *Syscall {
	i := slices.IndexFunc(f.Syscalls, func(s Syscall) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Syscalls[i]
}

// reported is what booted kernels say of their calls.
const reported = "../../../shared/facts/kernel-syscalls.json"

// What the image says is what the kernel says once it runs.
func TestCallsAreThoseThatTheBootedKernelReports(t *testing.T) {
	text, err := os.ReadFile(reported)
	if err != nil {
		t.Skip("needs what booted kernels report: " + err.Error())
	}
	var facts struct {
		Kernels  []string
		Syscalls map[string]struct {
			Impl    string
			Kernels [][2]string
			NoEvent [][2]string `json:"no_event"`
			Sigs    []struct {
				From, To string
				Args     [][2]string
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &facts))
	compared := 0
	for _, k := range mustFetched(t) {
		at := slices.Index(facts.Kernels, k.Name)
		if at < 0 {
			continue
		}
		within := func(from, to string) bool {
			return slices.Index(facts.Kernels, from) <= at && at <= slices.Index(facts.Kernels, to)
		}
		in := func(r [2]string) bool { return within(r[0], r[1]) }
		f := mustFacts(t, k)
		for name, s := range facts.Syscalls {
			if !slices.ContainsFunc(s.Kernels, in) || slices.ContainsFunc(s.NoEvent, in) {
				continue
			}
			for _, sig := range s.Sigs {
				if !within(sig.From, sig.To) {
					continue
				}
				got := f.call(s.Impl)
				require.NotNil(t, got, "%s on %s", name, k.Name)
				want := []Arg{}
				for _, a := range sig.Args {
					want = append(want, Arg{a[0], a[1]})
				}
				require.Equal(t, want, got.Args, "%s on %s", name, k.Name)
				compared++
			}
		}
	}
	require.Greater(t, compared, 300)
}

func TestFactsOfFetchedKernels(t *testing.T) {
	for _, k := range mustFetched(t) {
		f := mustFacts(t, k)
		require.Greater(t, len(f.Syscalls), 300, k.Name)
		require.Equal(t, []Arg{{"dfd", "int"}, {"filename", "const char *"}, {"flags", "int"}, {"mode", "umode_t"}}, f.call("openat").Args, k.Name)
		require.Empty(t, f.call("getppid").Args)
		require.NotNil(t, f.call("getppid").Args, "none, which is known")
		require.Contains(t, f.Tracepoints, "sys_enter", k.Name)
		require.Contains(t, f.Helpers, "bpf_ringbuf_output", k.Name)
	}
}

func TestWithoutTheListCallsAreTheFunctionsOfTheTypes(t *testing.T) {
	k := mustFetched(t)[0]
	types, err := kernels.LoadBTF(k.Image)
	require.NoError(t, err)
	list, err := syscalls([]byte("no image"), k.Arch, types)
	require.NoError(t, err)
	i := slices.IndexFunc(list, func(s Syscall) bool { return s.Name == "openat" })
	require.GreaterOrEqual(t, i, 0)
	require.Nil(t, list[i].Args, "its function with arguments is inlined")
}

func TestChangesAreNamed(t *testing.T) {
	a := &Facts{
		Kernel: "1", Release: "1.0-x", Helpers: []string{"h"}, NoConfig: "none", Config: map[string]string{"X": "y"},
		Syscalls: []Syscall{{"gone", nil}, {"same", []Arg{{"a", "int"}}}, {"other", []Arg{{"a", "int"}}}, {"unknown", nil}},
		Reads: []Read{
			{What: "struct s.gone", There: true, Type: "int", Size: 32}, {What: "struct s.moved", There: true, Type: "int", Size: 32},
			{What: "struct s.other", There: true, Type: "int", Size: 32}, {What: "struct s.never"},
		},
	}
	b := &Facts{
		Kernel: "2", Helpers: []string{"h", "new"}, Config: map[string]string{"X": "m"},
		Syscalls: []Syscall{{"same", []Arg{{"a", "int"}}}, {"other", []Arg{{"a", "long"}}}, {"unknown", []Arg{{"a", "int"}}}},
		Reads: []Read{
			{What: "struct s.gone", Source: []string{"f.h:1"}, Used: []string{"x_p"}}, {What: "struct s.moved", There: true, Type: "int", Size: 32, Offset: 8},
			{What: "struct s.other", There: true, Type: "long", Size: 64}, {What: "struct s.never"},
		},
	}
	require.Equal(t, Diff{
		From: "1 (1.0-x)", To: "2", Moved: 1,
		Syscalls: []Change{{Name: "gone", Before: "gone"}, {Name: "other", Before: "other(int a)", After: "other(long a)"}},
		Helpers:  []Change{{Name: "new", After: "new"}},
		Reads: []Change{
			{Name: "struct s.gone", Before: "struct s.gone: int, 32 bits", Source: []string{"f.h:1"}, Programs: []string{"x_p"}},
			{Name: "struct s.other", Before: "struct s.other: int, 32 bits", After: "struct s.other: long, 64 bits"},
		},
	}, Compare(a, b), "the configuration of one is not known")
}
