// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
)

// webServer is a capture of a process that reads a file and writes to a connection.
func webServer(tb testing.TB) string {
	tb.Helper()
	state := &proc.State{
		Machine: proc.Machine{Hostname: "host", NumCPUs: 1},
		Users:   []proc.User{{UID: 33, Name: "www"}},
		Threads: []proc.Thread{
			{TID: 10, PID: 10, PTID: 1, VTID: 10, VPID: 10, Comm: "nginx", Exe: "nginx", ExePath: "/usr/sbin/nginx", Args: "-g\x00daemon\noff\x00", UID: 33, CWD: "/srv", FDs: []proc.FD{
				{Num: 3, Type: proc.FDFile, Name: "/etc/passwd"},
				{Num: 4, Type: proc.FDIPv4, L4: proc.L4TCP, Src: netip.MustParseAddrPort("10.0.0.1:4000"), Dst: netip.MustParseAddrPort("10.0.0.2:80")},
			}},
			{TID: 12, PID: 10, PTID: 1, VTID: 12, VPID: 10, Comm: "worker", Exe: "nginx"},
		},
	}
	return mustCapture(tb, savefile.FileOptions{WriterOptions: savefile.WriterOptions{State: state}},
		mustEvent(tb, event.TypeReadExit, start, 10, func(b *event.Builder) {
			b.AddInt64(5)
			b.Add([]byte("hello"))
			b.AddInt64(3)
			b.AddUint32(5)
		}, 4),
		mustEvent(tb, event.TypeWriteExit, start+1, 12, func(b *event.Builder) {
			b.AddInt64(-32)
			b.AddEmpty()
			b.AddInt64(4)
			b.AddUint32(5)
		}, 4),
		mustEvent(tb, event.TypeCloseExit, start+2, 10, func(b *event.Builder) { b.AddInt64(0); b.AddInt64(3) }, 2),
	)
}

func TestReadWithTheFilterLanguageAndAFormat(t *testing.T) {
	time.Local = time.UTC
	path := webServer(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"fd.name = /etc/passwd"}, "1 22:13:20.000000000 1 nginx (10) < read res=5 data=hello fd=3(<f>/etc/passwd) size=5\n" +
			"3 22:13:20.000000002 1 nginx (10) < close res=0 fd=3(<f>/etc/passwd)\n"},
		{[]string{"fd.sport", "=", "80", "and", "evt.failed=true"}, "2 22:13:20.000000001 1 worker (12) < write res=-32(EPIPE) data=NULL fd=4(<4t>10.0.0.1:4000->10.0.0.2:80) size=5\n"},
		{[]string{"-p", "%proc.name: %fd.name %evt.buffer", "fd.num=3"}, "nginx: /etc/passwd hello\n"},
		{[]string{"-p", `*%evt.num\t%evt.buffer`, "10"}, "1\thello\n2\t\n3\t<NA>\n"},
		{[]string{"-p", "%evt.num", "-n", "1"}, "1\n"},
		{[]string{"-j", "-p", "%evt.num %fd.name", "close"}, `{"evt.num":3,"fd.name":"/etc/passwd"}` + "\n"},
		{[]string{"--buffers", "hex", "-p", "%evt.buffer"}, "68 65 6c 6c 6f\n\n"},
		{[]string{"-pc", "-n", "1"}, "1 22:13:20.000000000 1 host (host) nginx (10:10) < read res=5 data=hello fd=3(<f>/etc/passwd) size=5\n"},
	} {
		require.Equal(t, c.want, mustRun(t, append([]string{"read", "-r", path}, c.args...)...), c.args)
	}
}

func TestWrongFiltersAndFormatsShowThePlace(t *testing.T) {
	path := webServer(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"proc.nmae = x"}, "filter:1:1: unknown field proc.nmae (did you mean proc.name?)\n    proc.nmae = x\n    ^\n"},
		{[]string{"opeant"}, `unknown event "opeant" (did you mean openat?)`},
		{[]string{"-p", "%proc.nmae"}, "format:1:2: unknown field proc.nmae"},
		{[]string{"-t", "x"}, `unknown time "x"`},
		{[]string{"--buffers", "x"}, `unknown form of buffers "x"`},
		{[]string{"--summary", "--rows", "-1"}, "--rows -1"},
	} {
		code, _, stderr := runCommand(t, append([]string{"read", "-r", path}, c.args...)...)
		require.Equal(t, cli.ExitUsage, code, c.args)
		require.Contains(t, stderr, c.want, c.args)
	}
	code, _, stderr := runCommand(t, "read", "-r", path, "proc.name = proc.pname")
	require.Zero(t, code)
	require.Contains(t, stderr, "warning: filter:1:13: \"proc.pname\" is a constant here")
}

