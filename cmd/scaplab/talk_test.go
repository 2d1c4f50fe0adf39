// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// terminalTalk writes to a made-up terminal.
func terminalTalk(width int) (*talk, *bytes.Buffer) {
	var out bytes.Buffer
	t := newTalk(&out)
	t.terminal, t.width = true, func() int { return width }
	return t, &out
}

func busy(doing string, since time.Time) vmtest.Progress {
	return vmtest.Progress{Done: 12, Total: 105, Failed: 1, Left: 150 * time.Second, Machines: []vmtest.Activity{
		{Kernel: "6.12", Drivers: guest.Both, Doing: doing, Since: since}, {Kernel: "5.10", Doing: "starting", Since: since},
	}}
}

func TestProgressSaysWhatIsDoneWhere(t *testing.T) {
	now := time.Now()
	require.Equal(t, "12/105, 1 failed, 2m left | 6.12 openat/x | 5.10 starting", progressLine(busy("openat/x", now), now))
	require.Equal(t, "12/105, 1 failed, 2m left | 6.12 openat/x 14s | 5.10 starting 14s", progressLine(busy("openat/x", now), now.Add(14*time.Second)),
		"it moves when nothing else does")
	require.Equal(t, "7.0 building the module 3m", progressLine(vmtest.Progress{Machines: []vmtest.Activity{{Kernel: "7.0", Doing: "building the module", Since: now}}}, now.Add(3*time.Minute)))
}

func TestProgressDoesNotWrap(t *testing.T) {
	for _, width := range []int{1, 20, 60, 200} {
		talk, out := terminalTalk(width)
		for i := range 20 {
			talk.show(time.Now().Add(time.Duration(i)*time.Hour), 0)
			talk.state = busy(strings.Repeat("ä", i*10), time.Now())
		}
		for line := range strings.SplitSeq(out.String(), "\r\x1b[K") {
			require.Less(t, utf8.RuneCountInString(line), max(width, 1), "%d columns: %q", width, line)
		}
		require.NotContains(t, out.String(), "\n")
	}
}

func TestProgressMovesWhileAMachineStarts(t *testing.T) {
	talk, out := terminalTalk(80)
	began := time.Now()
	talk.state = busy("openat/x", began)
	var lines []string
	for second := range 5 {
		out.Reset()
		talk.show(began.Add(time.Duration(second+2)*time.Second), 0)
		lines = append(lines, out.String())
	}
	slices.Sort(lines)
	require.Len(t, slices.Compact(lines), 5, "each second another line")
}

func TestTheLastLineOfProgressIsClearedBeforeTheTable(t *testing.T) {
	var both bytes.Buffer // as on a terminal
	talk := newTalk(&both)
	talk.terminal, talk.width, talk.last = true, func() int { return 80 }, time.Time{}
	talk.progress(busy("openat/x", time.Now()))
	cmd := newMatrixCmd()
	cmd.SetOut(&both)
	f := runFlags{talk: talk}
	require.NoError(t, f.report(cmd, new(vmtest.Report), nil))
	talk.progress(busy("openat/y", time.Now()))
	require.Regexp(t, `^12/105[^\n]*openat/x[^\n]*\r\x1b\[Ksyscall`, both.String())
	require.NotContains(t, both.String(), "openat/y", "nothing comes after the end")
}

func TestALogGetsALineNowAndThen(t *testing.T) {
	var out bytes.Buffer
	talk := newTalk(&out)
	began := talk.last
	talk.state = busy("openat/x", began)
	for second := range 61 {
		talk.show(began.Add(time.Duration(second)*time.Second), terminalPace)
	}
	require.Equal(t, 2, strings.Count(out.String(), "\n"), out.String())
	require.Contains(t, out.String(), "5.10 starting 30s\n")
}
