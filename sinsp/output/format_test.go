// SPDX-License-Identifier: Apache-2.0

package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
)

func mustCompile(tb testing.TB, template string, opts Options) *Format {
	tb.Helper()
	f, err := Compile(template, opts)
	require.NoError(tb, err, template)
	return f
}

// write is an event of a process that writes bytes.
func write(tb testing.TB, comm string) *sinsp.Event {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeWriteExit, 1_500_000_000_000_000_123, 43, 4)
	b.AddInt64(5)
	b.Add([]byte("\x01\xffab\n"))
	b.AddInt64(1)
	b.AddUint32(5)
	raw, err := b.End()
	require.NoError(tb, err)
	state := &proc.State{Threads: []proc.Thread{
		{TID: 42, PID: 42, VTID: 42, VPID: 42, Comm: "main"}, {TID: 43, PID: 42, VTID: 43, VPID: 42, Comm: comm},
	}}
	ev, err := sinsp.New(scaptest.New(bytes.Clone(raw)), sinsp.Options{State: state}).Next()
	require.NoError(tb, err)
	ev.Num = 42
	return ev
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		template, comm string
		opts           Options
		want           string
		suppressed     bool
	}{
		{template: "%proc.name", comm: "cat", want: "cat"},
		{template: "a %proc.name: %thread.tid.", comm: "cat", want: "a cat: 43."},
		{template: "%proc.name.%evt.num", comm: "cat", want: "cat.42"},
		{template: "%proc.name%evt.num%%", comm: "cat", want: "cat42%"},
		{template: "%6proc.name|%2proc.name|%3proc.name|", comm: "cat", want: "cat   |ca|cat|"},
		{template: "%3proc.name|", comm: "żółw", want: "żół|"},
		{template: "%toupper(proc.name)/%len(proc.name)", comm: "cat", want: "CAT/3"},
		{template: "%concat(proc.name, \"-\", proc.name)", comm: "cat", want: "cat-cat"},
		{template: "%evt.rawres %evt.is_io %evt.arg.fd", comm: "cat", want: "5 true 1"},
		{template: "%proc.name %evt.arg.flags", comm: "cat", suppressed: true},
		{template: "*%proc.name %evt.arg.flags", comm: "cat", want: "cat <NA>"},
		{template: "*%6evt.arg.flags|", comm: "cat", want: "<NA>  |"},
		{template: "*", comm: "cat", want: ""},
		{template: "", comm: "cat", want: ""},
		{template: "%proc.name", comm: "a\nb\x1b[1m", want: "a.b.[1m"},
		{template: "%proc.name", comm: "a\nb\x1b[1m", opts: Options{Raw: true}, want: "a\nb\x1b[1m"},
		{template: "%evt.buffer", opts: Options{}, want: "..ab."},
		{template: "%evt.buffer", opts: Options{Buffers: Text}, want: "ab\n"},
		{template: "%evt.buffer", opts: Options{Buffers: Hex}, want: "01 ff 61 62 0a"},
		{template: "%evt.buffer", opts: Options{Buffers: HexASCII}, want: "\n\t0x0000: 01ff 6162 0a                             ..ab."},
		{template: "%evt.buffer", opts: Options{Buffers: Base64}, want: "Af9hYgo="},
		{template: "%evt.buffer", opts: Options{Raw: true}, want: "\x01\xffab\n"},
		{template: "%evt.outputtime", opts: Options{Time: field.OutputAbsolute}, want: "1500000000.000000123"},
	} {
		out, ok := mustCompile(t, c.template, c.opts).Append([]byte(">"), write(t, c.comm))
		require.Equal(t, !c.suppressed, ok, c.template)
		require.Equal(t, ">"+c.want, string(out), c.template)
	}
}

