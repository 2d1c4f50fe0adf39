// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/synth"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

func runCommand(tb testing.TB, args ...string) (code int, stdout, stderr string) {
	tb.Helper()
	var out, errOut bytes.Buffer
	code = run(tb.Context(), args, &out, &errOut)
	return code, out.String(), errOut.String()
}

func mustRun(tb testing.TB, args ...string) string {
	tb.Helper()
	code, stdout, stderr := runCommand(tb, args...)
	require.Zero(tb, code, stderr)
	return stdout
}

func mustEvent(tb testing.TB, t event.Type, ts uint64, tid event.PID, add func(b *event.Builder), n int) *event.Event {
	tb.Helper()
	var b event.Builder
	b.Begin(t, ts, tid, n)
	add(&b)
	raw, err := b.End()
	require.NoError(tb, err)
	ev := new(event.Event)
	require.NoError(tb, ev.Reset(bytes.Clone(raw), 1))
	return ev
}

// cloneThread is the flag of clone that makes a thread of the same process.
var cloneThread = event.MustValue("clone_flags", "CLONE_THREAD")

const start = 1_700_000_000_000_000_000

// cloneEvent returns the clone exit event of thread tid.
func cloneEvent(tb testing.TB, ts uint64, tid event.PID, res, pid int64, comm string, flags uint32) *event.Event {
	return cloneEventInside(tb, ts, tid, tid, res, pid, comm, flags)
}

// cloneEventInside is cloneEvent of a thread whose number in its pid namespace is vtid.
func cloneEventInside(tb testing.TB, ts uint64, tid, vtid event.PID, res, pid int64, comm string, flags uint32) *event.Event {
	return mustEvent(tb, event.TypeCloneExit, ts, tid, func(b *event.Builder) {
		b.AddInt64(res)
		b.AddString("/bin/x")
		b.AddEmpty()
		b.AddInt64(int64(tid))
		b.AddInt64(pid)
		b.AddInt64(1)
		b.AddEmpty()
		for range 2 {
			b.AddInt64(0)
		}
		b.AddUint64(0)
		for range 3 {
			b.AddUint32(0)
		}
		b.AddString(comm)
		b.AddEmpty()
		b.AddUint32(flags)
		b.AddUint32(0)
		b.AddUint32(0)
		b.AddInt64(int64(vtid))
		b.AddInt64(int64(vtid))
	}, 21)
}

func someEvents(tb testing.TB) []*event.Event {
	closeOf := func(ts uint64, tid event.PID, fd int64) *event.Event {
		return mustEvent(tb, event.TypeCloseExit, ts, tid, func(b *event.Builder) { b.AddInt64(0); b.AddInt64(fd) }, 2)
	}
	prctl := mustEvent(tb, event.TypePrctlExit, start+4e9, 11, func(b *event.Builder) {
		b.AddInt64(0)
		b.AddUint32(15)
		b.AddString("renamed")
		b.AddInt64(0)
	}, 4)
	exit := mustEvent(tb, event.TypeProcexitEnter, start+6e9, 12, func(b *event.Builder) {
		b.AddInt64(0)
		b.AddInt64(0)
		b.AddUint8(0)
		b.AddUint8(0)
		b.AddInt64(1)
	}, 5)
	hidden := closeOf(start+8e9, 10, 9)
	hidden.SetHidden(true)
	return []*event.Event{
		closeOf(start, 10, 3),
		cloneEvent(tb, start+1e9, 10, 11, 10, "main", 0),
		cloneEvent(tb, start+2e9, 10, 12, 10, "main", cloneThread),
		closeOf(start+3e9, 12, 4),
		prctl,
		closeOf(start+5e9+1, 11, 5),
		exit,
		closeOf(start+7e9, 12, 6),
		hidden,
		mustEvent(tb, 9999, start+9e9, 10, func(b *event.Builder) {}, 0),
		mustEvent(tb, event.TypeReadExit, start+10e9, 10, func(b *event.Builder) {
			b.AddInt64(3)
			b.Add([]byte("\"\x01\xff"))
			b.AddInt64(3)
			b.AddUint32(3)
		}, 4),
	}
}

func mustCapture(tb testing.TB, opts savefile.FileOptions, evs ...*event.Event) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "x.scap")
	if opts.State == nil {
		opts.State = &proc.State{
			Machine: proc.Machine{NumCPUs: 2, Memory: 1 << 30, Hostname: "host", BootTime: start - 1e9},
			Threads: []proc.Thread{{TID: 10, PID: 10, VTID: 10, VPID: 10, Comm: "first", FDs: []proc.FD{{Num: 1, Type: proc.FDPipe}}}},
		}
	}
	f, err := savefile.Create(path, opts)
	require.NoError(tb, err)
	for _, ev := range evs {
		require.NoError(tb, f.Write(ev))
	}
	require.NoError(tb, f.Close())
	return path
}

