// SPDX-License-Identifier: Apache-2.0

package htmlreport

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/subject"
)

// hostile is a value that an event may have.
const hostile = `</script><img src=x onerror="document.title='taken'"><b>&amp;` + "\u202e\x01"

// sample returns a report with something of each kind, as it is read from a file.
func sample(t *testing.T) *vmtest.Report {
	t.Helper()
	rep := &vmtest.Report{
		Kernels: []string{"5.10", "6.12"}, Drivers: []guest.Drivers{guest.OnlyEBPF, guest.OnlyKmod, guest.Both},
		Warnings: []vmtest.Warning{{Kernel: "6.12", Text: "is older " + hostile}},
		Runs: []vmtest.RunInfo{{ID: "R", Tool: "v1.2.3", Schema: "4.5.2", Accelerator: "tcg",
			Kernels: []vmtest.KernelInfo{{Name: "5.10", Arch: "amd64", Release: "5.10.1"}, {Name: "6.12", Arch: "amd64"}},
			Subject: &subject.Subject{Name: "their module", Version: "9.1"}}},
		Costs: []vmtest.Cost{
			{Kernel: "5.10", Arch: "amd64", Driver: guest.EBPF, Call: "getppid", Bare: 1080, Added: 345},
			{Kernel: "5.10", Arch: "amd64", Driver: guest.Kmod, Call: "getppid", Bare: 1080, Added: 1690},
		},
		Verifier: []vmtest.Verifier{
			{Kernel: "6.12", Arch: "amd64", Program: "small", Clang: "19", Instructions: 900, Processed: 90},
			{Kernel: "6.12", Arch: "amd64", Program: "large", Clang: "14", Instructions: 12345, Processed: 1000, Error: "too complex"},
		},
	}
	add := func(kernel string, d guest.Drivers, call, name string, s judge.Status, more func(*vmtest.Result)) {
		x := vmtest.Result{Run: "R", Kernel: kernel, Arch: "amd64", Drivers: d, Syscall: call, Case: name, Status: s, Params: []judge.Param{}}
		if sc, c := guest.Find(call + "/" + name); sc != nil {
			x.Place = sc.Place(c)
		}
		x.Repro = "scaplab repro '" + x.Cell() + "' --accel tcg"
		switch s {
		case judge.Fail:
			x.Class, x.Reason = judge.ClassParam, "name: want /no/such, got "+hostile+"\nline two"
		case judge.Skip:
			x.Reason = "since 6.1"
		}
		if more != nil {
			more(&x)
		}
		rep.Results = append(rep.Results, x)
	}
	for _, kernel := range rep.Kernels {
		for _, d := range rep.Drivers {
			ret := int64(-2)
			add(kernel, d, "openat", "missing-file", judge.Pass, func(x *vmtest.Result) {
				x.Ret, x.Seconds = &ret, 1.5
				x.Params = []judge.Param{{Name: "fd", Want: "-2(ENOENT)", Got: "-2(ENOENT)", OK: true}}
				if kernel == "5.10" && !d.Pair() {
					x.Events = []vmtest.DriverEvents{{Driver: d.A, Text: []string{"> openat name=" + string(d.A), "< openat fd=-2"}}}
				}
			})
			status := judge.Pass
			if kernel == "6.12" && d == guest.OnlyKmod {
				status = judge.Fail
			}
			add(kernel, d, "openat", "creates-a-file", status, func(x *vmtest.Result) {
				x.Conformance = "equal"
				if status == judge.Fail {
					x.Params = []judge.Param{{Name: "mode", Want: "0640", Got: "0640", OK: true}, {Name: "name", Want: "/no/such", Got: hostile, Differs: "theirs cuts it"}}
					x.Events = []vmtest.DriverEvents{{Driver: guest.Kmod, Text: []string{"< openat name=" + hostile}}}
					x.Console, x.Conformance = "scap: "+hostile, "listed"
				}
			})
			add(kernel, d, "getppid", "works", map[bool]judge.Status{true: judge.Skip, false: judge.Pass}[kernel == "5.10"], nil)
			add(kernel, d, "evil", hostile, judge.Pass, func(x *vmtest.Result) {
				x.Suite = "io_uring"
				if d == guest.OnlyKmod {
					x.Missed = "the path: the ring has no such tracepoint"
				}
			})
		}
	}
	var js bytes.Buffer
	require.NoError(t, rep.WriteJSON(&js))
	read, err := vmtest.ReadJSON(&js)
	require.NoError(t, err)
	return read
}

func write(t *testing.T, rep *vmtest.Report) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, Write(&b, rep))
	return b.String()
}

// dataOf reads what the script reads.
func dataOf(t *testing.T, html string) packed {
	t.Helper()
	_, text, ok := strings.Cut(html, `id="data">`)
	require.True(t, ok)
	text, _, _ = strings.Cut(text, "<")
	raw, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	zip, err := gzip.NewReader(bytes.NewReader(raw))
	require.NoError(t, err)
	var d packed
	require.NoError(t, json.NewDecoder(zip).Decode(&d))
	return d
}

