// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/template"

	"github.com/scaplab/scaplab/tables"
)

//go:embed templates/*.tmpl
var templateFS embed.FS

// templates are parsed on first use: the same program runs as the child of each test
// case, which must start fast.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"head":    func() string { return cHeader },
		"upper":   strings.ToUpper,
		"numbers": func(version string) string { return strings.ReplaceAll(version, ".", ", ") },
		"anyOf":   anyOf,
		"names":   namesOf,
	}).ParseFS(templateFS, "templates/*.tmpl"))
})

const cHeader = "/* SPDX-License-Identifier: GPL-2.0-only OR MIT */\n" +
	"/* " + marker + " */"

func execute(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, name, data); err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// cEvent is an event as the templates need it.
type cEvent struct {
	*event
	Fixed int
	Rooms []cConst // for a hand-written filler
	Names string   // the calls that make it, unless its name says so
	Body  string
}

// cFiles makes the files that both drivers compile.
func (m *model) cFiles(files map[string][]byte) error {
	var abi []cEvent
	objects := make(map[string]*object)
	consts := make(map[string]bool)
	for _, e := range m.driven() {
		ce := cEvent{event: e, Fixed: e.fixed, Rooms: m.rooms(e), Names: e.callNames()}
		abi = append(abi, ce)
		o := objects[e.object()]
		if o == nil {
			o = &object{Name: e.object()}
			objects[o.Name] = o
		}
		o.Programs = append(o.Programs, e.programLine(e.From))
		if tp := m.firedBy(e); tp != "" {
			o.Programs = append(o.Programs, e.programLine(tp))
		}
		if e.Filler == "manual" {
			continue
		}
		var err error
		if ce.Body, err = m.fillerBody(e, consts); err != nil {
			return err
		}
		o.Fillers = append(o.Fillers, ce)
	}
	emit := func(path, tmpl string, data any) error {
		text, err := execute(tmpl, data)
		files[path] = text
		return err
	}
	if err := emit("driver/abi/events_gen.h", "events.h.tmpl", map[string]any{"Schema": Schema, "Events": abi, "Dyns": m.table.Types.Dyns}); err != nil {
		return err
	}
	calls, err := m.callsData()
	if err != nil {
		return err
	}
	if err := errors.Join(emit("driver/abi/arch_gen.h", "arch.h.tmpl", tables.AllArches()), m.versions(emit), abiHeaders(emit),
		emit("driver/abi/calls_gen.h", "calls.h.tmpl", calls),
		emit("driver/bpf/hot_gen.h", "hot.h.tmpl", calls)); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(objects))
	for _, name := range names {
		o := objects[name]
		if err := emit("driver/fillers/"+name+"_gen.h", "fillers.h.tmpl", o); err != nil {
			return err
		}
		programs, tmpl := "driver/bpf/"+name+"_gen.bpf.c", "object.c.tmpl"
		if name == coreObject {
			programs, tmpl = "driver/bpf/"+name+"_gen.h", "core.h.tmpl"
		}
		if err := emit(programs, tmpl, o); err != nil {
			return err
		}
	}
	if err := emit("driver/fillers/all_gen.h", "all.h.tmpl", names); err != nil {
		return err
	}
	flags, err := m.flagsData(consts)
	if err != nil {
		return err
	}
	return emit("driver/fillers/flags_gen.h", "flags.h.tmpl", flags)
}

// versions makes driver/abi/version_gen.h.
func (m *model) versions(emit func(path, tmpl string, data any) error) error {
	if m.table.Lock == nil {
		return nil
	}
	return emit("driver/abi/version_gen.h", "version.h.tmpl", map[string]any{"Own": m.table.Lock.Own, "Personas": m.personas(), "Names": m.personaNames()})
}

// object is a compiled eBPF object.
type object struct {
	Name     string
	Fillers  []cEvent
	Programs []string // a line for each program
}

// coreObject is the object of the dispatchers, which are hand-written.
const coreObject = "core"

// object returns the name of the object that has the event's programs: the class of
// its calls, or the core for an event without calls.
func (e *event) object() string {
	if len(e.calls) == 0 {
		return coreObject
	}
	return e.Class
}

// firedBy returns the tracepoint that reports the success of the event's call, or "".
func (m *model) firedBy(e *event) string {
	for _, s := range m.table.Syscalls {
		if s.Fires != nil && m.entry(s.Fires.Event).Exit == e.Event {
			return s.Fires.Tracepoint
		}
	}
	return ""
}

// setData is a conversion as the template needs it; Type is that of the event value.
type setData struct{ Name, Type, Body string }

// manualValues returns the event values of hand-written conversions, as EVENT_NAME.
func (m *model) manualValues() []cSection {
	var out []cSection
	done := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(m.sets)) {
		s := m.sets[name]
		if s.Kind != "manual" {
			continue
		}
		section := cSection{Doc: name}
		for _, v := range s.Values {
			if !done[v.Name] {
				section.Consts = append(section.Consts, hex("EVENT_"+v.Name, int(v.Value)))
			}
			done[v.Name] = true
		}
		out = append(out, section)
	}
	return out
}

func (m *model) flagsData(consts map[string]bool) (map[string]any, error) {
	var defines []string
	for _, name := range slices.Sorted(maps.Keys(consts)) {
		n, _ := m.constant(name)
		text, err := nativeText(name, n)
		if err != nil {
			return nil, err
		}
		defines = append(defines, text)
	}
	var sets []setData
	for _, name := range slices.Sorted(maps.Keys(m.sets)) {
		s := m.sets[name]
		if s.Kind == "" || s.Kind == "manual" {
			continue
		}
		body, err := flagBody(s)
		if err != nil {
			return nil, err
		}
		typ := "u32"
		if s.Width == 64 {
			typ = "u64"
		}
		sets = append(sets, setData{name, typ, body})
	}
	return map[string]any{"Consts": defines, "Sets": sets, "Manual": m.manualValues()}, nil
}

// callNames lists the calls that make an event, or returns "" if its name says so.
func (e *event) callNames() string {
	var names []string
	for _, s := range e.calls {
		names = append(names, s.Name)
	}
	if len(names) == 1 && names[0] == e.Name {
		return ""
	}
	return strings.Join(names, ", ")
}

// programLine returns the line that a macro makes the event's program of. The first
// of several tracepoints names the macro.
func (e *event) programLine(tracepoint string) string {
	up := strings.ToUpper(e.Symbol)
	from, _, _ := strings.Cut(tracepoint, "|")
	kind, tp := "TP", from+", "
	switch from {
	case "sys_exit":
		kind, tp = "EXIT", ""
	case "sys_enter":
		kind, tp = "ENTER", ""
	}
	fixed, size := "", ""
	if e.fixed > 0 {
		fixed, size = "_FIXED", fmt.Sprintf(", %s_FIXED_SIZE", up)
	}
	return fmt.Sprintf("%s_PROG%s(%s, %sEVT_%s, %s_NPARAMS%s)", kind, fixed, e.Symbol, tp, up, up, size)
}

// Filler returns the generated C function of the event with that symbol; "" if the
// function is hand-written or no driver makes the event.
func Filler(t *tables.Table, symbol string) (string, error) {
	m, err := newModel(t)
	if err != nil {
		return "", err
	}
	for _, e := range m.driven() {
		if e.Symbol != symbol || e.Filler == "manual" {
			continue
		}
		body, err := m.fillerBody(e, make(map[string]bool))
		return fmt.Sprintf("static __always_inline int fill_%s(struct filler *f)\n{\n%s}\n", symbol, body), err
	}
	return "", nil
}