func TestReadPrintsLinesAsSysdigDoes(t *testing.T) {
	time.Local = time.UTC
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	lines := strings.Split(mustRun(t, "read", "-r", path), "\n")
	require.Equal(t, []string{
		"1 22:13:20.000000000 1 first (10) < close res=0 fd=3",
		"4 22:13:23.000000000 1 main (12) < close res=0 fd=4",
		"5 22:13:24.000000000 1 renamed (11) < prctl res=0 option=15(PR_SET_NAME) arg2_str=renamed arg2_int=0",
		"6 22:13:25.000000001 1 renamed (11) < close res=0 fd=5",
		"8 22:13:27.000000000 1 <NA> (12) < close res=0 fd=6",
		"10 22:13:29.000000000 1 first (10) < unknown(9999) ",
		"11 22:13:30.000000000 1 first (10) < read res=3 data=\".. fd=3 size=3",
	}, append(append(append(lines[:1:1], lines[3:6]...), lines[7]), lines[8:10]...))
	require.Contains(t, lines[1], "2 22:13:21.000000000 1 first (10) < clone res=11(main) exe=/bin/x args=NULL tid=10(first)")
	require.Contains(t, lines[6], "7 22:13:26.000000000 1 main (12) > procexit")
	require.Len(t, lines, 11)
}

func TestReadFilters(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	numbers := func(args ...string) string {
		var out []string
		for l := range strings.Lines(mustRun(t, append([]string{"read", "-r", path}, args...)...)) {
			num, _, _ := strings.Cut(l, " ")
			out = append(out, num)
		}
		return strings.Join(out, " ")
	}
	require.Equal(t, "1 4 6 8", numbers("close"))
	require.Equal(t, "1 4 6 8 9", numbers("close", "--all"))
	require.Equal(t, "1 4 5", numbers("close,prctl", "-n", "3"))
	require.Equal(t, "5 6", numbers("11"))
	require.Equal(t, "1 2 3 4 7 10 11", numbers("10"), "a thread counts as its process, until it ends")
	require.Equal(t, "1 4", numbers("close", "10"))
}

func TestReadTimes(t *testing.T) {
	time.Local = time.UTC
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	for style, want := range map[string]string{
		"relative": "6 5.000000001", "r": "6 5.000000001", "delta": "6 2.000000001", "D": "6 2.000000001",
		"epoch": "6 1700000005.000000001", "a": "6 1700000005.000000001", "latency": "6 0.000000000", "d": "6 0.000000000",
		"full": "6 2023-11-14 22:13:25.000000001 +0000", "clock": "6 22:13:25.000000001", "h": "6 22:13:25.000000001",
	} {
		require.Contains(t, mustRun(t, "read", "-r", path, "-t", style, "close"), "\n"+want+" ", style)
	}
	code, _, stderr := runCommand(t, "read", "-r", path, "-t", "x")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, `scap read: unknown time "x": one of clock, epoch, relative, latency, delta, full`)
}

func TestTheCaptureIsTheFirstArgumentOrThatOfR(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	for _, args := range [][]string{{"-r", path, "close"}, {path, "close"}, {"close", "-r", path}, {path, "close", "-t", "h"}} {
		require.Equal(t, 4, strings.Count(mustRun(t, append([]string{"read"}, args...)...), "\n"), args)
	}
	require.Equal(t, mustRun(t, "read", "--json", path), mustRun(t, "read", "-j", path))
	code, _, stderr := runCommand(t, "read")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "scap read: which capture? (scap read FILE; - reads standard input)\n")
}

func TestErrorsNameTheFlagThatIsMeant(t *testing.T) {
	for want, args := range map[string][]string{
		"-C (--file-size) needs -w FILE\n":              {"record", "-C", "5"},
		"--native needs -w FILE\n":                      {"record", "--native"},
		"unknown flag: --jsno (did you mean --json?)\n": {"read", "x", "--jsno"},
		"unknown flag: --tiem (did you mean --time?)\n": {"read", "x", "--tiem=a"},
		"unknown shorthand flag: 'q' in -q\n":           {"read", "x", "-q"},
		"unknown flag: --completely-different\n":        {"read", "x", "--completely-different"},
		`unknown time "5": one of `:                     {"read", mustCapture(t, savefile.FileOptions{}), "-t", "5"},
	} {
		code, _, stderr := runCommand(t, args...)
		require.Equal(t, cli.ExitUsage, code, args)
		require.Contains(t, stderr, want)
	}
}

