// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
)

// runs reports whether a process exists and has not ended.
func runs(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		require.True(t, os.IsNotExist(err) || err.(*fs.PathError).Err == syscall.ESRCH, err)
		return false
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return state[0] != 'Z' && state[0] != 'X'
}

func TestWhatAProcessLeavesInItsGroupEndsWithIt(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "sleep 100000 >/dev/null 2>&1 & echo $!")
	var out bytes.Buffer
	cmd.Stdout = &out
	p, err := StartProcess(cmd)
	require.NoError(t, err)
	<-p.Done
	require.True(t, p.State().Success())
	left, err := strconv.Atoi(strings.TrimSpace(out.String()))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !runs(t, left) }, time.Minute, 10*time.Millisecond)
	p.Kill()
}

func TestAProcessIsKilledWithItsGroup(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", "sleep 100000 & echo $!; wait")
	cmd.Stdout = w
	p, err := StartProcess(cmd)
	require.NoError(t, err)
	w.Close()
	var line [32]byte
	n, err := r.Read(line[:])
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	require.NoError(t, err)
	p.Kill()
	require.Equal(t, syscall.SIGKILL, p.State().Sys().(syscall.WaitStatus).Signal())
	require.Eventually(t, func() bool { return !runs(t, child) }, time.Minute, 10*time.Millisecond)
}

// In a pid namespace of its own no other program starts processes.
func TestKillSparesAGroupThatGotTheNumberLater(t *testing.T) {
	const inside = "MACHINE_TEST_PIDS"
	if os.Getenv(inside) == "" {
		testutil.InNamespaces(t, []string{"--pid", "--fork", "--mount-proc"}, inside+"=1", "-test.run=^"+t.Name()+"$")
		return
	}
	var p *Process
	var other *exec.Cmd
	for try := 0; ; try++ {
		var err error
		p, err = StartProcess(exec.Command("/bin/true"))
		require.NoError(t, err)
		<-p.Done
		pid := p.cmd.Process.Pid
		// The next process gets this number, unless this program starts a thread first.
		require.NoError(t, os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0), "CONFIG_CHECKPOINT_RESTORE")
		other = exec.Command("/bin/sleep", "100000")
		other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		require.NoError(t, other.Start())
		if other.Process.Pid == pid {
			break
		}
		require.NoError(t, other.Process.Kill())
		_ = other.Wait() // it was killed
		require.Less(t, try, 1000, "no number is given out again")
	}
	p.Kill()
	// SIGKILL, if Kill has sent it, ends the process before this signal does.
	require.NoError(t, unix.Kill(other.Process.Pid, unix.SIGTERM))
	_ = other.Wait()
	require.Equal(t, syscall.SIGTERM, other.ProcessState.Sys().(syscall.WaitStatus).Signal())
}
