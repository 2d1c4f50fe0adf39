// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/tables"
)

// scaplab runs the program and returns what it wrote and its exit status.
func scaplab(tb testing.TB, args ...string) (stdout, stderr string, code int) {
	tb.Helper()
	var out, errs bytes.Buffer
	code = run(tb.Context(), args, &out, &errs)
	return out.String(), errs.String(), code
}

func TestWrongUseExits2(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"gen", "--nonsense"}, {"gen", "file"}, {"table"}, {"table", "nonsense"}, {"table", "show"}, {"table", "show", "no_such_call"}} {
		stdout, stderr, code := scaplab(t, args...)
		require.Equal(t, cli.ExitUsage, code, args)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "--help", args)
	}
}

func TestOutsideTheProjectExits3(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range [][]string{{"gen"}, {"gen", "--check"}, {"table", "lint"}, {"table", "fmt"}} {
		_, stderr, code := scaplab(t, args...)
		require.Equal(t, cli.ExitEnvironment, code, args)
		require.Contains(t, stderr, "tables/syscalls.yaml")
	}
}

func TestTheTableIsShownFromAnywhere(t *testing.T) {
	read := func(args ...string) string {
		stdout, stderr, code := scaplab(t, args...)
		require.Equal(t, cli.ExitFine, code, stderr)
		return stdout
	}
	show, coverage := []string{"table", "show", "openat", "--json"}, []string{"table", "coverage", "arm64"}
	wantShow, wantCoverage := read(show...), read(coverage...)
	require.Contains(t, wantShow, `"openat(int dirfd, `)
	t.Chdir(t.TempDir())
	require.Equal(t, wantCoverage, read(coverage...))
	require.Equal(t, strings.ReplaceAll(wantShow, "../../tables/", "tables/"), read(show...))
}

func TestHelpEndsWithAnExample(t *testing.T) {
	for _, args := range [][]string{{"gen"}, {"table", "lint"}, {"table", "fmt"}, {"table", "show"}, {"schema", "check"}, {"schema", "lock"}} {
		stdout, _, code := scaplab(t, append(args, "--help")...)
		require.Equal(t, cli.ExitFine, code)
		require.Contains(t, stdout, "Examples:\n  scaplab "+strings.Join(args, " "))
	}
}

// project is a copy of a small table where the project root would be.
func project(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	require.NoError(tb, os.CopyFS(filepath.Join(dir, "tables"), os.DirFS("../../gen/testdata/table")))
	return dir
}

func TestGenWritesAndChecks(t *testing.T) {
	dir := project(t)
	t.Chdir(filepath.Join(dir, "tables")) // any directory of the project will do
	_, stderr, code := scaplab(t, "gen", "--check")
	require.Equal(t, cli.ExitFound, code, stderr)

	stdout, stderr, code := scaplab(t, "gen")
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Contains(t, stdout, "driver/fillers/file_gen.h\n")
	require.FileExists(t, filepath.Join(dir, "driver/fillers/file_gen.h"))

	stdout, stderr, code = scaplab(t, "gen")
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Empty(t, stdout, "nothing changes the second time")

	stdout, stderr, code = scaplab(t, "gen", "--check")
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Empty(t, stdout)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "driver/fillers/file_gen.h"), []byte("old\n"), 0o644))
	stdout, stderr, code = scaplab(t, "gen", "--check")
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stdout, "--- driver/fillers/file_gen.h")
	require.Contains(t, stdout, "repair: go run ./cmd/scaplab gen")
	require.Contains(t, stderr, "stale")
}

func TestLintPrintsEveryErrorWithItsPlace(t *testing.T) {
	dir := project(t)
	t.Chdir(dir)
	_, stderr, code := scaplab(t, "table", "lint")
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Contains(t, stderr, "4 syscalls")
	require.Contains(t, stderr, "; next free code: 0x8003\n")

	path := filepath.Join(dir, "tables/syscalls.yaml")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	text = bytes.ReplaceAll(text, []byte("file_dev(ret)"), []byte("file_dv(ret)"))
	text = bytes.ReplaceAll(text, []byte("class: net"), []byte("class: nett"))
	require.NoError(t, os.WriteFile(path, text, 0o644))
	stdout, stderr, code := scaplab(t, "table", "lint")
	require.Equal(t, cli.ExitFound, code)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	require.Len(t, lines, 2, stdout)
	require.Regexp(t, `^tables/syscalls\.yaml:\d+:\d+: openat: dev: unknown helper file_dv \(did you mean file_dev\?\)$`, lines[0])
	require.Regexp(t, `^tables/syscalls\.yaml:\d+:\d+: connect: `, lines[1])
	require.Equal(t, "errors: 2\n", stderr)
}