func TestReadJSONIsOneObjectPerEvent(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	scan := bufio.NewScanner(strings.NewReader(mustRun(t, "read", "-r", path, "--json")))
	var objects []map[string]any
	for scan.Scan() {
		var o map[string]any
		require.NoError(t, json.Unmarshal(scan.Bytes(), &o), scan.Text())
		objects = append(objects, o)
	}
	require.Len(t, objects, 10)
	require.Equal(t, map[string]any{
		"evt.num": 1.0, "evt.rawtime": "1700000000000000000", "evt.cpu": 1.0, "proc.name": "first", "thread.tid": 10.0,
		"evt.dir": "<", "evt.type": "close", "evt.args": map[string]any{"res": 0.0, "fd": 3.0},
	}, objects[0])
	require.Equal(t, "unknown(9999)", objects[8]["evt.type"])
	require.Equal(t, map[string]any{"res": 3.0, "data": "\"..", "fd": 3.0, "size": 3.0}, objects[9]["evt.args"])
}

func TestATruncatedFileIsReadAndToldOf(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data[:len(data)-10], 0o600))
	for _, cmd := range [][]string{{"read", "-r", path}, {"info", path}, {"convert", path, path + ".out"}} {
		code, stdout, stderr := runCommand(t, cmd...)
		require.Equal(t, cli.ExitFound, code, cmd)
		require.Regexp(t, `scap \w+: .*x.scap:\d+: read event block: 72 bytes expected, 62 there: capture is truncated`, stderr)
		if cmd[0] == "read" {
			require.Contains(t, stdout, "\n10 ")
		}
	}
	code, stdout, _ := runCommand(t, "verify", path+".out")
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stdout, "x.scap.out: event 10: unknown type 9999\n", "what was complete was written")
	require.NotContains(t, stdout, "truncated")
	code, stdout, _ = runCommand(t, "verify", path)
	require.Equal(t, cli.ExitFound, code)
	require.Regexp(t, `\n.*x.scap:\d+: read event block: .*: capture is truncated\n\z`, stdout)
}

func TestWhatIsLeftOutIsToldOf(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	// The last event's number of params, which has 4 lengths behind it.
	at := bytes.LastIndex(data, []byte{4, 0, 0, 0, 8, 0, 3, 0, 8, 0, 4, 0})
	data[at] = 200
	require.NoError(t, os.WriteFile(path, data, 0o600))
	for _, args := range [][]string{{"read", "-r", path}, {"convert", path, path + ".out"}, {"convert", path, path, path + ".out"}} {
		code, _, stderr := runCommand(t, args...)
		require.Equal(t, cli.ExitFound, code)
		require.Equal(t, "scap "+args[0]+": "+path+": 1 events and 0 records of the state are corrupt and were left out\n", stderr)
	}
	require.Equal(t, 20, strings.Count(mustRun(t, "read", "-r", path+".out", "--all"), "\n"), "all others are there")
}

func TestInfoTellsWhatIsThere(t *testing.T) {
	time.Local = time.UTC
	path := mustCapture(t, savefile.FileOptions{}, append(someEvents(t), mustEvent(t, event.TypeGetppidExit, start, 1, func(b *event.Builder) { b.AddInt64(1) }, 1))...)
	text := mustRun(t, "info", path)
	for _, want := range []string{
		"machine     host, 2 CPUs, 1024 MiB, up since 2023-11-14 22:13:19.000 +0000\n",
		"state       1 processes, 1 threads, 1 fds, 0 interfaces, 0 users, 0 groups\n",
		"time        2023-11-14 22:13:20.000 +0000 to 2023-11-14 22:13:30.000 +0000 (10s)\n",
		"events      12\n", "1 for the state only\n", "1 of unknown type\n",
		"compatible  no: events that other readers skip: getppid\n",
	} {
		require.Contains(t, text, want)
	}
	var info fileInfo
	require.NoError(t, json.Unmarshal([]byte(mustRun(t, "info", "--json", path)), &info))
	require.Equal(t, uint64(12), info.Events)
	require.Equal(t, "close", info.Types[0].Name)
	require.Equal(t, uint64(5), info.Types[0].Events)
	require.False(t, *info.Compatible)

	out := filepath.Join(t.TempDir(), "compat.scap")
	mustRun(t, "convert", path, out)
	require.NoError(t, json.Unmarshal([]byte(mustRun(t, "info", "--json", out)), &info))
	info = fileInfo{}
	require.NoError(t, json.Unmarshal([]byte(mustRun(t, "info", "--json", out)), &info))
	require.True(t, *info.Compatible, info.Why)
	for _, filter := range []string{"syscall", "getppid"} {
		require.Regexp(t, `\A12 \S+ 1 <NA> \(1\) < getppid \n\z`, mustRun(t, "read", "-r", out, filter))
	}
	require.Empty(t, mustRun(t, "read", "-r", out, "getpid"))
}

func TestEventsOfNoReleaseAreLowered(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, mustEvent(t, event.TypeCloseRangeExit, start, 10, func(b *event.Builder) {
		b.AddInt64(0)
		b.AddUint32(3)
	}, 4))
	require.Contains(t, mustRun(t, "info", path), "compatible  no: events that other readers skip: close_range\n")
	mustRun(t, "convert", path, path+".out")
	require.Contains(t, mustRun(t, "info", path+".out"), "compatible  yes\n")
	require.Contains(t, mustRun(t, "read", "-r", path+".out", "close_range"), " < close_range \n")
}

