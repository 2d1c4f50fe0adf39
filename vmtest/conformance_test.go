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
	"github.com/scaplab/scaplab/vmtest/subject"
)

// foreignReport is a report about somebody else's module on two kernels.
func foreignReport() *Report {
	other := &subject.Subject{Name: "other", Version: "1.2", API: "8.0.4", Schema: "4.1.0", Origin: "a package"}
	k1, k2 := Kernel{Kernel: kernels.Kernel{Name: "6.1", Arch: "amd64"}, Subject: other}, Kernel{Kernel: kernels.Kernel{Name: "6.12", Arch: "amd64"}, Subject: other}
	ids := guest.IDs("openat", "getppid")
	r := newReport(Options{Kernels: []Kernel{k1, k2}, Drivers: []guest.Drivers{guest.OnlyKmod}, Cases: ids})
	ok := judge.Param{Name: "fd", Want: "3", Got: "3", OK: true}
	listed := judge.Param{Name: "flags", Want: "1", Got: "3", Differs: "the table says so"}
	wrong := judge.Param{Name: "mode", Want: "1", Got: "3"}
	add := func(k Kernel, id string, v judge.Verdict) { r.add(k, guest.OnlyKmod, id, nil, v) }
	pass := func(c judge.Conformance, p ...judge.Param) judge.Verdict {
		return judge.Verdict{Status: judge.Pass, Conformance: c, Params: p}
	}
	add(k1, ids[0], pass(judge.Equal, ok, judge.Param{Name: "enter.name", OK: true}))
	add(k1, ids[1], pass(judge.Listed, ok, listed))
	add(k1, "getppid/works", pass(judge.Equal, judge.Param{Name: "generic.nativeID", OK: true}))
	add(k2, ids[0], pass(judge.Listed, listed))
	add(k2, ids[1], judge.Verdict{Status: judge.Fail, Class: judge.ClassParam, Reason: "mode is wrong", Conformance: judge.Defect, Params: []judge.Param{ok, wrong}})
	add(k2, ids[2], judge.Verdict{Status: judge.Fail, Class: judge.ClassCrash, Reason: "it died"})
	add(k2, ids[3], judge.Verdict{Status: judge.Fail, Class: judge.ClassSetup, Reason: "no file"})
	add(k2, ids[4], judge.Verdict{Status: judge.Skip, Reason: "no kernel"})
	r.finish()
	return r
}

func TestTheScoreOfSomebodyElsesDriver(t *testing.T) {
	r := foreignReport()
	scores, deviations := r.Conformance()
	require.Equal(t, []Score{
		{Kernel: "6.1", Cases: Tally{1, 1, 0}, Events: Tally{1, 1, 0}, Params: Tally{2, 1, 0}, Generic: 1},
		{Kernel: "6.12", Cases: Tally{0, 1, 2}, Events: Tally{0, 0, 1}, Params: Tally{1, 1, 1}, Skipped: 1, Broken: 1},
	}, scores)
	var told []string
	for _, d := range deviations {
		told = append(told, strings.Join([]string{d.Event, d.Param, d.Differs, strings.Join(d.Kernels, "+"), d.Example.Class}, "|"))
	}
	require.Equal(t, []string{"openat_exit|||6.12|crash", "openat_exit|flags|the table says so|6.1+6.12|", "openat_exit|mode||6.12|param"}, told)

	var text, file bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	for _, line := range []string{
		"Conformance of other 1.2 (API 8.0.4, schema 4.1.0, a package):",
		"  listed: openat_exit flags: the table says so",
		"  defect: openat_exit mode: 1 cases, such as openat/",
	} {
		require.Contains(t, text.String(), line)
	}
	require.NoError(t, r.WriteJSON(&file))
	again, err := ReadJSON(&file)
	require.NoError(t, err)
	joined, _ := again.Conformance()
	require.Equal(t, scores, joined, "a report that was read has the score")
	require.Equal(t, "other 1.2", again.Subject().String())
}

func TestOurOwnDriversHaveNoScore(t *testing.T) {
	r := newReport(Options{Kernels: []Kernel{{Kernel: kernels.Kernel{Name: "6.1", Arch: "amd64"}}}, Drivers: []guest.Drivers{guest.OnlyKmod}, Cases: []string{"getppid/works"}})
	r.add(r.opts.Kernels[0], guest.OnlyKmod, "getppid/works", nil, judge.Verdict{Status: judge.Fail, Class: judge.ClassCrash, Reason: "it died"})
	require.Nil(t, r.Subject())
	require.Empty(t, r.Results[0].Conformance)
	var text bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	require.NotContains(t, text.String(), "Conformance")
}
