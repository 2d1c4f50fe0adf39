// SPDX-License-Identifier: Apache-2.0

package sinsp_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
	"github.com/scaplab/scaplab/sinsp/output"
)

// hostileLimits are so low that a short stream reaches them.
var hostileLimits = sinsp.Limits{Threads: 40, FDs: 16, AllFDs: 200, Text: 1 << 14}

// consumer is everything that looks at events: all fields, filters and formats.
type consumer struct {
	refs    []*field.Ref
	codes   []event.Set // of refs
	values  []field.Value
	filters []*filter.Filter
	text    []*output.Format
	json    []*output.Format
	buf     []byte
}

var hostileFilters = []string{
	"proc.name = cat and (fd.name startswith /etc or fd.name glob *a*) and not evt.failed = true",
	"evt.arg.flags contains O_CREAT or evt.rawarg.res < 0 or evt.rawarg.name != x",
	"proc.aname = bash or proc.apid in (1, 2) or proc.aenv[HOME] exists",
	"fd.ip = 127.0.0.1 or fd.net in (10.0.0.0/8, ::1/128) or fd.port >= 1024 or fd.sip != 1.2.3.4",
	"fd.types intersects (file, ipv4) or fd.types in (pipe)",
	"tolower(proc.cmdline) icontains SH or len(proc.args) > 3 or basename(fd.name) = passwd or b64(evt.buffer) exists",
	"fs.path.name pmatch (/etc, /usr/*) or fd.name regex '.*[a-z]+' or evt.buffer bcontains 00ff",
	"proc.name = val(proc.pname) or fd.name = val(fs.path.name)",
	"evt.type in (openat, read) or evt.category = net or evt.around[1500000000000000000] = 1000",
}

var hostileFormats = []string{
	output.Default, output.Container, output.Kubernetes,
	"%3proc.name|%200fd.name|%evt.buffer|%proc.args[0]|%toupper(fd.name)|%proc.aname|%fd.types",
}

func newConsumer(tb testing.TB) *consumer {
	tb.Helper()
	c := &consumer{}
	args := []string{"", "[0]", "[1]", "[HOME]", "[/*]", ".fd", ".name", ".res", ".data", ".tuple", ".fds", ".val", ".flags", ".addr", ".openat", ".307", ".memory", ".src", ".dst"}
	for _, name := range slices.Sorted(maps.Keys(field.All())) {
		n := len(c.refs)
		for _, arg := range args {
			if ref, size, err := field.Parse(name + arg); err == nil && size == len(name)+len(arg) && ref.Name == name {
				c.refs = append(c.refs, &ref)
				c.codes = append(c.codes, ref.CodeSet())
			}
		}
		require.Greater(tb, len(c.refs), n, "%s has an argument", name)
	}
	c.values = make([]field.Value, len(c.refs))
	for _, text := range hostileFilters {
		f, err := filter.Compile(text)
		require.NoError(tb, err, text)
		c.filters = append(c.filters, f)
	}
	for _, text := range hostileFormats {
		f, err := output.Compile(text, output.Options{})
		require.NoError(tb, err, text)
		c.text = append(c.text, f)
		f, err = output.Compile(text, output.Options{Full: true, Buffers: output.Base64, Time: field.OutputPrevious})
		require.NoError(tb, err, text)
		c.json = append(c.json, f)
	}
	return c
}

// theConsumer is one for all runs of a fuzz worker: values of an earlier run must not
// show in a later one.
var theConsumer = sync.OnceValues(func() (*consumer, error) {
	var failed failure
	c := newConsumer(&failed)
	return c, failed.err
})

// failure collects what a helper of tests reports outside of one.
type failure struct {
	testing.TB
	err error
}

func (f *failure) Helper()                   {}
func (f *failure) FailNow()                  { panic(f.err) }
func (f *failure) Errorf(s string, a ...any) { f.err = errors.New(s) }