func TestConvertCutsMergesAndCompresses(t *testing.T) {
	dir := t.TempDir()
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	count := func(args ...string) uint64 {
		out := filepath.Join(dir, "out.scap")
		mustRun(t, append(append([]string{"convert"}, args...), out)...)
		var info fileInfo
		require.NoError(t, json.Unmarshal([]byte(mustRun(t, "info", "--json", out)), &info))
		return info.Events - info.Counts.Hidden
	}
	require.Equal(t, uint64(10), count(path))
	require.Equal(t, uint64(10), count("-z", path))
	require.Equal(t, uint64(3), count("--from", "2", "--until", "5", path))
	require.Equal(t, uint64(2), count("--until", "2023-11-14T22:13:22Z", path))
	require.Equal(t, uint64(4), count("--events", "3-6", path))
	require.Equal(t, uint64(1), count("--events", "4", path))
	require.Contains(t, mustRun(t, "read", "-r", filepath.Join(dir, "out.scap")), "4 22:13:23.000000000 1 main (12) < close ",
		"what was before is there for the names and the numbers")
	require.Equal(t, uint64(8), count("--events", "3-", path))
	require.Equal(t, uint64(20), count(path, path))
	last := ""
	for l := range strings.Lines(mustRun(t, "read", "-r", filepath.Join(dir, "out.scap"), "-t", "a", "--all")) {
		at := strings.Fields(l)[1]
		require.LessOrEqual(t, last, at, "merged by time")
		last = at
	}
	for _, args := range [][]string{
		{"convert", path, path}, {"convert", "--from", "x", path, "y"}, {"convert", "--until", "x", path, "y"},
		{"convert", "--events", "x", path, "y"}, {"convert", "--events", "1-x", path, "y"}, {"convert", "--events", "3-2", path, "y"}, {"convert", path},
	} {
		code, _, _ := runCommand(t, args...)
		require.Equal(t, cli.ExitUsage, code, args)
	}
	code, _, stderr := runCommand(t, "convert", path, filepath.Join(dir, "no", "x"))
	require.Equal(t, cli.ExitEnvironment, code, stderr)
}

func TestMergedCapturesBeginWithTheEarliest(t *testing.T) {
	evs := someEvents(t)
	named := func(host string, evs ...*event.Event) string {
		state := &proc.State{Machine: proc.Machine{Hostname: host}}
		return mustCapture(t, savefile.FileOptions{WriterOptions: savefile.WriterOptions{State: state}}, evs...)
	}
	// In the order of a ring's names, where the newest file may have number 0.
	empty, late, early := named("empty"), named("late", evs[3:6]...), named("early", evs[:3]...)
	data, err := os.ReadFile(early)
	require.NoError(t, err)
	cut := early + ".cut"
	require.NoError(t, os.WriteFile(cut, data[:len(data)-1], 0o600))
	out := filepath.Join(t.TempDir(), "out.scap")

	mustRun(t, "convert", empty, late, early, out)
	require.Contains(t, mustRun(t, "info", out), "machine     early,")
	require.Equal(t, 6, strings.Count(mustRun(t, "read", "-r", out), "\n"))

	code, _, stderr := runCommand(t, "convert", late, cut, out)
	require.Equal(t, cli.ExitFound, code)
	require.Regexp(t, `scap convert: source 1: .*\.cut:\d+: read event block: .*: capture is truncated\n\z`, stderr)
	require.Contains(t, mustRun(t, "info", out), "machine     early,")
	require.Equal(t, 5, strings.Count(mustRun(t, "read", "-r", out), "\n"), "what is in the others is not lost")
}

func TestCapturesOneAfterTheOtherStaySo(t *testing.T) {
	evs := someEvents(t)
	var both []byte
	for i, comm := range []string{"one", "two"} {
		state := &proc.State{Machine: proc.Machine{Hostname: comm}, Threads: []proc.Thread{{TID: 10, PID: 10, Comm: comm}}}
		data, err := os.ReadFile(mustCapture(t, savefile.FileOptions{WriterOptions: savefile.WriterOptions{State: state}}, evs[0], evs[7], evs[i]))
		require.NoError(t, err)
		both = append(both, data...)
	}
	path := filepath.Join(t.TempDir(), "both.scap")
	require.NoError(t, os.WriteFile(path, both, 0o600))
	want := mustRun(t, "read", "-r", path)
	require.Contains(t, want, "4 22:13:20.000000000 1 two (10) < close ")
	for _, compress := range []string{"-z=false", "-z"} {
		mustRun(t, "convert", compress, path, path+".out")
		require.Equal(t, want, mustRun(t, "read", "-r", path+".out"))
	}
	mustRun(t, "convert", "-e", "2", path, path+".")
	require.Contains(t, mustRun(t, "info", path+".0"), "machine     one,")
	require.Contains(t, mustRun(t, "info", path+".2"), "machine     two,")
	mustRun(t, "convert", "--events", "4", path, path+".out")
	require.Equal(t, 1, strings.Count(mustRun(t, "read", "-r", path+".out"), " two (10) < close "), "of a part, too")
}

