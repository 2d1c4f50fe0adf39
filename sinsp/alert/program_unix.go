// SPDX-License-Identifier: Apache-2.0

//go:build unix

package alert

import (
	"os/exec"
	"syscall"
)

// apart gives a command a process group of its own, so that SIGINT from the terminal does
// not end it before it got the last alerts.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// end ends a command and what it started.
func end(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