func TestThePageHasEveryVerdict(t *testing.T) {
	rep := sample(t)
	d := dataOf(t, write(t, rep))
	got := map[string]judge.Status{}
	for _, call := range d.Calls {
		for _, c := range call.Cases {
			for _, v := range c.Verdicts {
				v = append(v, make([]int, verdictLen-len(v))...)
				col := d.Columns[v[atColumn]]
				cell := call.Name + "/" + c.Name + "@" + col.Kernel + "/" + col.Driver
				got[cell] = statuses[v[atStatus]]
				require.Equal(t, "scaplab repro '"+cell+"' --accel tcg", strings.Replace(d.Strings[v[atRepro]], cellMark, cell, 1))
			}
		}
	}
	want := map[string]judge.Status{}
	for _, x := range rep.Results {
		want[x.Cell()] = x.Status
	}
	require.Equal(t, want, got)
	require.Equal(t, []column{{"5.10", "", "ebpf"}, {"5.10", "", "kmod"}, {"5.10", "", "ebpf=kmod"}, {"6.12", "", "ebpf"}, {"6.12", "", "kmod"}, {"6.12", "", "ebpf=kmod"}}, d.Columns)
	require.Equal(t, []string{"not in the table", "file", "process"}, d.Classes)
}

func TestNothingOfAReportIsMarkup(t *testing.T) {
	html := write(t, sample(t))
	require.NotContains(t, html, "<img")
	require.Contains(t, html, "&lt;img src=x onerror=", "the warning is shown as text")
	require.Equal(t, 2, strings.Count(html, "</script>"), "the data, and the script")
}

func TestThePageNamesNoOtherPlace(t *testing.T) {
	html := write(t, sample(t))
	require.NotRegexp(t, `(src|href|action|srcset)\s*=\s*"?(https?:)?//`, html)
	require.NotRegexp(t, `@import|url\(`, html)
	policy := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(html)
	require.NotNil(t, policy)
	require.Contains(t, policy[1], "default-src 'none'")
	require.NotContains(t, policy[1], "unsafe")
}

func TestPartsThatAReportLacksAreNotShown(t *testing.T) {
	for _, part := range []string{"cost", "verifier", "coverage", "conformance", "suites"} {
		require.Contains(t, write(t, sample(t)), `<section id="`+part+`"`)
		require.NotContains(t, write(t, &vmtest.Report{}), `<section id="`+part+`"`)
		require.NotContains(t, write(t, &vmtest.Report{}), `href="#view=`+part+`"`)
	}
}

// Whole runs have every case of the table on four kernels; values such as inodes and tasks differ on each.
func TestAWholeRunIsLessThan3MB(t *testing.T) {
	rep := &vmtest.Report{Drivers: []guest.Drivers{guest.OnlyEBPF, guest.OnlyKmod, guest.Both}}
	n := 0
	for _, kernel := range []string{"5.10", "6.1", "6.12", "7.3"} {
		rep.Kernels = append(rep.Kernels, kernel)
		for _, id := range guest.IDs() {
			sc, c := guest.Find(id)
			call, name, _ := strings.Cut(id, "/")
			n += 7919
			ret := int64(n % 10)
			var params []judge.Param
			var events []string
			for i, w := range c.Want {
				value := fmt.Sprintf("%s %x", w.Expr, n*(i+1)*2654435761%1000003)
				params = append(params, judge.Param{Name: w.Name, Want: value, Got: value, OK: true})
				events = append(events, w.Name+"="+value)
			}
			for _, d := range rep.Drivers {
				x := vmtest.Result{Run: "R", Kernel: kernel, Arch: "amd64", Drivers: d, Syscall: call, Case: name, Place: sc.Place(c), Status: judge.Pass,
					Seconds: float64(n%3000) / 1000, Ret: &ret, Params: params}
				x.Repro = "bin/scaplab repro " + x.Cell()
				if kernel == "5.10" && !d.Pair() {
					x.Events = []vmtest.DriverEvents{{Driver: d.A, Text: []string{"< " + call + " " + strings.Join(events, " ")}}}
				}
				rep.Results = append(rep.Results, x)
			}
		}
	}
	require.Greater(t, len(rep.Results), 45_000)
	html := write(t, rep)
	t.Logf("%d verdicts are %d bytes", len(rep.Results), len(html))
	require.Less(t, len(html), 3<<20)
}

func TestOnlyAllIs100Percent(t *testing.T) {
	require.Equal(t, "99.9 %", percent(99_999, 100_000))
	require.Equal(t, "100 %", percent(3, 3))
	require.Equal(t, "–", percent(0, 0))
}
