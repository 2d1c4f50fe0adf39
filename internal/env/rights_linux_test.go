// SPDX-License-Identifier: Apache-2.0

package env

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
)

// The worker is this program again, as another process; it sees the lockdown that the second variable tells.
const (
	worker   = "ENV_TEST_RIGHTS"
	lockedAs = "ENV_TEST_LOCKDOWN"
)

func TestMain(m *testing.M) {
	if os.Getenv(worker) != "" {
		if modes := os.Getenv(lockedAs); modes != "" {
			if err := showLockdown(modes); err != nil {
				os.Stderr.WriteString(err.Error())
				os.Exit(1)
			}
		}
		if err := MayLoadPrograms(); err != nil {
			os.Stdout.WriteString(err.Error())
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// showLockdown mounts a securityfs of our own, which tells these modes, in this process's mount namespace.
func showLockdown(modes string) error {
	if err := unix.Mount("tmpfs", filepath.Dir(lockdown), "tmpfs", 0, ""); err != nil {
		return err
	}
	return os.WriteFile(lockdown, []byte(modes), 0o644)
}

func TestALockdownThatHidesKernelMemoryIsNamed(t *testing.T) {
	testutil.SkipUnlessRoot(t)
	for modes, want := range map[string]string{
		"[none] integrity confidentiality\n": "",
		"none [integrity] confidentiality\n": "",
		"none integrity [confidentiality]\n": "the kernel is locked down (confidentiality), so eBPF programs may not read its memory " +
			"(boot with lockdown=integrity or without lockdown)",
	} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), worker+"=1", lockedAs+"="+modes)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, want, string(out), modes)
	}
}

func TestWhatAProcessLacksToLoadProgramsIsNamed(t *testing.T) {
	testutil.SkipUnlessRoot(t)
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	for name, c := range map[string]struct {
		attr *syscall.SysProcAttr
		want string
	}{
		"root":          {&syscall.SysProcAttr{}, ""},
		"nobody":        {&syscall.SysProcAttr{Credential: nobody}, "user 65534 lacks CAP_BPF and CAP_PERFMON to load eBPF programs (run it with sudo)"},
		"nobody may":    {&syscall.SysProcAttr{Credential: nobody, AmbientCaps: []uintptr{unix.CAP_BPF, unix.CAP_PERFMON}}, ""},
		"half of it":    {&syscall.SysProcAttr{Credential: nobody, AmbientCaps: []uintptr{unix.CAP_BPF}}, "user 65534 lacks CAP_PERFMON to load eBPF programs (run it with sudo)"},
		"administrator": {&syscall.SysProcAttr{Credential: nobody, AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN}}, ""},
		"user namespace": {
			&syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}}},
			"this process is in a user namespace, where no one may load eBPF programs (run it on the machine itself)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), worker+"=1")
			cmd.SysProcAttr = c.attr
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, c.want, string(out))
		})
	}
}
