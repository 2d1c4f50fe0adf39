// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/scap/scaptest"
	"github.com/scaplab/scaplab/sinsp"
)

// lying is text that a watched program may choose: it ends a JSON string, commands a
// terminal, reverses the line, hides characters and is not UTF-8.
const lying = "\"\\\n\x1b[2J\u202eexe.txt\u2066\u2028\u200b\ufeff\U000e0041\ufe0f\xff"

// valuesOf returns values of a param's size, and some of other sizes.
func valuesOf(p *event.ParamInfo) [][]byte {
	values := [][]byte{nil, {0}, []byte(lying), []byte(lying + "\x00" + lying + "\x00")}
	if size, fixed := p.Type.Size(); fixed {
		for _, fill := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			values = append(values, bytes.Repeat([]byte{fill}, size))
		}
	}
	for i := range p.Dyn {
		v := p.Dyn[i]
		for _, value := range valuesOf(&event.ParamInfo{Type: v.Type, Format: v.Format}) {
			values = append(values, append([]byte{byte(i)}, value...))
		}
	}
	if p.Type != event.ParamSockaddr && p.Type != event.ParamSocktuple {
		return values
	}
	for family := range byte(32) {
		for _, size := range []int{7, 13, 18, 19, 37, 126} {
			v := bytes.Repeat([]byte(lying), 1+size/len(lying))[:size]
			values = append(values, append([]byte{family}, v[1:]...))
		}
	}
	return values
}

func TestEveryEventIsOneJSONObjectAndOneSafeLine(t *testing.T) {
	state := &proc.State{Threads: []proc.Thread{{TID: 1, PID: 1, VTID: 1, VPID: 1, Comm: lying, FDs: []proc.FD{{Num: 1, Type: proc.FDFile, Name: "/" + lying}}}}}
	printers := map[bool]*lines{}
	for _, asJSON := range []bool{true, false} {
		l, err := (&textFlags{json: asJSON, all: true, whole: true, time: "full", buffers: "dots"}).lines(io.Discard)
		require.NoError(t, err)
		printers[asJSON] = l
	}
	var b event.Builder
	for info := range event.All() {
		src := scaptest.New()
		for i := range max(len(info.Params), 1) {
			values := [][]byte{nil}
			if len(info.Params) > 0 {
				values = valuesOf(&info.Params[i])
			}
			for _, value := range values {
				b.Begin(info.Code, math.MaxUint64, 1, len(info.Params))
				for j := range info.Params {
					if j == i {
						b.Add(value)
					} else {
						b.AddEmpty()
					}
				}
				raw, err := b.End()
				require.NoError(t, err)
				src.Add(bytes.Clone(raw), 0)
			}
		}
		in := sinsp.New(src, sinsp.Options{State: state})
		for {
			ev, err := in.Next()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			for asJSON, l := range printers {
				l.buf = l.buf[:0]
				ok, err := l.print(ev)
				require.NoError(t, err)
				require.True(t, ok)
				line, rest, _ := strings.Cut(string(l.buf), "\n")
				require.Empty(t, rest)
				for _, r := range line {
					if r != utf8.RuneError && !escape.Printable(r) {
						require.Failf(t, "not printable", "%s: %q in %q", info.Symbol, r, line)
					}
				}
				if asJSON {
					requireExact(t, line, info.Symbol)
				}
			}
		}
	}
}

// requireExact requires valid JSON whose numbers a reader with doubles does not round.
func requireExact(tb testing.TB, line, name string) {
	tb.Helper()
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	var object map[string]any
	require.NoError(tb, d.Decode(&object), "%s: %s", name, line)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, item := range v {
				walk(item)
			}
		case json.Number:
			f, err := v.Float64()
			require.NoError(tb, err)
			require.Equal(tb, v.String(), fmt.Sprintf("%.0f", f), name)
			require.LessOrEqual(tb, math.Abs(f), float64(1<<53), name)
		}
	}
	walk(object)
}

func TestATimeInJSONIsItsNanoseconds(t *testing.T) {
	info := event.Lookup(event.TypeExecveExit)
	path := mustCapture(t, savefile.FileOptions{}, mustEvent(t, info.Code, start, 10, func(b *event.Builder) {
		for i := range info.Params {
			if info.Params[i].Type == event.ParamAbstime {
				b.AddUint64(start + 1)
			} else {
				b.AddEmpty()
			}
		}
	}, len(info.Params)))
	out := mustRun(t, "read", "-r", path, "--json")
	requireExact(t, out, "execve")
	require.Contains(t, out, `"exe_ino_ctime":"1700000000000000001"`)
}

func TestNamesFromFilesDoNotCommandTheTerminal(t *testing.T) {
	path := mustCapture(t, savefile.FileOptions{WriterOptions: savefile.WriterOptions{State: &proc.State{Machine: proc.Machine{Hostname: lying}}}}, someEvents(t)...)
	for _, args := range [][]string{{"info", path}, {"info", "--json", path}, {"verify", path}, {"verify", path + lying}, {"read", "-r", path + lying}} {
		_, stdout, stderr := runCommand(t, args...)
		for _, r := range stdout + stderr {
			require.True(t, r == '\n' || escape.Printable(r), "%s: %q", args, r)
		}
	}
}