func (c *consumer) look(t *testing.T, ev *sinsp.Event) {
	for i, ref := range c.refs {
		v := &c.values[i]
		if !ref.Get(ev, v) {
			continue
		}
		if !c.codes[i].Has(ev.Type()) {
			t.Fatalf("%s has a value in %s, but not by its codes", ref.Text, ev.Type())
		}
		if ref.Many == field.One {
			requireValue(t, ref, v)
		}
		if ref.Many != field.One {
			if len(v.List) == 0 && ref.Many != field.List {
				t.Fatalf("%s is present without values", ref.Text)
			}
			for j := range v.List {
				requireValue(t, ref, &v.List[j])
			}
		}
	}
	for _, f := range c.filters {
		if codes := f.Codes(); f.Match(ev) && !codes.Has(ev.Type()) {
			t.Fatalf("%s holds for %s, but not by its codes", f, ev.Type())
		}
	}
	for _, f := range c.text {
		out, ok := f.Append(c.buf[:0], ev)
		if c.buf = out; ok {
			requirePlain(t, f.String(), out)
		}
	}
	for _, f := range c.json {
		out, ok := f.AppendJSON(c.buf[:0], ev)
		if c.buf = out; ok && !json.Valid(out) {
			t.Fatalf("%s: not JSON: %s", f, out)
		}
	}
}

func requireValue(t *testing.T, ref *field.Ref, v *field.Value) {
	switch ref.Type {
	case field.Bool:
		if v.Num > 1 {
			t.Fatalf("%s is neither true nor false: %d", ref.Text, v.Num)
		}
	case field.Port:
		if v.Num > 0xffff {
			t.Fatalf("%s is not a port: %d", ref.Text, v.Num)
		}
	case field.IP, field.Net, field.Host:
		if !v.IP.IsValid() || v.IP.Is4In6() {
			t.Fatalf("%s is not an address: %v", ref.Text, v.IP)
		}
	case field.String:
		if bytes.IndexByte(v.Str, 0) >= 0 {
			t.Fatalf("%s has a NUL: %q", ref.Text, v.Str)
		}
	}
}

// requirePlain checks that a line of output is one line that a terminal only shows.
func requirePlain(t *testing.T, format string, line []byte) {
	if !utf8.Valid(line) {
		t.Fatalf("%s: not UTF-8: %q", format, line)
	}
	for _, r := range string(line) {
		if !unicode.IsPrint(r) {
			t.Fatalf("%s: %U in %q", format, r, line)
		}
	}
}

// consume sends a source through an Inspector and everything that looks at its events.
func consume(t *testing.T, src scap.Source, state *proc.State) {
	c, err := theConsumer()
	require.NoError(t, err)
	in := sinsp.New(src, sinsp.Options{State: state, Limits: hostileLimits})
	for n := 0; n < 400; n++ {
		ev, err := in.Next()
		if err != nil {
			break // a damaged capture ends with an error
		}
		c.look(t, ev)
		st := in.Stats()
		if st.Threads > hostileLimits.Threads || st.FDs > hostileLimits.AllFDs || st.Text > hostileLimits.Text ||
			st.Threads < 0 || st.FDs < 0 || st.Text < 0 {
			t.Fatalf("event %d: the state is not within its limits: %+v", n, st)
		}
	}
	requireSound(t, in)
}

// requireSound checks what holds for every state.
func requireSound(t *testing.T, in *sinsp.Inspector) {
	threads, fds := 0, 0
	for th := range in.Threads() {
		threads++
		if in.Thread(th.TID) != th {
			t.Fatalf("thread %d is not found by its id", th.TID)
		}
		if th.Main() {
			n := 0
			for num, fd := range th.FDs() {
				if fd == nil || th.FD(num) != fd {
					t.Fatalf("descriptor %d of %d is not found by its number", num, th.TID)
				}
				n++
			}
			if n != th.NumFDs() || n > hostileLimits.FDs {
				t.Fatalf("process %d has %d descriptors and counts %d", th.TID, n, th.NumFDs())
			}
			fds += n
		}
		depth := 0
		for p := th.Parent(); p != nil; p = p.Parent() {
			if depth++; depth > hostileLimits.Threads {
				t.Fatalf("the ancestors of %d are a loop", th.TID)
			}
		}
	}
	if st := in.Stats(); threads != st.Threads {
		t.Fatalf("%d threads, %d counted", threads, st.Threads)
	}
	in.Snapshot()
}

