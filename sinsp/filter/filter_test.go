// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

// mustCompile compiles a filter that is right.
func mustCompile(tb testing.TB, text string) *Filter {
	tb.Helper()
	f, err := Compile(text)
	require.NoError(tb, err, text)
	return f
}

// openat is an event of a process "cat" that opens a file.
func openat(tb testing.TB) *sinsp.Event {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeOpenatExit, 1_500_000_000_000_000_123, 43, 7)
	b.AddInt64(3)
	b.AddInt64(int64(event.AtFDCWD))
	b.AddString("/etc/ssl/Cert.pem")
	b.AddUint32(event.MustValue("open_flags", "O_RDONLY", "O_CLOEXEC"))
	b.AddUint32(0o644)
	b.AddUint32(0x801)
	b.AddUint64(1234)
	return made(tb, &b)
}

// write is an event of the same process that writes bytes.
func write(tb testing.TB) *sinsp.Event {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeWriteExit, 1_500_000_000_000_000_123, 43, 4)
	b.AddInt64(5)
	b.Add([]byte("\x01\xffab\n"))
	b.AddInt64(1)
	b.AddUint32(5)
	return made(tb, &b)
}

// received is a read of the same process from a connection to 10.0.0.2:443.
func received(tb testing.TB, fd int64) *sinsp.Event {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeReadExit, 1_500_000_000_000_000_123, 43, 4)
	b.AddInt64(1)
	b.Add([]byte("x"))
	b.AddInt64(fd)
	b.AddUint32(1)
	return made(tb, &b)
}

// connect is an event of the same process that connects to 10.0.0.3:80.
func connect(tb testing.TB) *sinsp.Event {
	tb.Helper()
	addr := []byte{event.FamilyIPv4, 10, 0, 0, 3, 80, 0}
	var b event.Builder
	b.Begin(event.TypeConnectExit, 1_500_000_000_000_000_123, 43, 4)
	b.AddInt64(0)
	b.Add(append([]byte{event.FamilyIPv4, 10, 0, 0, 1, 1, 0}, addr[1:]...))
	b.AddInt64(4)
	b.Add(addr)
	return made(tb, &b)
}

// getppid is an event of another process.
func getppid(tb testing.TB, tid event.PID) *sinsp.Event {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeGetppidExit, 1_500_000_000_000_000_123, tid, 1)
	b.AddInt64(1)
	return made(tb, &b)
}

// drop is an event of no process.
func drop(tb testing.TB) *sinsp.Event {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeDropEnter, 1_500_000_000_000_000_123, -1, 1)
	b.AddUint32(4)
	return made(tb, &b)
}

// made returns an event as number 42 of a machine.
func made(tb testing.TB, b *event.Builder) *sinsp.Event {
	tb.Helper()
	raw, err := b.End()
	require.NoError(tb, err)
	tcp := func(num event.FD, typ proc.FDType, src, dst string) proc.FD {
		return proc.FD{Num: num, Type: typ, L4: proc.L4TCP, Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst)}
	}
	const began = 1_499_999_990_000_000_123
	state := &proc.State{Threads: []proc.Thread{
		{TID: 1, PID: 1, VTID: 1, VPID: 1, Comm: "init"},
		{TID: 7, PID: 7, VTID: 7, VPID: 7, PTID: 1, Comm: "bash"},
		{TID: 42, PID: 42, VTID: 42, VPID: 42, PTID: 7, Comm: "main", Exe: "/bin/cat", ExePath: "/usr/bin/cat", Args: "-n\x00/etc/ssl/Cert.pem\x00",
			Env: "HOME=/root\x00", CWD: "/srv", VMSize: 1 << 20, FDLimit: 64, CloneTime: began, FDs: []proc.FD{
				{Num: 1, Type: proc.FDPipe, Name: "pipe"},
				tcp(4, proc.FDIPv4, "10.0.0.1:4000", "10.0.0.2:443"),
				tcp(6, proc.FDIPv6, "[fe80::1]:4000", "[2001:db8::2]:80"),
			}},
		{TID: 43, PID: 42, VTID: 43, VPID: 42, PTID: 7, Comm: "cat", CloneTime: began},
	}}
	ev, err := sinsp.New(scaptest.New(bytes.Clone(raw)), sinsp.Options{State: state}).Next()
	require.NoError(tb, err)
	ev.Num = 42
	return ev
}

// operatorRow is a line of testdata/operators.txt.
type operatorRow struct {
	ev   *sinsp.Event
	want bool
	text string // of the filter
}

