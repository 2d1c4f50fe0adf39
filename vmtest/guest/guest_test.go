// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// testCases run in children of the test binary, like those of the table.
var testCases = []Syscall{
	{
		Name: "t_getpid", NR: numbers(unix.SYS_GETPID), Cases: []Case{
			{Name: "works", Call: "t_getpid()", Want: []Binding{{"all", "[$pid, $tid, $ppid, $uid, $exe, $page, $end, $bad, $self.argv0]"}}},
			{Name: "files", Given: []Binding{
				{"d", "tempdir()"}, {"f", `tempfile(pattern(5))`}, {"plain", `file("$d/x", "abc")`}, {"m", `mkdir("$d/m")`},
				{"l", `symlink("$plain", "$d/l")`}, {"o", `open($l, 0)`}, {"w", `write($f, "zz")`},
				{"p", "pipe()"}, {"mem", `memfd("hello")`}, {"z", "close(0)"}, {"prog", "program()"},
			}, Call: "t_getpid()", After: []Binding{
				{"fs", "fstat($f)"}, {"st", "stat($l)"}, {"ls", "lstat($l)"}, {"ms", `stat("$m")`}, {"text", `bytes("a", 0)`},
			}},
			{Name: "memory", Given: []Binding{
				{"buf", "pattern(300)"}, {"zero", "zeros(3)"}, {"str", `cstr("hi")`}, {"hole", "unmapped()"}, {"map", "mapped(8192, 3)"},
				{"ints", "s32s(1, -2)"}, {"longs", "u64s(1, -1)"}, {"ts", "timespec(1, 2)"}, {"iov", `iovec($buf, [NULL, 7], "xy")`},
				{"sa", `sockaddr("127.0.0.1:80")`}, {"hdr", `msghdr({name: $sa, iov: $iov, flags: 3})`}, {"pfd", "pollfds([0, 1], [-1, 4])"},
				{"cap", "cap_header()"}, {"caps", "cap_data(0x100000001, 2, 3)"}, {"args", "clone_args({flags: 17, stack: $buf})"},
				{"av", `argv("a", "bc")`}, {"ps", "pointers($str, NULL)"}, {"how", "open_how{flags: 1, mode: 2, resolve: 3}"},
				{"t", "text(30)"},
			}, Call: "t_getpid()", After: []Binding{
				{"part", "mem($buf, 3)"}, {"i1", "s32($ints, 4)"}, {"u1", "u32($ints, 4)"}, {"l1", "u64($longs, 8)"}, {"n1", "u64($iov, 8)"}, {"n2", "u64($iov, 24)"},
				{"iovp", "u64($hdr, 16)"}, {"iovn", "u64($hdr, 24)"}, {"namelen", "u32($hdr, 8)"}, {"stack", "u64($args, 40)"},
				{"caphi", "u32($caps, 12)"},
			}},
			{Name: "sockets", Needs: []string{"ipv4"}, Given: []Binding{
				{"l", `tcp_listen("127.0.0.1:0")`}, {"c", "tcp_connect($l)"}, {"pair", `tcp_pair("127.0.0.1:0")`}, {"u", `udp("127.0.0.1:0")`},
				{"v", "udp_connect($u)"}, {"d", "tempdir()"}, {"ud", `unix_dgram("$d/dgram")`}, {"ul", `unix_listen("@scaplab-test")`},
				{"us", "unix_stream()"}, {"sp", "socketpair()"}, {"sent", `send($pair.client, "hello")`}, {"to", `sendto($v, "x", $u)`},
				{"t", `tcp("127.0.0.1:0")`}, {"uc", "unix_connect($ul)"}, {"raw", "socket(10, 2)"}, {"opt", "sockopt($t, 1, 2, 1)"},
			}, Call: "t_getpid()", After: []Binding{{"local", "getsockname($pair.client)"}, {"remote", "getpeername($pair.client)"}}},
			{Name: "processes", Needs: []string{"root"}, Given: []Binding{{"c", "child()"}, {"tr", "traced()"}, {"th", "thread()"}},
				Call: "t_getpid()", Want: []Binding{{"res", "[$pid, $self.threads]"}}},
			{Name: "unknown function", Given: []Binding{{"x", "nothing()"}}, Call: "t_getpid()"},
			{Name: "failing after", Call: "t_getpid()", After: []Binding{{"x", "fstat(-1)"}}},
			{Name: "unmet need", Needs: []string{"never"}, Call: "t_getpid()"},
			{Name: "unsafe", Unsafe: true, Call: "t_getpid()"},
		},
	},
	{Name: "t_read", NR: numbers(unix.SYS_READ), Params: []Param{{"int", "fd"}, {"void *", "buf"}, {"size_t", "count"}}, Cases: []Case{
		{Name: "into the hole", Given: []Binding{{"f", "tempfile(pattern(20))"}, {"b", "zeros(16)"}}, Call: "t_read($f, $b, 17)"},
		{Name: "fits", Given: []Binding{{"f", "tempfile(pattern(20))"}, {"b", "zeros(16)"}}, Call: "t_read($f, $b, 16)"},
		{Name: "blocks", Given: []Binding{{"p", "pipe()"}, {"b", "zeros(1)"}}, Call: "t_read($p.r, $b, 1)"},
	}},
	{Name: "t_kill", NR: numbers(unix.SYS_KILL), Params: []Param{{"int", "pid"}, {"int", "sig"}}, Cases: []Case{
		{Name: "itself", Call: "t_kill($pid, 9)"}}},
	{Name: "t_exit_group", NR: numbers(unix.SYS_EXIT_GROUP), Params: []Param{{"int", "code"}}, Cases: []Case{
		{Name: "works", Call: "t_exit_group(7)"}}},
	{Name: "t_exit", NR: numbers(unix.SYS_EXIT), Params: []Param{{"int", "code"}}, Cases: []Case{{Name: "works", Call: "t_exit(0)"}}},
	{Name: "t_clone", NR: numbers(unix.SYS_CLONE), Params: []Param{{"unsigned long", "flags"}, {"unsigned long", "stack"}}, Cases: []Case{
		{Name: "process", Call: "t_clone(17, 0)"},
		{Name: "vfork", Call: "t_clone(0x4111, 0)"},
		{Name: "thread", Call: "t_clone(0x50f00, 0)"},
		{Name: "bad", Call: "t_clone(0x10000, 0)"},
	}},
	{Name: "t_exec", NR: numbers(unix.SYS_EXECVE), Params: []Param{{"const char *", "filename"}, {"void *", "argv"}, {"void *", "envp"}}, Cases: []Case{
		{Name: "program", Given: []Binding{{"p", "program()"}, {"a", `argv("x")`}}, Call: "t_exec($p, $a, NULL)"},
		{Name: "none", Call: `t_exec("/no/such", NULL, NULL)`}}},
	{Name: "t_dup", NR: numbers(unix.SYS_DUP), Params: []Param{{"int", "fd"}}, Cases: []Case{
		{Name: "no more", Given: []Binding{{"n", "no_fds()"}}, Call: "t_dup(2)", After: []Binding{{"s", `stat("/")`}}}}},
	{Name: "t_setuid", NR: numbers(unix.SYS_SETUID), Params: []Param{{"int", "uid"}}, Cases: []Case{
		{Name: "as nobody", Needs: []string{"root"}, Given: []Binding{{"u", "become(65534, 65533)"}, {"m", "umask(027)"}}, Call: "t_setuid(0)",
			Want: []Binding{{"all", "[$self.euid, $self.gid, $self.cap_effective, $self.umask]"}}}}},
	{Name: "t_timer", NR: numbers(unix.SYS_NANOSLEEP), Params: []Param{{"struct timespec *", "req"}, {"void *", "rem"}}, Cases: []Case{
		{Name: "a struct", Call: "t_timer({tv_nsec: 1000}, NULL)"}, {Name: "a bad field", Call: "t_timer({nsec: 1000}, NULL)"}}},
	{Name: "t_close", NR: numbers(unix.SYS_CLOSE), Params: []Param{{"int", "fd"}}, Cases: []Case{
		{Name: "none", Call: "t_close(-1)", Generated: true},
		{Name: "none again", Call: "t_close(-2)", Generated: true, Want: []Binding{{"all", "[$pid]"}}},
		{Name: "one", Call: "t_close(0)", Generated: true},
		{Name: "what was closed", Call: "t_close(0)", Generated: true},
		{Name: "the report", Call: "t_close(1000)", Generated: true},
		{Name: "a bad argument", Call: "t_close(nothing())", Generated: true},
		{Name: "the last", Call: "t_close(-3)", Generated: true, Want: []Binding{{"all", "[$pid]"}}},
		{Name: "with an object", Given: []Binding{{"p", "pipe()"}}, Call: "t_close($p.r)", Generated: true},
		{Name: "by hand", Call: "t_close(-1)"},
	}},
	{Name: "t_absent", NR: numbers(4000), Cases: []Case{{Name: "probe", Call: "t_absent()"}}},
}

