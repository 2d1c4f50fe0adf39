// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/shard"
)

// runHere runs the program with a cache of its own.
func runHere(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestWrongUseOfRunCommands(t *testing.T) {
	for args, want := range map[string]string{
		"matrix --syscall nosuchcall":                    `the table has no syscall "nosuchcall"`,
		"matrix --syscall opena":                         `the table has no syscall "opena" (did you mean openat?)`,
		"matrix --suite io_ring":                         `--suite: the table has no truth suite "io_ring" (all, or one of io_uring,`,
		"matrix --syscall io_ring":                       `the table has no syscall "io_ring" (did you mean io_uring?)`,
		"matrix --suite exec --syscall nosuchcall":       `the table has no syscall "nosuchcall"`,
		"repro exec/runs@6.12/ebpf":                      `unknown case "exec/runs" (cases: exec/runs-a-program,`,
		"matrix --driver epbf":                           "(did you mean ebpf?)",
		"matrix --syscall opena/x":                       `(the table has no syscall "opena" (did you mean openat?))`,
		"matrix --syscall getppid/Works":                 `unknown case "getppid/Works" (did you mean getppid/works?)`,
		"matrix --syscall openat/Missing-file":           `(did you mean openat/missing-file?)`,
		"matrix --syscall Openat/missing-file":           `(did you mean openat?)`,
		"repro openat/Missing-file@6.12/ebpf":            `(did you mean openat/missing-file?)`,
		"matrix --syscall openat/nosuchcase":             `unknown case "openat/nosuchcase" (cases: openat/`,
		"matrix --syscall nosuchcall/x":                  `(the table has no syscall "nosuchcall")`,
		"matrix --driver tty":                            `unknown driver "tty" (known: ebpf, kmod, ebpf=kmod)`,
		"matrix --driver kmod=/no/such/dir/scap.ko":      "--driver kmod=/no/such/dir/scap.ko: stat /no/such/dir/scap.ko: no such file or directory (want a module file, a tree of its sources, or a package: a .deb file, NAME or NAME/SUITE)",
		"matrix --driver kmod=main.go":                   "--driver kmod=main.go: no kernel module: bad magic number",
		"matrix --driver kmod=a,ebpf":                    "somebody else's module is judged alone",
		"matrix --driver kmod=a --headers x":             "--headers is to build this project's module with",
		"matrix --driver kmod=a --modules x":             "--modules has modules, and --driver names another",
		"matrix --seen x":                                "--seen is about somebody else's module",
		"matrix --driver kmod=a --seen x --syscall read": "it goes with neither --syscall nor --shard",
		"matrix --driver capture=x":                      "needs --facts FILE",
		"matrix --driver capture=x --facts /no/such":     "--facts: open /no/such: no such file or directory",
		"matrix --driver capture=x --facts main.go":      "--facts main.go: invalid character",
		"matrix --facts x":                               "--facts is about a capture, and --driver names none (capture=FILE)",
		"repro getppid/works@6.12/ebpf --driver kmod=a":  "the flag is for somebody else's module",
		"repro getppid/works@6.12/kmod --driver ebpf":    "the flag is for somebody else's module",
		"cases --export x --facts y":                     "--export is for another machine",
		"cases --syscall nosuchcall":                     "no syscall",
		"matrix --kernel 1.2":                            `unknown kernel "1.2" (known: `,
		"matrix --shard 3/2":                             "want i/n",
		"matrix --accel turbo":                           "want auto, kvm or tcg",
		"matrix --kernel 5.10,6.1 --headers x":           "--headers is for one kernel",
		"matrix --headers x":                             "--headers is for one kernel",
		"matrix --kernel /a,6.1,/b --headers x":          "--headers is for one kernel, not for both /a and /b",
		"matrix --headers x --modules y":                 "--modules has them built",
		"matrix --headers x --driver ebpf":               "--driver does not name kmod",
		"repro getppid/works@6.12/ebpf --headers x":      "--driver does not name kmod",
		"matrix --watch --console -":                     "both want the terminal",
		"matrix -j -1":                                   "must be positive",
		"matrix --arch sparc":                            `architecture "sparc": want amd64 or arm64`,
		"matrix extra":                                   "unknown command",
		"repro openat":                                   "want SYSCALL/CASE@KERNEL/DRIVER",
		"repro openat/nosuchcase@6.12/ebpf":              "unknown case",
		"repro":                                          "accepts 1 arg",
		"host --syscall nosuchcall":                      "no syscall",
		"kernels fetch 1.2":                              "unknown kernel",
		"report":                                         "requires at least 1 arg",
		"report /no/such/file":                           "no such file",
		"host --console /no/such/dir/x --syscall getpid": "no such file",
		"matrix --json /no/such/dir/x":                   "no such file",
		"host --junit /no/such/dir/x":                    "no such file",
		"host --html /no/such/dir/x":                     "no such file",
		"host --markdown /no/such/dir/x":                 "no such file",
		"host --baseline x":                              "--baseline is for --markdown",
		"host --markdown x --baseline /no/such/file":     "--baseline: open /no/such/file",
		"report --baseline /dev/null --markdown x y":     "--baseline: read /dev/null: it is empty",
	} {
		code, stdout, stderr := runHere(t, strings.Fields(args)...)
		require.Equal(t, cli.ExitUsage, code, "%s: %s", args, stderr)
		require.Contains(t, stderr, want, args)
		require.Empty(t, stdout, args)
	}
}

func TestALackOfKernelsOrQEMUIsTheEnvironments(t *testing.T) {
	code, _, stderr := runHere(t, "matrix", "--kernel", "/no/such/kernel", "--syscall", "getppid")
	require.Equal(t, cli.ExitEnvironment, code)
	require.Contains(t, stderr, "KERNEL /no/such/kernel SKIPPED: open /no/such/kernel")
	require.Contains(t, stderr, "none of the kernels is available")

	elf, err := os.Executable()
	require.NoError(t, err)
	t.Setenv("PATH", t.TempDir())
	code, _, stderr = runHere(t, "matrix", "--kernel", elf, "--syscall", "getppid")
	require.Equal(t, cli.ExitEnvironment, code)
	require.Contains(t, stderr, "without a PVH entry", "a program is not a kernel")

	code, _, stderr = runHere(t, "kernels", "fetch", "6.1")
	require.Equal(t, cli.ExitEnvironment, code)
	require.Contains(t, stderr, "apt is not installed")

	code, stdout, _ := runHere(t, "doctor")
	require.Equal(t, cli.ExitEnvironment, code)
	require.Regexp(t, `MISSING +qemu .* is not installed`, stdout)
	require.Contains(t, stdout, "-> install qemu-system-x86")
}

func TestReproOfACellThatCannotBeRunSaysWhy(t *testing.T) {
	image := filepath.Join(t.TempDir(), "vmlinux")
	require.NoError(t, os.WriteFile(image, testutil.TinyELF(t, "Xen", 18, ""), 0o600))
	init := filepath.Join(t.TempDir(), "init")
	require.NoError(t, os.WriteFile(init, testutil.TinyELF(t, "Go", 4, ""), 0o600))
	args := []string{"repro", "getppid/works@" + image + "/ebpf", "--guest", init}

	t.Setenv("PATH", t.TempDir())
	code, stdout, stderr := runHere(t, args...)
	require.Equal(t, cli.ExitEnvironment, code, stderr)
	require.Contains(t, stderr, "is not installed")
	require.Contains(t, stdout, "case getppid/works\n")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	require.Equal(t, cli.ExitEnvironment, run(ctx, args, &out, &errs))
	require.Contains(t, errs.String(), "interrupted")
}

func TestReproHasTheFlagsOfTheRun(t *testing.T) {
	cmd := newMatrixCmd()
	require.NoError(t, cmd.ParseFlags(strings.Fields("--kernel 6.1 --mirror file:///m --no-snapshots --case-limit 2m -j 3 --modules dir")))
	words := reproFlags(cmd)
	require.Equal(t, strings.Fields("--case-limit 2m0s --mirror file:///m --modules dir --no-snapshots=true"), words)
	require.NoError(t, newReproCmd().ParseFlags(words), "repro takes them")
}

func TestAnInterruptedRunLeavesWholeReports(t *testing.T) {
	image := filepath.Join(t.TempDir(), "vmlinux")
	require.NoError(t, os.WriteFile(image, testutil.TinyELF(t, "Xen", 18, ""), 0o600))
	for name, args := range map[string][]string{
		"before it begins":   {"matrix", "--kernel", image, "--syscall", "getppid"},
		"of the host":        {"host", "--syscall", "getppid"},
		"with a wrong guest": {"matrix", "--kernel", image, "--syscall", "getppid", "--guest", "/no/such/guest"},
	} {
		dir := t.TempDir()
		js, junit := filepath.Join(dir, "out.json"), filepath.Join(dir, "out.xml")
		require.NoError(t, os.WriteFile(js, []byte("of an earlier run"), 0o600))
		t.Setenv("XDG_CACHE_HOME", t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		if name != "with a wrong guest" {
			cancel()
		}
		var out, errs bytes.Buffer
		require.Equal(t, cli.ExitEnvironment, run(ctx, append(args, "--json", js, "--junit", junit), &out, &errs), errs.String())
		cancel()
		text, err := os.ReadFile(js)
		require.NoError(t, err)
		var report struct {
			Results []any `json:"results"`
			Runs    []struct {
				Partial string `json:"partial"`
			} `json:"runs"`
		}
		require.NoError(t, json.Unmarshal(text, &report), "%s: %s", name, text)
		require.Len(t, report.Runs, 1, name)
		require.NotEmpty(t, report.Runs[0].Partial, name)
		text, err = os.ReadFile(junit)
		require.NoError(t, err)
		var suites struct {
			Suites []struct {
				Errors int `xml:"errors,attr"`
			} `xml:"testsuite"`
		}
		require.NoError(t, xml.Unmarshal(text, &suites), "%s: %s", name, text)
		require.NotEmpty(t, suites.Suites, name)
		require.Equal(t, 1, suites.Suites[len(suites.Suites)-1].Errors, name)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, left, 2, "%s: no other file", name)
	}
}

func TestReportsGoWhereTheyAreSentTo(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "real.json"), filepath.Join(dir, "link.json")
	require.NoError(t, os.WriteFile(target, nil, 0o600))
	require.NoError(t, os.Symlink(target, link))
	f := runFlags{json: link, junit: os.DevNull}
	require.NoError(t, f.save(new(vmtest.Report)))
	st, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, st.Mode()&os.ModeSymlink, "the link stays one")
	text, err := os.ReadFile(target)
	require.NoError(t, err)
	require.True(t, json.Valid(text))
	st, err = os.Stat(os.DevNull)
	require.NoError(t, err)
	require.False(t, st.Mode().IsRegular(), "a device is written to, not replaced")

	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	f = runFlags{json: fmt.Sprintf("/dev/fd/%d", w.Fd())}
	require.NoError(t, f.save(vmtest.NotBegun(vmtest.Options{})))
	require.NoError(t, f.save(new(vmtest.Report)))
	require.NoError(t, w.Close())
	text, err = io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, json.Valid(text), "one report, of the run that has ended: %s", text)
}