func operatorRows(t *testing.T) (rows []operatorRow) {
	t.Helper()
	before := resolve
	t.Cleanup(func() { resolve = before })
	resolve = func(name string) ([]netip.Addr, error) {
		server, client := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")
		addrs := map[string][]netip.Addr{"server": {server}, "client": {client}, "dual": {client, server}}[name]
		require.NotEmpty(t, addrs, name)
		return addrs, nil
	}
	events := map[string]*sinsp.Event{
		"openat": openat(t), "write": write(t), "ipv4": received(t, 4), "ipv6": received(t, 6), "connect": connect(t), "shell": getppid(t, 7), "drop": drop(t),
	}
	for line := range strings.Lines(read(t, "operators.txt")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		want, text, ok := strings.Cut(strings.TrimSpace(rest), " ")
		require.True(t, ok && (want == "yes" || want == "no"), line)
		require.Contains(t, events, name, line)
		rows = append(rows, operatorRow{events[name], want == "yes", strings.TrimSpace(text)})
	}
	return rows
}

func TestOperators(t *testing.T) {
	for _, row := range operatorRows(t) {
		require.Equal(t, row.want, mustCompile(t, row.text).Match(row.ev), "%s: %s", row.ev.Type(), row.text)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(b)
}

// TestErrors compiles each line of testdata/errors.txt without its annotations.
func TestErrors(t *testing.T) {
	src := read(t, "errors.txt")
	var got []testutil.LineError
	line := 0
	for text := range strings.Lines(src) {
		line++
		text, _, _ = strings.Cut(strings.TrimRight(text, "\n"), "# ERROR")
		text = strings.TrimRight(text, " ")
		if strings.HasPrefix(text, "#") || text == "" {
			continue
		}
		_, err := Compile(text)
		var errs *Errors
		if !errors.As(err, &errs) {
			require.NoError(t, err)
			continue
		}
		for _, p := range errs.Problems() {
			require.Equal(t, 1, p.Pos.Line, text)
			got = append(got, testutil.LineError{Line: line, Col: p.Pos.Col, Text: p.Msg})
		}
	}
	testutil.Annotated(t, "errors.txt", src, got)
}

func TestErrorTextShowsThePlace(t *testing.T) {
	_, err := Compile("evt.type=open and\n\tproc.nmae = \"ż\" and fd.num = x")
	require.EqualError(t, err, `filter:2:2: unknown field proc.nmae (did you mean proc.name?)
     proc.nmae = "ż" and fd.num = x
     ^
filter:2:31: fd.num: "x" is not a number (such as 42 or 0x2a)
     proc.nmae = "ż" and fd.num = x
                                  ^`)
}

func TestEmptyFilterIsAnError(t *testing.T) {
	for _, text := range []string{"", " ", "\t\n"} {
		_, err := Compile(text)
		require.ErrorContains(t, err, "the filter is empty", "%q", text)
	}
}

func TestPrecedence(t *testing.T) {
	ev := openat(t)
	for _, c := range []struct {
		text string
		want bool
	}{
		{"proc.name=cat or proc.name=a and proc.name=b", true},
		{"(proc.name=cat or proc.name=a) and proc.name=b", false},
		{"proc.name=a and proc.name=b or proc.name=cat", true},
		{"not proc.name=a and proc.name=cat", true},
		{"not (proc.name=a and proc.name=cat)", true},
		{"not(proc.name=cat)", false},
		{"not not proc.name=cat", true},
		{"not not not proc.name=cat", false},
		{"((proc.name=cat))", true},
		{"proc.name=cat and(proc.pid=42)", true},
		{"proc.name=a or(proc.pid=42)", true},
		{" \n proc.name = cat\tand\r\nproc.pid = 42 ", true},
	} {
		require.Equal(t, c.want, mustCompile(t, c.text).Match(ev), c.text)
	}
}

func TestMissingValues(t *testing.T) {
	ev := openat(t)
	ev.Thread = nil // as of events that no thread makes
	for _, c := range []struct {
		text string
		want bool
	}{
		{"proc.name = cat", false},
		{"proc.name != cat", false},
		{"not proc.name = cat", true},
		{"not proc.name != cat", true},
		{"proc.name exists", false},
		{"not proc.name exists", true},
		{"proc.name in ()", false},
		{"proc.vmsize < 5", false},
		{"proc.vmsize >= 0", false},
		{"proc.name glob *", false},
		{"proc.name pmatch (/)", false},
		{"len(proc.name) = 0", false},
		{"proc.name = val(proc.exe)", false},
		{"evt.type = val(proc.exe)", false},
		{"evt.type != val(proc.exe)", false},
		{"evt.arg.data exists", false},
		{"evt.arg.data != x", false},
	} {
		require.Equal(t, c.want, mustCompile(t, c.text).Match(ev), c.text)
	}
}

func TestCodes(t *testing.T) {
	has := func(text string, types ...event.Type) {
		t.Helper()
		codes := mustCompile(t, text).Codes()
		for _, typ := range types {
			require.True(t, codes.Has(typ), "%s: %s", text, typ)
		}
	}
	hasNot := func(text string, types ...event.Type) {
		t.Helper()
		codes := mustCompile(t, text).Codes()
		for _, typ := range types {
			require.False(t, codes.Has(typ), "%s: %s", text, typ)
		}
	}
	own := event.FirstOwn + 1
	has("evt.type = openat", event.TypeOpenatExit, event.TypeOpenatEnter)
	hasNot("evt.type = openat", event.TypeOpenExit, event.TypeCloseExit)
	has("evt.type in (open, openat)", event.TypeOpenExit, event.TypeOpenatExit)
	hasNot("evt.type in (open, openat)", event.TypeCloseExit)
	has("evt.type != openat", event.TypeOpenExit, event.TypeCloseExit, own)
	hasNot("evt.type != openat", event.TypeOpenatExit)
	has("not evt.type = openat", event.TypeOpenExit, own)
	hasNot("not evt.type = openat", event.TypeOpenatExit)
	hasNot("evt.type = openat and proc.name = cat", event.TypeCloseExit)
	has("evt.type = openat or proc.name = cat", event.TypeCloseExit)
	has("not (evt.type = openat and proc.name = cat)", event.TypeOpenatExit, event.TypeCloseExit)
	hasNot("not (evt.type = openat or proc.name = cat)", event.TypeOpenatExit)
	hasNot("evt.type startswith open and evt.dir = >", event.TypeOpenatExit, event.TypeCloseEnter)
	has("evt.type startswith open and evt.dir = >", event.TypeOpenatEnter)
	has("evt.type = getppid", event.TypeGenericExit) // a capture may have it as a generic event
	has("evt.arg.flags contains O_CREAT", event.TypeOpenatExit)
	hasNot("evt.arg.flags contains O_CREAT", event.TypeReadExit)
	has("not evt.arg.flags contains O_CREAT", event.TypeReadExit)
	hasNot("evt.is_io = true", event.TypeOpenatExit)
	has("proc.name = cat", event.TypeReadExit, own, event.FirstOwn-1)
}

func TestEvaluationDoesNotAllocate(t *testing.T) {
	events := []*sinsp.Event{openat(t), write(t), received(t, 4), received(t, 6), connect(t), drop(t)}
	for _, row := range operatorRows(t) {
		if testutil.Race && strings.Contains(row.text, " regex ") {
			continue // package regexp keeps its state in a sync.Pool
		}
		f := mustCompile(t, row.text)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			for _, ev := range events {
				f.Match(ev)
			}
		}), row.text)
	}
}