func numbers(nr int) map[string]int { return map[string]int{"amd64": nr, "arm64": nr} }

func init() {
	for i := range testCases {
		known.byName[testCases[i].Name] = &testCases[i]
	}
}

func TestArgumentsOfAKernelsCallAreCounted(t *testing.T) {
	const head = "name: sys_enter_x\nID: 1\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n" +
		"\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n"
	require.Equal(t, 0, countArgs(head+"\nprint fmt: \"\"\n"))
	require.Equal(t, 2, countArgs(head+"\tfield:unsigned int fd;\toffset:16;\tsize:8;\tsigned:0;\n\tfield:const char * buf;\toffset:24;\tsize:8;\tsigned:0;\n"+
		"\tfield:__data_loc u8[] __buf_val;\toffset:32;\tsize:4;\tsigned:0;\n\nprint fmt: \"fd: 0x%08lx\"\n"))
}

func TestMain(m *testing.M) {
	if os.Getenv(envMode) == modeFork {
		os.Exit(forkMain(testChild))
	}
	Hook()
	os.Exit(m.Run())
}

func newTestRunner(t *testing.T) *runner {
	t.Helper()
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	forks, err := startForkServer()
	require.NoError(t, err)
	r := &runner{lacks: map[string]string{"never": "it is a test"}, work: t.TempDir(), number: firstNumber(), forks: forks, batch: make([]event.Event, batchSize)}
	t.Cleanup(func() { r.forks.stop() })
	return r
}

