// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"os/exec"
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
	require.Contains(t, stderr, "states own version 1.0.0 (want 2.0.0 or later: line own of schema.lock)")
	require.Contains(t, stderr, "states version 4.5.2 of the reference (want 5.0.0 or later: first line version of schema.lock)")
	require.Contains(t, stdout, "new.lock:388:7: major: event 307 openat_exit: name is openat3, was openat (filters name it)\n"+
		"    breaks the filter evt.type = openat and proc.name = cat\n    breaks the rule \"sees it\" of "+rules+"\n    breaks the capture "+capture+" (")
	require.Equal(t, 3, strings.Count(stdout, "breaks "), stdout)
	require.Contains(t, stdout, "1 changes\nof all: the highest is major: the new schema must have version 2.0.0 or later (the old one has 1.0.0, it states 1.0.0)\n"+
		"of the reference's events: the highest is major: the new schema must have version 5.0.0 or later (the old one has 4.5.2, it states 4.5.2)\n")

	// With the versions that it demands it is fine.
	bump := func(text, own, reference string) string {
		text = strings.Replace(text, "own 1.0.0", "own "+own, 1)
		return strings.Replace(text, "version 11.0.0 4.5.2", "version 11.0.0 "+reference, 1)
	}
	type verdict struct {
		Own, Reference struct{ Old, New, Level, Demands string }
	}
	code, stdout, stderr = runHere(t, "schema", "diff", "builtin", write("bumped.lock", bump(renamed, "2.0.0", "5.0.0")), "--json")
	require.Equal(t, cli.ExitFine, code, stderr)
	var d verdict
	require.NoError(t, json.Unmarshal([]byte(stdout), &d))
	require.Equal(t, struct{ Old, New, Level, Demands string }{"1.0.0", "2.0.0", "major", "2.0.0"}, d.Own)
	require.Equal(t, struct{ Old, New, Level, Demands string }{"4.5.2", "5.0.0", "major", "5.0.0"}, d.Reference)

	// A change of our own events demands nothing of the reference's version.
	ours := strings.Replace(string(text), "event 0x8001 getppid_exit getppid ", "event 0x8001 getppid_exit getparent ", 1)
	require.NotEqual(t, string(text), ours)
	code, _, stderr = runHere(t, "schema", "diff", "builtin", write("ours.lock", ours))
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stderr, "own version 1.0.0 (want 2.0.0")
	require.NotContains(t, stderr, "reference")
	code, _, stderr = runHere(t, "schema", "diff", "builtin", write("ours2.lock", bump(ours, "2.0.0", "4.5.2")))
	require.Equal(t, cli.ExitFine, code, stderr)
	// But one of the reference's demands a version of the whole.
	code, _, stderr = runHere(t, "schema", "diff", "builtin", write("theirs.lock", bump(renamed, "1.9.0", "5.0.0")))
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stderr, "own version 1.9.0 (want 2.0.0")
	// What we add to the reference's schema is none of its versions.
	code, stdout, stderr = runHere(t, "schema", "diff", "reference", "builtin")
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Contains(t, stdout, "of the reference's events: the highest is none: the new schema must have version 4.5.2 or later")
	require.NotContains(t, stdout, "of all")

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

// A revision of git is compared with the tables; the last tag v* by default.
func TestSchemaCheckComparesWithARelease(t *testing.T) {
	text, err := os.ReadFile("../../tables/schema.lock")
	require.NoError(t, err)
	tables, err := filepath.Abs("../../tables")
	require.NoError(t, err)
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=n", "-c", "user.email=e"}, args...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	commit := func(lock string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "tables"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "tables/schema.lock"), []byte(lock), 0o644))
		git("add", ".")
		git("commit", "-q", "--allow-empty", "-m", "m")
	}
	check := func(want int, says string, args ...string) string {
		t.Helper()
		code, stdout, stderr := runHere(t, append([]string{"schema", "check", tables}, args...)...)
		require.Equal(t, want, code, stderr)
		require.Contains(t, stderr, says)
		return stdout
	}
	git("init", "-q")
	commit(string(text))
	t.Chdir(dir)
	check(cli.ExitFine, "no tag v* is reachable: the schema is not compared with that of a release")
	git("tag", "v0.1.0")
	git("tag", "other")
	check(cli.ExitFine, "the schema's versions allow its 0 changes since v0.1.0")

	// A release called an event otherwise, and has the same version.
	commit(strings.Replace(string(text), "event 0x8001 getppid_exit getppid ", "event 0x8001 getppid_exit getparent ", 1))
	check(cli.ExitFine, "since v0.1.0", "--against", "v0.1.0")
	stdout := check(cli.ExitFound, "own version 1.0.0 (want 2.0.0 or later", "--against", "HEAD")
	require.Contains(t, stdout, ": major: event 0x8001 getppid_exit: name is getppid, was getparent")
	check(cli.ExitFine, "since v0.1.0") // HEAD is no release yet
	git("tag", "v0.2.0")
	check(cli.ExitFound, "own version 1.0.0 (want 2.0.0 or later")
	check(cli.ExitFound, "own version 1.0.0 (want 2.0.0 or later", "--against", "tables/schema.lock")
	check(cli.ExitFine, "since builtin", "--against", "builtin")
	check(cli.ExitUsage, "schema nothing: no such file, directory of tables or revision", "--against", "nothing")
}

// Locks from before they had a version of their own, and of other comments, are read.
func TestOlderLocksAreCompared(t *testing.T) {
	text, err := os.ReadFile("../../tables/schema.lock")
	require.NoError(t, err)
	var older []string
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "own "), strings.HasPrefix(line, "#   own"):
		case strings.HasPrefix(line, "version "):
			older = append(older, strings.Join(strings.Fields(line)[:3], " ")+"\n")
		default:
			older = append(older, line)
		}
	}
	file := filepath.Join(t.TempDir(), "old.lock")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(older, "")), 0o600))
	code, stdout, stderr := runHere(t, "schema", "diff", file, "builtin")
	require.Equal(t, cli.ExitFine, code, stdout+stderr)
	code, stdout, _ = runHere(t, "schema", "diff", "builtin", file)
	require.Equal(t, cli.ExitFound, code, stdout)
}