func TestEqualChecksAreEvaluatedOnce(t *testing.T) {
	f := mustCompile(t, "(proc.name = cat and proc.pid = 1) or (proc.name = cat and proc.pid = 42) or tolower(proc.name) = x")
	require.Len(t, f.Fields(), 2)
	require.Same(t, f.root.kids[0].kids[0].leaf, f.root.kids[1].kids[0].leaf)
	require.Same(t, f.root.kids[0].kids[0].leaf.left, f.root.kids[2].leaf.left.args[0])
	require.True(t, f.Match(openat(t)))
}

func TestWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"proc.name = proc.pname":            "the name of a field",
		`proc.name = "tolower(proc.pname)"`: "for the value of the transformer",
		"proc.name in (proc.pname, x)":      "the name of a field",
	} {
		w := mustCompile(t, text).Warnings()
		require.NotNil(t, w, text)
		require.ErrorContains(t, w, want, text)
	}
	require.Nil(t, mustCompile(t, "proc.name = cat").Warnings())
}

func TestAMessageIsBounded(t *testing.T) {
	for _, text := range []string{"proc.name=a" + strings.Repeat(")", 100_000), strings.Repeat("x.y ", 30_000), strings.Repeat("\xff", 100_000)} {
		_, err := Compile(text)
		require.Error(t, err)
		require.Less(t, len(err.Error()), 50_000)
	}
	_, err := Compile(strings.Repeat(" ", 1000) + "proc.nmae = cat" + strings.Repeat(" ", 1000) + ")")
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Equal(t, "filter:1:1001: unknown field proc.nmae (did you mean proc.name?)", lines[0])
	require.Equal(t, strings.Index(lines[1], "proc.nmae"), strings.Index(lines[2], "^"))
}

