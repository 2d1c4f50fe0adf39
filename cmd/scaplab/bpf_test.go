// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/driver/bpf"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/testutil"
)

// The running kernel's types are enough: nothing is loaded.
func TestOurProgramsFindWhatTheyReadInTheRunningKernel(t *testing.T) {
	testutil.SkipUnlessBTF(t)
	var out, stderr bytes.Buffer
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"bpf", "check", "--json", "--all", "--btf", "/sys/kernel/btf/vmlinux"}, &out, &stderr), stderr.String())
	var results []bpfResult
	require.NoError(t, json.Unmarshal(out.Bytes(), &results))
	require.Len(t, results, 1)
	require.Empty(t, results[0].Failed)
	require.NotEmpty(t, results[0].Excluded, "no kernel has all layouts that the programs know")
	require.Greater(t, results[0].Programs, 300)
	require.Greater(t, results[0].Checked["read"], 10_000)
}

// Fetched kernels are checked where there are any: the default of the command.
func TestOurProgramsFindWhatTheyReadInFetchedKernels(t *testing.T) {
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	list, err := (&kernels.Store{Catalog: catalog}).List()
	require.NoError(t, err)
	if !slices.ContainsFunc(list, func(k kernels.Available) bool { return k.Kernel != nil }) {
		t.Skip("no kernel was fetched yet (scaplab kernels fetch); TestOurProgramsFindWhatTheyReadInTheRunningKernel needs none")
	}
	var out, stderr bytes.Buffer
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"bpf", "check"}, &out, &stderr), "%s%s", &out, &stderr)
}

func TestBPFCheckNamesWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"time", "memory"} {
		text, err := bpf.Object(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".o"), text, 0o644))
	}
	var out, stderr bytes.Buffer
	// The types in an object stand for a kernel that has nothing else.
	require.Equal(t, cli.ExitFound, run(t.Context(), []string{"bpf", "check", "--btf", filepath.Join(dir, "time.o"), filepath.Join(dir, "memory.o")}, &out, &stderr))
	require.Contains(t, out.String(), ": read struct mm_struct.total_vm: the kernel does not have it\n")

	for _, args := range [][]string{{"--btf", "/no/such"}, {"--btf", "bpf_test.go"}, {"bpf_test.go"}, {"--kernel", "0.1"}} {
		require.Equal(t, cli.ExitUsage, run(t.Context(), append([]string{"bpf", "check"}, args...), &out, &stderr), args)
		require.Contains(t, stderr.String(), args[len(args)-1])
	}
}