func TestWhatCouldNotBeRunIsInTheExitStatus(t *testing.T) {
	report := func(status ...string) *vmtest.Report {
		var cells []string
		for _, s := range status {
			cells = append(cells, `{"kernel":"6.1","driver":"ebpf","syscall":"getppid","case":"works","status":"`+s+`"}`)
		}
		rep, err := vmtest.ReadJSON(strings.NewReader(`{"format":1,"kernels":["6.1"],"drivers":["ebpf"],"results":[` + strings.Join(cells, ",") + `]}`))
		require.NoError(t, err)
		return rep
	}
	for name, row := range map[string]struct {
		lacks []string
		rep   *vmtest.Report
		want  int
		text  string
	}{
		"all ran":                          {nil, report("pass", "skip"), cli.ExitFine, ""},
		"a shard without a case":           {nil, report(), cli.ExitFine, ""},
		"all was skipped":                  {nil, report("skip", "skip"), cli.ExitEnvironment, "every case was skipped"},
		"a kernel could not be fetched":    {[]string{"kernel 6.1", "module of kernel 6.12"}, report("pass"), cli.ExitEnvironment, "no kernel 6.1, no module of kernel 6.12"},
		"and what ran has found something": {[]string{"kernel 6.1"}, report("fail"), cli.ExitFound, ""},
	} {
		f := runFlags{lacks: row.lacks}
		err := f.outcome(row.rep)
		if row.want == cli.ExitFine {
			require.NoError(t, err, name)
			continue
		}
		var ce *cli.Error
		require.ErrorAs(t, err, &ce, name)
		require.Equal(t, row.want, ce.Code, name)
		require.ErrorContains(t, err, row.text, name)
	}
}

