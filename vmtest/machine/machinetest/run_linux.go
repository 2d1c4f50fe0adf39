// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package machinetest

import (
	"cmp"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// limit ends a machine that hangs. It is long enough for an emulated one on a loaded
// host.
const limit = 3 * time.Hour

// Option changes the machines of Run.
type Option func(*machine.Boot)

// Offline gives the machine n more CPUs, which are off-line.
func Offline(n int) Option { return func(b *machine.Boot) { b.Offline = n } }

// Run boots machines that run this program's tests, and reports those tests as
// parts of t.
func Run(t *testing.T, options ...Option) {
	testutil.SkipIfShort(t, "boots kernels")
	if runtime.GOARCH != "amd64" {
		t.Skip("modules are built on linux/amd64 only")
	}
	if _, err := machine.FindQEMU(runtime.GOARCH); err != nil {
		t.Skip(err)
	}
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	store := &kernels.Store{Catalog: catalog, MaxAge: 1 << 62, Log: t.Logf}
	builder := &kmodbuild.Builder{Store: store, Log: t.Logf}
	requests, err := catalog.ParseRequests(strings.Split(cmp.Or(os.Getenv("SCAPLAB_KERNELS"), "6.1"), ",")...)
	require.NoError(t, err)
	found, gone, err := store.Resolve(t.Context(), requests)
	requireEnvironment(t, err)
	if len(gone) > 0 {
		t.Skipf("kernel %s is not available: %v", gone[0].Request, gone[0].Reason)
	}
	program := mustProgram(t)
	args := "-test.v -test.timeout=" + limit.String() + " -test.run=^" + prefix + ".*" + os.Getenv("SCAPLAB_RUN") + " " + os.Getenv("SCAPLAB_ARGS")
	for _, k := range found {
		t.Run(k.Name, func(t *testing.T) {
			built, err := builder.Build(t.Context(), k)
			requireEnvironment(t, err)
			module, err := os.ReadFile(built.File)
			require.NoError(t, err)
			var live io.Writer
			if os.Getenv("SCAPLAB_CONSOLE") != "" {
				live = os.Stderr
			}
			boot := machine.Boot{
				Arch: k.Arch, Kernel: k.Image, Program: program, CPUs: 2, SingleThread: os.Getenv("SCAPLAB_MTTCG") == "", Limit: limit,
				Arguments: strings.Fields(os.Getenv("SCAPLAB_BOOT")),
				Files:     map[string][]byte{argsFile: []byte(args), guest.ModuleFile[1:]: module}, Console: live,
			}
			for _, o := range options {
				o(&boot)
			}
			console, err := boot.Run(t.Context())
			require.NoError(t, err, "%s", console)
			tests := results(console)
			for _, r := range tests {
				t.Run(r.name, r.report)
			}
			if !strings.Contains(console, exitMark+"0") {
				t.Fatalf("the tests in the machine failed:\n%s", console)
			}
			require.NotEmpty(t, tests, "no test ran in the machine:\n%s", console)
			require.Empty(t, machine.Complaint(console), "%s", console)
		})
	}
}

// requireEnvironment skips the test if this machine lacks something that it needs.
func requireEnvironment(t *testing.T, err error) {
	t.Helper()
	var lacks *env.Error
	if errors.As(err, &lacks) {
		t.Skip(lacks)
	}
	require.NoError(t, err)
}

// mustProgram returns the file of this program. If that needs libraries, which a machine
// does not have, it returns a static one built from the same source.
func mustProgram(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	b, err := os.ReadFile(self)
	require.NoError(t, err)
	if machine.CheckInit(b, runtime.GOARCH) == nil {
		return self
	}
	program := filepath.Join(t.TempDir(), "machine.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// result is the result of a test that ran in a machine.
type result struct {
	name, verdict, text string
}

var (
	runLine    = regexp.MustCompile(`^=== (?:RUN|NAME|CONT) +(\S+)`)
	resultLine = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) \(`)
)

// results reads the results of tests, and their messages, from a console.
func results(console string) (list []result) {
	said := map[string]string{}
	name := ""
	for line := range strings.Lines(console) {
		line = strings.TrimRight(line, "\r\n")
		if m := runLine.FindStringSubmatch(line); m != nil {
			name = m[1]
		} else if m := resultLine.FindStringSubmatch(line); m != nil {
			list = append(list, result{name: m[2], verdict: m[1], text: said[m[2]] + line})
		} else if name != "" {
			said[name] += line + "\n"
		}
	}
	return list
}

// report gives a test of this process the result of the test in the machine.
func (r result) report(t *testing.T) {
	switch r.verdict {
	case "PASS":
		t.Log(r.text)
	case "SKIP":
		t.Skip(skipped(r.text))
	default:
		t.Error(r.text)
	}
}

var message = regexp.MustCompile(`(?m)^ +\S+\.go:\d+: (.*)`)

// skipped returns the reason of a skipped test from its text.
func skipped(text string) string {
	if all := message.FindAllStringSubmatch(text, -1); all != nil {
		return all[len(all)-1][1]
	}
	return text
}