func TestFormatErrors(t *testing.T) {
	for template, want := range map[string]string{
		"%proc.nmae %evt.num %evt.nmu": "format:1:2: unknown field proc.nmae (did you mean proc.name?)\n" +
			"    %proc.nmae %evt.num %evt.nmu\n     ^\nformat:1:22: unknown field evt.nmu (did you mean evt.num?)",
		"100%":                "format:1:5: % is not followed by a field (such as %proc.name; a percent sign is %%)",
		"%20":                 "format:1:4: % is not followed by a field",
		"% proc.name":         "format:1:2: % is not followed by a field",
		"%fd.ip":              "format:1:2: field fd.ip is for filters only",
		"%val(proc.name)":     "format:1:2: val() is for the right side",
		"%evt.arg":            "format:1:9: field evt.arg needs an argument",
		"%tolower(proc.pid)":  "format:1:2: tolower(proc.pid) does not take a signed number",
		"%proc.aname[1":       "format:1:12: the bracket is not closed",
		"%1234567890proc.pid": "format:1:2: the width is more than 65536",
		"%proc.aname[1]x":     `format:1:15: 'x' right after proc.aname[1]`,
	} {
		_, err := Compile(template, Options{})
		require.ErrorContains(t, err, want, template)
	}
}

func TestUnescape(t *testing.T) {
	require.Equal(t, "a\nb\tc\x1bd\\n", Unescape(`a\nb\tc\ed\\n`))
}

func TestJSON(t *testing.T) {
	ev := write(t, "a\",\"evt.num\":1,\"\n\u202e\xff")
	out, ok := mustCompile(t, "*%evt.num %proc.name %evt.time %evt.is_io %evt.arg.flags %evt.num %toupper(proc.name) %evt.args", Options{}).AppendJSON(nil, ev)
	require.True(t, ok)
	require.Equal(t, `{"evt.arg.flags":null,"evt.args":{"res":5,"data":"..ab.","fd":1,"size":5},"evt.is_io":true,"evt.num":42,`+
		`"evt.time":"1500000000000000123","proc.name":"a\",\"evt.num\":1,\"\u000a\u202e`+"\ufffd"+`",`+
		`"toupper(proc.name)":"A\",\"EVT.NUM\":1,\"\u000a\u202e`+"\ufffd"+`"}`, string(out))
	require.True(t, json.Valid(out))

	out, ok = mustCompile(t, "%evt.num %evt.arg.flags", Options{}).AppendJSON([]byte("x"), ev)
	require.False(t, ok)
	require.Equal(t, "x", string(out))

	out, ok = mustCompile(t, "no field", Options{}).AppendJSON(nil, ev)
	require.True(t, ok)
	require.Equal(t, "{}", string(out))
}

// hostile has what a name could forge something with.
var hostile = []byte("\n\x1b[31m\",\"a\":1}\u202e\u200b\xff\xc3\\")

// TestEveryEventTypeIsValidJSON gives each param of each type a hostile value.
func TestEveryEventTypeIsValidJSON(t *testing.T) {
	template := "*"
	for _, class := range field.Classes() {
		for i := range class.Fields {
			if fd := &class.Fields[i]; fd.Flags&field.FilterOnly == 0 && (fd.Arg == 0 || fd.Arg&field.ArgOptional != 0) {
				template += " %" + fd.Name
			}
		}
	}
	lines := mustCompile(t, template, Options{})
	objects := mustCompile(t, template, Options{Buffers: HexASCII})
	for in := range event.All() {
		ev := hostileEvent(t, in)
		out, ok := objects.AppendJSON(nil, ev)
		require.True(t, ok)
		require.True(t, json.Valid(out), "%s: %s", in.Symbol, out)
		require.NotContains(t, string(out), "\n", in.Symbol)
		out, ok = lines.Append(nil, ev)
		require.True(t, ok)
		require.NotContains(t, string(out), "\n", in.Symbol)
		require.NotContains(t, string(out), "\x1b", in.Symbol)
		require.NotContains(t, string(out), "\u202e", in.Symbol)
	}
}

// hostileEvent is an event of a type, of a hostile process with hostile files.
func hostileEvent(t *testing.T, in *event.Info) *sinsp.Event {
	t.Helper()
	var b event.Builder
	b.Begin(in.Code, 1, 43, len(in.Params))
	for _, p := range in.Params {
		size, fixed := p.Type.Size()
		switch {
		case p.Type == event.ParamFD || p.Type == event.ParamFD32:
			b.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0}[:size])
		case fixed:
			b.Add(hostile[:size])
		default:
			b.Add(hostile)
		}
	}
	raw, err := b.End()
	require.NoError(t, err, in.Symbol)
	name := string(hostile)
	state := &proc.State{Machine: proc.Machine{Hostname: name}, Users: []proc.User{{Name: name, Home: name, Shell: name}}, Threads: []proc.Thread{
		{TID: 43, PID: 43, VTID: 43, VPID: 43, Comm: name, Exe: name, ExePath: name, Args: name + "\x00", Env: name + "=" + name, Cgroups: name, CWD: name,
			FDs: []proc.FD{{Num: 1, Type: proc.FDFile, Name: name}}},
	}}
	ev, err := sinsp.New(scaptest.New(bytes.Clone(raw)), sinsp.Options{State: state}).Next()
	require.NoError(t, err, in.Symbol)
	return ev
}

