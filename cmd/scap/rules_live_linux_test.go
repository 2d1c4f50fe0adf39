// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
)

// skipUnlessLive skips tests that capture on this machine, where it cannot.
func skipUnlessLive(tb testing.TB) {
	tb.Helper()
	testutil.SkipUnlessKernel(tb, "5.8", "the eBPF ring buffer")
	testutil.SkipUnlessRoot(tb)
}

// markerRule is a rule for links to a target, which other programs do not make.
func markerRule(name, target string) string {
	return fmt.Sprintf(`- rule: %s
  desc: d
  condition: evt.type in (symlink, symlinkat) and evt.arg.target = %s
  output: link %%evt.arg.target
  priority: WARNING
`, name, target)
}

// link makes links to a target, as another process.
func link(t *testing.T, target string, n int) {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		require.NoError(t, exec.Command("ln", "-s", target, fmt.Sprintf("%s/%d", dir, i)).Run())
	}
}

const patience = 5 * time.Minute

// eventually waits until the text has n lines that contain part.
func eventually(t *testing.T, out fmt.Stringer, part string, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(out.String(), part) >= n }, patience, 10*time.Millisecond, "%s", out)
}

func TestDeadOutputsHoldUpNeitherTheCaptureNorTheEnd(t *testing.T) {
	skipUnlessLive(t)
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked.Add(1)
	}))
	defer server.Close()
	target := "/scap/dead-outputs"
	rules := mustWrite(t, "rules.yaml", markerRule("link", target))
	out := &written{}
	errs, stop := watch(t, out, "--queue", "2", "--output", "stdout", "--output", "file:/dev/full", "--output", "program:sleep 1000",
		"--output", server.URL, rules)
	link(t, target, 1)
	eventually(t, out, "Warning link "+target, 1)
	require.Eventually(t, func() bool { return asked.Load() == 1 }, patience, time.Millisecond)
	server.Close() // ends after the answer to the first alert is written
	const n = 40
	for i := 2; i <= n; i++ {
		link(t, target, 1)
		eventually(t, out, "Warning link "+target, i) // the queue of standard output is short, too
	}
	require.Zero(t, stop())
	said := errs.String()
	require.Contains(t, said, fmt.Sprintf(" %d alerts, ", n))
	require.Regexp(t, fmt.Sprintf(`(?m)^ +%d  Warning +link$`, n), said)
	require.Contains(t, said, fmt.Sprintf("\nstdout: %d delivered\n", n))
	require.Regexp(t, fmt.Sprintf(`(?m)^file /dev/full: 0 delivered, %d left out \(.*\d failed`, n), said)
	require.Contains(t, said, "file /dev/full: write /dev/full: no space left on device; alerts are left out until it works\n")
	web := regexp.MustCompile(`http ` + regexp.QuoteMeta(server.URL) + `: (\d+) delivered, (\d+) left out`).FindStringSubmatch(said)
	require.NotNil(t, web, said)
	require.Equal(t, []string{"1", fmt.Sprint(n - 1)}, web[1:], said)
	program := regexp.MustCompile(`program sleep 1000: (\d+) delivered(, (\d+) left out)?`).FindStringSubmatch(said)
	require.NotNil(t, program, said)
	sum, _ := strconv.Atoi(program[1])
	more, _ := strconv.Atoi(program[3])
	require.Equal(t, n, sum+more, "what fits into the pipe of the program counts as delivered")
}

func TestSIGHUPReadsTheRulesAgainAndOpensFilesAnew(t *testing.T) {
	skipUnlessLive(t)
	rules := mustWrite(t, "rules.yaml", markerRule("first", "/scap/one"))
	path := filepath.Join(t.TempDir(), "alerts")
	errs, stop := watch(t, io.Discard, "--output", "file:"+path, rules)
	inFile := func(path string) func() bool {
		return func() bool {
			b, _ := os.ReadFile(path)
			return len(b) > 0
		}
	}
	link(t, "/scap/one", 1)
	require.Eventually(t, inFile(path), patience, 10*time.Millisecond)

	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, os.WriteFile(rules, []byte(markerRule("first", "/scap/one")+markerRule("second", "/scap/two")), 0o600))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	eventually(t, errs, "2 rules watch this machine", 1)
	link(t, "/scap/two", 1)
	require.Eventually(t, inFile(path), patience, 10*time.Millisecond)

	require.NoError(t, os.WriteFile(rules, []byte("- rule: r\n"), 0o600))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	eventually(t, errs, "the rules are those of before", 1)
	require.Contains(t, errs.String(), "rules.yaml:1:9: error LOAD_ERR_YAML_VALIDATE")
	before := len(errs.String())
	link(t, "/scap/one", 1)
	link(t, "/scap/two", 1)
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(path)
		return strings.Count(string(b), "\n") == 3
	}, patience, 10*time.Millisecond)
	require.Zero(t, stop())
	require.Regexp(t, `(?m)^ +2  Warning +first$`, errs.String()[before:], "the counts of before stay")
	require.Regexp(t, `(?m)^ +2  Warning +second$`, errs.String()[before:])
}