// What a shard does not run it does not prepare.
func TestAShardFetchesItsOwnKernelsOnly(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for i := range 3 {
		image := filepath.Join(dir, fmt.Sprintf("vmlinux-%d", i))
		require.NoError(t, os.WriteFile(image, append(testutil.TinyELF(t, "Xen", 18, ""), byte(i)), 0o600))
		names = append(names, image)
	}
	all := []string{"a/x", "a/y", "b/x", "c/x"}
	for _, row := range []struct {
		shard shard.Shard
		names []string
		cases []string
		costs bool
		said  string
	}{
		{shard.Shard{Index: 1, Count: 1}, names, all, true, ""},
		{shard.Shard{Index: 2, Count: 2}, names[1:], all, true, "shard 2/2: 4 of 4 cases on " + names[1] + ", " + names[2]},
		{shard.Shard{Index: 5, Count: 6}, names[2:], all[:2], true, "shard 5/6: 2 of 4 cases on " + names[2]},
		{shard.Shard{Index: 6, Count: 6}, names[2:], all[2:], false, "shard 6/6: 2 of 4 cases on " + names[2]},
		{shard.Shard{Index: 10, Count: 12}, nil, nil, false, "shard 10/12: the other shards have all cases"},
	} {
		cache := t.TempDir()
		t.Setenv("XDG_CACHE_HOME", cache)
		f := runFlags{arch: runtime.GOARCH}
		var said strings.Builder
		o := vmtest.Options{Shard: row.shard, Cases: all, Costs: true, Log: func(s string, a ...any) { fmt.Fprintf(&said, s+"\n", a...) }}
		cmd := newMatrixCmd()
		cmd.SetContext(t.Context())
		require.NoError(t, f.kernels(cmd, &o, names...))
		var got []string
		for _, k := range o.Kernels {
			got = append(got, k.Name)
		}
		require.Equal(t, row.names, got, row.shard)
		require.Equal(t, row.cases, o.Cases, row.shard)
		require.Equal(t, row.costs, o.Costs, row.shard)
		require.Contains(t, said.String(), row.said)
		kept, err := filepath.Glob(filepath.Join(cache, "scaplab/kernel/*/kernel.json"))
		require.NoError(t, err)
		require.Len(t, kept, len(row.names), "%s prepared others", row.shard)
	}
}

