// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package modtest

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// What the guest says last, and the file in which it finds its arguments.
const (
	exitMark = "MODTEST EXIT "
	argsFile = "modtest.args"
)

// inGuest: this process is init of a machine.
var inGuest = os.Getpid() == 1

func TestMain(m *testing.M) {
	if os.Getenv("MODTEST_CHILD") != "" {
		os.Exit(0) // all that the load wants of a process
	}
	if !inGuest {
		os.Exit(m.Run())
	}
	for _, w := range guest.SetUpMachine() {
		fmt.Println("machine:", w)
	}
	args, err := os.ReadFile("/" + argsFile)
	if err != nil {
		fmt.Println(err)
	}
	os.Args = append([]string{"modtest", "-test.v", "-test.timeout=3h"}, strings.Fields(string(args))...)
	code := m.Run()
	fmt.Printf("\n%s%d\n", exitMark, code)
	time.Sleep(100 * time.Millisecond) // for the serial port
	guest.PowerOff()
}

// TestModule runs the tests named TestGuest on kernels fetched earlier:
// SCAPLAB_KERNELS has their series, separated by commas; by default 6.1.
func TestModule(t *testing.T) {
	if inGuest {
		t.Skip("the host's part")
	}
	testutil.SkipIfShort(t, "boots kernels")
	if runtime.GOARCH != "amd64" {
		t.Skip("machines of " + runtime.GOARCH + " are not supported yet")
	}
	if _, err := machine.FindQEMU(runtime.GOARCH); err != nil {
		t.Skip(err)
	}
	series := os.Getenv("SCAPLAB_KERNELS")
	if series == "" {
		series = "6.1"
	}
	args := os.Getenv("SCAPLAB_MODTEST_ARGS")
	if rounds := os.Getenv("SCAPLAB_MODTEST_ROUNDS"); rounds != "" {
		args += " -rounds=" + rounds
	}
	run := os.Getenv("SCAPLAB_MODTEST") // a pattern, to run only some
	if run == "" {
		run = "."
	}
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	store := &kernels.Store{Catalog: catalog, MaxAge: 1 << 62, Log: t.Logf}
	builder := &kmodbuild.Builder{Store: store, Log: t.Logf}
	wants, err := catalog.ParseRequests(strings.Split(series, ",")...)
	require.NoError(t, err)
	kernels, gone, err := store.Resolve(t.Context(), wants)
	require.NoError(t, err)
	if len(gone) > 0 {
		t.Skipf("kernel %s cannot be had: %v", gone[0].Request, gone[0].Reason)
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for _, k := range kernels {
		t.Run(k.Name, func(t *testing.T) {
			m, err := builder.Build(t.Context(), k)
			require.NoError(t, err)
			module, err := os.ReadFile(m.File)
			require.NoError(t, err)
			var live io.Writer
			if os.Getenv("SCAPLAB_CONSOLE") != "" {
				live = os.Stderr
			}
			console, err := machine.Boot{
				Console: live,
				Arch:    k.Arch, Kernel: k.Image, Program: self, CPUs: 2, SingleThread: os.Getenv("SCAPLAB_MTTCG") == "", Limit: 3 * time.Hour,
				Files: map[string][]byte{argsFile: []byte("-test.run=^TestGuest.*" + run + " " + args), guest.ModuleFile[1:]: module},
			}.Run(t.Context())
			require.NoError(t, err, "%s", console)
			if !strings.Contains(console, exitMark+"0") || strings.Contains(console, "--- FAIL") {
				t.Fatalf("the guest's tests failed:\n%s", console)
			}
			require.Empty(t, machine.Complaint(console), "%s", console)
			for line := range strings.Lines(console) {
				if strings.HasPrefix(line, "---") || strings.HasPrefix(strings.TrimSpace(line), "guest_test.go") {
					t.Log(strings.TrimRight(line, "\n"))
				}
			}
		})
	}
}
