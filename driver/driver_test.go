// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func needRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("loading eBPF programs needs root")
	}
}

func TestEveryProgramLoadsHere(t *testing.T) {
	needRoot(t)
	d, err := Load(Options{Select: Selection{All: true, Tracepoints: Tracepoints(), Enter: true}})
	require.NoError(t, err)
	defer d.Close()
	for _, r := range d.Refused() {
		t.Errorf("%+v", r)
	}
}

func TestRefusalTellsTheVerifiersReason(t *testing.T) {
	const old = `0: (79) r0 = *(u64 *)(r1 +0)
1: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'scalar'
verification time 21 usec
stack depth 0
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0`
	const since73 = `0: (79) r0 = *(u64 *)(r1 +0)
R0 invalid mem access 'scalar'

Verification failed: Register Type Safety: Invalid dereference

Suggestion:
  Preserve a pointer-valued register where needed.

processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0`
	for name, log := range map[string]string{"before 7.3": old, "since 7.3": since73} {
		ve := &ebpf.VerifierError{Cause: unix.EACCES, Log: strings.Split(log, "\n")}
		r := &Refusal{Program: "x_open_exit", Err: fmt.Errorf("load: %w", ve)}
		require.Equal(t, "program x_open_exit: permission denied: R0 invalid mem access 'scalar'", r.Error(), name)
		require.Contains(t, fmt.Sprintf("%+v", r), "processed 2 insns", name)
		require.NotContains(t, fmt.Sprintf("%v", r), "processed", name)
		require.ErrorIs(t, r, unix.EACCES)
	}
	r := &Refusal{Program: "x_open_exit", Err: ebpf.ErrNotSupported}
	require.Equal(t, "program x_open_exit: not supported", r.Error())
}