// Which series newest is turns out when it was looked for.
func TestNewestRunsInOneShardOnly(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	last := catalog.Series[len(catalog.Series)-1].Series
	image := filepath.Join(t.TempDir(), "vmlinux")
	require.NoError(t, os.WriteFile(image, []byte("a kernel"), 0o600))
	const warning = "1 is older than the newest listed: 2"
	record, err := json.Marshal(kernels.Kernel{Name: last, Image: image, Digest: files.Sum([]byte("a kernel")), Warnings: []string{warning}})
	require.NoError(t, err)
	cache, err := env.CacheDir()
	require.NoError(t, err)
	require.NoError(t, files.WriteAtomic(filepath.Join(cache, "kernel", runtime.GOARCH+"-"+last+".json"), record))
	for i, want := range []int{1, 0} {
		f := runFlags{arch: runtime.GOARCH, maxAge: time.Hour}
		o := vmtest.Options{Shard: shard.Shard{Index: i + 1, Count: 2}, Cases: []string{"a/x"}, Log: t.Logf}
		cmd := newMatrixCmd()
		cmd.SetContext(t.Context())
		cmd.SetErr(io.Discard)
		require.NoError(t, f.kernels(cmd, &o, last, "newest"))
		require.Len(t, o.Kernels, want)
		require.Equal(t, []vmtest.Warning{{Kernel: last, Text: warning}}, o.Warnings)
	}
}