func TestSummary(t *testing.T) {
	path := webServer(t)
	out := mustRun(t, "read", "-r", path, "--summary", "--rows", "2")
	require.Contains(t, out, "3 events, 1 of them failed\n")
	for _, want := range []string{"events: 3\n", "processes: 2\n", "files: 1\n", "connections: 1\n", "errors: 1\n", "  write EPIPE\n", "  nginx (10)\n", "  10.0.0.1:4000->10.0.0.2:80\n"} {
		require.Contains(t, out, want)
	}
	require.Equal(t, 1, strings.Count(mustRun(t, "read", "-r", path, "--summary", "close"), "1 events, 0 of them failed"))

	var object struct {
		Total uint64
		Files []counts
	}
	require.NoError(t, json.Unmarshal([]byte(mustRun(t, "read", "-r", path, "--summary", "--json")), &object))
	require.EqualValues(t, 3, object.Total)
	require.Equal(t, []counts{{Name: "/etc/passwd", Events: 2, Read: 5}}, object.Files)
}

func TestASummaryIsBounded(t *testing.T) {
	s, err := newSummary(nil, false, true, 10)
	require.NoError(t, err)
	for i := range maxKeys {
		s.tables[0].rows[fmt.Sprint(i)] = &counts{}
	}
	rows := len(s.tables[0].rows)
	require.GreaterOrEqual(t, rows, maxKeys)
	path := webServer(t)
	r, err := savefile.Open(path, savefile.Options{})
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, printAll(sinsp.New(r, sinsp.Options{}), nil, s, 0))
	require.Len(t, s.tables[0].rows, rows+1)
	require.EqualValues(t, 3, s.tables[0].rows[others].Events)
}

func TestProcessesAndOpenFiles(t *testing.T) {
	path := webServer(t)
	require.Regexp(t, `^PID +TID +PPID +USER +THREADS.*\n10 +10 +1 +www +2 +1 .* nginx -g daemon.off\n$`, mustRun(t, "ps", "-r", path))
	require.Contains(t, mustRun(t, "ps", "-r", path, "-T"), "\n10   12 ")
	require.Equal(t, 1, strings.Count(mustRun(t, "ps", "-r", path, "nosuch"), "\n"))
	var p processDoc
	require.NoError(t, json.Unmarshal([]byte(mustRun(t, "ps", "-r", path, "--json", "--begin", "nginx")), &p))
	require.Equal(t, 2, p.FDs)
	require.Equal(t, "/usr/sbin/nginx", p.Exe)

	require.Regexp(t, `^PID +PROCESS +FD +TYPE +NAME\n10 +nginx +4 +ipv4 +10.0.0.1:4000->10.0.0.2:80\n$`, mustRun(t, "fds", "-r", path))
	require.Contains(t, mustRun(t, "fds", "-r", path, "--until", "2", "10"), "/etc/passwd")
	require.Contains(t, mustRun(t, "fds", "-r", path, "--begin", "--json"), `"fd":3,"type":"file","name":"/etc/passwd"`)
	require.Equal(t, mustRun(t, "fds", "-r", path, "10"), mustRun(t, "fds", path, "10"), "FILE may come first")
	for _, args := range [][]string{{"fds", "-r", path, "--begin", "--until", "2"}, {"ps"}} {
		code, _, _ := runCommand(t, args...)
		require.Equal(t, cli.ExitUsage, code, args)
	}
}

func TestExplain(t *testing.T) {
	out := mustRun(t, "record", "--explain", "evt.type = write and proc.name = cat")
	require.Regexp(t, `(?m)^syscall +write +the filter may hold for it$`, out)
	require.Regexp(t, `(?m)^syscall +execve +it changes the state that fields ask for$`, out)
	require.NotRegexp(t, `(?m)^syscall +mmap `, out)
	require.Regexp(t, `(?m)^syscall +all +the filter may hold for it$`, mustRun(t, "record", "--explain", "proc.name = cat"))
}