// runCase runs one case.
func (r *runner) runCase(id string, req *RunRequest) CaseResult {
	return r.runCases([]string{id}, req)[0]
}

func runTest(t *testing.T, id string) CaseResult {
	t.Helper()
	r := newTestRunner(t)
	lacks := probeNeeds()
	for k, v := range lacks {
		r.lacks[k] = v
	}
	res := r.runCase(id, &RunRequest{Timeout: CaseLimit})
	if res.Outcome == Skipped && !strings.Contains(id, "unmet") && !strings.Contains(id, "unsafe") {
		t.Skip(res.Reason)
	}
	// The JSON form must be equivalent.
	b, err := json.Marshal(res)
	require.NoError(t, err)
	var back CaseResult
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, len(res.Facts), len(back.Facts))
	for name, f := range res.Facts {
		require.Equal(t, f.String(), back.Facts[name].String(), name)
	}
	return back
}

// ran requires that the case ran, and returns its facts.
func ran(t *testing.T, id string) facts {
	t.Helper()
	res := runTest(t, id)
	require.Equal(t, Ran, res.Outcome, "%s\n%s", res.Reason, res.Stderr)
	require.True(t, res.Return)
	return facts{t, res.Facts}
}

type facts struct {
	t *testing.T
	m object.Facts
}

func (f facts) int(name string) int64 {
	f.t.Helper()
	v, ok := f.m[name]
	require.True(f.t, ok, "no fact %s", name)
	require.True(f.t, v.IsInt, name)
	return int64(v.Int)
}

func (f facts) text(name string) string {
	f.t.Helper()
	v, ok := f.m[name]
	require.True(f.t, ok, "no fact %s", name)
	require.False(f.t, v.IsInt, name)
	return string(v.Bytes)
}

