// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
)

// closed returns a close event as a client's record.
func closed(tb testing.TB, ts, tid uint64, res, fd int64) record {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeCloseExit, ts, event.PID(tid), 2)
	b.AddInt64(res)
	b.AddInt64(fd)
	raw, err := b.End()
	require.NoError(tb, err)
	return record{CPU: 1, Bytes: bytes.Clone(raw)}
}

// saved returns what sysdig would write of these events.
func saved(tb testing.TB, records ...record) []byte {
	tb.Helper()
	file := tb.TempDir() + "/saved.scap"
	require.NoError(tb, saveRecords(file, records))
	b, err := os.ReadFile(file)
	require.NoError(tb, err)
	return b
}

const goodLine = "7\t1\t42\tworkload\t<\tclose\t/tmp/f\tres=0 fd=5(<f>/tmp/f)\n"

// goodResults are of a workload that closes a file.
func goodResults(tb testing.TB) *results {
	tb.Helper()
	one := func(name string) leg {
		r := closed(tb, 1000, 42, 0, 5)
		return leg{
			Name: name, API: event.OldAPIVersion, Schema: event.OldSchemaVersion, Lines: "rest of a line\n" + goodLine, Saved: saved(tb, r), Records: []record{r},
			Account: account{PID: 42, TID: 42, Wanted: []wanted{{TID: 42, Event: "close", Params: []string{"res", "0", "fd", "5"}, FDName: "/tmp/f"}}},
		}
	}
	return &results{Refused: "API version ... " + event.APIVersion + " [exit status 1]", Legs: []leg{one("our module"), one("reference module")}}
}

func TestVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(r *results)
		says  string // "" when all is well
	}{
		"all is well":              {func(*results) {}, ""},
		"the machine failed":       {func(r *results) { r.Err = "no tree" }, "no tree"},
		"a capture failed":         {func(r *results) { r.Legs[0].Err = "no sysdig" }, "our module: no sysdig"},
		"the kernel complains":     {func(r *results) { r.Log = "x\nBUG: sleeping function\n" }, "BUG: sleeping"},
		"a wrong version is taken": {func(r *results) { r.Refused = "[<nil>]" }, "should refuse"},
		"events were lost":         {func(r *results) { r.Legs[1].Dropped = 3 }, "3 events were lost"},
		"sysdig shows nothing":     {func(r *results) { r.Legs[0].Lines = "" }, "our module, sysdig: no close of thread 42"},
		"sysdig shows another value": {
			func(r *results) { r.Legs[0].Lines = strings.ReplaceAll(goodLine, "res=0", "res=-9(EBADF)") }, "no res=0 in: res=-9(EBADF)"},
		"sysdig shows a longer number": {
			func(r *results) { r.Legs[0].Lines = strings.ReplaceAll(goodLine, "fd=5", "fd=55") }, "no fd=5 in:"},
		"sysdig has another file": {
			func(r *results) { r.Legs[0].Lines = strings.ReplaceAll(goodLine, "\t/tmp/f\t", "\t/tmp/g\t") }, "no fd.name=/tmp/f but /tmp/g"},
		"sysdig shows another thread's": {
			func(r *results) { r.Legs[0].Lines = strings.ReplaceAll(goodLine, "\t42\t", "\t43\t") }, "no close of thread 42"},
		"no params, though the table has the call": {
			func(r *results) { r.Legs[0].Lines = strings.ReplaceAll(goodLine, "res=0 fd=5(<f>/tmp/f)", "") }, "no res=0"},
		"our client has nothing":       {func(r *results) { r.Legs[1].Records = nil }, "reference module, our client: no close"},
		"our client has half an event": {func(r *results) { r.Legs[1].Records[0].Bytes = r.Legs[1].Records[0].Bytes[:20] }, "reference module: our client:"},
		"sysdig saved another byte": {
			func(r *results) { r.Legs[0].Saved = saved(t, closed(t, 1001, 42, 0, 5)) }, "sysdig has, and our client has not: close"},
		"sysdig saved nothing":    {func(r *results) { r.Legs[0].Saved = saved(t) }, "our client has, and sysdig has not: close"},
		"sysdig saved no capture": {func(r *results) { r.Legs[0].Saved = nil }, "what sysdig saved:"},
		"the modules differ": {func(r *results) {
			other := closed(t, 1000, 42, 0, 5)
			l := &r.Legs[1]
			l.Account.Wanted[0].Params = []string{"res", "0"}
			other.Bytes[len(other.Bytes)-8] = 6
			l.Records, l.Saved = []record{other}, saved(t, other)
		}, `close, fd: "5" of our module, "6" of the reference module`},
	} {
		t.Run(name, func(t *testing.T) {
			r := goodResults(t)
			c.spoil(r)
			var out bytes.Buffer
			v := verdict{kernel: "6.1", out: &out}
			v.judge(r, nil)
			if c.says == "" {
				require.Zero(t, v.failures, "%s", out.String())
				return
			}
			require.NotZero(t, v.failures)
			require.Contains(t, out.String(), "WRONG: ")
			require.Contains(t, out.String(), c.says)
		})
	}
}

func TestGenericEventsAreCountedWhereTheTableHasNoEntry(t *testing.T) {
	const noEntry = "a_call_nobody_has"
	require.False(t, tabled(noEntry))
	require.True(t, tabled("pread"))
	r := goodResults(t)
	for i := range r.Legs {
		l := &r.Legs[i]
		l.Account.Wanted = append(l.Account.Wanted, wanted{TID: 42, Event: noEntry, Params: []string{"res", "0"}})
		l.Lines += "8\t1\t42\tworkload\t<\t" + noEntry + "\t<NA>\t\n"
	}
	var out bytes.Buffer
	v := verdict{kernel: "6.1", out: &out}
	v.wanted(&r.Legs[0], "sysdig", parseLines(r.Legs[0].Lines), true)
	require.Zero(t, v.failures)
	require.Contains(t, out.String(), "1 more as generic events")
	v.wanted(&r.Legs[1], "sysdig", parseLines(r.Legs[1].Lines), false)
	require.Equal(t, 1, v.failures, "the reference module has its params")
}

func TestReferenceThatDoesNotCompileIsSaid(t *testing.T) {
	r := goodResults(t)
	r.Legs = r.Legs[:1]
	var out bytes.Buffer
	v := verdict{kernel: "9.9", out: &out}
	v.judge(r, errors.New("unknown type"))
	require.Contains(t, out.String(), "does not compile here: unknown type")
}

func TestParamsAreWhole(t *testing.T) {
	const args = "res=10 data=a b fd=5(<f>/x) size=1"
	for _, good := range []string{"res=10", "data=a b", "fd=5", "size=1"} {
		require.True(t, hasParam(args, good), good)
	}
	for _, bad := range []string{"res=1", "ata=a b", "fd=", "size=11", "fd=5(<f>"} {
		require.False(t, hasParam(args, bad), bad)
	}
}

func TestResultsFromAConsole(t *testing.T) {
	_, err := parseResults("booting\n" + lineMark + "AAAA\n")
	require.ErrorContains(t, err, "without results")
	_, err = parseResults(lineMark + "AAAA\r\n" + lineEnd + "\r\n")
	require.ErrorContains(t, err, "results:")
}
