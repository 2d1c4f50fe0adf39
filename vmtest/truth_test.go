// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

// scoredReport returns a report of two suites, one with a missed scenario, a failure and a skip.
func scoredReport(t *testing.T) *Report {
	t.Helper()
	suites := guest.Suites()
	require.Greater(t, len(suites), 1)
	first, second := suites[0], suites[1]
	require.Greater(t, len(first.Cases), 3)
	var ids []string
	for i := range 4 {
		ids = append(ids, first.ID(&first.Cases[i]))
	}
	ids = append(ids, second.ID(&second.Cases[0]))
	k := Kernel{Kernel: kernels.Kernel{Name: "6.12", Arch: "amd64"}}
	drivers := []guest.Drivers{guest.OnlyEBPF, guest.OnlyKmod, guest.Both}
	r := newReport(Options{Kernels: []Kernel{k}, Drivers: drivers, Cases: ids})
	for _, d := range drivers {
		r.add(k, d, ids[0], nil, judge.Verdict{Status: judge.Pass})
		r.add(k, d, ids[1], nil, judge.Verdict{Status: judge.Pass, Missed: "openat_exit: it is late"})
		r.add(k, d, ids[2], nil, judge.Verdict{Status: judge.Fail, Class: judge.ClassMissing, Reason: "no event"})
		r.add(k, d, ids[3], nil, judge.Verdict{Status: judge.Skip, Reason: "needs io_uring"})
		r.add(k, d, ids[4], nil, judge.Verdict{Status: judge.Pass})
	}
	r.finish()
	return r
}

func TestTheScoreCountsWhatIsShown(t *testing.T) {
	r := scoredReport(t)
	suite := guest.Suites()[0].Name
	ebpf := judge.Column{Kernel: "6.12", Drivers: guest.OnlyEBPF}
	require.Equal(t, Truth{Shown: 1, Of: 3}, r.Truth(ebpf, suite), "a skipped scenario does not count")
	require.Equal(t, Truth{Shown: 2, Of: 4}, r.Truth(ebpf, ""))
	require.Equal(t, Truth{}, r.Truth(ebpf, "none"))

	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b))
	text := b.String()
	require.True(t, strings.HasPrefix(text, "suite "), "scenarios are in no table of syscalls: %s", text)
	require.Regexp(t, `(?m)^suite +6.12 ebpf +kmod$`, text)
	require.Regexp(t, `(?m)^`+suite+` +1 of 3 +1 of 3$`, text)
	require.Regexp(t, `(?m)^truth +2 of 4 +2 of 4$`, text)
}

func TestReportsKeepTheSuiteAndWhatIsMissed(t *testing.T) {
	r := scoredReport(t)
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	again, err := ReadJSON(bytes.NewReader(b.Bytes()))
	require.NoError(t, err)
	require.Equal(t, r.Results, again.Results)
	require.Equal(t, "openat_exit: it is late", again.Results[1].Missed)
	require.Equal(t, guest.Suites()[0].Name, again.Results[1].Suite)
	require.Equal(t, r.Truth(again.Results[0].column(), ""), again.Truth(again.Results[0].column(), ""))
}
