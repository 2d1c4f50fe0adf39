// SPDX-License-Identifier: Apache-2.0

package tabledraft

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/tables"
)

// world is a table of four entries in testdata/table, and a kernel that has a few calls more.
func world(t *testing.T) (dir string, d *Drafter) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/table")))
	table, err := tables.Load(dir)
	require.NoError(t, err)
	arg := func(typ, name string) kernelfacts.Arg { return kernelfacts.Arg{Name: name, Type: typ} }
	var many []kernelfacts.Field
	for _, name := range strings.Fields("a b c d e f g h i") {
		many = append(many, kernelfacts.Field{Name: name, Type: "__u64"})
	}
	return dir, New(table, &kernelfacts.Facts{
		Kernel: "9.1", Arch: "amd64",
		Syscalls: []kernelfacts.Syscall{
			{Name: "thing_open", Args: []kernelfacts.Arg{arg("int", "dfd"), arg("const char *", "filename"), arg("unsigned int", "flags"), arg("umode_t", "mode")}},
			{Name: "thing_close", Args: []kernelfacts.Arg{arg("int", "fd")}},
			{Name: "thing_read", Args: []kernelfacts.Arg{arg("int", "ufd"), arg("char *", "buf"), arg("size_t", "count"), arg("loff_t *", "pos")}},
			{Name: "thing_write", Args: []kernelfacts.Arg{arg("unsigned int", "fd"), arg("const void *", "buf"), arg("size_t", "len"), arg("int", "strange_flags")}},
			{Name: "thing_stat", Args: []kernelfacts.Arg{arg("const char *", "_name"), arg("struct thing_stat *", "ubuf")}},
			{Name: "thing_all", Args: []kernelfacts.Arg{arg("const struct many *", "req"), arg("const struct secret *", "key")}},
			{Name: "pid_pause", Args: []kernelfacts.Arg{arg("pid_t", "pid"), arg("const struct __kernel_timespec *", "timeout"), arg("enum pause_how", "how")}},
			{Name: "unknown"},
			{Name: "none", Args: []kernelfacts.Arg{}},
			{Name: "clock_thing32", Args: []kernelfacts.Arg{}},
		},
		Structs: []kernelfacts.Struct{
			{Name: "many", Size: 72, Fields: many},
			{Name: "secret", Size: 8, Fields: []kernelfacts.Field{{Name: "a", Type: "__u32", Bits: 3}}},
			{Name: "thing_stat", Size: 64, Fields: []kernelfacts.Field{
				{Name: "ts_size", Type: "__u64"}, {Name: "ts_uid", Type: "__u32"}, {Name: "ts_mtime", Type: "struct __kernel_timespec"},
				{Name: "ts_label", Type: "char[16]"}, {Name: "__spare", Type: "__u64[2]"},
			}},
		},
		Enums: []kernelfacts.Enum{{Name: "pause_how", Values: []kernelfacts.EnumValue{{Name: "PAUSE_LONG", Value: 1}, {Name: "PAUSE_SHORT", Value: 0}}}},
	})
}

func mustDraft(t *testing.T, d *Drafter, names ...string) (list []*Entry) {
	t.Helper()
	for _, name := range names {
		e, err := d.Draft(name)
		require.NoError(t, err)
		list = append(list, e)
	}
	return list
}

// The drafts in testdata/golden say what each rule comes to.
func TestDraftsAreAddedToTheFilesOfTheTable(t *testing.T) {
	dir, d := world(t)
	entries := mustDraft(t, d, "thing_open", "thing_read", "thing_write", "thing_stat", "thing_all", "pid_pause", "none")
	files, err := Add(dir, entries)
	require.NoError(t, err)
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
		testutil.Golden(t, strings.ReplaceAll(name, "/", "-"), text)
		old, err := os.ReadFile(filepath.Join("testdata/table", name))
		require.NoError(t, err)
		old, err = tables.Format(name, old)
		require.NoError(t, err)
		at := 0
		for line := range strings.Lines(string(old)) { // nothing of the file is lost, and no order is changed
			i := strings.Index(string(text[at:]), line)
			require.GreaterOrEqual(t, i, 0, "%s: %s", name, line)
			at += i + len(line)
		}
	}
	require.ElementsMatch(t, []string{"flags.yaml", "structs.yaml", "syscalls/file.yaml", "syscalls/other.yaml", "syscalls/process.yaml"}, sortedKeys(files))

	table, err := tables.Load(dir)
	require.NoError(t, err, "the drafts pass lint")
	require.Len(t, table.Syscalls, 4+len(entries))
	again, err := tables.Unformatted(dir)
	require.NoError(t, err)
	require.Empty(t, again, "and have the canonical layout")
	codes := map[uint16]string{}
	for _, s := range table.Syscalls {
		require.Empty(t, codes[s.Exit.Code], s.Name)
		codes[s.Exit.Code] = s.Name
	}
}

func TestWhatAPersonMustDecideIsMarked(t *testing.T) {
	_, d := world(t)
	e := mustDraft(t, d, "thing_write")[0]
	require.Contains(t, e.Todos(), "class: file is that of thing_close")
	require.Contains(t, e.Todos(), "strange_flags: a set in flags.yaml, if the kernel has names for the bits")
	all := mustDraft(t, d, "thing_all")[0]
	require.Len(t, all.Offered, 9, "of a large struct a person chooses")
	require.Contains(t, strings.Join(all.Todos(), "\n"), "an address: what it points to is not known", "a struct with bit fields cannot be described")
}

