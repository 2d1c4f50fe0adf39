// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
)

func mustWrite(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	require.NoError(tb, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestRulesCheckSaysWhatIsWrong(t *testing.T) {
	good := "- rule: r\n  desc: d\n  condition: evt.type = openat\n  output: o\n  priority: notice\n"
	for _, c := range []struct {
		text, want string
		code       int
	}{
		{good, "1 rule\n", cli.ExitFine},
		{good + "- list: l\n  items: []\n", "warning LOAD_UNUSED_LIST: list l: no condition and no list uses it\n    - list: l\n      ^\n1 rule\n", cli.ExitFine},
		{good + "- macro: m\n", "error LOAD_ERR_YAML_VALIDATE: macro m: it has no condition", cli.ExitFound},
	} {
		var out, errs bytes.Buffer
		path := mustWrite(t, "rules.yaml", c.text)
		require.Equal(t, c.code, run(t.Context(), []string{"rules", "check", path}, &out, &errs), "%s", errs.String())
		require.Contains(t, out.String(), c.want)
		require.Empty(t, errs.String())
		out.Reset()
		require.Equal(t, c.code, run(t.Context(), []string{"rules", "check", "--json", path}, &out, &errs))
		require.Contains(t, out.String(), `{"falco_load_results":[{"errors":[`)
	}
	var out, errs bytes.Buffer
	require.Equal(t, cli.ExitFound, run(t.Context(), []string{"rules", "check", filepath.Join(t.TempDir(), "none")}, &out, &errs))
	require.Contains(t, out.String(), "LOAD_ERR_FILE_READ")
}

const corpus = "../../scap/savefile/testdata/corpus/6.12-ebpf.scap"

const fileRules = `- macro: opens
  condition: (evt.type in (open, openat) and fd.num >= 0)
- rule: any file
  desc: d
  condition: opens
  output: file=%fd.name
  priority: notice
  tags: [a]
- rule: getppid
  desc: d
  condition: evt.type = getppid
  output: a call | type=%evt.type
  priority: error
- rule: opens again
  desc: d
  condition: opens
  output: again
  priority: debug
`

func TestRulesOfACapture(t *testing.T) {
	path := mustWrite(t, "rules.yaml", fileRules)
	for _, c := range []struct {
		args            []string
		has, hasNot     []string
		total, notTotal string
	}{
		{nil, []string{": Error a call | type=getppid\n", ": Notice file=/"}, []string{"again", "{"}, "Notice        any file", "opens again"},
		{[]string{"--all-matches"}, []string{": Debug again\n"}, nil, "opens again", "left out"},
		{[]string{"-o", "rule_matching=all"}, []string{": Debug again\n"}, nil, "opens again", "left out"},
		{[]string{"--disable", "any*"}, []string{": Debug again\n"}, []string{"Notice"}, "opens again", "any file"},
		{[]string{"--disable", "*", "--enable-tag", "a"}, []string{"Notice"}, []string{"Error"}, "any file", "getppid"},
		{[]string{"-P", "notice", "--all-matches"}, []string{"Notice", "Error"}, []string{"Debug"}, "any file", "again"},
		{[]string{"--json"}, []string{`"output_fields":{"evt.time":1`, `"priority":"Error","rule":"getppid","source":"syscall","tags":[]`}, nil, "any file", "left out"},
		{[]string{"-o", "json_output=true", "-o", "json_include_output_property=false"}, []string{`"rule":"getppid"`}, []string{`"output":`}, "any file", "left out"},
		{[]string{"-o", "time_format_iso_8601=true"}, []string{"+0000: Error a call"}, nil, "any file", "left out"},
		{[]string{"-o", "append_output[].extra_output=n=%evt.num"}, []string{"type=getppid n=1\n"}, nil, "any file", "left out"},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"rules", "-r", corpus}, append(c.args, path)...)
		require.Equal(t, cli.ExitFine, run(t.Context(), args, &out, &errs), "%v: %s", c.args, errs.String())
		for _, part := range c.has {
			require.Contains(t, out.String(), part, "%v", c.args)
		}
		for _, part := range c.hasNot {
			require.NotContains(t, out.String(), part, "%v", c.args)
		}
		require.Contains(t, errs.String(), c.total, "%v", c.args)
		require.NotContains(t, errs.String(), c.notTotal, "%v", c.args)
		lines := bytes.Count(out.Bytes(), []byte("\n"))
		require.Contains(t, errs.String(), fmt.Sprintf(", %d alerts\n", lines), "%v", c.args)
		require.Contains(t, errs.String(), fmt.Sprintf("stdout: %d delivered\n", lines), "%v", c.args)
	}
}

