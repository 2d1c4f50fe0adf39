// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/kmodbuild"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

func TestALoadTestPassesWhenEverythingDid(t *testing.T) {
	result := func(d guest.Drivers, s judge.Status) vmtest.Result {
		return vmtest.Result{Kernel: "6.12", Syscall: "openat", Case: "a", Drivers: d, Status: s, Reason: "why"}
	}
	both := []guest.Drivers{guest.OnlyEBPF, guest.OnlyKmod}
	passed := []vmtest.Result{result(guest.OnlyEBPF, judge.Pass), result(guest.OnlyEBPF, judge.Skip), result(guest.OnlyKmod, judge.Pass)}
	programs := []vmtest.Verifier{{Program: "t_a"}, {Program: "t_b"}}

	tests, err := verdicts(&vmtest.Report{Results: passed, Verifier: programs}, both)
	require.NoError(t, err)
	require.Equal(t, []Test{{Driver: "ebpf", Verdict: Passed, Programs: 2, Cases: 1, Passed: 1}, {Driver: "kmod", Verdict: Passed, Cases: 1, Passed: 1}}, tests)

	for want, rep := range map[string]*vmtest.Report{
		"1 of 4 cases failed, the first is openat/a@6.12/kmod: why": {Results: append(passed[:3:3], result(guest.OnlyKmod, judge.Fail)), Verifier: programs},
		"no case of driver kmod was run: why":                       {Results: []vmtest.Result{passed[0], result(guest.OnlyKmod, judge.Skip)}, Verifier: programs},
		"no case of driver ebpf was run: there are none":            {Results: passed[2:], Verifier: programs},
		"eBPF program t_b is refused: too large":                    {Results: passed, Verifier: []vmtest.Verifier{{Program: "t_a"}, {Program: "t_b", Error: "too large"}}},
		"no eBPF program was loaded":                                {Results: passed},
	} {
		_, err := verdicts(rep, both)
		require.EqualError(t, err, want)
	}
}

// The objects are loaded by another program, which must have the same ones.
func TestObjectsAreLoadedFromAProgramThatHasThem(t *testing.T) {
	var program bytes.Buffer
	objects := objectsOf["arm64"]
	entries, err := objects.ReadDir(".")
	require.NoError(t, err)
	for _, e := range entries {
		text, err := objects.ReadFile(e.Name())
		require.NoError(t, err)
		program.Write(text)
		program.WriteString("code")
	}
	file := filepath.Join(t.TempDir(), "scaplab")
	require.NoError(t, os.WriteFile(file, program.Bytes(), 0o755))
	require.NoError(t, hasObjects(file, "arm64"))
	require.ErrorContains(t, hasObjects(file, "amd64"), "has another core.o than this program: they are of different sources")
	program.Bytes()[1000]++
	require.NoError(t, os.WriteFile(file, program.Bytes(), 0o755))
	require.ErrorContains(t, hasObjects(file, "arm64"), "has another core.o")
	require.ErrorContains(t, hasObjects(file, "riscv64"), "there are no eBPF objects for riscv64")
}

func TestWhatWasNotLoadedIsNotReleased(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	var lines []string
	o := Options{Dir: dir, Driver: "scap", Target: "rocky", Objects: true, Log: t.Logf, Done: func(k kernels.Kernel, line string) { lines = append(lines, k.Name+": "+line) }}
	subjects := []Subject{{Kernel: kernels.Kernel{Name: "mine", Release: "6.1.0", Arch: "amd64"}, Builder: &kmodbuild.Builder{}}}
	failed, err := Build(t.Context(), subjects, o)
	require.NoError(t, err)
	require.Equal(t, 1, failed)
	require.NoFileExists(t, filepath.Join(dir, ManifestFile))
	require.NoDirExists(t, filepath.Join(dir, ObjectDir))

	o.Untested = true
	failed, err = Build(t.Context(), subjects, o)
	require.NoError(t, err)
	require.Zero(t, failed)
	require.Equal(t, []string{
		"mine: FAILED: load test: there is no image of this kernel (name it with --kernel FILE)",
		"mine: eBPF objects, NOT LOAD-TESTED: there is no image of this kernel (name it with --kernel FILE)",
	}, lines)
	m, err := Read(dir)
	require.NoError(t, err)
	require.Equal(t, []Test{{Driver: "ebpf", Verdict: NotDone, Reason: "there is no image of this kernel"}}, m.Kernels[0].Tests)
	require.Empty(t, m.Source, "there are no modules")
	require.NotEmpty(t, m.ObjectSource)
	require.FileExists(t, filepath.Join(dir, "bpf/amd64/core.o"))
	require.NoDirExists(t, filepath.Join(dir, "bpf/arm64"), "no kernel is of that architecture")
}
