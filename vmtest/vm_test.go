// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/session"
)

// testKernel returns a kernel that was fetched before; tests do not use the network.
func testKernel(t *testing.T) kernels.Kernel {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("machines of " + runtime.GOARCH + " are not supported yet")
	}
	if _, err := machine.FindQEMU(runtime.GOARCH); err != nil {
		t.Skip(err)
	}
	c, err := kernels.LoadCatalog()
	require.NoError(t, err)
	list, err := (&kernels.Store{Catalog: c}).List()
	if err != nil {
		t.Skip(err)
	}
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Kernel != nil && list[i].Series == "6.12" || list[i].Kernel != nil && i == 0 {
			return *list[i].Kernel
		}
	}
	t.Skip("no kernel was fetched yet (scaplab kernels fetch 6.12)")
	panic("not reached")
}

// testLauncher starts machines with testdata/guest as init.
func testLauncher(t *testing.T, snapshots string) *session.Machines {
	t.Helper()
	k := testKernel(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "guest")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "./testdata/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	b, err := os.ReadFile(program)
	require.NoError(t, err)
	archive, err := machine.Initramfs(b, nil)
	require.NoError(t, err)
	initrd := filepath.Join(dir, "initramfs")
	require.NoError(t, os.WriteFile(initrd, archive, 0o600))
	qemu, err := machine.FindQEMU(k.Arch)
	require.NoError(t, err)
	return &session.Machines{
		Config: machine.Config{Arch: k.Arch, QEMU: qemu, Accel: machine.TCG, MemoryMB: 256, CPUs: 1,
			Kernel: machine.Image{File: k.Image, Digest: k.Digest}, Initrd: machine.Image{File: initrd, Digest: files.Sum(archive)}},
		Kernel: k.Name, Snapshots: machine.Snapshots(snapshots), BootLimit: defaultBootLimit, Log: t.Logf,
	}
}

// afresh starts the same machines as l, but without what l knows about them.
func afresh(l *session.Machines) *session.Machines {
	return &session.Machines{Config: l.Config, Kernel: l.Kernel, Snapshots: l.Snapshots, BootLimit: l.BootLimit, Log: l.Log}
}

// processesOf returns the QEMUs that were started with initrd.
func processesOf(t *testing.T, initrd string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), initrd) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// noProcessLeft fails if a QEMU of this test is still running.
func noProcessLeft(t *testing.T, initrd string) {
	t.Helper()
	require.Empty(t, processesOf(t, initrd), "still running")
}

func TestAQEMUThatIsKilledIsReplaced(t *testing.T) {
	testutil.SkipIfShort(t, "boots a kernel")
	l := testLauncher(t, t.TempDir())
	out := newCollector(t)
	var once sync.Once
	out.onStarted = func(id string) {
		if id == "test/hang" {
			once.Do(func() {
				for _, pid := range processesOf(t, l.Config.Initrd.File) {
					require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
				}
			})
		}
	}
	ln := &lane{wanted: 1, launcher: l, referee: fakeReferee{}, out: out, silence: 15 * time.Second, grace: 5 * time.Second}
	require.NoError(t, ln.run(t.Context(), []string{"test/hang", "test/last"}))
	requireVerdicts(t, map[string][2]string{"test/hang": {"fail hang", "no word from the guest for 15s"}, "test/last": {"pass"}}, out.verdicts)
}

