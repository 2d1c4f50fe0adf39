// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/machine"
)

func TestTheModuleOfADebianPackageIsJudged(t *testing.T) {
	testutil.SkipIfShort(t, "builds somebody else's module and boots a machine")
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the package's module is tried on linux/amd64 only")
	}
	if _, err := machine.FindQEMU(runtime.GOARCH); err != nil {
		t.Skip(err)
	}
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	store := &kernels.Store{Catalog: catalog, MaxAge: 24 * time.Hour, Log: t.Logf}
	if _, err := store.Package(t.Context(), "sid", "falcosecurity-scap-dkms"); err != nil {
		t.Skipf("needs the package from the archive: %v", err)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"matrix", "--driver", "kmod=falcosecurity-scap-dkms", "--kernel", "6.12", "--syscall", "openat2,umask", "-j", "1", "--json", file}, &out, &errs)
	require.Equal(t, cli.ExitFine, code, "%s\n%s", out.String(), errs.String())
	require.Contains(t, out.String(), "Conformance of scap 0.")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var report struct {
		Runs []struct {
			Subject struct{ Name, Schema, Origin string }
		}
		Results []struct {
			Syscall, Case, Conformance, Repro string
			Params                            []judge.Param
		}
	}
	require.NoError(t, json.Unmarshal(text, &report))
	require.Equal(t, "scap", report.Runs[0].Subject.Name)
	require.Contains(t, report.Runs[0].Subject.Origin, "falcosecurity-scap-dkms ")
	seen := map[string]string{}
	for _, r := range report.Results {
		seen[r.Syscall+"/"+r.Case] = r.Conformance
		require.Contains(t, r.Repro, "--driver kmod=falcosecurity-scap-dkms")
		if r.Syscall == "umask" { // the reference has no event of it
			require.Equal(t, "generic.nativeID", r.Params[0].Name)
		}
	}
	require.Equal(t, "equal", seen["openat2/creates-a-file-beneath-a-directory"])
	require.Equal(t, "listed", seen["openat2/NULL-how"], "it loses the event")
	require.Equal(t, "equal", seen["umask/from-one-to-another"])
}

func TestTheExportedProgramIsThisOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	program := filepath.Join(t.TempDir(), "guest")
	require.NoError(t, os.WriteFile(program, []byte("a program"), 0o600))
	code, stdout, stderr := runHere(t, "cases", "--export", dir, "--guest", program)
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Contains(t, stdout, filepath.Join(dir, "README"))
	text, err := os.ReadFile(filepath.Join(dir, "scaplab"))
	require.NoError(t, err)
	require.Equal(t, "a program", string(text))

	code, stdout, _ = runHere(t, "cases", "--syscall", "umask")
	require.Equal(t, cli.ExitFine, code)
	require.Contains(t, stdout, "umask/from-one-to-another\n")
}