func TestConvertDoesNotWriteOverWhatItReads(t *testing.T) {
	time.Local = time.UTC
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	dir := t.TempDir()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, args := range map[string][]string{
		"x.scap":     {filepath.Join(dir, "x.scap")},
		"x.scap0":    {"-e", "1000", filepath.Join(dir, "x.scap")},
		"x.scap1":    {"-e", "5", filepath.Join(dir, "x.scap")},
		"x2213.scap": {"-G", "60", filepath.Join(dir, "x%H%M.scap")},
	} {
		in := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(in, data, 0o600))
		code, _, stderr := runCommand(t, append([]string{"convert", in}, args...)...)
		require.Equal(t, cli.ExitUsage, code, args)
		require.Contains(t, stderr, "scap convert: "+in+" is both input and output\n")
		after, err := os.ReadFile(in)
		require.NoError(t, err)
		require.Equal(t, data, after, args)
	}
}

func TestSynthRotates(t *testing.T) {
	out := filepath.Join(t.TempDir(), "s")
	mustRun(t, "synth", "--events", "1000", "-e", "400", "-W", "2", out)
	require.Contains(t, mustRun(t, "verify", out+"0", out+"1"), "s0: fine: 200 events\n")
	mustRun(t, "synth", "--events", "1000", "-z", out)
	require.Contains(t, mustRun(t, "verify", out), "fine: 1000 events\n")
}

func TestVerifyFindsWrongSizes(t *testing.T) {
	bad := mustEvent(t, event.TypeCloseExit, start, 10, func(b *event.Builder) { b.AddUint32(0); b.AddInt64(3); b.AddInt64(3) }, 3)
	var evs []*event.Event
	for range 15 {
		evs = append(evs, bad)
	}
	path := mustCapture(t, savefile.FileOptions{}, append(evs, mustEvent(t, 9999, start, 1, func(*event.Builder) {}, 0))...)
	code, stdout, _ := runCommand(t, "verify", path)
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stdout, "event 1: close has 3 params, its type 2\n")
	require.Contains(t, stdout, "event 1: close: res has 4 bytes, a errno has 8\n")
	require.Contains(t, stdout, "11 more findings\n")
	code, _, stderr := runCommand(t, "verify", path+".none")
	require.Equal(t, cli.ExitEnvironment, code, stderr)
	require.NoError(t, os.WriteFile(path, []byte("no capture at all"), 0o600))
	code, stdout, _ = runCommand(t, "verify", path)
	require.Equal(t, cli.ExitFound, code)
	require.Contains(t, stdout, "not a capture")
}

func TestEventsAreListed(t *testing.T) {
	require.Contains(t, mustRun(t, "events"), "    5 < close(res errno, fd fd)\n")
	require.NotContains(t, mustRun(t, "events"), "    4 > close")
	require.Contains(t, mustRun(t, "events", "--old", "close"), "    4 > close(fd fd)\n")
	var docs []eventDoc
	require.NoError(t, json.Unmarshal([]byte(mustRun(t, "events", "--json", "openat")), &docs))
	require.Contains(t, docs[1].Params[3].Names, "O_CLOEXEC")
	code, _, _ := runCommand(t, "events", "nosuch")
	require.Equal(t, cli.ExitUsage, code)
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{"read"}, {"read", "-r", "x", "--nosuch"}, {"nosuch"}, {"read", "-r", "x", "nosuchevent"}, {"record", "--driver", "x"},
		{"record", "--snaplen", "-1"}, {"record", "--snaplen", "65001"}, {"record", "--ring-size", "3"}, {"record", "--cpus-per-ring", "-2"}, {"record", "--driver", "kmod", "--cpus-per-ring", "2"}, {"record", "--ring-size", "-4096"},
		{"record", "-z"}, {"record", "-C", "5"}, {"record", "--native"}, {"record", "-w", "-", "-G", "5"}, {"convert", "-e", "1", "x", "-"},
		{"synth", "-z", "--level", "10", "x"}, {"synth", "--level", "1", "x"}, {"synth", "-W", "3", "x"}, {"synth", "-e", "5", "-W", "-1", "x"},
	} {
		code, _, stderr := runCommand(t, args...)
		require.Equal(t, cli.ExitUsage, code, args)
		require.Contains(t, stderr, "--help", args)
	}
	code, _, stderr := runCommand(t, "read", "-r", filepath.Join(t.TempDir(), "none"))
	require.Equal(t, cli.ExitEnvironment, code, stderr)
}

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, c := range newRoot().Commands() {
		require.NotEmpty(t, c.Example, c.Name())
		require.NotEmpty(t, c.Long, c.Name())
	}
}