func TestCoverage(t *testing.T) {
	t.Chdir(project(t))
	stdout, stderr, code := scaplab(t, "table", "coverage", "amd64")
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Contains(t, stdout, "amd64: 4 calls, 4 typed, 0 generic; 0 that no kernel has\n")
	require.NotContains(t, stdout, "arm64")
	require.Regexp(t, `\n\d+ of \d+ params have a value in some case \(\d+\.\d %\)\n`, stdout)
	_, stderr, code = scaplab(t, "table", "coverage", "amd46")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "did you mean amd64?")
}

func TestShow(t *testing.T) {
	t.Chdir(project(t))
	for _, name := range []string{"openat", "openat_exit", "307"} {
		stdout, stderr, code := scaplab(t, "table", "show", name)
		require.Equal(t, cli.ExitFine, code, stderr)
		for _, want := range []string{
			"openat(int dirfd, const char *path, int flags, umode_t mode)", "amd64 257", "exit event 307 openat (openat_exit), from sys_exit",
			"open_flags(flags) | file_bits(ret)", "\tpush_u64(f, file_ino(f->ret));\n", "creates a file", "since    2.6.16",
		} {
			require.Contains(t, stdout, want)
		}
	}
	_, stderr, code := scaplab(t, "table", "show", "opnat")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "did you mean openat?")

	stdout, stderr, code := scaplab(t, "table", "show", "switch", "--json")
	require.Equal(t, cli.ExitFine, code, stderr)
	var shown []shownEntry
	require.NoError(t, json.Unmarshal([]byte(stdout), &shown))
	require.Len(t, shown, 1)
	require.EqualValues(t, 152, shown[0].Events[0].Code)
	require.Equal(t, "sched_switch", shown[0].Events[0].From)
}

func TestTheSchemaIsCheckedAndLocked(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "tables"), os.DirFS("../../tables")))
	t.Chdir(dir)
	_, stderr, code := scaplab(t, "schema", "check")
	require.Equal(t, cli.ExitFine, code, stderr)
	_, stderr, code = scaplab(t, "schema", "lock")
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Equal(t, "nothing is new\n", stderr)

	path := filepath.Join(dir, "tables", tables.LockFile)
	full, err := os.ReadFile(path)
	require.NoError(t, err)
	const line = "id 453 rseq_slice_yield\n"
	require.Contains(t, string(full), line)
	require.NoError(t, os.WriteFile(path, bytes.Replace(full, []byte(line), nil, 1), 0o644))
	stdout, stderr, code := scaplab(t, "schema", "check")
	require.Equal(t, cli.ExitFound, code)
	require.Regexp(t, `^tables/ids\.yaml:\d+:3: rseq_slice_yield: id 453 is not in the lock yet \(run scaplab schema lock\)\n$`, stdout)
	require.Equal(t, "not locked: 1\n", stderr)
	_, stderr, code = scaplab(t, "schema", "lock")
	require.Equal(t, cli.ExitFine, code, stderr)
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(full), string(again))

	require.NoError(t, os.WriteFile(path, bytes.Replace(full, []byte(line), []byte("id 453 other\n"), 1), 0o644))
	for _, command := range []string{"check", "lock"} {
		stdout, _, code = scaplab(t, "schema", command)
		require.Equal(t, cli.ExitFound, code)
		require.Contains(t, stdout, "rseq_slice_yield: id 453 is other in schema.lock (ids are never reused)")
	}
}

func TestFmtLaysOutAndChecks(t *testing.T) {
	dir := project(t)
	t.Chdir(dir)
	path := filepath.Join("tables", "syscalls.yaml")
	_, stderr, code := scaplab(t, "table", "fmt")
	require.Equal(t, cli.ExitFine, code, stderr)
	good, err := os.ReadFile(path)
	require.NoError(t, err)

	require.Contains(t, string(good), "  class: net\n")
	bad := bytes.Replace(good, []byte("  class: net\n"), []byte("  class: net   \n"), 1)
	require.NoError(t, os.WriteFile(path, bad, 0o644))
	stdout, stderr, code := scaplab(t, "table", "fmt", "--check")
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stdout, "-  class: net   \n+  class: net\n")
	require.Contains(t, stderr, "run go run ./cmd/scaplab table fmt")
	stdout, stderr, code = scaplab(t, "table", "fmt")
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Equal(t, path+"\n", stdout)
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(good), string(again))

	require.NoError(t, os.WriteFile(path, []byte("schema: ["), 0o644))
	stdout, _, code = scaplab(t, "table", "fmt")
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stdout, path+":1:")
}

func TestASignalThatIsSentTwiceLeavesTimeToCleanUp(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	ctx, stop := interruptible(time.Hour)
	defer stop()
	require.NoError(t, self.Signal(os.Interrupt))
	<-ctx.Done()
	require.NoError(t, self.Signal(os.Interrupt)) // without the grace it ends the test program
	time.Sleep(10 * time.Millisecond)
}
