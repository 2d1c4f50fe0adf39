// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package machineexec

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// mustMachines returns machines of the oldest kernel that was fetched before, and the program that is their init: tests do not
// use the network.
func mustMachines(t *testing.T) (*Machines, string) {
	t.Helper()
	testutil.SkipIfShort(t, "boots a kernel")
	if _, err := machine.FindQEMU(runtime.GOARCH); err != nil {
		t.Skip(err)
	}
	catalog, err := kernels.LoadCatalog()
	require.NoError(t, err)
	list, err := (&kernels.Store{Catalog: catalog}).List()
	if err != nil {
		t.Skip(err)
	}
	series := ""
	for _, k := range list {
		if k.Kernel != nil && series == "" {
			series = k.Series
		}
	}
	if series == "" {
		t.Skip("no kernel was fetched yet (scaplab kernels fetch 5.10)")
	}
	program := filepath.Join(t.TempDir(), "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	m, err := New(t.Context(), Options{Kernel: series, MaxAge: 1 << 62, Program: program, Log: t.Logf})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m, program
}

func TestACommandRunsInAMachine(t *testing.T) {
	m, program := mustMachines(t)
	run := func(t *testing.T, change func(*Command), args ...string) (stdout, stderr string, err error) {
		t.Helper()
		var out, complaints bytes.Buffer
		c := Command{Args: append([]string{"/bin/probe"}, args...), In: []Copy{{From: program, To: "/bin/probe"}}, Stdout: &out, Stderr: &complaints}
		if change != nil {
			change(&c)
		}
		err = m.Run(t.Context(), &c)
		return out.String(), complaints.String(), err
	}
	t.Run("it finds what programs expect", func(t *testing.T) {
		out, complaints, err := run(t, func(c *Command) { c.Dir, c.Env = "/deep/down", []string{"X=1"} }, "look")
		require.NoError(t, err, complaints)
		require.Equal(t, "/deep/down true 1\nlo 0x9\n", out) // IFF_UP and IFF_LOOPBACK
	})
	t.Run("its standard input ends", func(t *testing.T) {
		sent := strings.Repeat("0123456789abcdef", 40<<10)
		out, _, err := run(t, func(c *Command) { c.Stdin = strings.NewReader(sent) }, "copy")
		require.NoError(t, err)
		require.True(t, sent == out, "%d bytes of %d came back", len(out), len(sent))
	})
	t.Run("large files go in and out", func(t *testing.T) {
		dir := t.TempDir()
		data := make([]byte, 8<<20)
		_, _ = rand.Read(data) // never fails
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "in", "deep"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "in", "deep", "data"), data, 0o600))
		out, complaints, err := run(t, func(c *Command) {
			c.In = append(c.In, Copy{From: filepath.Join(dir, "in"), To: "/data"}, Copy{From: filepath.Join(dir, "none"), To: "/none", Optional: true})
			c.Out = []Copy{
				{From: "/data/again", To: filepath.Join(dir, "file")},
				{From: "/data", To: filepath.Join(dir, "tree")},
				{From: "/none", To: filepath.Join(dir, "none"), Optional: true},
			}
		}, "sum", "/data/deep/data", "/data/again")
		require.NoError(t, err, complaints)
		require.Equal(t, fmt.Sprintf("%x", sha256.Sum256(data)), out)
		for _, name := range []string{"file", "tree/again", "tree/deep/data"} {
			got, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got), name)
		}
		require.NoFileExists(t, filepath.Join(dir, "none"))
	})
	t.Run("its end is told as a shell tells it", func(t *testing.T) {
		var exit *ExitError
		_, complaints, err := run(t, nil, "exit")
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 7, exit.Status())
		require.Equal(t, "said", complaints)
		_, _, err = run(t, nil, "signal")
		require.ErrorAs(t, err, &exit)
		require.Equal(t, syscall.SIGKILL, exit.Signal)
		require.Equal(t, 128+9, exit.Status())
		_, _, err = run(t, func(c *Command) { c.Args[0] = "/no/such" })
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 127, exit.Status())
		require.ErrorContains(t, err, "/no/such")
		_, _, err = run(t, func(c *Command) { c.Args[0] = "/etc/passwd" })
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 126, exit.Status())
	})
	t.Run("a kernel that dies says why", func(t *testing.T) {
		_, _, err := run(t, nil, "panic")
		require.ErrorContains(t, err, "run the command")
		require.ErrorContains(t, err, "sysrq")
		require.NotErrorAs(t, err, new(*ExitError))
	})
	t.Run("a file that is not there is an error", func(t *testing.T) {
		_, _, err := run(t, func(c *Command) { c.In = append(c.In, Copy{From: "/no/such", To: "/x"}) }, "look")
		require.ErrorContains(t, err, "/no/such")
		_, _, err = run(t, func(c *Command) { c.Out = []Copy{{From: "/no/such", To: t.TempDir()}} }, "look")
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("its machine ends with the context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		defer w.Close()
		c := Command{Args: []string{"/bin/probe", "hang"}, In: []Copy{{From: program, To: "/bin/probe"}}, Stdin: readerFunc(func(b []byte) (int, error) {
			cancel() // it runs
			return r.Read(b)
		})}
		require.ErrorIs(t, m.Run(ctx, &c), context.Canceled)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestMachinesAtOnceAreBounded(t *testing.T) {
	m, program := mustMachines(t)
	m.o.AtOnce = 1
	m.cache = t.TempDir() // whose slots no other program takes
	var running sync.Mutex
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			c := Command{Args: []string{"/bin/probe", "copy"}, In: []Copy{{From: program, To: "/bin/probe"}}}
			entered := false
			c.Stdin = readerFunc(func([]byte) (int, error) {
				if !entered && !running.TryLock() {
					t.Error("two machines run")
				}
				if entered { // the command is about to end
					running.Unlock()
					return 0, io.EOF
				}
				entered = true
				time.Sleep(10 * time.Millisecond)
				return 0, nil
			})
			if err := m.Run(t.Context(), &c); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