func TestRulesAreUsedWrongly(t *testing.T) {
	path := mustWrite(t, "rules.yaml", fileRules)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, cli.ExitUsage, "which rules? (scap rules RULES...)"},
		{[]string{"-P", "loud", path}, cli.ExitUsage, `unknown priority "loud"`},
		{[]string{"-o", "json", path}, cli.ExitUsage, "-o json: no value (such as json_output=true)"},
		{[]string{"-o", "json_outptu=true", path}, cli.ExitUsage, "unknown setting (did you mean json_output?)"},
		{[]string{"-o", "json_output=maybe", path}, cli.ExitUsage, `-o json_output: "maybe" (true or false)`},
		{[]string{"-o", "outputs_queue.capacity=x", path}, cli.ExitUsage, `-o outputs_queue.capacity: "x" is not a number`},
		{[]string{"-o", "rule_matching=some", path}, cli.ExitUsage, `"some" (first or all)`},
		{[]string{"-o", "file_output.enabled=true", path}, cli.ExitUsage, "file_output.filename is missing"},
		{[]string{"-r", corpus, "--output", "pigeon", path}, cli.ExitUsage, `unknown output "pigeon"`},
		{[]string{"-r", corpus, "--output", "file:/nonexistent/x", path}, cli.ExitEnvironment, "output file:/nonexistent/x: open /nonexistent/x: no such file"},
		{[]string{"-r", corpus, "--output", "https://localhost/", "--http-cert", path, path}, cli.ExitUsage, "--http-cert and --http-key: both, or none"},
		{[]string{"-r", corpus, "--output", "syslog:udp", path}, cli.ExitUsage, "no address (such as syslog:udp:10.0.0.1:514)"},
		{[]string{"-r", corpus, "--capture", "/nonexistent", path}, cli.ExitEnvironment, "--capture: stat /nonexistent: no such file"},
		{[]string{"-r", corpus, "--capture", path, path}, cli.ExitUsage, "it is not a directory"},
		{[]string{"-r", "/nonexistent", path}, cli.ExitEnvironment, "no such file"},
		{[]string{"-r", corpus, mustWrite(t, "bad.yaml", "- rule: r\n")}, cli.ExitFound, "the rules have errors"},
	} {
		var out, errs bytes.Buffer
		require.Equal(t, c.code, run(t.Context(), append([]string{"rules"}, c.args...), &out, &errs), "%v: %s", c.args, errs.String())
		require.Contains(t, errs.String(), c.want)
		require.NotContains(t, errs.String(), " alerts", "totals of nothing")
	}
}

func TestRulesExplain(t *testing.T) {
	path := mustWrite(t, "rules.yaml", fileRules+"- rule: never\n  desc: d\n  condition: evt.type = openat and evt.type = close\n  output: o\n  priority: info\n")
	var out, errs bytes.Buffer
	require.Equal(t, cli.ExitFound, run(t.Context(), []string{"rules", "explain", path}, &out, &errs))
	require.Equal(t, `any file (Notice)
    needs open, openat
getppid (Error)
    needs getppid
opens again (Debug)
    needs open, openat
never (Informational)
    needs nothing that is captured
    cannot match: no event can satisfy the condition
`, out.String())
	require.Contains(t, errs.String(), "1 of 4 rules cannot match")

	out.Reset()
	path = mustWrite(t, "rules.yaml", fileRules+"- rule: mounts\n  desc: d\n  condition: evt.type in (mount, umount, openat) and evt.type != openat\n  output: o\n  priority: info\n")
	capture := filepath.Join(t.TempDir(), "x.scap")
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"synth", "--events", "100", capture}, &out, &errs))
	require.Equal(t, cli.ExitFound, run(t.Context(), []string{"rules", "explain", "-r", capture, path}, &out, &errs))
	require.Contains(t, out.String(), "any file (Notice)\n    needs open, openat\n    the capture has no open\n")
	require.Contains(t, out.String(), "    cannot match: the capture has none of these events\n")

	out.Reset()
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"rules", "explain", "--json", "--disable", "mounts", path}, &out, &errs))
	require.Contains(t, out.String(), `{"rule":"getppid","priority":"Error","calls":["getppid"]}`)
}

func TestACaptureAroundAnAlert(t *testing.T) {
	path := mustWrite(t, "rules.yaml", "- rule: r\n  desc: d\n  condition: evt.num = 900\n  output: n=%evt.num\n  priority: error\n  capture: true\n  warn_evttypes: false\n")
	whole := filepath.Join(t.TempDir(), "whole.scap")
	mustRun(t, "synth", "--native", "--events", "2000", whole) // one event every 700 ns
	for _, c := range []struct {
		before, after string
		first, last   int // the latest first event and the last event, by their numbers
	}{
		{"1h", "70us", 1, 1000}, {"70us", "70us", 800, 1000}, {"0s", "0s", 900, 900},
	} {
		dir := t.TempDir()
		code, out, errs := runCommand(t, "rules", "-r", whole, "--capture", dir, "--capture-before", c.before, "--capture-after", c.after, path)
		require.Zero(t, code, errs)
		require.Contains(t, out, "n=900\n")
		files, err := filepath.Glob(filepath.Join(dir, "*.scap"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		require.Contains(t, errs, "scap rules: capture in "+files[0]+"\n")
		require.Contains(t, mustRun(t, "verify", files[0]), ": fine: ")
		times := strings.Fields(mustRun(t, "read", files[0], "--all", "-p", "%evt.rawtime"))
		number := func(text string) int {
			ns, err := strconv.ParseInt(text, 10, 64)
			require.NoError(t, err)
			return int((ns-1_700_000_000_000_000_000)/700) + 1
		}
		require.LessOrEqual(t, number(times[0]), c.first)
		require.InDelta(t, c.last, number(times[len(times)-1]), 1)
		require.Equal(t, number(times[len(times)-1])-number(times[0])+1, len(times), "no event is missing")
	}
}