// A disk that always is full.
const full = "/dev/full"

func TestAReportThatCannotBeWrittenIsInTheExitStatus(t *testing.T) {
	if _, err := os.Stat(full); err != nil {
		t.Skip(err)
	}
	for name, f := range map[string]runFlags{"JSON": {json: full}, "JUnit": {junit: full}} {
		for status, want := range map[string]int{"pass": cli.ExitEnvironment, "fail": cli.ExitFound} {
			text := `{"format":1,"kernels":["6.1"],"drivers":["ebpf"],"results":[{"kernel":"6.1","driver":"ebpf","syscall":"getppid","case":"works","status":"` + status + `"}]}`
			rep, err := vmtest.ReadJSON(strings.NewReader(text))
			require.NoError(t, err)
			var out bytes.Buffer
			cmd := newMatrixCmd()
			cmd.SetOut(&out)
			err = f.report(cmd, rep, nil)
			var e *cli.Error
			require.ErrorAs(t, err, &e, name)
			require.Equal(t, want, e.Code, name)
			require.ErrorContains(t, err, "write "+full+": no space left on device", name)
			require.Contains(t, out.String(), "total: ", "the rest is written nevertheless")
		}
	}
	disk, err := os.OpenFile(full, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer disk.Close()
	file := filepath.Join(t.TempDir(), "a.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"format":1,"kernels":[],"drivers":[],"results":[]}`), 0o600))
	for _, args := range [][]string{{"report", file}, {"report", "--json", "-", file}, {"kernels", "list"}, {"kernels", "list", "--json"}, {"doctor"}} {
		t.Setenv("XDG_CACHE_HOME", t.TempDir())
		var errs bytes.Buffer
		require.Equal(t, cli.ExitEnvironment, run(t.Context(), args, disk, &errs), "%v: %s", args, errs.String())
		require.Contains(t, errs.String(), "no space left on device", args)
	}
}

func TestKernelsListNeedsNoNetwork(t *testing.T) {
	code, stdout, stderr := runHere(t, "kernels", "list")
	require.Equal(t, cli.ExitFine, code, stderr)
	require.Regexp(t, `(?m)^5\.10 \*  bullseye-security, bullseye +- `, stdout)

	code, stdout, _ = runHere(t, "kernels", "list", "--json")
	require.Equal(t, cli.ExitFine, code)
	var list []kernels.Available
	require.NoError(t, json.Unmarshal([]byte(stdout), &list))
	require.NotEmpty(t, list)
	require.True(t, list[len(list)-1].Default, "the newest")
}

func TestReportsAreJoined(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	cell := func(kernel, status string) string {
		return `{"kernel":"` + kernel + `","arch":"amd64","driver":"ebpf","syscall":"getppid","case":"works","status":"` + status +
			`","class":"","reason":"","params":[],"repro":"scaplab repro getppid/works@` + kernel + `/ebpf"}`
	}
	good := write("1.json", `{"format":1,"kernels":["6.1"],"drivers":["ebpf"],"results":[`+cell("6.1", "pass")+`]}`)
	bad := write("2.json", `{"format":1,"kernels":["6.12"],"drivers":["ebpf"],"results":[`+cell("6.12", "fail")+`]}`)

	code, stdout, stderr := runHere(t, "report", bad, "--json", "/no/such/dir/x")
	require.Equal(t, cli.ExitFound, code, "what was found counts more than a report that cannot be written")
	require.Contains(t, stdout, "1 failed")
	require.Contains(t, stderr, "no such file")

	code, stdout, _ = runHere(t, "report", good)
	require.Equal(t, cli.ExitFine, code)
	require.Contains(t, stdout, "total: 1 passed, 0 failed, 0 skipped\n")

	junit, joined := filepath.Join(dir, "all.xml"), filepath.Join(dir, "all.json")
	code, stdout, _ = runHere(t, "report", bad, good, "--junit", junit, "--json", joined)
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stdout, "scaplab repro getppid/works@6.12/ebpf")
	xml, err := os.ReadFile(junit)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(xml), "<testsuite "))

	code, stdout, stderr = runHere(t, "report", "--json", "-", joined)
	require.Equal(t, cli.ExitFound, code)
	text, err := os.ReadFile(joined)
	require.NoError(t, err)
	require.Equal(t, string(text), stdout, "joining one file changes nothing")
	require.Empty(t, stderr, "what is wrong was already said")

	// A job of a CI that broke off left no report.
	ofRun := func(run, i string) string {
		return write("shard"+run+i+".json", `{"format":1,"runs":[{"id":"`+run+i+`","shard":"`+i+`/3"}],"kernels":["6.1"],"drivers":["ebpf"],"results":[`+
			strings.Replace(cell("6.1", "pass"), "{", `{"run":"`+run+i+`",`, 1)+`]}`)
	}
	shard := func(i string) string { return ofRun("a", i) }
	code, _, stderr = runHere(t, "report", shard("1"), shard("3"))
	require.Equal(t, cli.ExitEnvironment, code)
	require.Contains(t, stderr, "not everything was run: no shard 2/3")
	code, _, stderr = runHere(t, "report", shard("1"), shard("2"), shard("3"), "--json", joined)
	require.Equal(t, cli.ExitFine, code, stderr)
	code, _, _ = runHere(t, "report", joined)
	require.Equal(t, cli.ExitFine, code, "all of them together are no shard")
	code, stdout, _ = runHere(t, "report", joined, shard("1"), shard("1"))
	require.Equal(t, cli.ExitFine, code)
	require.Contains(t, stdout, "total: 3 passed, 0 failed, 0 skipped\n", "a cell of a run counts once")
	code, _, stderr = runHere(t, "report", shard("1"), ofRun("b", "1"))
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "shard 1/3 was read already")

	for text, want := range map[string]string{
		"":                          "it is empty (a report as matrix --json writes it is expected)",
		"{":                         "unexpected EOF",
		`{"format":9,"results":[]}`: "format 9 (1 is expected)",
		`{"format":1,"results":[{"status":"x"}]}`: `unknown status "x"`,
	} {
		broken := write("x.json", text)
		code, _, stderr = runHere(t, "report", good, broken)
		require.Equal(t, cli.ExitUsage, code)
		require.Contains(t, stderr, "read "+broken+": ", "the file is named")
		require.Contains(t, stderr, want)
	}
}

// What go run makes where there is a C compiler is not static, so a guest is built beside it.
func TestGuestsAreBuiltStatic(t *testing.T) {
	testutil.SkipIfShort(t, "builds this program for two architectures")
	t.Setenv("CGO_ENABLED", "1")
	for _, arch := range machine.Arches() {
		file, done, err := buildGuest(t.Context(), arch)
		require.NoError(t, err)
		program, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, machine.CheckInit(program, arch))
		done()
		require.NoFileExists(t, file)
	}
}

func TestAnInterruptedBuildOfTheGuestSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := buildGuest(ctx, runtime.GOARCH)
	require.EqualError(t, err, "interrupted")
}