func TestSelectionIsTheFilterAndWhatChangesTheState(t *testing.T) {
	all := selection(nil, true, true)
	require.True(t, all.All)
	require.True(t, all.Enter)
	require.Empty(t, all.Syscalls)
	require.Contains(t, all.Tracepoints, "sched_switch")
	require.NotContains(t, all.Tracepoints, "page_fault_user")

	f, err := compileFilter([]string{"pread"})
	require.NoError(t, err)
	some := selection(f, false, true)
	require.False(t, some.All)
	require.Contains(t, some.Syscalls, "pread64", "the call behind the event")
	require.Subset(t, some.Syscalls, []string{"clone", "clone3", "execve", "openat", "close", "dup2"})
	require.NotContains(t, some.Syscalls, "pwrite64")
	require.Equal(t, []string{"sched_process_exit"}, some.Tracepoints)

	f, err = compileFilter([]string{"switch,page_fault"})
	require.NoError(t, err)
	traced := selection(f, false, true).Tracepoints
	require.Contains(t, traced, "sched_switch")
	if runtime.GOARCH == "amd64" {
		require.Subset(t, traced, []string{"page_fault_user", "page_fault_kernel"})
	}

	f, err = compileFilter([]string{"syscall"})
	require.NoError(t, err)
	require.True(t, selection(f, false, true).All, "generic events are of any call")
}

func TestTextCapturesNoDescriptorsThatItDoesNotNeed(t *testing.T) {
	for _, test := range []struct {
		args []string // of record
		need bool
	}{
		{[]string{"accept"}, false},
		{[]string{"-p", "%evt.num %fd.name %proc.name", "accept,socket"}, false},
		{[]string{"-p", "%evt.num %proc.fdopencount", "accept"}, true},
		{[]string{"-w", filepath.Join(t.TempDir(), "file"), "accept"}, true}, // has the whole state
		{[]string{"--all", "accept"}, true},
		{[]string{"read"}, true},
		{[]string{"mkdir"}, true}, // relative to a directory that fchdir chose
		{nil, true},
	} {
		out := mustRun(t, append([]string{"record", "--explain"}, test.args...)...)
		for _, call := range []string{"dup2", "openat", "close", "fcntl"} {
			require.Equal(t, test.need, strings.Contains(out, " "+call+" ") || strings.Contains(out, " all "), "%v: %s", test.args, call)
		}
		require.True(t, strings.Contains(out, " execve ") || strings.Contains(out, " all "), "names of processes: %v", test.args)
	}
}

func TestRecordWithoutTheKernelModuleSaysSo(t *testing.T) {
	code, stdout, stderr := runCommand(t, "record", "--driver", "kmod", "--module", "nosuchmodule")
	require.Equal(t, cli.ExitEnvironment, code)
	require.Empty(t, stdout)
	if runtime.GOOS == "linux" {
		require.Contains(t, stderr, "the kernel module nosuchmodule is not loaded")
	}
}

func TestEventsTooLargeForAFileAreCounted(t *testing.T) {
	src := scaptest.New()
	for _, size := range []int{1<<16 - 54, 3} {
		src.Add(mustEvent(t, event.TypeReadExit, start, 10, func(b *event.Builder) {
			b.AddInt64(int64(size))
			b.Add(make([]byte, size))
			b.AddInt64(3)
			b.AddUint32(uint32(size))
		}, 4).Bytes(), 0)
	}
	file, err := savefile.Create(filepath.Join(t.TempDir(), "r.scap"), savefile.FileOptions{})
	require.NoError(t, err)
	var talk bytes.Buffer
	rec := &recorder{file: file, err: &talk, start: time.Now()}
	require.ErrorIs(t, rec.run(t.Context(), src), io.EOF)
	require.NoError(t, rec.close())
	rec.summary(src)
	require.Contains(t, talk.String(), "1 lost (1 too large)\n")
	require.Equal(t, uint64(1), file.Events())
}

func TestLongBuffersAreCut(t *testing.T) {
	long := strings.Repeat("x", 81)
	path := mustCapture(t, savefile.FileOptions{}, mustEvent(t, event.TypeReadExit, start, 10, func(b *event.Builder) {
		b.AddInt64(81)
		b.Add([]byte(long))
		b.AddInt64(3)
		b.AddUint32(81)
	}, 4), mustEvent(t, event.TypeReadExit, start, 10, func(b *event.Builder) {
		b.AddInt64(80)
		b.Add([]byte(long[:80]))
		b.AddInt64(3)
		b.AddUint32(80)
	}, 4))
	out := mustRun(t, "read", "-r", path)
	require.Contains(t, out, " data="+long[:77]+"... fd=")
	require.Contains(t, out, " data="+long[:80]+" fd=")
	require.Contains(t, mustRun(t, "read", "-v", "-r", path), " data="+long+" fd=")
	require.Contains(t, mustRun(t, "read", "--json", "-r", path), `"data":"`+long+`"`)
}

