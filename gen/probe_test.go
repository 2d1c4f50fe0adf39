// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/tables"
)

// On a kernel that lacks a call only generated cases run.
func TestACallThatAKernelLacksHasACaseForIt(t *testing.T) {
	table := mustLoad(t, filepath.Join(root, "tables"))
	m, err := newModel(table)
	require.NoError(t, err)
	found := 0
	for _, s := range table.Syscalls {
		if missing(s) {
			found++
			require.NotEmpty(t, m.probeCases(s), s.Name)
		}
	}
	require.NotZero(t, found)
}

func TestWhatAProbeMustNotDoIsDoneWhereTheCallIsMissing(t *testing.T) {
	size := []tables.CParam{{Type: "size_t", Name: "n"}}
	for _, row := range []struct {
		name    string
		syscall tables.Syscall
		probe   string // the only one; "": none
		lacking string
	}{
		{name: "it ends the machine", syscall: tables.Syscall{Params: size, Probe: tables.Probe{Skip: "ends it"}, Since: map[string]string{"amd64": "6.1"}}, probe: "zeros", lacking: "ends it"},
		{name: "it waits", syscall: tables.Syscall{Params: size, Probe: tables.Probe{NoZeros: "waits"}, Until: "6.7"}, probe: "zeros", lacking: "waits"},
		{name: "it has no arguments", syscall: tables.Syscall{Since: map[string]string{"arm64": "5.9"}}, probe: "without arguments", lacking: "the table has a case for the only way to call it"},
		{name: "all kernels have it, without arguments", syscall: tables.Syscall{Since: map[string]string{"amd64": "5.8"}}},
		{name: "all kernels have it", syscall: tables.Syscall{Params: size, Probe: tables.Probe{Skip: "ends it"}, Since: map[string]string{"amd64": ""}}},
	} {
		row.syscall.Exit = &tables.Event{}
		got := new(model).probes(&row.syscall)
		if row.probe == "" {
			require.Empty(t, got, row.name)
			continue
		}
		require.Len(t, got, 1, row.name)
		require.Equal(t, []string{row.probe, row.lacking}, []string{got[0].name, got[0].lacking}, row.name)
		require.Len(t, got[0].args, len(row.syscall.Params), row.name)
	}
}