func TestCallsThatTheTableLacks(t *testing.T) {
	_, d := world(t)
	calls, others := d.Lacking()
	require.Equal(t, strings.Fields("none pid_pause thing_all thing_open thing_read thing_stat thing_write unknown"), calls, "clock_thing32 is another function of a call")
	require.Empty(t, others)
	d.facts.Arch = "arm64"
	calls, others = d.Lacking()
	require.NotContains(t, calls, "thing_read")
	require.Equal(t, []string{"thing_read"}, others, "which has a number on amd64 alone")

	_, err := d.Draft("nowhere")
	require.EqualError(t, err, "kernel 9.1 has no call nowhere")
	_, err = d.Draft("unknown")
	require.ErrorIs(t, err, ErrUnknown)
	require.ErrorContains(t, err, "unknown of kernel 9.1: ")
}

// Of the real table, in which all calls have entries: drafts of calls for programs of 32 bits.
func TestCallsOfOtherProgramsAreDrafted(t *testing.T) {
	d := New(mustTable(t), mustFacts(t))
	calls, others := d.Lacking()
	require.Equal(t, []string{"uselib"}, append(calls, slices.DeleteFunc(slices.Clone(others), func(s string) bool { return s != "uselib" })...))
	require.Contains(t, others, "waitpid")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(tableDir)))
	files, err := Add(dir, mustDraft(t, d, append(calls, others...)...))
	require.NoError(t, err)
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	_, err = tables.Load(dir)
	require.NoError(t, err)
}

func TestAnItemIsPutBehindAnother(t *testing.T) {
	const src = "schema: 1\nsyscalls:\n- syscall: a(int x)\n  class: file\n\n# about b\n- syscall: b()\n  class: file\n"
	got, err := insert(src, "syscall", "a", "- syscall: n()\n")
	require.NoError(t, err)
	require.Equal(t, "schema: 1\nsyscalls:\n- syscall: a(int x)\n  class: file\n\n- syscall: n()\n\n\n# about b\n- syscall: b()\n  class: file\n", got)
	got, err = insert(src, "syscall", "nobody", "- syscall: n()\n")
	require.NoError(t, err)
	require.Equal(t, src+"\n- syscall: n()\n", got)
	_, err = insert("schema: 1\n", "syscall", "a", "- syscall: n()\n")
	require.EqualError(t, err, "the file has no list of items that begin with - syscall")
}

func TestWhatIsKnownOfACallWithoutEntryMovesIntoTheEntry(t *testing.T) {
	rest, keys := moved("ids:\n- {id: 1, syscall: ab, nr: 1, probe: {skip: why}}\n- {id: 2, syscall: a, nr: {amd64: 2}, hot: [amd64, arm64], probe: {skip: waits}}\n", "a")
	require.Equal(t, "ids:\n- {id: 1, syscall: ab, nr: 1, probe: {skip: why}}\n- {id: 2, syscall: a, nr: {amd64: 2}}\n", rest)
	require.Equal(t, "  hot: [amd64, arm64]\n  probe: {skip: waits}\n", keys)
}

func TestADiffSaysWhichEntriesItTouches(t *testing.T) {
	_, d := world(t)
	after := d.facts
	before := &kernelfacts.Facts{Kernel: "9.0", Arch: "amd64", Syscalls: []kernelfacts.Syscall{
		{Name: "thing_close", Args: []kernelfacts.Arg{}}, {Name: "other", Args: []kernelfacts.Arg{{Name: "fd", Type: "int"}}}, {Name: "gone"},
	}, Structs: []kernelfacts.Struct{{Name: "many", Fields: []kernelfacts.Field{{Name: "a", Type: "__u64"}}}}}
	c := Diff(d.table, before, after)
	require.Equal(t, "9.0", c.From)
	require.Equal(t, []string{"gone"}, c.Gone)
	require.Contains(t, c.Lacking, "thing_open")
	require.Len(t, c.Entries, 2)
	require.Equal(t, "thing_close()", c.Entries[0].Before)
	require.Equal(t, "thing_close(int fd)", c.Entries[0].After)
	require.Regexp(t, `syscalls/file\.yaml:5:12$`, c.Entries[0].At)
	require.Equal(t, "other", c.Entries[1].Call)
	require.Empty(t, c.Entries[1].After, "it is gone")

	e, err := d.Draft("thing_all")
	require.NoError(t, err)
	require.NotNil(t, e)
	table := *d.table
	table.Syscalls = append(slices.Clone(table.Syscalls), &tables.Syscall{Name: "thing_all", Params: e.Args})
	c = Diff(&table, &kernelfacts.Facts{Kernel: "9.0", Syscalls: after.Syscalls, Structs: before.Structs}, after)
	require.Len(t, c.Entries, 1)
	require.Equal(t, "many", c.Entries[0].Structs[0].Name)
	require.Equal(t, "struct many { __u64 a; }", c.Entries[0].Structs[0].Before)
}

// Rules are about names and types: none names a call of the table, but for the families that outcomes are about.
func TestNoRuleIsAboutOneCall(t *testing.T) {
	table := mustTable(t)
	for _, o := range outcomes[:len(outcomes)-1] {
		n := 0
		for _, s := range table.Syscalls {
			if o.call.MatchString(s.Name) {
				n++
			}
		}
		require.NotEmpty(t, o.why)
		require.Greater(t, n, 1, "%s", o.call)
	}
	for _, r := range rules {
		require.NotEmpty(t, r.why)
	}
	for _, r := range renames {
		require.NotEmpty(t, r.why)
	}
}