func TestBuiltinsAreTheChilds(t *testing.T) {
	f := ran(t, "t_getpid/works")
	require.Equal(t, f.int("ret"), f.int("pid"))
	require.Equal(t, f.int("tid"), f.int("pid"), "cases run on the first thread")
	require.EqualValues(t, os.Getpid(), f.int("ppid"))
	require.EqualValues(t, os.Getuid(), f.int("uid"))
	exe, err := os.Executable()
	require.NoError(t, err)
	exe, err = filepath.EvalSymlinks(exe)
	require.NoError(t, err)
	require.Equal(t, exe, f.text("exe"))
	require.Equal(t, f.int("end"), f.int("bad")-1)
	require.EqualValues(t, os.Getpagesize(), f.int("page"))
	require.Equal(t, f.text("self.argv0"), f.text("exe"))
}

func TestFilesAreMadeAndSeen(t *testing.T) {
	f := ran(t, "t_getpid/files")
	require.Equal(t, f.text("d")+"/x", f.text("plain"))
	require.Equal(t, f.int("f.ino"), f.int("fs.ino"))
	require.Equal(t, f.int("f.dev"), f.int("fs.dev"))
	require.EqualValues(t, 5, f.int("fs.size"), "zz overwrites bytes 2 and 3 of 5")
	require.Equal(t, f.int("o.ino"), f.int("st.ino"))
	require.EqualValues(t, 3, f.int("st.size"))
	require.NotEqual(t, f.int("st.ino"), f.int("ls.ino"))
	require.EqualValues(t, unix.S_IFLNK, f.int("ls.mode")&unix.S_IFMT)
	require.EqualValues(t, unix.S_IFDIR, f.int("ms.mode")&unix.S_IFMT)
	require.Equal(t, f.int("p.r.ino"), f.int("p.w.ino"))
	require.NotEqual(t, f.int("p.r"), f.int("p.w"))
	require.Equal(t, f.int("mem"), f.int("mem.fd"))
	require.Equal(t, "a\x00", f.text("text"))
	require.EqualValues(t, 0, f.int("z"))
}

func TestMemoryIsLaidOutAndEndsAtAHole(t *testing.T) {
	f := ran(t, "t_getpid/memory")
	require.Len(t, f.text("buf"), 300)
	require.EqualValues(t, 1, f.text("buf")[0])
	require.EqualValues(t, 1, f.text("buf")[251])
	require.Zero(t, (f.int("buf.addr")+300)%f.int("page"), "the page after it is unmapped")
	require.Zero(t, f.int("hole")%f.int("page"))
	require.EqualValues(t, -2, f.int("i1"))
	require.EqualValues(t, 0xfffffffe, f.int("u1"))
	require.EqualValues(t, -1, f.int("l1"))
	require.EqualValues(t, 300, f.int("n1"))
	require.EqualValues(t, 7, f.int("n2"))
	require.Equal(t, f.int("iov.addr"), f.int("iovp"))
	require.EqualValues(t, 3, f.int("iovn"))
	require.EqualValues(t, 16, f.int("namelen"))
	require.Equal(t, f.int("buf.addr"), f.int("stack"))
	require.EqualValues(t, 1, f.int("caphi"))
	require.Equal(t, "hi\x00", f.text("str"))
	require.Equal(t, "\x01\x02\x03", f.text("part"))
	require.Equal(t, "a", f.text("av.first"))
	require.Equal(t, "bc\x00", f.text("av.rest"))
	require.Equal(t, "a\x00bc\x00", f.text("av.all"))
	require.Equal(t, "abcdefghijklmnopqrstuvwxyzabcd", f.text("t"))
}

func TestReadingPastAnObjectFaults(t *testing.T) {
	require.EqualValues(t, 16, ran(t, "t_read/into-the-hole").int("ret"), "17 of 20 bytes were asked for")
	f := ran(t, "t_read/fits")
	require.EqualValues(t, 16, f.int("ret"))
	require.Len(t, f.text("b"), 16, "facts are what the call left in memory")
	require.EqualValues(t, 16, f.text("b")[15])
}

