// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// rights are those of all threads of a process, from /proc.
func rights() (uids, caps []string) {
	tasks, _ := filepath.Glob("/proc/self/task/*/status")
	for _, name := range tasks {
		b, _ := os.ReadFile(name)
		for line := range bytes.Lines(b) {
			f := strings.Fields(string(line))
			switch f[0] {
			case "Uid:", "Gid:", "Groups:":
				uids = append(uids, strings.Join(f, " "))
			case "CapPrm:", "CapEff:", "CapAmb:", "NoNewPrivs:":
				caps = append(caps, strings.Join(f, " "))
			}
		}
	}
	slices.Sort(uids)
	slices.Sort(caps)
	return slices.Compact(uids), slices.Compact(caps)
}

func TestACaptureRunBySudoGoesOnAsTheUser(t *testing.T) {
	const inside = "SCAP_DROP"
	if dir := os.Getenv(inside); dir != "" {
		n := needOf(filepath.Join(dir, "x.scap"), "ebpf")
		if err := dropPrivileges(n); err != nil {
			fmt.Println("error", err)
		}
		fmt.Println(rights())
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to drop it")
	}
	theirs := t.TempDir()
	require.NoError(t, os.Chown(theirs, 12345, 12346))
	for at := theirs; at != "/"; at = filepath.Dir(at) {
		st, err := os.Stat(at)
		require.NoError(t, err)
		if st.Mode().Perm()&1 == 0 && at != theirs {
			require.NoError(t, os.Chmod(at, st.Mode().Perm()|0o011))
		}
	}
	always := caps(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH)
	for _, test := range []struct {
		dir, uid string
		want     string
	}{
		{theirs, "12345", set(always)},
		{"/", "12345", set(always | caps(unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER))},
		{theirs, "", ""},
		{theirs, "0", ""},
	} {
		cmd := exec.Command("/proc/self/exe", "-test.run", t.Name())
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SUDO_") }), inside+"="+test.dir)
		if test.uid != "" {
			cmd.Env = append(cmd.Env, "SUDO_UID="+test.uid, "SUDO_GID=12346")
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		line, _, _ := strings.Cut(string(out), "\n")
		if strings.Contains(line, "built with cgo") {
			t.Skip("a program with cgo cannot drop privileges in all its threads")
		}
		if test.want == "" {
			require.Contains(t, line, "Uid: 0 0 0 0", "root stays root")
			continue
		}
		require.Equal(t, "[Gid: 12346 12346 12346 12346 Groups: Uid: 12345 12345 12345 12345] "+test.want, line, test.dir)
	}
}

// set is how /proc shows a set that is permitted and in force, with no way to more.
func set(s capset) string {
	return fmt.Sprintf("[CapAmb: 0000000000000000 CapEff: %016x CapPrm: %016x NoNewPrivs: 1]", uint64(s), uint64(s))
}