func TestRealMachineMisbehaves(t *testing.T) {
	testutil.SkipIfShort(t, "boots a kernel")
	l := testLauncher(t, t.TempDir())
	out := newCollector(t)
	ln := &lane{wanted: 1, launcher: l, referee: fakeReferee{}, out: out, silence: 30 * time.Second, grace: 5 * time.Second}
	require.NoError(t, ln.run(t.Context(), []string{"test/big", "test/warn", "test/panic", "test/garble", "test/exit", "test/gopanic", "test/hang", "test/last"}))
	requireVerdicts(t, map[string][2]string{
		"test/big":     {"pass"},
		"test/warn":    {"fail kernel", "the kernel complained: WARNING: possible recursive locking detected"},
		"test/panic":   {"fail crash", "Kernel panic - not syncing: sysrq triggered crash"},
		"test/garble":  {"fail channel", `26 bytes skipped: "text where records belong\n"`},
		"test/exit":    {"fail crash", "Attempted to kill init! exitcode=0x00000300"},
		"test/gopanic": {"fail crash", "panic: a bug in the guest"},
		"test/hang":    {"fail hang", "no word from the guest for 30s"},
		"test/last":    {"pass"},
	}, out.verdicts)
	require.Len(t, out.results["test/big"].Events[0], 100<<10)
	require.True(t, strings.HasPrefix(ln.hello.Release, l.Kernel+"."), ln.hello.Release)
	require.Contains(t, out.verdicts["test/hang"].Reason, "\nand after a non-maskable interrupt\n")
	require.Contains(t, out.verdicts["test/hang"].Reason, "RIP: ")
	require.Len(t, out.hows, 1)
	require.Contains(t, out.hows[0], "cold boot")
	states, err := filepath.Glob(filepath.Join(string(l.Snapshots), "*.state"))
	require.NoError(t, err)
	require.Len(t, states, 1, "the machines after the first were restored")
	noProcessLeft(t, l.Config.Initrd.File)
}

func TestSnapshotIsUsedAndABadOneIsNot(t *testing.T) {
	testutil.SkipIfShort(t, "boots a kernel")
	dir := t.TempDir()
	l := testLauncher(t, dir)
	up := func() string {
		t.Helper()
		s, err := l.Launch(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.Ping(t.Context(), 15*time.Second))
		require.True(t, strings.HasPrefix(s.Hello.Release, l.Kernel+"."))
		s.Finish()
		return strings.Fields(s.How)[0]
	}
	require.Equal(t, "cold", up())
	require.Equal(t, "restored", up())

	files, err := filepath.Glob(filepath.Join(dir, "*.state"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	st, err := os.Stat(files[0])
	require.NoError(t, err)
	junk, err := os.OpenFile(files[0], os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = junk.WriteAt([]byte("no state of any machine"), 0)
	require.NoError(t, err)
	require.NoError(t, junk.Close())
	require.Equal(t, "cold", up(), "a damaged state")
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Empty(t, left, "it is removed, and no other taken")

	l = afresh(l)
	require.Equal(t, "cold", up())
	require.NoError(t, os.Truncate(files[0], st.Size()/2))
	require.Equal(t, "cold", up(), "a cut state")

	l = afresh(l)
	require.Equal(t, "cold", up())
	l.Config.Initrd.Digest = "another guest program"
	require.Equal(t, "cold", up(), "a state of another guest program")
	noProcessLeft(t, l.Config.Initrd.File)
}

func TestAFullDiskCostsTheSnapshotOnly(t *testing.T) {
	testutil.SkipIfShort(t, "boots a kernel")
	dir := testutil.SmallDisk(t, "4m")
	l := testLauncher(t, dir)
	var said strings.Builder
	l.Log = func(f string, a ...any) { fmt.Fprintf(&said, f+"\n", a...) }
	for range 2 {
		s, err := l.Launch(t.Context())
		require.NoError(t, err)
		require.Contains(t, s.How, "cold boot")
		require.NoError(t, s.Ping(t.Context(), 15*time.Second), "the machine goes on")
		s.Finish()
	}
	require.Equal(t, 1, strings.Count(said.String(), "\n"), said.String())
	require.Contains(t, said.String(), "kernel "+l.Kernel+": no snapshot: ")
	require.Contains(t, strings.ToLower(said.String()), "no space left on device")
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Empty(t, left)
	left, err = filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	require.Empty(t, left)
	noProcessLeft(t, l.Config.Initrd.File)
}

func TestAKernelThatDoesNotBootIsReported(t *testing.T) {
	testutil.SkipIfShort(t, "boots a kernel")
	l := testLauncher(t, "")
	bad := filepath.Join(t.TempDir(), "initramfs")
	require.NoError(t, os.WriteFile(bad, []byte("no archive"), 0o600))
	l.Config.Initrd.File = bad
	_, err := l.Launch(t.Context())
	var boot *session.BootError
	require.ErrorAs(t, err, &boot)
	require.Contains(t, boot.Reason, "before hello: ")
	require.Contains(t, boot.Reason, "VFS: Unable to mount root fs")

	l.Config.Kernel.File = bad
	_, err = l.Launch(t.Context())
	require.ErrorAs(t, err, &boot)
	require.Contains(t, boot.Reason, "qemu")
	noProcessLeft(t, bad)
}