func TestSocketsTellTheirAddresses(t *testing.T) {
	f := ran(t, "t_getpid/sockets")
	require.Len(t, f.text("l.wire"), 1+4+2)
	require.NotZero(t, f.int("l.port"))
	require.Equal(t, f.text("pair.client.wire"), f.text("local.wire"))
	require.Equal(t, f.text("pair.listener.wire"), f.text("remote.wire"))
	require.EqualValues(t, 16, f.int("l.len"))
	require.Equal(t, f.text("d")+"/dgram", f.text("ud.path"))
	require.Equal(t, "\x01scaplab-test\x00", f.text("ul.wire"))
	require.EqualValues(t, 5, f.int("sent"))
	require.EqualValues(t, 1, f.int("to"))
	require.NotEqual(t, f.int("sp.a.ino"), f.int("sp.b.ino"))
	require.EqualValues(t, 1, f.int("us.family"))
}

func TestProcessesAreStartedAndTraced(t *testing.T) {
	f := ran(t, "t_getpid/processes")
	require.Equal(t, f.int("c"), f.int("c.pid"))
	require.NotEqual(t, f.int("c"), f.int("tr"))
	require.EqualValues(t, object.TracedWord, f.int("tr.word"))
	require.Equal(t, f.int("pid"), f.int("self.pid"))
	require.EqualValues(t, 2, f.int("self.threads"))
	for _, pid := range []int64{f.int("c"), f.int("tr")} {
		require.NoFileExists(t, "/proc/"+strconv.FormatInt(pid, 10)+"/stat", "nothing of a case may be left")
	}
}

func TestOneProcessRunsCasesThatLeaveNothing(t *testing.T) {
	sc := FindSyscall("t_close")
	var ids []string
	for i := range sc.Cases {
		ids = append(ids, sc.ID(&sc.Cases[i]))
	}
	require.Equal(t, 7, together(ids, &RunRequest{}), "not the one with an object")
	require.Equal(t, 1, together(ids, &RunRequest{Alone: true}))
	require.Equal(t, 1, together(ids[7:], &RunRequest{}))
	require.Equal(t, 1, together(append([]string{"t_none/x"}, ids...), &RunRequest{}))
	require.Equal(t, 1, together([]string{ids[0], "t_getpid/works"}, &RunRequest{}), "another call")
	require.Equal(t, groupLimit, together(slices.Repeat(ids[:1], groupLimit+1), &RunRequest{}))

	r := newTestRunner(t)
	run := func(ids []string) (ran []CaseResult) {
		for len(ids) > 0 {
			results := r.runCases(ids[:together(ids, &RunRequest{})], &RunRequest{Timeout: CaseLimit})
			ran = append(ran, results...)
			ids = ids[len(results):]
		}
		return ran
	}
	results := run(ids)
	require.Len(t, results, len(ids))
	pid := func(i int) uint64 { return results[i].Facts["pid"].Int }
	for i, want := range []struct {
		ret     int64
		outcome Outcome
	}{{-9, Ran}, {-9, Ran}, {0, Ran}, {0, Ran}, {0, Ran}, {0, Failed}, {-9, Ran}, {0, Ran}, {-9, Ran}} {
		require.Equal(t, ids[i], results[i].Case)
		require.Equal(t, want.outcome, results[i].Outcome, "%s: %s", ids[i], results[i].Reason)
		require.Equal(t, want.ret, results[i].Ret, ids[i])
	}
	require.NotEqual(t, pid(1), pid(6), "what succeeded ended the process")
}

