// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// The programs that are compiled in are compared with the ledger on one kernel that was fetched before; tests do not use the network.
func TestNoProgramHasGrown(t *testing.T) {
	testutil.SkipIfShort(t, "boots a kernel")
	if _, err := machine.FindQEMU(runtime.GOARCH); err != nil {
		t.Skip(err)
	}
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	list, err := (&kernels.Store{Catalog: catalog}).List()
	if err != nil {
		t.Skip(err)
	}
	l, err := readLedger("../../driver/bpf/verifier.txt")
	require.NoError(t, err)
	series := ""
	for _, k := range list {
		for _, known := range l.kernels {
			if k.Kernel != nil && k.Series == known {
				series = known // the newest
			}
		}
	}
	if series == "" {
		t.Skip("no kernel of the ledger was fetched yet (scaplab kernels fetch)")
	}
	guest, remove, err := buildGuest(t.Context(), runtime.GOARCH)
	require.NoError(t, err)
	defer remove()
	var out, stderr bytes.Buffer
	code := run(t.Context(), []string{"bpf", "ledger", "--kernel", series, "--max-age", "1000000h", "--guest", guest}, &out, &stderr)
	require.Equal(t, cli.ExitFine, code, "%s%s", out.String(), stderr.String())
	require.Regexp(t, `^\d{3} programs compared on 1 kernels, clang 19: 0 grew or were refused\n$`, out.String())
}