func TestAThreadKeepsItsNameWhereAnEventHasNone(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, cloneEvent(t, start, 10, 11, 10, "", 0))
	require.Contains(t, mustRun(t, "read", "-r", path), " first (10) < clone ")
}

func TestAProcessCannotWriteToTheTerminal(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, cloneEvent(t, start, 10, 11, 10, "a\n\x1b[1m\xff", 0))
	for flag, want := range map[string]string{"--json=false": "a..[1m.", "--json": "a\\u000a\\u001b[1m\ufffd"} {
		out := mustRun(t, "read", "-r", path, flag)
		require.Equal(t, 1, strings.Count(out, "\n"))
		require.Contains(t, out, want)
		require.NotContains(t, out, "\x1b")
	}
	require.Contains(t, mustRun(t, "read", "-r", path, "--raw", "-p", "%evt.arg.comm"), "a\n\x1b[1m\xff")
	path = mustCapture(t, savefile.FileOptions{WriterOptions: savefile.WriterOptions{State: &proc.State{Machine: proc.Machine{Hostname: "a\n\x1b[1m"}}}})
	require.Contains(t, mustRun(t, "info", path), "machine     a..[1m, 0 CPUs")
}

func TestTextLeavesOutEnterEventsThatRepeatTheExit(t *testing.T) {
	for code, want := range map[event.Type]bool{
		event.TypeOpenatEnter: false, event.TypeConnectEnter: false, event.TypeProcinfoEnter: false,
		event.TypeExecveEnter: false, event.TypeContainerJSONEnter: false, event.TypeUseraddedEnter: false, event.TypeGroupdeletedEnter: false,
		event.TypeScapeventEnter: false, event.TypeDropEnter: true, event.TypeCPUHotplugEnter: true, event.TypeAsynceventEnter: true,
		event.TypeOpenatExit: true, event.TypeCloseEnter: true, event.TypeSwitchEnter: true, event.TypeProcexitEnter: true,
	} {
		ev, err := sinsp.New(scaptest.New(mustEvent(t, code, 1, 2, func(*event.Builder) {}, 0).Bytes()), sinsp.Options{}).Next()
		require.NoError(t, err)
		require.Equal(t, want, (&lines{}).shown(ev), "%d %s", code, code)
		require.True(t, (&lines{all: true}).shown(ev))
	}
}

func TestRecorderWritesWhatTheFilterKeeps(t *testing.T) {
	for _, test := range []struct {
		filter       []string
		self         event.PID
		kept, hidden uint64
	}{
		{kept: 11},
		{filter: []string{"prctl"}, kept: 1, hidden: 8}, // all but read, the unknown one change the state
		{self: 11, kept: 9},
	} {
		src := scaptest.New()
		src.Poison = true
		for _, ev := range someEvents(t) {
			src.Add(ev.Bytes(), ev.CPU())
			src.AddError(scap.ErrTimeout)
		}
		src.AddDrops(scap.Drops{BufferFull: 2, NoRing: 1})
		f, err := compileFilter(test.filter)
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "r.scap")
		file, err := savefile.Create(path, savefile.FileOptions{})
		require.NoError(t, err)
		var talk bytes.Buffer
		rec := &recorder{f: f, file: file, err: &talk, progress: true, self: test.self, start: time.Now().Add(-time.Hour)}
		require.ErrorIs(t, rec.run(t.Context(), src), io.EOF)
		require.NoError(t, rec.close())
		rec.summary(src)
		require.Equal(t, test.kept, rec.events)
		require.Contains(t, talk.String(), "3 lost (2 ring full, 1 CPU without ring)\n")
		require.Contains(t, talk.String(), "events, ", "progress is shown")
		r, err := savefile.Open(path, savefile.Options{})
		require.NoError(t, err)
		kept, hidden := uint64(0), uint64(0)
		for ev, err := range scap.Events(t.Context(), r) {
			require.NoError(t, err)
			if ev.Hidden() {
				hidden++
			} else {
				kept++
			}
		}
		require.Equal(t, test.kept, kept)
		require.Equal(t, test.hidden, hidden)
	}
}

// The path at the exit may be another one than the kernel acted on.
func TestRecordShowsTheEnterEventsThatItCaptures(t *testing.T) {
	src := scaptest.New()
	args := func(b *event.Builder, path string) {
		b.AddInt64(int64(event.AtFDCWD))
		b.Add([]byte(path + "\x00"))
		b.AddUint32(1)
		b.AddUint32(0)
	}
	src.Add(mustEvent(t, event.TypeOpenatEnter, start, 10, func(b *event.Builder) { args(b, "/true") }, 4).Bytes(), 0)
	src.Add(mustEvent(t, event.TypeOpenatExit, start+1, 10, func(b *event.Builder) {
		b.AddInt64(3)
		args(b, "/forged")
		b.AddUint32(0)
		b.AddUint64(0)
	}, 7).Bytes(), 0)
	var out bytes.Buffer
	rec := &recorder{text: mustLines(t, &out), err: io.Discard, start: time.Now()}
	require.ErrorIs(t, rec.run(t.Context(), src), io.EOF)
	require.NoError(t, rec.close())
	require.Contains(t, out.String(), "> openat ")
	require.Contains(t, out.String(), "/true")
	require.Contains(t, out.String(), "/forged")
}