func TestAProcessThatEndsBetweenItsCasesIsNotBelieved(t *testing.T) {
	ids := []string{"a/x", "a/y", "a/z"}
	ready := func(nth int) report { return report{Nth: nth, Step: stepReady} }
	returned := func(nth int, ret int64) report { return report{Nth: nth, Step: stepReturned, Ret: ret} }
	for _, tc := range []struct {
		name  string
		end   ended
		cases int
		sure  bool
		last  Outcome
	}{
		{"all failed", ended{reports: []report{ready(0), returned(0, -1), ready(1), returned(1, -1), ready(2), returned(2, -1)}}, 3, true, Ran},
		{"the first succeeded", ended{reports: []report{ready(0), returned(0, 0)}}, 1, true, Ran},
		{"the second never returned", ended{reports: []report{ready(0), returned(0, -1), ready(1)}}, 2, true, Ran},
		{"the second was killed", ended{signal: "SIGSEGV", reports: []report{ready(0), returned(0, -1), ready(1)}}, 2, true, Crashed},
		{"the second was not ready", ended{exit: 1, reports: []report{ready(0), returned(0, -1), {Nth: 1, Step: stepFailed}}}, 2, true, Failed},
		{"the second took too long", ended{timedOut: true, signal: "SIGKILL", reports: []report{ready(0), returned(0, -1), ready(1)}}, 2, true, Timeout},
		{"nothing was said", ended{exit: 3}, 1, true, Crashed},
		{"gone after the first", ended{reports: []report{ready(0), returned(0, -1)}}, 1, false, Ran},
		{"killed after the first", ended{signal: "SIGKILL", reports: []report{ready(0), returned(0, -1)}}, 1, false, Ran},
		{"a report too early", ended{reports: []report{ready(1)}}, 1, false, Failed},
		{"a report too late", ended{reports: []report{ready(0), returned(0, -1), ready(1), returned(0, -1)}}, 2, false, Failed},
		{"one of no case", ended{reports: []report{ready(0), returned(0, -1), ready(3)}}, 1, false, Failed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			results, sure := outcomes(ids, tc.end)
			require.Len(t, results, tc.cases)
			require.Equal(t, tc.sure, sure)
			if sure {
				require.Equal(t, tc.last, results[len(results)-1].Outcome)
			}
			for i, r := range results {
				require.Equal(t, ids[i], r.Case)
			}
		})
	}
}

func TestOutcomesAreTold(t *testing.T) {
	for _, tc := range []struct {
		id      string
		outcome Outcome
		reason  string
		ret     bool
	}{
		{"t_getpid/unknown-function", Failed, "given x: ", false},
		{"t_getpid/failing-after", Failed, "after x: ", true},
		{"t_getpid/unmet-need", Skipped, "needs never: it is a test", false},
		{"t_getpid/unsafe", Skipped, "unsafe: ", false},
		{"t_kill/itself", Crashed, "killed by SIGKILL", false},
		{"t_exit_group/works", Ran, "", false},
		{"t_exit/works", Ran, "", false},
		{"t_exec/program", Ran, "", false},
		{"t_exec/none", Ran, "", true},
		{"t_timer/a-struct", Ran, "", true},
		{"t_timer/a-bad-field", Failed, "call: req: ", false},
		{"t_none/x", Failed, "unknown case", false},
	} {
		res := runTest(t, tc.id)
		require.Equal(t, tc.outcome, res.Outcome, "%s: %s", tc.id, res.Reason)
		require.Contains(t, res.Reason, tc.reason, tc.id)
		require.Equal(t, tc.ret, res.Return, tc.id)
	}
}

func TestACallWithoutDescriptorsToSpare(t *testing.T) {
	require.EqualValues(t, -int64(unix.EMFILE), ran(t, "t_dup/no-more").int("ret"))
}

func TestTheCallerCanBeAnotherUser(t *testing.T) {
	f := ran(t, "t_setuid/as-nobody")
	require.EqualValues(t, -int64(unix.EPERM), f.int("ret"))
	require.EqualValues(t, 65534, f.int("self.euid"))
	require.EqualValues(t, 65533, f.int("self.gid"))
	require.EqualValues(t, 0, f.int("self.cap_effective"))
	require.EqualValues(t, 0o27, f.int("self.umask"))
}

func TestABlockedCallIsEndedByItsTimeLimit(t *testing.T) {
	res := newTestRunner(t).runCase("t_read/blocks", &RunRequest{Timeout: 300 * time.Millisecond})
	require.Equal(t, Timeout, res.Outcome)
	require.Greater(t, res.Took, 300*time.Millisecond)
	require.NotEmpty(t, res.Facts, "what was known before the call")
}

func TestACallThatMakesATaskReturnsOnceHere(t *testing.T) {
	for _, name := range []string{"process", "vfork", "thread"} {
		res := runTest(t, "t_clone/"+name)
		require.Equal(t, Ran, res.Outcome, "%s: %s %s", name, res.Reason, res.Stderr)
		require.Positive(t, res.Ret, name)
		require.EqualValues(t, res.Ret, res.Child, name)
	}
	res := runTest(t, "t_clone/bad")
	require.EqualValues(t, -int64(unix.EINVAL), res.Ret)
	require.Zero(t, res.Child)
}

