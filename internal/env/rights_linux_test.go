// SPDX-License-Identifier: Apache-2.0

package env

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
)

const worker = "ENV_TEST_RIGHTS"

func TestMain(m *testing.M) {
	if os.Getenv(worker) != "" {
		if err := MayLoadPrograms(); err != nil {
			os.Stdout.WriteString(err.Error())
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
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