func FuzzCompile(f *testing.F) {
	for _, name := range []string{"operators.txt", "errors.txt"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(f, err)
		for line := range strings.Lines(string(b)) {
			f.Add(strings.TrimSpace(line))
		}
	}
	f.Add(strings.Repeat("(", 2000))
	f.Add(strings.Repeat("not ", 2000) + "evt.num=1")
	ev := openat(f)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "ip.name") {
			t.Skip("asks the resolver")
		}
		c, err := Compile(text)
		if err != nil {
			require.Nil(t, c)
			var errs *Errors
			require.ErrorAs(t, err, &errs)
			require.NotEmpty(t, errs.List)
			for _, p := range errs.List {
				require.LessOrEqual(t, p.Offset, len(text))
			}
			require.NotEmpty(t, err.Error())
			return
		}
		got := c.Match(ev)
		codes := c.Codes()
		require.False(t, got && !codes.Has(ev.Type()), "it holds for an event that it said it passes over")
		require.Equal(t, got, c.Match(ev), "a second evaluation gives the same")
		n, err := Compile("not (" + text + ")")
		if err == nil { // else it is nested too deep now
			require.NotEqual(t, got, n.Match(ev))
		}
	})
}

func TestMayCall(t *testing.T) {
	generic := func(code uint16) *event.Event {
		var b event.Builder
		b.Begin(event.TypeGenericExit, 0, 0, 2)
		b.AddUint16(code)
		b.AddUint16(0)
		return made(t, &b).Event
	}
	const code = 100
	name := event.SyscallName(code)
	require.NotEmpty(t, name)
	for text, want := range map[string]bool{
		"evt.type = " + name:                                         true,
		"evt.type = openat":                                          false,
		"evt.type = openat and proc.name = cat":                      false,
		"evt.type = openat or proc.name = cat":                       true,
		"not evt.type = " + name:                                     false,
		"not evt.type = openat":                                      true,
		"not (evt.type = openat or not proc.name = cat)":             true,
		"syscall.type = " + name + " and proc.name = cat":            true,
		"evt.type in (open, close) and evt.arg.name = x":             false,
		"evt.type.is.syscall = 1 and toupper(evt.type) = \"NOSUCH\"": false,
	} {
		require.Equal(t, want, mustCompile(t, text).MayCall(generic(code)), text)
	}
}

// What is left of a filter for the events of one code decides as the whole filter does.
func TestEveryCodeGetsWhatIsLeftOfAFilter(t *testing.T) {
	terms := []string{"evt.type = openat", "evt.type in (write, close)", "evt.dir = >", "proc.name = cat", "fd.name startswith /etc", "evt.res = SUCCESS"}
	var texts []string
	for i, a := range terms {
		for j, b := range terms {
			c, d := terms[(i+j)%len(terms)], terms[(i+2*j+1)%len(terms)]
			texts = append(texts,
				a+" and "+b, a+" or "+b, "not "+a, "not ("+a+" or not "+b+")", "("+a+" and "+b+") or ("+c+" and not "+d+")",
				"("+a+" or "+b+") and not ("+c+" or "+d+") or "+a, "not (("+a+" and not "+b+") or "+c+") and "+d)
		}
	}
	decided, evaluated := 0, 0
	for _, text := range texts {
		f := mustCompile(t, text)
		for _, ev := range []*sinsp.Event{openat(t), write(t), received(t, 5)} {
			f.group.gen++
			want := f.root.eval(f.group.gen, ev, ev.Type())
			require.Equal(t, want, f.Match(ev), "%s: %s", ev.Type(), text)
			require.Equal(t, want, f.Match(ev), "%s: %s, again", ev.Type(), text)
			if p := programOf(f, ev.Type()); p.decided {
				decided++
			} else {
				evaluated++
			}
		}
		var raw event.Event
		var b event.Builder
		for in := range event.All() {
			b.Begin(in.Code, 1, 43, 0)
			bytes, err := b.End()
			require.NoError(t, err)
			require.NoError(t, raw.Reset(bytes, 0))
			ev := &sinsp.Event{Event: &raw}
			if p := programOf(f, in.Code); p.decided {
				f.group.gen++
				require.Equal(t, p.result, f.Match(ev), "%s: %s", in.Symbol, text)
				require.Equal(t, p.result, f.root.eval(f.group.gen, ev, in.Code), "%s: %s", in.Symbol, text)
			}
		}
	}
	require.Greater(t, decided, len(texts))
	require.Greater(t, evaluated, len(texts)/2)
}

func programOf(f *Filter, t event.Type) program {
	s := programs{nodes: nodes{byKey: map[string]*node{}}, code: t, done: map[*node]program{}}
	return s.of(f.root)
}
