// SPDX-License-Identifier: Apache-2.0

package minisign_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/minisign"
	"github.com/scaplab/scaplab/internal/testutil"
)

// asks makes this program a process that asks for a password and prints it.
const asks = "MINISIGN_TEST_ASKS"

func TestMain(m *testing.M) {
	if os.Getenv(asks) != "" {
		p, err := minisign.Password()
		fmt.Printf("%q %v\n", p, err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// asking returns this program in a session of its own, without a terminal. It asks for a password.
func asking(t *testing.T) *exec.Cmd {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = []string{asks + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

func TestWithoutATerminalNobodyIsAsked(t *testing.T) {
	out, err := asking(t).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, `"" the secret key is encrypted, and there is no terminal to ask for its password on (set MINISIGN_PASSWORD)`+"\n", string(out))
}

func TestThePasswordIsTypedAndNotShown(t *testing.T) {
	master, terminal, err := testutil.OpenTerminal()
	require.NoError(t, err)
	defer master.Close()
	cmd := asking(t)
	cmd.Stdin = terminal
	cmd.SysProcAttr.Setctty = true
	var out strings.Builder
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	require.NoError(t, terminal.Close())
	require.Eventually(t, func() bool { // the terminal does not show what is typed from now on
		state, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
		return err == nil && state.Lflag&unix.ECHO == 0
	}, time.Hour, time.Millisecond)
	_, err = master.WriteString("open sesame\n")
	require.NoError(t, err)
	require.NoError(t, cmd.Wait())
	screen, _ := io.ReadAll(master) // ends with an error when the terminal has gone
	require.Equal(t, "Password of the minisign key: \r\n", string(screen))
	require.Equal(t, "\"open sesame\" <nil>\n", out.String())
}