func TestMetricsAreServed(t *testing.T) {
	skipUnlessLive(t)
	rules := mustWrite(t, "rules.yaml", markerRule(`the "link"`, "/scap/metrics"))
	out := &written{}
	errs, _ := watch(t, out, "--metrics=127.0.0.1:0", rules)
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(errs.String())
	require.NotEmpty(t, url, errs.String())
	get := func(path string) string {
		resp, err := http.Get(url + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(b)
	}
	require.JSONEq(t, `{"status":"ok"}`, get("/healthz"))
	link(t, "/scap/metrics", 3)
	eventually(t, out, "Warning link", 3)
	wants := []string{
		`scap_rule_matches_total{rule="the \"link\"",priority="Warning",source="syscall"} 3`, "scap_rules 1",
		`scap_output_alerts_total{output="stdout",result="delivered"} 3`, `scap_output_queue_length{output="stdout"} 0`,
		`scap_drops_total{cause="buffer_full"} `,
	}
	var text string
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		text = get("/metrics") // counts come a little after what they count
		missing := slices.DeleteFunc(slices.Clone(wants), func(want string) bool { return strings.Contains(text, want) })
		if len(missing) == 0 && !strings.Contains(text, "scap_events_total 0\n") {
			break
		}
		require.Less(t, time.Since(began), patience, "%q are not in %s", missing, text)
	}
	// Each line is a comment or a sample.
	sample := regexp.MustCompile(`^(# (HELP|TYPE) scap_\w+ .+|scap_\w+(\{(\w+="([^"\\]|\\.)*",?)*\})? \d+)$`)
	for line := range strings.Lines(text) {
		require.Regexp(t, sample, strings.TrimSuffix(line, "\n"))
	}
}

// commandVar makes the test program this command.
const commandVar = "SCAP_COMMAND"

// Every event is an alert, and neither the reader of standard output nor the program ever
// reads.
func TestSIGINTEndsEvenIfNobodyReads(t *testing.T) {
	skipUnlessLive(t)
	self, err := os.Executable()
	require.NoError(t, err)
	rules := mustWrite(t, "rules.yaml", "- rule: all\n  desc: d\n  condition: evt.num > 0\n  output: \"%evt.type "+strings.Repeat("x", 1000)+"\"\n  priority: debug\n  warn_evttypes: false\n")
	pidFile := filepath.Join(t.TempDir(), "pid")
	program := "echo $$ >" + pidFile + "; sleep 1000"
	cmd := exec.Command(self, "rules", "--output", "stdout", "--output", "program:"+program, "--output", "file:/dev/full", rules)
	cmd.Env = append(os.Environ(), commandVar+"=1")
	unread, stdout, err := os.Pipe()
	require.NoError(t, err)
	defer unread.Close()
	errs := &written{}
	cmd.Stdout, cmd.Stderr = stdout, errs
	require.NoError(t, cmd.Start())
	stdout.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	eventually(t, errs, "rules watch this machine", 1)
	link(t, "/scap/nobody-reads", 50) // more than the pipes hold
	require.Eventually(t, func() bool {
		pid, _ := os.ReadFile(pidFile)
		waiting, err := unix.IoctlGetInt(int(unread.Fd()), unix.TIOCINQ)
		return len(pid) > 0 && err == nil && waiting > 40_000 // three alerts fill each of the 16 pages that a pipe has
	}, patience, 10*time.Millisecond, "the program has not started, or the pipe is not full: %s", errs)
	began := time.Now()
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	select {
	case err := <-ended:
		require.NoError(t, err, "%s", errs)
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		t.Fatal("it does not end: ", errs)
	}
	t.Logf("the end took %s", time.Since(began))
	said := errs.String()
	counts := regexp.MustCompile(` (\d+) alerts, `).FindStringSubmatch(said)
	require.NotNil(t, counts, said)
	for _, output := range []string{"stdout", "program " + program, "file /dev/full"} {
		m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(output) + `: (\d+) delivered, (\d+) left out`).FindStringSubmatch(said)
		require.NotNil(t, m, said)
		sum := 0
		for _, n := range m[1:] {
			v, err := strconv.Atoi(n)
			require.NoError(t, err)
			sum += v
		}
		require.Equal(t, counts[1], strconv.Itoa(sum), "%s: %s", output, said)
	}
	pid, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // it is gone, or nobody has waited for it yet
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, patience, 10*time.Millisecond, "the program %s goes on", pid)
}
