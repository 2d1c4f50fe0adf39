// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest/judge"
)

func TestTheModuleOfADebianPackageIsJudged(t *testing.T) {
	testutil.SkipIfShort(t, "builds somebody else's module and boots a machine")
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("modules are built on linux/amd64 only")
	}
	file := filepath.Join(t.TempDir(), "report.json")
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"matrix", "--driver", "kmod=falcosecurity-scap-dkms", "--kernel", "6.12", "--syscall", "openat2,umask", "-j", "1", "--json", file}, &out, &errs)
	if code == cli.ExitEnvironment {
		t.Skip(errs.String())
	}
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
