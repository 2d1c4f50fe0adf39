// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/output"
)

// textFlags say which events are printed and how.
type textFlags struct {
	json, all, whole, bytes, summary bool

	format  string
	time    string
	buffers string
	count   uint64
	rows    int
}

// presenter does something with the events that pass a filter, and writes it out. [lines]
// and [summary] do.
type presenter interface {
	// shown reports whether ev is more than an update of the state.
	shown(ev *sinsp.Event) bool
	// print handles an event, and reports whether it counts as printed.
	print(ev *sinsp.Event) (bool, error)
	// flush writes what is there.
	flush() error
	// close writes the rest.
	close() error
}

// presenter returns what the flags describe.
func (t *textFlags) presenter(out io.Writer) (presenter, error) {
	if t.summary {
		if t.rows < 0 {
			return nil, cli.Usage(fmt.Errorf("--rows %d: 0 or more", t.rows))
		}
		return newSummary(out, t.json, t.all, t.rows)
	}
	return t.lines(out)
}

// timeStyle is a form of evt.outputtime.
type timeStyle struct {
	name, letter string // the letter is that of sysdig
	form         string
}

var timeStyles = []timeStyle{
	{"clock", "h", field.OutputClock},
	{"epoch", "a", field.OutputAbsolute},
	{"relative", "r", field.OutputRelative},
	{"latency", "d", field.OutputDelta},
	{"delta", "D", field.OutputPrevious},
	{"full", "f", field.OutputFull},
}

var bufferStyles = []string{output.Dots: "dots", output.Text: "text", output.Hex: "hex", output.HexASCII: "dump", output.Base64: "base64"}

// presets are templates by name and, as sysdig has it, by letter: -pc.
var presets = map[string]string{"c": output.Container, "container": output.Container, "k": output.Kubernetes, "kubernetes": output.Kubernetes}

func timeNames() []string {
	var names []string
	for _, s := range timeStyles {
		names = append(names, s.name)
	}
	return names
}

func (t *textFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&t.format, "print", "p", "", "print the events by a format, such as '%evt.time %proc.name %fd.name'; c, k: with container, with pod")
	f.BoolVarP(&t.json, "json", "j", false, "one JSON object per event")
	f.BoolVar(&t.all, "all", false, "also print events that only update the state")
	f.BoolVarP(&t.whole, "verbose", "v", false, "print buffers in full rather than their first 80 bytes")
	f.BoolVar(&t.summary, "summary", false, "instead of the events print tables: events, processes, files, connections, errors")
	f.IntVar(&t.rows, "rows", 10, "with --summary: rows of each table")
	f.BoolVar(&t.bytes, "raw", false, "print texts as their bytes, control characters included; not on a terminal")
	f.StringVarP(&t.time, "time", "t", timeStyles[0].name, "time of an event: "+strings.Join(timeNames(), ", ")+", or h, a, r, d, D, f")
	f.StringVar(&t.buffers, "buffers", bufferStyles[0], "form of evt.buffer: "+strings.Join(bufferStyles, ", "))
	_ = cmd.RegisterFlagCompletionFunc("time", cobra.FixedCompletions(timeNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("buffers", cobra.FixedCompletions(bufferStyles, cobra.ShellCompDirectiveNoFileComp))
	f.Uint64VarP(&t.count, "count", "n", 0, "stop after this many events; 0: never")
}

// style returns the time style.
func (t *textFlags) style() (timeStyle, error) {
	i := slices.IndexFunc(timeStyles, func(s timeStyle) bool { return s.name == t.time || s.letter == t.time })
	if i < 0 {
		return timeStyle{}, fmt.Errorf("unknown time %q: one of %s", t.time, strings.Join(timeNames(), ", "))
	}
	return timeStyles[i], nil
}

// lines returns the printer that the flags describe.
func (t *textFlags) lines(out io.Writer) (*lines, error) {
	style, err := t.style()
	if err != nil {
		return nil, cli.Usage(err)
	}
	buffers := slices.Index(bufferStyles, t.buffers)
	if buffers < 0 {
		return nil, cli.Usage(fmt.Errorf("unknown form of buffers %q: one of %s", t.buffers, strings.Join(bufferStyles, ", ")))
	}
	if t.bytes && cli.Terminal(out) {
		return nil, cli.Usage(errors.New("--raw prints what anyone may have chosen, which a terminal obeys: redirect the output"))
	}
	template := output.Unescape(t.format)
	if preset, ok := presets[t.format]; ok {
		template = preset
	}
	if template == "" {
		template = output.Default
		if t.json {
			template = output.JSON
		}
	}
	f, err := output.Compile(template, output.Options{Time: style.form, Full: t.whole, Buffers: output.Buffers(buffers), Raw: t.bytes && !t.json})
	if err != nil {
		return nil, cli.Usage(err)
	}
	return &lines{out: out, format: f, json: t.json, all: t.all}, nil
}

// lines prints events, one line each.
type lines struct {
	out    io.Writer
	format *output.Format
	json   bool
	all    bool // also events that only update the state
	buf    []byte
}

// shown reports whether ev is more than an update of the state.
func (l *lines) shown(ev *sinsp.Event) bool { return l.all || isShown(ev) }

func isShown(ev *sinsp.Event) bool { return !ev.Hidden() && !quietTypes.Has(ev.Type()) }

// quietTypes are the events that sysdig does not print, either: those that only bring the
// state of the machine, such as containers and users, and the enter event of execve, which
// files of sysdig have for every process.
var quietTypes = event.SetOf(func(info *event.Info) bool {
	internal := info.Category == event.CategoryInternal && info.Name != "drop"
	state := info.Flags&event.ModifiesState != 0 && info.Code != event.TypeCPUHotplugEnter
	return info.Code == event.TypeExecveEnter || info.Source == event.SourceMetaevent && (internal || state)
})

// print appends the line of ev. It reports whether there is one: a format may ask for
// what ev does not have.
func (l *lines) print(ev *sinsp.Event) (bool, error) {
	appendTo := l.format.Append
	if l.json {
		appendTo = l.format.AppendJSON
	}
	buf, ok := appendTo(l.buf, ev)
	if !ok {
		return false, nil
	}
	l.buf = append(buf, '\n')
	if len(l.buf) >= 64<<10 {
		return true, l.flush()
	}
	return true, nil
}

func (l *lines) flush() error {
	_, err := l.out.Write(l.buf)
	l.buf = l.buf[:0]
	return err
}

func (l *lines) close() error { return l.flush() }
