// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/decimal"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

// reportOf returns a report of cases of openat on 6.1 and 6.12, each "pass", "skip" or the reason of a failure.
func reportOf(cases map[string]string) *Report {
	r := &Report{Kernels: []string{"6.1", "6.12"}, Drivers: []guest.Drivers{guest.OnlyEBPF}, Runs: []RunInfo{}}
	for _, kernel := range r.Kernels {
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			x := Result{Kernel: kernel, Arch: "amd64", Drivers: guest.OnlyEBPF, Syscall: "openat", Case: name, Place: "tables/syscalls/file.yaml:7"}
			x.Repro = "scaplab repro " + x.Cell()
			switch said := cases[name]; said {
			case "":
				continue
			case "pass", "skip":
				x.Status = judge.Status(said)
			default:
				x.Status, x.Class, x.Reason = judge.Fail, judge.ClassParam, said
			}
			r.Results = append(r.Results, x)
		}
	}
	return r
}

func markdownOf(t *testing.T, r, old *Report) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, r.WriteMarkdown(&b, old))
	return b.String()
}

func TestMarkdownSaysWhatChanged(t *testing.T) {
	old := reportOf(map[string]string{"a": "pass", "b": "it was wrong", "c": "it is wrong", "d": "pass"})
	now := reportOf(map[string]string{"a": "name: want x, got y\nmore", "b": "pass", "c": "it is wrong", "d": "skip", "e": "pass"})
	old.Costs = []Cost{{Kernel: "6.1", Driver: guest.EBPF, Call: "getppid", Added: 1000}, {Kernel: "6.1", Driver: guest.EBPF, Call: "read", Added: 1000}}
	now.Costs = []Cost{{Kernel: "6.1", Driver: guest.EBPF, Call: "getppid", Added: 1100}, {Kernel: "6.1", Driver: guest.EBPF, Call: "read", Added: 1002}}
	text := markdownOf(t, now, old)
	for _, want := range []string{
		"### scaplab: 4 failures in 10 verdicts\n",
		"| kernel | ebpf |\n|---|---|\n| `6.1` | **2 failed**, 2 passed, 1 skipped |\n",
		"**2 new failures**, 2 fixed, 2 failures that the baseline has, too; 1 new case and 0 gone; 2 skipped now.",
		"#### New failures (1)\n\n- `openat/a` on `6.1 ebpf, 6.12 ebpf`: **param** `name: want x, got y`  \n  `tables/syscalls/file.yaml:7`  \n  `scaplab repro openat/a@6.1/ebpf`\n",
		"#### Failures that the baseline has, too (1)\n\n- `openat/c` on",
		"#### Fixed (1)\n\n- `openat/b` on `6.1 ebpf, 6.12 ebpf`\n",
		"#### Skipped now (1)\n\n- `openat/d` on",
		"#### Calls with new cases (1)\n\n- `openat`: `e`\n",
		"| getppid | 6.1 | ebpf | 1,100 | +10.0 % |\n",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "| read |", "0.2 % is no change")
	require.Contains(t, markdownOf(t, old, now), "#### Calls with cases that are gone (1)\n\n- `openat`: `e`\n")

	same := markdownOf(t, now, now)
	require.Contains(t, same, "**0 new failures**, 0 fixed, 4 failures that the baseline has, too; 0 new cases and 0 gone; 0 skipped now.")
	require.Contains(t, same, "No driver's cost changed by 1 % or more.")

	other := reportOf(map[string]string{"a": "pass"})
	other.Kernels[1], other.Results[1].Kernel = "7.3", "7.3"
	other.Partial = "interrupted"
	text = markdownOf(t, now, other)
	require.Contains(t, text, "Not compared: 6.12 ebpf is not in the baseline, 7.3 ebpf is in the baseline only.")
	require.Contains(t, text, "The baseline is incomplete: `interrupted`")
}

func TestMarkdownWithoutABaselineHasTheFailures(t *testing.T) {
	text := markdownOf(t, reportOf(map[string]string{"a": "wrong", "b": "pass"}), nil)
	require.Contains(t, text, "#### Failures (1)\n\n- `openat/a`")
	require.NotContains(t, text, "baseline")
	require.Contains(t, markdownOf(t, reportOf(map[string]string{"b": "pass"}), nil), "### scaplab: nothing failed in 2 verdicts\n")
	require.Contains(t, markdownOf(t, reportOf(nil), nil), "### scaplab: nothing failed in 0 verdicts\n")
}

func TestMarkdownFitsIntoAComment(t *testing.T) {
	r := reportOf(nil)
	for i := range 5000 {
		x := Result{Kernel: "6.1", Drivers: guest.OnlyEBPF, Syscall: "openat", Case: fmt.Sprintf("case-%d", i), Status: judge.Fail, Class: judge.ClassParam,
			Reason: strings.Repeat("x", 10*briefReason), Repro: "scaplab repro"}
		r.Results = append(r.Results, x)
	}
	text := markdownOf(t, r, nil)
	require.Less(t, len(text), markdownLimit)
	require.Greater(t, len(text), markdownLimit/2)
	shown := strings.Count(text, "\n- ")
	require.Contains(t, text, "\n"+decimal.Thousands(5000-shown)+" more.\n")
	require.Contains(t, text, "#### Failures (5,000)\n")
	require.Less(t, len(markdownOf(t, r, reportOf(map[string]string{"a": "pass"}))), markdownLimit)
}

func TestTextIsNoMarkup(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                 "`plain`",
		"@everyone <b>#1</b>":   "`@everyone <b>#1</b>`",
		"a `b` c":               "`` a `b` c ``",
		"```\n# title":          "```` ``` # title ````",
		"`":                     "`` ` ``",
		"two\nlines\x1b[2J\xff": "`two lines [2J?`",
		"":                      "",
	} {
		require.Equal(t, want, codeSpan(text))
	}
}