func TestAnAbsentCallAnswersENOSYS(t *testing.T) {
	res := runTest(t, "t_absent/probe")
	require.Equal(t, Ran, res.Outcome, res.Reason)
	require.EqualValues(t, -int64(unix.ENOSYS), res.Ret)
}

func TestADriverDoesNotSayWhichThreadItWas(t *testing.T) {
	for init, want := range map[bool]uint64{
		true:  42, // so events of thread 77 do not belong to the case
		false: 77, // this process may be in a pid namespace
	} {
		res := CaseResult{TID: 42, Return: true}
		var c Capture
		(&part{began: true, after: true, tid: 77}).fill(&c, &res, init)
		require.Empty(t, c.Incomplete)
		require.Equal(t, want, res.TID)
	}
}

// closes makes the event of a close call.
func closes(t *testing.T, ts uint64, tid event.PID, fd int64) event.Event {
	t.Helper()
	var b event.Builder
	b.Begin(event.TypeCloseExit, ts, tid, 2)
	b.AddInt64(-9)
	b.AddInt64(fd)
	raw, err := b.End()
	require.NoError(t, err)
	var ev event.Event
	require.NoError(t, ev.Reset(raw, 0))
	return ev.Clone()
}

// batches is an engine whose events come in batches of its own.
type batches struct {
	engine
	rest [][]event.Event
}

func (batches) rings() int { return 2 }

func (b *batches) ReadBatch(to []event.Event) (int, error) {
	if len(b.rest) == 0 {
		return 0, scap.ErrTimeout
	}
	n := copy(to, b.rest[0])
	b.rest = b.rest[1:]
	return n, nil
}

func TestEachCaseGetsItsOwnEvents(t *testing.T) {
	const first, tid, other = 7, 50, 60
	mark := func(ts uint64, number, which uint32) event.Event {
		return closes(t, ts, tid, int64(caseMark(number)|which))
	}
	src := &batches{rest: [][]event.Event{
		{
			closes(t, 1, tid, 3), // before the first case
			mark(2, first-1, MarkBefore), mark(3, first, MarkBefore), closes(t, 4, tid, 100), closes(t, 5, other, 101), mark(6, first, MarkAfter), closes(t, 7, tid, 102),
		},
		{mark(8, first+1, MarkBefore), closes(t, 9, tid, 200), mark(10, first+1, MarkAfter), closes(t, 11, tid, -1)},
		{closes(t, 16, 1, int64(caseMark(first)|markEnd))},
		{mark(12, first+2, MarkBefore), closes(t, 13, tid, 300), mark(14, first+2, MarkAfter), closes(t, 15, 70, 301)},
	}}
	c := newCollector(src, make([]event.Event, 9), first, 3)
	require.NoError(t, c.finish(time.Minute))
	require.False(t, c.mixed)
	for nth, want := range []struct {
		child  uint64
		fds    []int64
		others int
	}{{0, []int64{100}, 2}, {0, []int64{200}, 1}, {70, []int64{300, 301}, 0}} {
		res := CaseResult{Return: true, Child: want.child}
		var got Capture
		c.parts[nth].fill(&got, &res, false)
		require.Empty(t, got.Incomplete)
		require.EqualValues(t, tid, res.TID)
		require.Equal(t, want.others, got.Others)
		var fds []int64
		for _, raw := range got.Events {
			var ev event.Event
			require.NoError(t, ev.Reset(raw, 0))
			fd, ok := ev.Int64(1)
			require.True(t, ok)
			fds = append(fds, fd)
		}
		require.Equal(t, want.fds, fds)
	}
}

