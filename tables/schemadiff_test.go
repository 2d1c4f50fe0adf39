// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

func mustLock(tb testing.TB, text string) *Lock {
	tb.Helper()
	lock, err := ReadLock(LockFile, []byte(text))
	require.NoError(tb, err)
	return lock
}

func ownLock(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile(LockFile)
	require.NoError(tb, err)
	return string(text)
}

func TestChangesOfTheSchemaHaveLevels(t *testing.T) {
	text := ownLock(t)
	require.Empty(t, DiffSchemas(mustLock(t, text), mustLock(t, text)))
	for name, c := range map[string]struct {
		old, now string // of a line
		want     string
	}{
		"a new event":                {"event 0x8001 ", "", "minor event 0x8001 getppid_exit: new"},
		"a param that is gone":       {"name:fspath flags:flags32(open_flags) mode:uint32/oct dev:uint32/hex ino:uint64\n", "name:fspath flags:flags32(open_flags) mode:uint32/oct dev:uint32/hex\n", " ino: gone"},
		"another number":             {"value open_flags O_RDONLY 0x1", "value open_flags O_RDONLY 0x7000", "major value open_flags O_RDONLY: 0x7000, was 0x1"},
		"how it is printed":          {"mode:uint32/oct dev:uint32/hex ino:uint64\n", "mode:uint32/oct dev:uint32 ino:uint64\n", "patch event 3 open_exit dev: printed as "},
		"an event of a call by name": {"event 3 open_exit open ", "event 3 open_exit opened ", "major event 3 open_exit: name is opened, was open"},
		"a symbol":                   {"event 3 open_exit open ", "event 3 open_done open ", "patch event 3 open_exit: symbol is open_done, was open_exit"},
		"a category":                 {"event 3 open_exit open file", "event 3 open_exit open net", "major event 3 open_exit: class is net, was file"},
		"another type":               {"event 7 read_exit read io_read syscall uses_fd,reads_from_fd,converter_managed res:errno", "event 7 read_exit read io_read syscall uses_fd,reads_from_fd,converter_managed res:int64", "major event 7 read_exit res: type is int64, was errno"},
		"a code of generic events":   {"id 100 ", "id 1000 ", "major id 100 "},
	} {
		t.Run(name, func(t *testing.T) {
			old, now := text, strings.Replace(text, c.old, c.now, 1)
			if name == "a new event" { // without its line it is the older one
				var lines []string
				for line := range strings.Lines(text) {
					if !strings.HasPrefix(line, c.old) {
						lines = append(lines, line)
					}
				}
				old, now = strings.Join(lines, ""), text
			}
			require.NotEqual(t, old, now, "the lock has the line")
			var said []string
			// What schema lock would write: a test of the diff is none of the order of lines.
			a, b := parsed(t, old), parsed(t, now)
			for _, ch := range DiffSchemas(a, b) {
				said = append(said, fmt.Sprintf("%v %s: %s", ch.Level, ch.Subject, ch.What))
			}
			require.NotEmpty(t, said)
			require.Contains(t, strings.Join(said, "\n"), c.want)
		})
	}
}

// parsed reads a lock whose lines need not be in order.
func parsed(tb testing.TB, text string) *Lock {
	tb.Helper()
	l := &loader{table: &Table{Types: DefaultTypes()}}
	lock := &Lock{file: LockFile, types: map[string]lockLine{}, dyns: map[string]lockLine{}, events: map[uint16]*Event{}, values: map[string][]lockedName{}, ids: map[uint16]lockedName{}}
	for i, line := range strings.Split(text, "\n") {
		if words := lockWords(line, expr.Pos{File: LockFile, Line: i + 1}); len(words) > 0 && !strings.HasPrefix(words[0].text, "#") {
			l.lockLine(lock, words)
		}
	}
	require.Empty(tb, l.errs)
	return lock
}

