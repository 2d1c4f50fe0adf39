// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// goTest runs the program on packages of the module in testdata.
func goTest(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir("testdata/module")
	t.Setenv("GOFLAGS", "")
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestARunThatPassesShowsWhatWasSkippedAndWhy(t *testing.T) {
	code, out, stderr := goTest(t, "./good", "./none")
	require.Zero(t, code, stderr)
	require.Contains(t, out, "ok  \texample.org/module/good\t")
	require.Contains(t, out, "?   \texample.org/module/none\t[no test files]\n")
	require.NotContains(t, out, "the output of a test that passes")
	require.True(t, strings.HasSuffix(out, "\n\nskipped:\n  needs another moon\n      good TestPasses/in_part TestSkipsItself\n\n1 passed, 0 failed, 2 skipped\n"), out)
}

func TestARunThatFailsShowsWhatFailed(t *testing.T) {
	code, out, _ := goTest(t, "./...")
	require.Equal(t, 1, code)
	for _, want := range []string{
		"    bad_test.go:9: what is wrong\n", "--- FAIL: TestFailsInAPart/bad (", "panic: at the disco", "FAIL\texample.org/module/bad\t",
		"broken_test.go:7:37: undefined: undefined\n", "FAIL\texample.org/module/broken [build failed]\n",
	} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "=== RUN")
	require.NotContains(t, out, "TestPasses (", "a test that passes says nothing")
	_, end, _ := strings.Cut(out, "\nfailed:\n")
	require.Equal(t, "      bad TestFailsInAPart/bad\n      bad TestPanics\n      broken\n\n2 passed, 3 failed, 3 skipped\n", end)
}

func TestASkipWithoutAReasonIsAnError(t *testing.T) {
	code, out, _ := goTest(t, "./mute", "./none")
	require.Equal(t, 1, code)
	require.Contains(t, out, "ok  \texample.org/module/mute\t", "go test has nothing against it")
	require.True(t, strings.HasSuffix(out, "\nskipped:\n  NO REASON GIVEN (want t.Skip with one)\n      mute TestGivesNoReason\n\n0 passed, 0 failed, 1 skipped\n"), out)
}

func TestWrongUseOfGoTestIsReported(t *testing.T) {
	code, _, stderr := goTest(t, "-timeout", "soon")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, `invalid value "soon" for flag -timeout`)
}

func TestATestThatDoesNotEndHasFailed(t *testing.T) {
	var s summary
	var out strings.Builder
	require.NoError(t, s.read(strings.NewReader(
		`{"Action":"run","Package":"m/p","Test":"TestA"}
{"Action":"output","Package":"m/p","Test":"TestA","Output":"panic: test timed out after 1s\n"}
{"Action":"output","Package":"m/p","Output":"FAIL\tm/p\t1.0s\n"}
{"Action":"fail","Package":"m/p","Elapsed":1}
`), &out))
	require.Equal(t, "panic: test timed out after 1s\nFAIL\tm/p\t1.0s\n", out.String())
	require.False(t, s.fine())
	s.write(&out)
	require.True(t, strings.HasSuffix(out.String(), "\nfailed:\n      m/p TestA\n\n0 passed, 1 failed, 0 skipped\n"), out.String())
}

func TestOnlyTheSlowestAreListed(t *testing.T) {
	var records strings.Builder
	for i := range 20 {
		record := func(action, test string, elapsed float64) {
			fmt.Fprintf(&records, `{"Action":%q,"Package":"m/p%02d","Test":%q,"Elapsed":%.3f}`+"\n", action, i, test, elapsed)
		}
		took := float64(i) / 8
		for _, name := range []string{"TestOfAll", "TestOfAll/one/part", "TestOfAll/another"} {
			record("run", name, 0)
		}
		record("pass", "TestOfAll/one/part", took)
		record("pass", "TestOfAll/another", 0)
		record("pass", "TestOfAll", took+0.5)
		record("pass", "", 4*took)
	}
	var s summary
	require.NoError(t, s.read(strings.NewReader(records.String()), io.Discard))
	var out strings.Builder
	s.write(&out)
	require.Equal(t, `
slowest packages:
      9.5 s  p19
      9.0 s  p18
      8.5 s  p17
      8.0 s  p16
      7.5 s  p15
      7.0 s  p14
      6.5 s  p13
      6.0 s  p12

slowest tests:
      2.4 s  p19 TestOfAll/one/part
      2.2 s  p18 TestOfAll/one/part
      2.1 s  p17 TestOfAll/one/part
      2.0 s  p16 TestOfAll/one/part
      1.9 s  p15 TestOfAll/one/part
      1.8 s  p14 TestOfAll/one/part
      1.6 s  p13 TestOfAll/one/part
      1.5 s  p12 TestOfAll/one/part

40 passed, 0 failed, 0 skipped
`, out.String())
}
