// SPDX-License-Identifier: Apache-2.0

// Package packaging has tests of the packages.
package packaging

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/internal/version"
)

// parts are what the packages of the tools are made of.
var parts = []string{"LICENSE", "README.md", "cmd", "driver", "gen", "go.mod", "go.sum", "internal", "packaging", "scap", "scripts", "sinsp", "tables", "vmtest"}

// build makes the packages of the tools from a copy of this checkout, as a user with that umask, on a machine of that
// name if this process may name it, and returns their directory.
func build(t *testing.T, umask, machine string, packages ...string) string {
	t.Helper()
	dir, out := t.TempDir(), t.TempDir()
	for _, part := range parts {
		text, err := exec.Command("cp", "-R", filepath.Join("..", part), dir).CombinedOutput()
		require.NoError(t, err, "%s", text)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `umask "$1"; [ "$(id -u)" -ne 0 ] || hostname "$2"; shift 2; exec scripts/packages "$@"`, "sh", umask, machine, out)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWUTS}
	}
	cmd.Args = append(cmd.Args, packages...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=951782400", "GOFLAGS=-buildvcs=false")
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", text)
	return out
}

// readByRPM installs the .rpm below a directory, without its scripts, since no shell is there.
func readByRPM(t *testing.T, packages string) {
	testutil.SkipUnlessRoot(t)
	rpm, err := exec.LookPath("rpm")
	if err != nil {
		t.Skip("needs rpm")
	}
	found, err := filepath.Glob(filepath.Join(packages, "scaplab-"+version.Number+"-1.*.rpm"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	root := t.TempDir()
	mustRun := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), rpm, append([]string{"--root", root, "--dbpath", "/db"}, args...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", args, out)
		return string(out)
	}
	mustRun("--install", "--noscripts", "--nodeps", found[0]) // what this machine has by .deb counts as missing
	require.Empty(t, mustRun("--verify", "scaplab"))
	require.Equal(t, "/etc/default/scap-record\n", mustRun("--query", "--configfiles", "scaplab"))
	require.Equal(t, "qemu-system-x86\n", mustRun("--query", "--recommends", "scaplab"))
	out, err := exec.CommandContext(t.Context(), filepath.Join(root, "usr/bin/scap"), "version").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "scap "+version.Number+", ")
}

// hashes returns the digests of the files of a directory, by name.
func hashes(t *testing.T, dir string) map[string]string {
	sums := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		sums[d.Name()] = fmt.Sprintf("%x", sha256.Sum256(data))
		return err
	}))
	return sums
}

// The same source gives the same packages, whoever builds them where and when; and what they install works.
func TestPackages(t *testing.T) {
	testutil.SkipIfShort(t, "builds packages twice")
	skipUnlessModules(t)
	first := build(t, "022", "here")
	t.Run("are reproducible", func(t *testing.T) {
		sums := hashes(t, first)
		require.Len(t, sums, 3)
		require.Equal(t, sums, hashes(t, build(t, "077", "there")))
	})
	t.Run("are read by rpm", func(t *testing.T) { readByRPM(t, first) })
	t.Run("install a service that records", func(t *testing.T) { service(t, first) })
}

// systemd finds nothing wrong in the unit, and rates how far it is confined: 0 (locked up) to 10.
func TestTheServiceIsConfined(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze")
	}
	unit, err := os.ReadFile("scap-record.service")
	require.NoError(t, err)
	// The program is not installed here.
	path := filepath.Join(t.TempDir(), "scap-record.service")
	require.NoError(t, os.WriteFile(path, bytes.ReplaceAll(unit, []byte("/usr/bin/scap "), []byte("/bin/true ")), 0o644))
	out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
	out, err = exec.Command(analyze, "security", "--offline=true", "--threshold=20", path).CombinedOutput()
	if bytes.Contains(out, []byte("unrecognized option")) {
		t.Skip("needs systemd-analyze of systemd 250 or later")
	}
	require.NoError(t, err, "%s", out)
}

// skipUnlessModules skips the test if Go modules are neither in the cache nor reachable.
func skipUnlessModules(t *testing.T) {
	script, err := os.ReadFile("../scripts/packages")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(script), "\nnfpm=")
	program, _, _ := strings.Cut(rest, "\n")
	out, err := exec.CommandContext(t.Context(), "go", "run", program, "--version").CombinedOutput()
	if unreachable := regexp.MustCompile(`dial tcp|module lookup disabled by GOPROXY=off`).Find(out); unreachable != nil {
		t.Skipf("%s is not available: %s", program, out)
	}
	require.NoError(t, err, "%s", out)
}

func service(t *testing.T, packages string) {
	testutil.SkipUnlessRoot(t)
	testutil.SkipUnlessKernel(t, "5.8", "CAP_BPF and CAP_PERFMON")
	testutil.SkipUnlessBTF(t)
	for _, program := range []string{"/lib/systemd/systemd", "/usr/bin/dpkg", "/usr/bin/unshare"} {
		if _, err := os.Stat(program); err != nil {
			t.Skipf("needs a Debian with systemd: %v", err)
		}
	}
	found, err := filepath.Glob(filepath.Join(packages, "scaplab_"+version.Number+"_*.deb"))
	require.NoError(t, err)
	require.Len(t, found, 1)

	root := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", root, "tmpfs", 0, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(root, unix.MNT_DETACH)) })
	group := mustCgroup(t)
	boot, err := filepath.Abs("testdata/boot.sh")
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // for a machine ten times slower
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--cgroup",
		"sh", boot, root, found[0])
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	log, err := cmd.CombinedOutput()
	output, readErr := os.ReadFile(filepath.Join(root, "shared", "output"))
	require.NoError(t, readErr, "%v: %s", err, log)
	require.True(t, bytes.HasSuffix(output, []byte("\nall is well\n")), "%s", output)
	require.NoError(t, err, "%s", log)
}

// mustCgroup makes a group of cgroup2 for the systemd of the test.
func mustCgroup(t *testing.T) *os.File {
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		group, err := os.MkdirTemp(f[1], "packages-test-")
		require.NoError(t, err)
		t.Cleanup(func() {
			var groups []string
			require.NoError(t, filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					groups = append(groups, path)
				}
				return err
			}))
			for i := len(groups) - 1; i >= 0; i-- {
				require.Eventually(t, func() bool {
					err := os.Remove(groups[i])
					return err == nil || errors.Is(err, fs.ErrNotExist)
				}, time.Minute, 10*time.Millisecond)
			}
		})
		dir, err := os.Open(group)
		require.NoError(t, err)
		t.Cleanup(func() { dir.Close() })
		return dir
	}
	t.Skip("needs cgroup2")
	return nil
}