func FuzzConsumeCapture(f *testing.F) {
	seeds, err := filepath.Glob("../scap/savefile/testdata/corpus/6.*.scap")
	require.NoError(f, err)
	require.NotEmpty(f, seeds)
	others, err := filepath.Glob("../../shared/data/captures/*.scap") // other people's, if they are there
	require.NoError(f, err)
	for _, path := range append(seeds, others...) {
		b, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(plainCapture(f, b))
	}
	f.Fuzz(func(t *testing.T, capture []byte) {
		src, err := savefile.NewReader(bytes.NewReader(capture), savefile.Options{})
		if err != nil {
			return
		}
		defer src.Close()
		consume(t, src, nil)
	})
}

// plainCapture returns the start of a capture, uncompressed: a change of one byte of it
// is a change of one event.
func plainCapture(tb testing.TB, capture []byte) []byte {
	tb.Helper()
	src, err := savefile.NewReader(bytes.NewReader(capture), savefile.Options{})
	require.NoError(tb, err)
	defer src.Close()
	var out bytes.Buffer
	w, err := savefile.NewWriter(&out, savefile.WriterOptions{State: src.State()})
	require.NoError(tb, err)
	for range 100 {
		ev, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(tb, err)
		require.NoError(tb, w.Write(ev))
	}
	require.NoError(tb, w.Close())
	return out.Bytes()
}

// FuzzConsumeEvents reaches what few captures have: its input chooses types, threads, sizes
// and values of params. Ids and descriptors are small, so that events meet.
func FuzzConsumeEvents(f *testing.F) {
	for seed := range 8 {
		b := make([]byte, 2000)
		for i := range b {
			b[i] = byte((i*7 + seed*13) ^ i>>3)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		consume(t, hostileEvents(in), &proc.State{
			Machine: proc.Machine{Hostname: "box"},
			Threads: []proc.Thread{{TID: 1, PID: 1, VTID: 1, VPID: 1, Comm: "init", CWD: "/", Root: "/"},
				{TID: 2, PID: 2, PTID: 1, VTID: 2, VPID: 2, SID: 1, PGID: 2, VPGID: 2, Comm: "bash", CWD: "/x", Root: "/", Args: "-l\x00", Env: "HOME=/\x00"}},
		})
	})
}

// The shortcuts through the state are no other way to another one.
func TestShortcutsLeaveTheSameState(t *testing.T) {
	require.Greater(t, sinsp.NumShortcuts(), 10)
	rnd := rand.New(rand.NewPCG(5, 6))
	codes := codesOfEvents()
	common := []event.Type{event.TypeReadExit, event.TypeWriteExit, event.TypeCloseExit, event.TypeFcntlExit, event.TypeOpenatExit, event.TypeSocketExit,
		event.TypeConnectExit, event.TypeDupExit, event.TypeRecvfromExit}
	for range 60 {
		in := make([]byte, 4000)
		for i := range in {
			in[i] = byte(rnd.Uint32())
		}
		for i := 0; i+2 < len(in); i += 3 + rnd.IntN(20) { // code of an event, if one begins here
			at := slices.Index(codes, common[rnd.IntN(len(common))])
			in[i], in[i+1] = byte(at>>8), byte(at)
		}
		short := sinsp.New(hostileEvents(in), sinsp.Options{})
		whole := sinsp.New(hostileEvents(in), sinsp.Options{})
		for {
			a, errA := short.Next()
			var b *sinsp.Event
			var errB error
			sinsp.WithoutShortcuts(func() { b, errB = whole.Next() })
			require.Equal(t, errB, errA)
			require.Equal(t, whole.Stats(), short.Stats())
			if errA != nil {
				break
			}
			require.Equal(t, b.Latency, a.Latency)
			require.Equal(t, b.FD(), a.FD())
		}
		require.Equal(t, whole.Snapshot(), short.Snapshot())
		require.NoError(t, sinsp.Check(whole), "whole")
		require.NoError(t, sinsp.Check(short))
	}
}

