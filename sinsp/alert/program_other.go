// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package alert

import "os/exec"

func apart(*exec.Cmd) {}

func end(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