// The module has no ring for a CPU that starts later, and its client is told once.
func TestRecorderTellsOfACPUWithoutRing(t *testing.T) {
	src := scaptest.New()
	src.Add(mustEvent(t, event.TypeCPUHotplugEnter, start, 0, func(b *event.Builder) {
		b.AddUint32(7)
		b.AddUint32(0)
	}, 2).Bytes(), 0)
	var out, talk bytes.Buffer
	rec := &recorder{text: mustLines(t, &out), err: &talk, start: time.Now()}
	require.ErrorIs(t, rec.run(t.Context(), src), io.EOF)
	require.NoError(t, rec.close())
	require.Contains(t, talk.String(), "CPU 7 has started: it has no ring")
}

func TestRecorderEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	rec := &recorder{text: mustLines(t, &out), err: io.Discard, start: time.Now()}
	require.NoError(t, rec.run(ctx, scaptest.New()))
	src := scaptest.New()
	src.Add(someEvents(t)[0].Bytes(), 0)
	rec.count = 1
	require.NoError(t, rec.run(t.Context(), src))
	require.NoError(t, rec.close())
	require.Contains(t, out.String(), "< close res=0 fd=3\n")
}

func TestAnInterruptedConversionIsNotAWholeOne(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, compress := range []string{"-z=false", "-z"} {
		var stderr bytes.Buffer
		require.Equal(t, cli.ExitFound, run(ctx, []string{"convert", compress, path, path + ".out"}, io.Discard, &stderr))
		require.Contains(t, stderr.String(), "scap convert: interrupted: the output is incomplete\n")
		require.Equal(t, path+".out: fine: 0 events\n", mustRun(t, "verify", path+".out"), "what there is, is complete")
	}
	// A report covers the whole capture, or there is none.
	var stdout bytes.Buffer
	require.Equal(t, cli.ExitFound, run(ctx, []string{"verify", path}, &stdout, io.Discard))
	require.Contains(t, stdout.String(), "event 10: unknown type 9999\n")
}

func TestLinesOfAPipeComeAsItsEventsDo(t *testing.T) {
	in, w := io.Pipe()
	out := make(chan string, 100)
	ended := make(chan error, 1)
	go func() {
		r, err := savefile.NewReader(in, savefile.Options{})
		if err == nil {
			err = printAll(sinsp.New(r, sinsp.Options{}), nil, mustLines(t, lineWriter(out)), 0)
		}
		ended <- err
	}()
	capture, err := savefile.NewWriter(w, savefile.WriterOptions{})
	require.NoError(t, err)
	for _, ev := range someEvents(t)[:3] {
		require.NoError(t, capture.Write(ev))
		require.NoError(t, capture.Flush())
		require.Contains(t, <-out, ev.Type().String(), "before the next is written")
	}
	require.NoError(t, w.Close())
	require.NoError(t, <-ended)
}

// mustLines returns a printer of default lines.
func mustLines(tb testing.TB, out io.Writer) *lines {
	tb.Helper()
	l, err := (&textFlags{time: "clock", buffers: "dots"}).lines(out)
	require.NoError(tb, err)
	return l
}

type lineWriter chan string

func (l lineWriter) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestFullOutputEndsTheCommand(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{}, someEvents(t)...)
	code := run(t.Context(), []string{"read", "-r", path}, failing{}, io.Discard)
	require.NotZero(t, code)
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no room") }

func BenchmarkRead(b *testing.B) {
	const events = 1_000_000
	path := filepath.Join(b.TempDir(), "s.scap")
	mustRun(b, "synth", "--events", fmt.Sprint(events), path)
	mustRun(b, "convert", "-z", path, path+".gz")
	for _, test := range []struct {
		name string
		args []string
	}{
		{"text", nil},
		{"JSON", []string{"--json"}},
		{"one term", []string{"proc.name=zzz"}},
		{"one term of a gzip file", []string{"-r", path + ".gz", "proc.name=zzz"}},
		{"one event", []string{"evt.type=execve"}},
		{"14 terms", []string{synth.ManyTerms}},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			read := uint64(0)
			meter := scaptest.Measure(b)
			for b.Loop() {
				require.Zero(b, run(b.Context(), append([]string{"read", "-r", path}, test.args...), io.Discard, io.Discard))
				read += events
			}
			meter.Report(read, 0)
		})
	}
}
