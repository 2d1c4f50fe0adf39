// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ebpf

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/ns"
	"github.com/scaplab/scaplab/internal/testutil"
)

func TestTheKernelTellsThePidThatEventsHave(t *testing.T) {
	const inside = "SCAP_SELF"
	if os.Getenv(inside) != "" {
		fmt.Printf("here %d, there %d\n", os.Getpid(), (&engine{}).Self())
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	testutil.SkipUnlessKernel(t, "5.10", "runs of raw tracepoint programs")
	if pid, ok := ns.PID(); ok {
		require.EqualValues(t, pid, askKernel())
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", t.Name(), "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	var out strings.Builder
	cmd.Stdout = &out
	require.NoError(t, cmd.Run(), out.String())
	require.Contains(t, out.String(), fmt.Sprintf("here 1, there %d\n", cmd.Process.Pid))
}
