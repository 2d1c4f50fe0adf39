// SPDX-License-Identifier: Apache-2.0

package kmodbuild

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/env"
)

func TestTheTreeIsEnteredWithThePathOfAPlainUser(t *testing.T) {
	t.Setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
	t.Setenv("LC_ALL", "C")
	root := t.TempDir() // nothing runs in it
	for _, dir := range []string{"proc", "dev"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	var out bytes.Buffer
	err := enter(t.Context(), root, mounts{}, &out, "gcc")
	if lacks, ok := errors.AsType[*env.Error](err); ok {
		t.Skip(lacks)
	}
	require.Error(t, err)
	require.Contains(t, out.String(), "chroot: failed to run command", "chroot is found")
}

// A program in the tree that starts another one and waits for it.
func TestMain(m *testing.M) {
	switch os.Args[0] {
	case "/usr/bin/env":
		compiler := exec.Command("/proc/self/exe")
		compiler.Args[0] = "a compiler"
		compiler.Stdout = os.Stdout
		_ = compiler.Run() // it is killed
	case "a compiler":
		os.Stdout.WriteString("compiling")
		time.Sleep(24 * time.Hour)
	default:
		os.Exit(m.Run())
	}
}

// running returns the numbers of the processes that run a file.
func running(t *testing.T, file os.FileInfo) (pids []int) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	require.NoError(t, err)
	for _, link := range links {
		if st, err := os.Stat(link); err == nil && os.SameFile(st, file) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// notice calls itself at each write.
type notice func()

func (n notice) Write(b []byte) (int, error) {
	n()
	return len(b), nil
}

func TestWhatABuildHasStartedEndsWithIt(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	file, err := elf.Open(self)
	require.NoError(t, err)
	defer file.Close()
	if file.Section(".interp") != nil {
		t.Skip("this program needs libraries, which the tree does not have")
	}
	root := t.TempDir()
	for _, dir := range []string{"proc", "dev", "usr/bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	text, err := os.ReadFile(self)
	require.NoError(t, err)
	program := filepath.Join(root, "usr/bin/env")
	require.NoError(t, os.WriteFile(program, text, 0o755))
	st, err := os.Stat(program)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, pid := range running(t, st) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	compiling, ended := make(chan struct{}), make(chan error, 1)
	output := notice(sync.OnceFunc(func() { close(compiling) }))
	go func() { ended <- enter(ctx, root, mounts{}, output, "make") }()
	select {
	case <-compiling:
	case err := <-ended:
		lacks, ok := errors.AsType[*env.Error](err)
		require.True(t, ok, err)
		t.Skip(lacks)
	}
	require.Len(t, running(t, st), 2)
	cancel()
	require.Error(t, <-ended)
	require.Empty(t, running(t, st))
}
