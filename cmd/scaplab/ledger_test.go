// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/machine"
)

func TestGrowthOfAProgramIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "verifier.txt")
	l, err := readLedger(file)
	require.ErrorIs(t, err, os.ErrNotExist)
	measured := []vmtest.Verifier{
		{Kernel: "6.1", Program: "x_a", Clang: "19", Instructions: 100, Processed: 1000, States: 50, PeakStates: 20, Stack: 80, Seconds: 1},
		{Kernel: "6.1", Program: "x_b", Clang: "19", Instructions: 10, Error: "refused"},
		{Kernel: "5.10", Program: "x_a", Clang: "19", Instructions: 100, Processed: 2000},
	}
	l.add(measured)
	require.NoError(t, os.WriteFile(file, l.text(), 0o644))
	l, err = readLedger(file)
	require.NoError(t, err)
	require.Equal(t, ledgerHead+"program clang instructions 5.10 6.1\nx_a 19 100 2000/0/0/0 1000/50/20/80\nx_b 19 10 - -\n", string(l.text()))

	problems, compared := l.compare(measured)
	require.Empty(t, problems, "what was refused before may be refused")
	require.Equal(t, 3, compared)
	for _, row := range []struct {
		change func(v *vmtest.Verifier)
		want   []string
	}{
		{func(v *vmtest.Verifier) { v.Processed = 1100 }, nil},
		{func(v *vmtest.Verifier) { v.Processed = 1101 }, []string{"x_a on 6.1, clang 19: 1101 processed instructions, 1000 in the ledger (+10 %, at most 10)"}},
		{func(v *vmtest.Verifier) { v.Stack, v.Instructions = 160, 150 }, []string{"x_a on 6.1, clang 19: 150 instructions, 100 in the ledger (+50 %, at most 10)", "x_a on 6.1, clang 19: 160 bytes of stack, 80 in the ledger (+100 %, at most 10)"}},
		{func(v *vmtest.Verifier) { v.Seconds = 100 }, nil},
		{func(v *vmtest.Verifier) { v.Error = "permission denied" }, []string{"x_a on 6.1, clang 19: permission denied"}},
		{func(v *vmtest.Verifier) { v.Program = "x_new" }, []string{"x_new on 6.1, clang 19: not in the ledger (scaplab bpf ledger --update adds it)"}},
		{func(v *vmtest.Verifier) { v.Kernel = "7.9" }, nil},
	} {
		v := measured[0]
		row.change(&v)
		problems, _ := l.compare([]vmtest.Verifier{v})
		require.Equal(t, row.want, problems)
	}
	l.add([]vmtest.Verifier{{Kernel: "6.1", Program: "x_c", Clang: "19", Instructions: 1, Processed: 1}, {Kernel: "6.1", Program: "x_a", Clang: "14", Instructions: 90, Processed: 900}})
	require.Equal(t, ledgerHead+"program clang instructions 5.10 6.1\nx_a 14 90 - 900/0/0/0\nx_a 19 100 2000/0/0/0 1000/50/20/80\nx_c 19 1 - 1/0/0/0\n", string(l.text()), "a program that is gone leaves")
}

func TestADamagedLedgerSaysWhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "verifier.txt")
	for text, want := range map[string]string{
		"program clang instructions 6.1\nx_a 19 100\n":          ":2: x_a: 0 kernels (want 1,",
		"program clang instructions 6.1\nx_a 19 many 1/2/3/4\n": `:2: x_a: "many" is no number`,
		"program clang instructions 6.1\n\nx_a 19 1 1/2/3\n":    `:3: x_a: "1/2/3" (want four numbers`,
		"program\n": ":1: 1 words (want program, clang,",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		_, err := readLedger(file)
		require.ErrorContains(t, err, file+want)
	}
}

// The committed ledger has every program that is compiled in, so that none escapes the comparison.
func TestTheLedgerHasEveryProgram(t *testing.T) {
	l, err := readLedger("../../driver/bpf/verifier.txt")
	require.NoError(t, err)
	if !slices.Contains(machine.Arches(), runtime.GOARCH) {
		t.Skip("there are no eBPF programs for " + runtime.GOARCH)
	}
	list, _, err := objects(nil)
	require.NoError(t, err)
	programs := 0
	for _, o := range list {
		for _, program := range o.Programs() {
			row := l.rows[ledgerKey{program, "19"}]
			require.NotNil(t, row, "%s (scaplab bpf ledger --update adds it)", program)
			require.NotEmpty(t, row.on, program)
			programs++
		}
	}
	require.Greater(t, programs, 300)
}
