// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package packaging

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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

	"github.com/scaplab/scaplab/internal/cache"
	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// The Debian that packages are installed in.
const (
	suite = "trixie"
	// What the packages need is there before, so that the machine needs no network.
	debianPackages = "systemd-sysv,linux-image-cloud-amd64,linux-headers-cloud-amd64,initramfs-tools,dkms,gcc,make,kmod,zstd,dbus"
	diskSize       = "2500M"
	// initramfsModules are those that find the disk; all others would make the machine start much later.
	initramfsModules = "virtio_pci\nvirtio_blk\next4\n"
)

// TestPackagesWorkInAFreshDebian boots a fresh Debian, which runs testdata/debian.sh: packages are installed and purged by apt,
// DKMS builds the module, systemd runs the unit.
func TestPackagesWorkInAFreshDebian(t *testing.T) {
	testutil.SkipIfShort(t, "installs packages in a virtual machine")
	testutil.SkipUnlessRoot(t)
	if os.Getenv("SCAPLAB_DEBIAN") == "" {
		t.Skip("compiles a kernel module in an emulated machine, which takes many minutes: make debian")
	}
	qemu, err := machine.FindQEMU(runtime.GOARCH)
	if err != nil {
		t.Skip(err)
	}
	image := mustDebian(t)
	packages := build(t, "022", "here")
	steps := filepath.Join(t.TempDir(), "steps.tar")
	debs, err := filepath.Glob(filepath.Join(packages, "*.deb"))
	require.NoError(t, err)
	require.Len(t, debs, 2)
	writeTar(t, steps, append(debs, "testdata/debian.sh")...)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour) // ends a machine that hangs
	defer cancel()
	var live io.Writer
	if os.Getenv("SCAPLAB_CONSOLE") != "" {
		live = os.Stderr
	}
	vm, err := machine.Start(ctx, &machine.Config{
		Arch: runtime.GOARCH, QEMU: qemu, Accel: machine.KnownAccel(runtime.GOARCH), SingleThread: true, CPUs: 1, MemoryMB: 1024,
		Kernel: machine.Image{File: filepath.Join(image, "vmlinuz")}, Initrd: machine.Image{File: filepath.Join(image, "initrd.img")},
		Disks:     []string{filepath.Join(image, "disk"), steps},
		Arguments: []string{"root=/dev/vda", "rw", "systemd.show_status=0"},
	}, nil, live)
	require.NoError(t, err)
	defer vm.Close()
	select {
	case <-vm.Done():
	case <-ctx.Done():
	}
	vm.Close()
	console := strings.ReplaceAll(vm.Console.Text(), "\r", "")
	results := stepRE.FindAllStringSubmatch(console, -1)
	for _, r := range results {
		t.Run(r[1], func(t *testing.T) {
			t.Logf("%s\nended at %s s", r[2], r[4])
			require.Equal(t, "0", r[3], "exit status")
		})
	}
	script, err := os.ReadFile("testdata/debian.sh")
	require.NoError(t, err)
	require.Len(t, results, strings.Count(string(script), "\nstep \""), "each step ran:\n%s", console)
	require.Contains(t, console, "=== DONE")
	require.Empty(t, machine.Complaint(console), "%s", console)
}

// stepRE matches what debian.sh tells of a step: name, output, exit status, seconds since the start.
var stepRE = regexp.MustCompile(`(?ms)^=== STEP ([^\n]*)\n(.*?)--- EXIT (\d+) [^\n]* at ([0-9.]+) s$`)

// mustDebian returns the directory of the cache with a fresh Debian: disk, vmlinuz and initrd.img. It is made
// again when what it has to contain changes.
func mustDebian(t *testing.T) string {
	t.Helper()
	unit, err := os.ReadFile("testdata/steps.service")
	require.NoError(t, err)
	base, err := env.CacheDir()
	if err != nil {
		t.Skip(err)
	}
	require.NoError(t, cache.InUse(base))
	sum := sha256.Sum256(fmt.Append(nil, suite, debianPackages, diskSize, initramfsModules, string(unit)))
	dir := filepath.Join(base, "debian", hex.EncodeToString(sum[:12]))
	if _, err := os.Stat(dir); err == nil {
		cache.Used(dir)
		return dir
	}
	for _, program := range []string{"mmdebstrap", "mkfs.ext4"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err, "(scripts/setup debian)")
		}
	}
	mirror, err := new(kernels.Store).FindMirror(t.Context())
	if err != nil {
		t.Skip(err)
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o755))
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".tmp-")
	require.NoError(t, err)
	defer os.RemoveAll(tmp)
	require.NoError(t, os.Chmod(tmp, 0o755))
	files := t.TempDir()
	mustWrite(t, filepath.Join(files, "etc/initramfs-tools/conf.d/modules"), "MODULES=list\n")
	mustWrite(t, filepath.Join(files, "etc/initramfs-tools/modules"), initramfsModules)
	mustWrite(t, filepath.Join(files, "etc/systemd/system/steps.service"), string(unit))
	wants := filepath.Join(files, "etc/systemd/system/multi-user.target.wants")
	require.NoError(t, os.MkdirAll(wants, 0o755))
	require.NoError(t, os.Symlink("../steps.service", filepath.Join(wants, "steps.service")))
	require.NoError(t, os.Symlink("/dev/null", filepath.Join(files, "etc/systemd/system/serial-getty@ttyS0.service"))) // steps are told there
	root := filepath.Join(tmp, "root")
	mustRun(t, "mmdebstrap", "--mode=root", "--variant=minbase", "--include="+debianPackages, "--keyring="+mirror.Keyring,
		"--aptopt=Apt::Install-Recommends \"false\"", "--essential-hook=cp -a "+files+`/etc "$1"/`, suite, root, mirror.Main)
	for _, name := range []string{"vmlinuz", "initrd.img"} {
		b, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(tmp, name), b, 0o644))
	}
	mustRun(t, "mkfs.ext4", "-q", "-d", root, filepath.Join(tmp, "disk"), diskSize)
	require.NoError(t, os.RemoveAll(root))
	require.NoError(t, os.Rename(tmp, dir))
	return dir
}

func mustWrite(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}

// unreachableRE matches what apt says of an archive that it cannot ask.
var unreachableRE = regexp.MustCompile(`(?m)^.*(?:Could not (?:resolve|connect)|Temporary failure resolving|Network is unreachable).*$`)

func mustRun(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if unreachable := unreachableRE.Find(out); err != nil && unreachable != nil {
		t.Skipf("Debian's packages cannot be fetched: %s", unreachable)
	}
	require.NoError(t, err, "%s: %s", name, out)
}

// writeTar writes files to an archive that the machine reads as a disk: whole sectors.
func writeTar(t *testing.T, name string, files ...string) {
	t.Helper()
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	w := tar.NewWriter(f)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: filepath.Base(file), Mode: 0o644, Size: int64(len(b))}))
		_, err = w.Write(b)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
}