func TestNumbersThatDoublesRoundAreStrings(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", -1: "-1", 1 << 53: "9007199254740992", 1<<53 + 1: `"9007199254740993"`, -1 << 53: "-9007199254740992", -1<<53 - 1: `"-9007199254740993"`,
	} {
		require.Equal(t, want, string(exactInt(nil, n)))
		if n >= 0 {
			require.Equal(t, want, string(exactUint(nil, uint64(n))))
		}
	}
	require.Equal(t, `"18446744073709551615"`, string(exactUint(nil, 1<<64-1)))
}

func TestAppendDoesNotAllocate(t *testing.T) {
	ev := write(t, "cat")
	f := mustCompile(t, Default, Options{})
	j := mustCompile(t, JSON, Options{})
	buf := make([]byte, 0, 4096)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		f.Append(buf, ev)
		j.AppendJSON(buf, ev)
	}))
}

// Nobody is asked about the addresses of a capture.
func TestHostsHaveNoNames(t *testing.T) {
	ev := connection(t)
	text := func(template string) string {
		out, ok := mustCompile(t, template, Options{}).Append(nil, ev)
		require.True(t, ok, template)
		return string(out)
	}
	require.Equal(t, "10.0.0.7 <NA>", text("*%fd.sip %fd.sip.name"))
	_, ok := mustCompile(t, "%fd.sip.name", Options{}).Append(nil, ev)
	require.False(t, ok)
	out, ok := mustCompile(t, "*%fd.sip.name", Options{}).AppendJSON(nil, ev)
	require.True(t, ok)
	require.Equal(t, `{"fd.sip.name":null}`, string(out))
}

// connection is an event about a connection to 10.0.0.7:443.
func connection(tb testing.TB) *sinsp.Event {
	tb.Helper()
	var b event.Builder
	b.Begin(event.TypeCloseExit, 1_500_000_000_000_000_123, 43, 2)
	b.AddInt64(0)
	b.AddInt64(5)
	raw, err := b.End()
	require.NoError(tb, err)
	fd := proc.FD{Num: 5, Type: proc.FDIPv4, Src: netip.MustParseAddrPort("10.0.0.1:999"), Dst: netip.MustParseAddrPort("10.0.0.7:443"), L4: proc.L4TCP}
	state := &proc.State{Threads: []proc.Thread{{TID: 43, PID: 43, VTID: 43, VPID: 43, Comm: "curl", FDs: []proc.FD{fd}}}}
	ev, err := sinsp.New(scaptest.New(bytes.Clone(raw)), sinsp.Options{State: state}).Next()
	require.NoError(tb, err)
	return ev
}

func FuzzCompile(f *testing.F) {
	for _, template := range []string{Default, Container, Kubernetes, JSON, "%20proc.name%%", "%toupper(proc.name)", "%evt.arg[0]%evt.arg.fd", "%getopt((\"a\"), \"b\")[c]"} {
		f.Add(template)
	}
	ev := write(f, string(hostile))
	f.Fuzz(func(t *testing.T, template string) {
		c, err := Compile(template, Options{})
		if err != nil {
			require.Nil(t, c)
			var errs *filter.Errors
			require.True(t, errors.As(err, &errs))
			for _, p := range errs.List {
				require.LessOrEqual(t, p.Offset, len(template))
			}
			return
		}
		out, ok := c.Append(nil, ev)
		if ok && !strings.ContainsRune(template, '\x1b') {
			require.NotContains(t, string(out), "\x1b")
		}
		if out, ok := c.AppendJSON(nil, ev); ok {
			require.True(t, json.Valid(out), "%s", out)
		}
	})
}
