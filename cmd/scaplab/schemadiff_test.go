// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
)

func TestSchemaDiffNamesWhoIsConcerned(t *testing.T) {
	text, err := os.ReadFile("../../tables/schema.lock")
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	renamed := strings.Replace(string(text), "event 307 openat_exit openat ", "event 307 openat_exit openat3 ", 1)
	rules := write("rules.yaml", `- {rule: sees it, desc: d, condition: evt.type = openat, output: o, priority: ERROR}
- {rule: does not, desc: d, condition: evt.type = close, output: o, priority: ERROR}
`)
	const capture = "../../scap/savefile/testdata/corpus/6.12-ebpf.scap"
	args := []string{"schema", "diff", "builtin", write("new.lock", renamed), "--capture", capture, "--rules", rules,
		"--filter", "evt.type = openat and proc.name = cat", "--filter", "proc.name = cat"}
	code, stdout, stderr := runHere(t, args...)
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stderr, "states version 4.5.2 (want 5.0.0 or later)")
	require.Contains(t, stdout, "new.lock:381:7: major: event 307 openat_exit: name is openat3, was openat (filters name it)\n"+
		"    breaks the filter evt.type = openat and proc.name = cat\n    breaks the rule \"sees it\" of "+rules+"\n    breaks the capture "+capture+" (")
	require.Equal(t, 3, strings.Count(stdout, "breaks "), stdout)
	require.Contains(t, stdout, "1 changes, the highest is major")

	// With the version that it demands it is fine.
	code, stdout, stderr = runHere(t, "schema", "diff", "builtin", write("bumped.lock", strings.Replace(renamed, "version 10.1.0 4.5.2", "version 10.1.0 5.0.0", 1)), "--json")
	require.Equal(t, cli.ExitFine, code, stderr)
	var d schemaDiffText
	require.NoError(t, json.Unmarshal([]byte(stdout), &d))
	require.Equal(t, schemaDiffText{Old: "4.5.2", New: "5.0.0", Level: "major", Demands: "5.0.0"}, d)

	for _, same := range []string{"../../tables", "../../tables/schema.lock"} {
		code, stdout, _ = runHere(t, "schema", "diff", "builtin", same)
		require.Equal(t, cli.ExitFine, code)
		require.Equal(t, "the schemas are the same\n", stdout)
	}
	code, stdout, _ = runHere(t, "schema", "show")
	require.Equal(t, cli.ExitFine, code)
	require.Equal(t, string(text), stdout)

	code, stdout, _ = runHere(t, "schema", "show", write("bad.lock", "event 1 x y\n"))
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stdout, "bad.lock:1:1: line event has 4 words (7 are expected)")
	code, _, stderr = runHere(t, "schema", "diff", "no such", "builtin")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "schema no such: no such file, directory of tables or revision")
}

type schemaDiffText struct{ Old, New, Level, Demands string }