func TestVersionsFollowTheLevel(t *testing.T) {
	for level, want := range map[Level]string{0: "4.5.2", Patch: "4.5.3", Minor: "4.6.0", Major: "5.0.0"} {
		got, err := NextVersion("4.5.2", level)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, bad := range []string{"", "4.5", "4.5.x", "4.5.2.1", "-1.0.0"} {
		_, err := NextVersion(bad, Minor)
		require.ErrorContains(t, err, "want MAJOR.MINOR.PATCH")
	}
}

// recorded is what captures have, for the schema that reads them.
type recorded struct {
	code   uint16
	params []string // bytes
}

// corpus returns events of the captures that savefile is tested with: some of each code, each once.
func corpus(t *testing.T) []recorded {
	t.Helper()
	files, err := filepath.Glob("../scap/savefile/testdata/corpus/*.scap")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	const some = 20
	seen, of := map[string]recorded{}, map[uint16]int{}
	for _, file := range files {
		r, err := savefile.Open(file, savefile.Options{Raw: true})
		require.NoError(t, err)
		for {
			ev, err := r.Next()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			x := recorded{code: uint16(ev.Type())}
			for i := range ev.NumParams() {
				x.params = append(x.params, string(ev.Param(i)))
			}
			key := fmt.Sprintf("%d %q", x.code, x.params)
			if _, ok := seen[key]; !ok && of[x.code] < some {
				seen[key] = x
				of[x.code]++
			}
		}
		require.NoError(t, r.Close())
	}
	keys := slices.Sorted(maps.Keys(seen))
	all := make([]recorded, len(keys))
	for i, k := range keys {
		all[i] = seen[k]
	}
	return all
}

// facts adds what filters can ask of an event that is read by a schema.
func (x *recorded) facts(k *Lock, facts map[string]bool) {
	ev := k.events[x.code]
	if ev == nil || slices.Contains(ev.Flags, "unused") {
		return
	}
	facts[fmt.Sprintf("%d is %s of %s and %s", x.code, ev.Name, ev.Class, ev.Source)] = true
	for i, raw := range x.params {
		if i >= len(ev.Params) {
			break
		}
		p := ev.Params[i]
		value := fmt.Sprintf("%q", raw)
		if size := k.types[p.Type].text; len(raw) > 0 && size != "-" && size != fmt.Sprint(len(raw)) {
			value = "of another length"
		}
		facts[fmt.Sprintf("%d.%s %s%s of %s = %s", x.code, p.Name, p.Type, k.dyns[p.Dyn].text, p.Base, value)] = true
		if p.Type == "syscallid" && len(raw) == 2 {
			facts[fmt.Sprintf("%d.%s is %s", x.code, p.Name, k.ids[binary.NativeEndian.Uint16([]byte(raw))].name)] = true
		}
		if p.Names == "" || len(raw) == 0 || len(raw) > 8 {
			continue
		}
		n := binary.LittleEndian.Uint64(append([]byte(raw), make([]byte, 8)...))
		for _, v := range k.values[p.Names] {
			if n == v.value || v.value != 0 && n&v.value == v.value {
				facts[fmt.Sprintf("%d.%s has %s", x.code, p.Name, v.name)] = true
			}
		}
	}
}

// TestVerdictsAreWhatReplayingShows changes the schema in random ways, and reads the corpus by both schemas: a change
// is major if and only if something that filters could ask before is no longer so.
func TestVerdictsAreWhatReplayingShows(t *testing.T) {
	events := corpus(t)
	text := ownLock(t)
	old := mustLock(t, text)
	before := map[string]bool{}
	for i := range events {
		events[i].facts(old, before)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	levels := map[Level]int{}
	for n := range 200 {
		now := parsed(t, text)
		x := events[rnd.IntN(len(events))]
		what, shown := changeSchema(rnd, now, &x)
		level := Level(0)
		for _, c := range DiffSchemas(old, now) {
			level = max(level, c.Level)
		}
		after := map[string]bool{}
		for i := range events {
			events[i].facts(now, after)
		}
		var lost []string
		for fact := range before {
			if !after[fact] {
				lost = append(lost, fact)
			}
		}
		slices.Sort(lost)
		lost = lost[:min(len(lost), 3)]
		if len(lost) > 0 || shown {
			require.Equal(t, len(lost) > 0, level == Major, "change %d: %s: %v, and the corpus loses %q", n, what, level, lost)
		}
		levels[level]++
	}
	for _, level := range []Level{Patch, Minor, Major} {
		require.Greater(t, levels[level], 20, "%v: %v", level, levels)
	}
}

// changeSchema changes the event of x in a schema in a random way. It says whether the corpus shows it: an
// event without a value for a param does not show what becomes of the value.
func changeSchema(rnd *rand.Rand, k *Lock, x *recorded) (what string, shown bool) {
	ev := *k.events[x.code]
	ev.Params = slices.Clone(ev.Params)
	k.events[x.code] = &ev
	i := 0
	if len(ev.Params) > 0 {
		i = rnd.IntN(len(ev.Params))
		p := *ev.Params[i]
		ev.Params[i] = &p
	}
	has := i < len(x.params) && len(x.params[i]) > 0
	kind := rnd.IntN(14)
	if len(ev.Params) == 0 {
		kind %= 6
	}
	switch kind {
	case 0:
		delete(k.events, x.code)
		return "the event is gone", true
	case 1:
		ev.Name += "2"
		return "the event is renamed", true
	case 2:
		ev.Symbol += "2"
		return "the symbol is renamed", true
	case 3:
		code := uint16(0x83ff - rnd.IntN(100))
		k.events[code] = &Event{Code: code, Symbol: "new_exit", Name: "new", Class: "file", Source: "syscall"}
		return "an event is new", true
	case 4:
		ev.Params = append(ev.Params, &Param{Name: "more", Type: "uint64"})
		return "a param is new at the end", true
	case 5:
		ev.Class = "none"
		return "the class is another", true
	case 6:
		ev.Params = slices.Insert(ev.Params, i, &Param{Name: "more", Type: "uint64"})
		return "a param is new in front", i < len(x.params)
	case 7:
		ev.Params = ev.Params[:len(ev.Params)-1]
		return "the last param is gone", len(x.params) > len(ev.Params)
	case 8:
		ev.Params[i].Name += "2"
		return "a param is renamed", i < len(x.params)
	case 9:
		ev.Params[i].Type = map[bool]string{true: "int32", false: "uint64"}[ev.Params[i].Type == "uint64"]
		return "a param has another type", i < len(x.params)
	case 10:
		ev.Params[i].Show = "a new way"
		return "a param is printed otherwise", true
	case 11:
		k.values["new set"] = []lockedName{{name: "NEW", value: 1 << 40}}
		return "a flag set is new", true
	}
	set := ev.Params[i].Names
	if values := k.values[set]; len(values) > 0 && has {
		values = slices.Clone(values)
		k.values[set] = values
		if kind == 12 {
			k.values[set] = append(values, lockedName{name: "NEW_NAME", value: 1 << 41})
			return "a name is new in " + set, true
		}
		j := rnd.IntN(len(values))
		name := values[j].name
		values[j].value = 1<<42 + 1
		return name + " of " + set + " has another number", false // seldom recorded
	}
	ev.Flags = append(slices.Clone(ev.Flags), "uses_fd")
	return "the event has a flag more", true
}

func TestTheReferencesPartHasItsEventsOnly(t *testing.T) {
	all := mustLock(t, ownLock(t))
	ref := all.Reference()
	require.Contains(t, ref.events, uint16(event.TypeOpenatExit))
	require.NotContains(t, ref.events, uint16(event.FirstOwn))
	require.Less(t, len(ref.values), len(all.values))
	named := false
	for _, c := range DiffSchemas(ref, all) {
		require.LessOrEqual(t, c.Level, Minor, "%s: what we add breaks nothing of the reference", c.Subject)
		require.True(t, c.Ours || c.Level < Minor, "%s: and demands no version of it", c.Subject)
		named = named || c.Subject == "value open_flags O_PATH" && c.What == "new, 0x20000"
	}
	require.True(t, named, "a name of ours in a set of the reference's")
}
