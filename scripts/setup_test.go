// SPDX-License-Identifier: Apache-2.0

// Package scripts has tests of the scripts.
package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runSetup runs setup on a machine that has none of what it looks for, as a user
// with that id, and returns what apt-get was started with, line by line.
func runSetup(t *testing.T, uid string, env ...string) (apt []string, out string, err error) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs a Debian's programs")
	}
	bin := t.TempDir()
	for _, name := range []string{"sh", "env", "mktemp", "rm", "cat"} {
		file, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(file, filepath.Join(bin, name)))
	}
	for name, text := range map[string]string{
		"id":      "echo " + uid,
		"sudo":    `exec env -i PATH="$PATH" LOG="$LOG" BY=sudo "$@"`,
		"apt-get": `read -r answer && exit 9; echo "$BY $DEBIAN_FRONTEND ${http_proxy-} $*" >> "$LOG"; [ -z "${FAIL-}" ] || { echo "E: no such package"; exit 100; }`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	}
	_, err = os.ReadFile("setup") // so that the test runs again when it changes
	require.NoError(t, err)
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "sh"), "./setup", "qemu", "clang")
	cmd.Env = append([]string{"PATH=" + bin, "LOG=" + log, "BY=root"}, env...)
	cmd.Stdin = strings.NewReader("an answer\n")
	b, err := cmd.CombinedOutput()
	said, _ := os.ReadFile(log)
	return strings.Split(strings.TrimSpace(string(said)), "\n"), string(b), err
}

func TestSetupInstallsWithoutAQuestion(t *testing.T) {
	for uid, by := range map[string]string{"0": "root", "1000": "sudo"} {
		apt, out, err := runSetup(t, uid, "http_proxy=p:1")
		require.NoError(t, err, out)
		require.Contains(t, out, "setup: installing qemu-system-x86")
		require.Len(t, apt, 2)
		require.Equal(t, by+" noninteractive p:1 -o DPkg::Lock::Timeout=300 update", apt[0])
		require.Contains(t, apt[1], by+" noninteractive p:1 -o DPkg::Lock::Timeout=300 install -y --no-install-recommends qemu-system-x86")
		require.Contains(t, apt[1], " clang-19 llvm-19")
	}
}

func TestSetupTellsWhyItCannot(t *testing.T) {
	_, out, err := runSetup(t, "0", "FAIL=1")
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.ExitCode())
	require.Contains(t, out, "E: no such package")
}
