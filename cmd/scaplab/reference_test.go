// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/tables"
)

// The release of Debian sid is older than the tables: since then the reference only added to its events.
func TestTheReferenceOfDebianIsOnlyOlder(t *testing.T) {
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	store := &kernels.Store{Catalog: catalog, MaxAge: 24 * time.Hour, Log: t.Logf}
	const name = "falcosecurity-scap-dkms"
	p, err := store.Package(t.Context(), "sid", name)
	if err != nil {
		t.Skipf("needs the package from the archive: %v", err)
	}
	if !strings.HasPrefix(p.Version, "0.23.2-") {
		t.Skipf("needs release 0.23.2; sid has %s", p.Version)
	}
	code, stdout, stderr := runHere(t, "reference", "diff", name, "builtin", "--json")
	require.Equal(t, cli.ExitFine, code, stderr)
	var d struct {
		Old, New  stated
		Reference struct{ Level, Demands, New string }
		Changes   []struct {
			Level, Subject, What, Place string
			Entries                     []entry
		}
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &d))
	table, err := tables.BuiltIn()
	require.NoError(t, err)
	persona := table.Lock.Versions[len(table.Lock.Versions)-1]
	require.Equal(t, stated{name, persona.API, persona.Schema, persona.Codes, persona.IDs}, d.Old, "the oldest persona is this release")
	require.Equal(t, "minor", d.Reference.Level)
	kinds := map[string]int{}
	for _, c := range d.Changes {
		kind, rest, _ := strings.Cut(c.Subject, " ")
		kinds[kind]++
		switch kind {
		case "event": // those behind the codes of that release, and two params
			if len(strings.Fields(rest)) == 3 {
				require.Contains(t, []string{"19 socket_exit flags", "151 fcntl_exit arg"}, rest)
				require.Len(t, c.Entries, 1, c.Subject)
			} else {
				require.GreaterOrEqual(t, atoi(t, strings.Fields(rest)[0]), int(persona.Codes), c.Subject)
			}
		case "value": // of sets that it had not
			require.Contains(t, []string{"anon_inode_type", "close_range_flags", "keyctl_operation"}, strings.Fields(rest)[0])
		case "id":
			require.GreaterOrEqual(t, atoi(t, strings.Fields(rest)[0]), int(persona.IDs), c.Subject)
			require.NotEmpty(t, c.Entries, c.Subject)
		case "type", "dyn":
			require.Contains(t, []string{"fd32", "pid32", "keyctl"}, rest)
		}
		require.Contains(t, c.What, "new", c.Subject)
	}
	require.Equal(t, map[string]int{"event": 26, "value": 49, "id": 3, "type": 2, "dyn": 1}, kinds)

	code, stdout, stderr = runHere(t, "reference", "diff", "builtin", p.File)
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Contains(t, stdout, "the new release is older than the old one: what is gone was not there yet")
	require.Contains(t, stdout, "    touches socket, tables/syscalls/net.yaml:")
	code, stdout, stderr = runHere(t, "reference", "diff", p.File, name)
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Contains(t, stdout, "their events are the same\n")
}

func atoi(t *testing.T, s string) (n int) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(s), &n), s)
	return n
}

func TestReferenceDiffPrintsTheLinesToTakeOver(t *testing.T) {
	text, err := os.ReadFile("../../tables/schema.lock")
	require.NoError(t, err)
	next := strings.NewReplacer("version 11.0.0 4.5.2 454 454", "version 12.0.0 4.6.0 456 455\nversion 11.0.0 4.5.2 454 454",
		"\nevent 0x8001 ", "\nevent 454 na_enter_454 NA unknown unknown unused\nevent 455 getppid_new_exit getppid process syscall - res:errno\nevent 0x8001 ",
		"id 453 rseq_slice_yield\n", "id 453 rseq_slice_yield\nid 454 novel\n").Replace(string(text))
	file := filepath.Join(t.TempDir(), "next.lock")
	require.NoError(t, os.WriteFile(file, []byte(next), 0o600))
	code, stdout, stderr := runHere(t, "reference", "diff", "builtin", file, "--lock")
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Equal(t, "version 12.0.0 4.6.0 456 455\nevent 454 na_enter_454 NA unknown unknown unused\n"+
		"event 455 getppid_new_exit getppid process syscall - res:errno\nid 454 novel\n", stdout)

	code, stdout, stderr = runHere(t, "reference", "diff", "builtin", file)
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Contains(t, stdout, "old: builtin: API 11.0.0, schema 4.5.2, event codes below 454, syscall codes below 454\n"+
		"new: "+file+": API 12.0.0, schema 4.6.0, event codes below 456, syscall codes below 455\n")
	require.Contains(t, stdout, ": minor: event 455 getppid_new_exit: new (older captures do not have it)\n    touches getppid, tables/syscalls/process.yaml:")
	require.Contains(t, stdout, "3 changes (3 minor) touch 1 entries\n")
	require.NotContains(t, stdout, "demand")

	code, stdout, _ = runHere(t, "reference", "diff", "builtin", "reference")
	require.Equal(t, cli.ExitFine, code)
	require.Contains(t, stdout, "their events are the same\n")
	for _, bad := range []struct {
		says string
		args []string
	}{
		{"no such file or directory (want a directory, a package, a schema.lock or builtin)", []string{"builtin", "./nothing"}},
		{"--json and --lock are two outputs (want one)", []string{"builtin", "builtin", "--json", "--lock"}},
	} {
		code, _, stderr = runHere(t, append([]string{"reference", "diff"}, bad.args...)...)
		require.Equal(t, cli.ExitUsage, code)
		require.Contains(t, stderr, bad.says)
	}
	code, _, stderr = runHere(t, "reference", "diff", "builtin", t.TempDir())
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stderr, "has no driver of the reference (want event_table.c in it, in driver/ or in usr/src/NAME/)")
	code, _, stderr = runHere(t, "reference")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "diff?")
}