// codesOfEvents has each code that is known, those that change the state several times.
var codesOfEvents = sync.OnceValue(func() (codes []event.Type) {
	for in := range event.All() {
		codes = append(codes, in.Code)
		if in.Flags&(event.ModifiesState|event.CreatesFD|event.DestroysFD) != 0 {
			codes = append(codes, in.Code, in.Code)
		}
	}
	return codes
})

func hostileEvents(in []byte) *scaptest.Source {
	src := &scaptest.Source{Poison: true}
	codes := codesOfEvents()
	next := func() byte {
		if len(in) == 0 {
			return 0
		}
		c := in[0]
		in = in[1:]
		return c
	}
	ts := uint64(1_500_000_000_000_000_000)
	for n := 0; len(in) > 3 && n < 300; n++ {
		typ := codes[(int(next())<<8|int(next()))%len(codes)]
		info := event.Lookup(typ)
		how := next()
		ts += uint64(how) << 20
		tid := event.PID(how%6) - 1
		count := len(info.Params)
		if how >= 0xf0 { // an older or a newer producer
			count = int(how) % 9
		}
		var b event.Builder
		b.Begin(typ, ts, tid, count)
		for i := range count {
			b.Add(hostileParam(info, i, next))
		}
		if raw, err := b.End(); err == nil {
			src.Add(raw, int(how>>6))
		}
	}
	return src
}

// hostileParam returns a value that fits its type but for one of 16.
func hostileParam(info *event.Info, i int, next func() byte) []byte {
	how := next()
	fill := func(n int) []byte {
		b := make([]byte, n)
		for j := range b {
			b[j] = next()
		}
		return b
	}
	if i >= len(info.Params) || how>>4 == 0xf {
		return fill(int(how & 0xf))
	}
	p := &info.Params[i]
	if size, ok := p.Type.Size(); ok {
		v := int64(int8(next()))
		switch {
		case how>>4 == 0xe:
			return fill(size)
		case p.Names != nil && len(p.Names.Values) > 0:
			v = int64(p.Names.Values[int(uint8(v))%len(p.Names.Values)].Value)
		case v >= 8 && v < 64:
			v %= 8
		}
		b := make([]byte, max(size, 8))
		binary.LittleEndian.PutUint64(b, uint64(v))
		return b[:size]
	}
	switch p.Type {
	case event.ParamCharbuf, event.ParamFSPath, event.ParamFSRelPath:
		if p.Name == "json" {
			return append([]byte(`{"container":{"id":"3ad7b26ded6d","labels":{"a":"`), append(fill(int(how&7)), `"}}}`...)...)
		}
		return append([]byte([]string{"", "/", "../", "a/", "/a/../b", "cpuset=/docker/"}[how%6]), append(fill(int(how>>5)), 0)...)
	case event.ParamSocktuple:
		switch how % 4 {
		case 0:
			return append([]byte{event.FamilyIPv4}, fill(12)...)
		case 1:
			return append([]byte{event.FamilyIPv6}, fill(36)...)
		case 2:
			return append([]byte{event.FamilyUnix}, fill(16+int(how>>5))...)
		}
	case event.ParamSockaddr:
		switch how % 4 {
		case 0:
			return append([]byte{event.FamilyIPv4}, fill(6)...)
		case 1:
			return append([]byte{event.FamilyIPv6}, fill(18)...)
		case 2:
			return append([]byte{event.FamilyUnix}, fill(int(how>>5))...)
		}
	case event.ParamFDList:
		n := int(how % 4)
		return append([]byte{byte(n + int(how>>7)), 0}, fill(10*n)...)
	case event.ParamNumbers:
		return fill(8 * int(how%4))
	case event.ParamDyn:
		if len(p.Dyn) > 0 {
			at := int(how) % len(p.Dyn)
			size, ok := p.Dyn[at].Type.Size()
			if !ok {
				size = int(how >> 5)
			}
			return append([]byte{byte(at)}, fill(size)...)
		}
	case event.ParamBytebuf:
		if p.Name == "cgroups" {
			return append([]byte("cpuset=/docker/3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601"), next()|0x30&0x3f, 0)
		}
	}
	return fill(int(how >> 3))
}
