// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// runtimeOrder makes a child of the tests try its runtime instead of running a case.
const runtimeOrder = "t_runtime"

func testChild(text string) int {
	o, err := parseOrder(text)
	if err != nil || o.ids[0] != runtimeOrder {
		return caseMain(text)
	}
	if err := tryRuntime(o.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// tryRuntime uses the scheduler, the poller, timers and the allocator. server is the process
// id of the fork server.
func tryRuntime(server string) error {
	const workers = 50
	results := make(chan int)
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			time.Sleep(time.Duration(i%3) * time.Millisecond)
			b := make([]byte, 1<<20)
			b[len(b)-1] = byte(i)
			results <- int(b[len(b)-1])
		})
	}
	go func() {
		group.Wait()
		close(results)
	}()
	sum := 0
	for n := range results {
		sum += n
	}
	if want := workers * (workers - 1) / 2; sum != want {
		return fmt.Errorf("the goroutines made %d (want %d)", sum, want)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if err := r.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return err
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("a read without data: %v", err)
	}
	if err := r.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	queues, err := epollQueues()
	if err != nil || len(queues) != 1 {
		return fmt.Errorf("epoll queues %v (want one): %v", queues, err)
	}
	conn, err := r.SyscallConn() // Fd would make the descriptor blocking
	if err != nil {
		return err
	}
	var polled string
	if err := conn.Control(func(fd uintptr) { polled = fmt.Sprintf("tfd: %8d ", fd) }); err != nil {
		return err
	}
	for process, want := range map[string]bool{"self": true, server: false} {
		info, err := os.ReadFile(fmt.Sprintf("/proc/%s/fdinfo/%d", process, queues[0]))
		if err != nil || strings.Contains(string(info), polled) != want {
			return fmt.Errorf("the epoll queue of %s has the child's file: %v (want %v): %v", process, !want, want, err)
		}
	}
	go func() {
		time.Sleep(time.Millisecond)
		_, _ = w.Write([]byte("x"))
	}()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		return err
	}
	if pid, err := syscall.ForkExec("/proc/self/exe", []string{"none"}, &syscall.ProcAttr{Env: []string{envMode + "=" + modeFork, "GORACE=" + os.Getenv("GORACE")}}); err != nil {
		return err
	} else if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
		return err
	}
	if threads, err := filepath.Glob("/proc/self/task/*"); err != nil || len(threads) != 1 {
		return fmt.Errorf("threads %v (want one): %v", threads, err)
	}
	return nil
}

func TestAForkedChildHasAWorkingRuntime(t *testing.T) {
	r := newTestRunner(t)
	for range 20 {
		end := r.runChild(order{ids: []string{runtimeOrder}, dir: strconv.Itoa(r.forks.process.Pid)}, CaseLimit, func() {})
		require.NoError(t, end.err)
		require.False(t, end.timedOut)
		require.Zero(t, end.exit, end.stderr)
	}
}

// Another thread could hold a lock of the runtime while the server forks. The child would wait for it for ever.
func TestTheForkServerHasOneThread(t *testing.T) {
	r := newTestRunner(t)
	server := r.forks.process.Pid
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", server))
	require.NoError(t, err)
	require.Len(t, threads, 1)
	require.Contains(t, r.children(), server, "the guest is its parent")
}

func TestACaseThatEndsTheForkServerCostsNothing(t *testing.T) {
	r := newTestRunner(t)
	first := r.forks.process.Pid
	kill := func() { _ = unix.Kill(first, unix.SIGKILL) }
	end := r.runChild(order{ids: []string{"t_read/blocks"}, dir: t.TempDir()}, 300*time.Millisecond, kill)
	require.NoError(t, end.err)
	require.True(t, end.timedOut)
	require.Len(t, end.reports, 1, "it was at its call")
	for range 2 {
		res := r.runCase("t_getpid/works", &RunRequest{Timeout: CaseLimit})
		require.Equal(t, Ran, res.Outcome, res.Reason)
	}
	require.NotEqual(t, first, r.forks.process.Pid)
}

func TestNothingOfACaseIsInTheNext(t *testing.T) {
	r := newTestRunner(t)
	failing := r.runCase("t_getpid/unknown-function", &RunRequest{Timeout: CaseLimit})
	require.Equal(t, Failed, failing.Outcome)
	require.Equal(t, Crashed, r.runCase("t_kill/itself", &RunRequest{Timeout: CaseLimit}).Outcome)
	res := r.runCase("t_setuid/as-nobody", &RunRequest{Timeout: CaseLimit})
	if os.Getuid() == 0 {
		require.Equal(t, Ran, res.Outcome, res.Reason)
		require.EqualValues(t, 65534, res.Facts["self.euid"].Int)
	}
	res = r.runCase("t_getpid/works", &RunRequest{Timeout: CaseLimit})
	require.Equal(t, Ran, res.Outcome, res.Reason)
	require.EqualValues(t, os.Getuid(), res.Facts["uid"].Int)
	require.Empty(t, res.Stderr)
}

func TestAnOrderIsReadAsItWasWritten(t *testing.T) {
	o := order{ids: []string{"openat/a-case", "openat/another"}, number: 0x40000013, parent: 17, dir: "/tmp/a b", log: "/dev/kmsg"}
	back, err := parseOrder(o.String())
	require.NoError(t, err)
	require.Equal(t, o, back)
	for _, bad := range []string{"", "a", "a\x001\x00/\x00\x00a/b", "1\x00b\x00/\x00\x00a/b", "1\x001\x00/\x00"} {
		_, err := parseOrder(bad)
		require.Error(t, err, "%q", bad)
	}
}

func TestTheVariablesOfACaseAreFound(t *testing.T) {
	c := Case{
		Given: []Binding{{"d", `file("$self.cwd/x", "a $$b")`}}, Call: "f($p.r, -$n)", After: []Binding{{"st", `stat("${d}x")`}},
		Want: []Binding{{"a", "between(0, $self.vm_size)"}, {"b", "$x[0]"}}, Child: []Binding{{"c", "$a -> $b.c.d"}},
	}
	want := map[string]bool{}
	for _, name := range []string{"self", "self.cwd", "p", "p.r", "n", "d", "self.vm_size", "x", "a", "b", "b.c"} {
		want[name] = true
	}
	got := c.mentioned()
	delete(got, "") // of $$
	require.Equal(t, want, got)
}
