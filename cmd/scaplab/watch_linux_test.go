// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// TestMain makes this program a guest where a test runs cases with it.
func TestMain(m *testing.M) {
	guest.Hook()
	os.Exit(m.Run())
}

func watched(doing string, since time.Time) vmtest.Progress {
	return vmtest.Progress{Done: 12345, Total: 48084, Failed: 2, Left: 3 * time.Minute, Machines: []vmtest.Activity{
		{Kernel: "6.12", Drivers: guest.Both, Doing: doing, Since: since}, {Kernel: "5.10", Drivers: guest.OnlyEBPF, Doing: "starting", Since: since},
	}}
}

func TestAFrameSaysWhatEachMachineDoes(t *testing.T) {
	now := time.Now()
	said := []string{"kernel 6.12, ebpf: the guest is slow", "FAIL openat/x@6.12/ebpf: param: name: want a, got \x1b[2J", "FAIL read/y@6.12/ebpf: crash: it died\nmore"}
	frame := watchFrame(watched("openat/x", now.Add(-3*time.Second)), said, 62*time.Second, now, 80, 24)
	require.Equal(t, []string{
		"12,345 of 48,084 verdicts, 2 failed, 1m2s, 3m left",
		strings.Repeat("█", 15) + strings.Repeat("░", 45) + "  26 %",
		"",
		"  kernel  drivers    for  does",
		"  6.12    ebpf=kmod   3s  openat/x",
		"  5.10    ebpf        3s  starting",
		"",
		"Failures",
		"  openat/x@6.12/ebpf: param: name: want a, got .[2J",
		"  read/y@6.12/ebpf: crash: it died",
		"",
		"Messages",
		"  kernel 6.12, ebpf: the guest is slow",
	}, frame)
	require.Equal(t, "  read/y@6.12/ebpf: crash: it died", watchFrame(watched("openat/x", now), said, time.Second, now, 80, 9)[8], "the last failure, if there is room for one")
}

func TestAFrameFitsItsTerminal(t *testing.T) {
	now := time.Now()
	said := strings.Split(strings.Repeat("FAIL "+strings.Repeat("ä", 100)+";some words;", 50), ";")
	for columns := range 100 {
		for rows := range 40 {
			frame := watchFrame(watched(strings.Repeat("x", 90), now), said, time.Minute, now, columns, rows)
			require.LessOrEqual(t, len(frame), rows)
			for _, line := range frame {
				require.LessOrEqual(t, utf8.RuneCountInString(line), columns)
			}
		}
	}
	require.Empty(t, watchFrame(vmtest.Progress{}, nil, 0, now, 0, 0))
}

// screenReader collects what is written to a terminal.
type screenReader struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (r *screenReader) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.String()
}

// openScreen returns a terminal of that size, and what is written to it.
func openScreen(t *testing.T, columns, rows uint16) (terminal *os.File, seen *screenReader) {
	t.Helper()
	master, terminal, err := testutil.OpenTerminal()
	if err != nil {
		t.Skipf("needs a pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { terminal.Close(); master.Close() })
	resize(t, terminal, columns, rows)
	seen = &screenReader{}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			seen.mu.Lock()
			seen.all.Write(buf[:n])
			seen.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return terminal, seen
}

func resize(t *testing.T, terminal *os.File, columns, rows uint16) {
	t.Helper()
	require.NoError(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}))
}

// longest returns the number of columns that the frames in a terminal's input need.
func longest(text string) (columns int) {
	for _, line := range regexp.MustCompile(`\r+\n|\x1b\[H`).Split(text, -1) {
		columns = max(columns, utf8.RuneCountInString(regexp.MustCompile(`\x1b\[[?0-9]*[A-Za-z]`).ReplaceAllString(line, "")))
	}
	return columns
}

func TestTheTerminalIsGivenBack(t *testing.T) {
	for name, end := range map[string]func(stop func(), cancel context.CancelFunc){
		"at the end":    func(stop func(), _ context.CancelFunc) { stop() },
		"when it stops": func(_ func(), cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			terminal, seen := openScreen(t, 60, 20)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var stderr lockedBuffer
			talk := newTalk(&stderr)
			stop := talk.watch(ctx, terminal)
			defer stop()
			talk.say("before the run")
			talk.progress(watched("openat/first", time.Now()))
			talk.show(time.Now(), 0)
			talk.say("FAIL openat/x: while it runs")
			require.NotContains(t, stderr.String(), "while it runs", "it would be over the frame")
			talk.show(time.Now(), 0)
			require.Eventually(t, func() bool { return strings.Contains(seen.text(), "while it runs") }, time.Minute, time.Millisecond)
			require.Equal(t, 1, strings.Count(seen.text(), enterScreen))
			require.NotContains(t, seen.text(), leaveScreen)

			resize(t, terminal, 40, 10) // the next frame is as narrow
			before := len(seen.text())
			talk.progress(watched("openat/"+strings.Repeat("long", 20), time.Now()))
			talk.show(time.Now(), 0)
			require.Eventually(t, func() bool { return strings.Contains(seen.text()[before:], "openat/long") }, time.Minute, time.Millisecond)
			require.LessOrEqual(t, longest(seen.text()[before:]), 40)

			end(stop, cancel)
			require.Eventually(t, func() bool { return strings.HasSuffix(seen.text(), leaveScreen) }, time.Minute, time.Millisecond)
			require.Eventually(t, func() bool { return strings.Contains(stderr.String(), "FAIL openat/x: while it runs\n") }, time.Minute, time.Millisecond)
			stop()
			require.Equal(t, 1, strings.Count(seen.text(), leaveScreen), "once")
			require.Equal(t, 1, strings.Count(stderr.String(), "before the run\n"))
		})
	}
}

// lockedBuffer is a buffer that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestHostIsWatchedOnATerminal(t *testing.T) {
	testutil.SkipUnlessRoot(t)
	testutil.SkipUnlessKernel(t, "5.8", "ring buffers")
	testutil.SkipUnlessBTF(t)
	terminal, seen := openScreen(t, 80, 24)
	var stderr lockedBuffer
	require.Equal(t, 0, run(t.Context(), []string{"host", "--syscall", "getppid", "--watch"}, terminal, &stderr), stderr.String())
	require.Eventually(t, func() bool { return strings.Contains(seen.text(), "accelerator: none") }, time.Minute, time.Millisecond)
	before, after, ok := strings.Cut(seen.text(), leaveScreen)
	require.True(t, ok, "the terminal is given back")
	require.Contains(t, before, "verdicts, 0 failed")
	require.Regexp(t, `host ebpf: [1-9]\d* passed, 0 failed`, after, "the table comes after it")
}

func TestThereAreLinesWhereStdoutIsNoTerminal(t *testing.T) {
	var out, stderr bytes.Buffer
	talk := newTalk(&stderr)
	stop := talk.watch(t.Context(), &out)
	talk.last = time.Time{}
	talk.progress(watched("openat/x", time.Now()))
	talk.say("FAIL x")
	stop()
	require.Empty(t, out.String())
	require.Contains(t, stderr.String(), "12345/48084, 2 failed")
	require.Contains(t, stderr.String(), "FAIL x\n")
}