// The thread goes to another CPU, whose ring is read later.
func TestEventsOutOfOrderAreNotBelieved(t *testing.T) {
	const first, tid = 7, 50
	mark := func(ts uint64, number, which uint32) event.Event {
		return closes(t, ts, tid, int64(caseMark(number)|which))
	}
	a := []event.Event{mark(1, first, MarkBefore), closes(t, 2, tid, 100), mark(3, first, MarkAfter)}
	b := []event.Event{mark(4, first+1, MarkBefore), closes(t, 5, tid, 200), mark(6, first+1, MarkAfter)}
	end := closes(t, 9, 1, int64(caseMark(first)|markEnd))
	for name, rest := range map[string][]event.Event{
		"the cases":            slices.Concat(b, a, []event.Event{end}),
		"an event":             slices.Concat(a, b[:1], b[2:], []event.Event{end}, b[1:2]),
		"an event, and a mark": slices.Concat(a[:1], a[2:], b[:1], a[1:2], b[1:], []event.Event{end}),
		"a mark is lost":       slices.Concat(a, b[1:], []event.Event{end}),
	} {
		c := newCollector(&batches{rest: [][]event.Event{rest}}, make([]event.Event, 9), first, 2)
		require.NoError(t, c.finish(time.Minute))
		require.True(t, c.mixed, name)
	}
	c := newCollector(&batches{rest: [][]event.Event{a, b, {end}}}, make([]event.Event, 9), first, 2)
	require.NoError(t, c.finish(time.Minute))
	require.False(t, c.mixed)
}

func TestMissingMarksAreTold(t *testing.T) {
	for _, p := range []part{{}, {began: true}} {
		var c Capture
		p.fill(&c, &CaseResult{Return: true}, true)
		require.NotEmpty(t, c.Incomplete)
	}
	var c Capture
	(&part{began: true}).fill(&c, &CaseResult{}, true)
	require.Empty(t, c.Incomplete, "a call that does not return has no mark behind it")
}

func TestFactsKeepAllTheirBits(t *testing.T) {
	for _, f := range []object.Fact{object.IntFact(-1), object.IntFact(1 << 62), object.UintFact(1<<64 - 1), object.TextFact("a\x00b"), object.BytesFact([]byte{0xff, 0}), object.TextFact("")} {
		b, err := json.Marshal(f)
		require.NoError(t, err)
		var back object.Fact
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, f.String(), back.String())
		require.Equal(t, f.Int, back.Int)
		require.True(t, bytes.Equal(f.Bytes, back.Bytes))
	}
	require.Error(t, json.Unmarshal([]byte("1.5"), new(object.Fact)))
	require.Error(t, json.Unmarshal([]byte("18446744073709551616"), new(object.Fact)))
}

func TestAGuestProcessServesRequests(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = Environ()
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	conn := newConn(struct {
		io.Reader
		io.Writer
	}{out, in})
	receive := func(kind string, v any) {
		t.Helper()
		got, value, err := conn.Receive()
		require.NoError(t, err)
		require.Equal(t, kind, got, "%s", value)
		require.NoError(t, json.Unmarshal(value, v))
	}
	var h Hello
	receive(KindHello, &h)
	require.NotEmpty(t, h.Release)
	require.False(t, h.Init)

	require.NoError(t, conn.Send(KindPing, Ping{N: 1<<64 - 1}))
	var p Ping
	receive(KindPong, &p)
	require.EqualValues(t, uint64(1<<64-1), p.N)

	require.NoError(t, conn.Send(KindRun, RunRequest{Cases: []string{"t_getpid/works", "t_absent/probe"}}))
	var s Started
	var res CaseResult
	receive(KindStarted, &s)
	require.Equal(t, "t_getpid/works", s.Case)
	receive(KindResult, &res)
	require.Equal(t, Ran, res.Outcome, res.Reason)
	receive(KindStarted, &s)
	receive(KindResult, &res)
	require.Equal(t, "t_absent/probe", res.Case)
	var done Done
	receive(KindDone, &done)
	require.Equal(t, 2, done.Cases)
	require.Empty(t, done.Error)

	require.NoError(t, conn.Send(KindRun, RunRequest{Drivers: Drivers{A: "none such"}}))
	receive(KindDone, &done)
	require.Contains(t, done.Error, "none such")

	require.NoError(t, conn.Send("nonsense", 1))
	var e Error
	receive(KindError, &e)
	require.Contains(t, e.Text, "nonsense")

	require.NoError(t, conn.Send(KindQuit, struct{}{}))
	require.NoError(t, cmd.Wait())
}
