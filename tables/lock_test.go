// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

// mutation is a change to the project's own table that breaks the wire schema: old
// becomes new in a file, and the error is at the text at, which is in new.
type mutation struct {
	name, file, old, new, at, err string
}

const pidfdOpen = `  event: 409
  exit:
    - fd:    {type: fd,      from: ret}
    - pid:   {type: pid,     from: pid}
    - flags: {type: flags32, from: pidfd_open_flags(flags), names: pidfd_open_flags, differs: "PIDFD_THREAD is reported"}
`

// change is a mutation within an entry.
func change(name, file, entry, old, new, at, err string) mutation {
	return mutation{name, file, entry, strings.Replace(entry, old, new, 1), at, err}
}

const process = "syscalls/process.yaml"

var mutations = []mutation{
	change("a param of another type", process, pidfdOpen, "{type: pid,     from: pid}", "{type: uint32,  from: pid}", "uint32,",
		"pidfd_open: pid: type is uint32 (pid in schema.lock)"),
	change("a code of ours moved to a free one", process, "  event: 0x8001",
		"0x8001", "0x83fd", "0x83fd", "getppid: getppid_exit has code 0x83fd (0x8001 in schema.lock)"),
	change("a code after the last of ours", process, "  event: 0x8001", "0x8001", "0x8401\n  name: parent", "0x8401",
		"getppid: code 0x8401 is not ours (ours are 0x8000 to 0x83ff)"),
	change("a param removed", process, pidfdOpen, "    - pid:   {type: pid,     from: pid}\n", "", "flags: {type",
		"pidfd_open: param pid is missing (params are never removed; schema.lock has fd, pid, flags)"),
	change("the last param removed", process, pidfdOpen, "    - flags: {type: flags32, from: pidfd_open_flags(flags), names: pidfd_open_flags, differs: \"PIDFD_THREAD is reported\"}\n", "", "409",
		"pidfd_open: param flags is missing (params are never removed; schema.lock has fd, pid, flags)"),
	change("two params in another order", process, pidfdOpen, "    - fd:    {type: fd,      from: ret}\n    - pid:   {type: pid,     from: pid}\n",
		"    - pid:   {type: pid,     from: pid}\n    - fd:    {type: fd,      from: ret}\n", "fd:    {",
		"pidfd_open: fd: params are in the order pid, fd, flags (schema.lock has fd, pid, flags)"),
	change("a param renamed", process, pidfdOpen, "- pid:   {", "- task:  {", "task:",
		"pidfd_open: task: param task is pid:pid in schema.lock (params are never renamed)"),
	change("a param between others", process, pidfdOpen, "    - pid: ", "    - also:  {type: pid, from: pid}\n    - pid: ", "also:",
		"pidfd_open: also: param also is new, but not the last (schema.lock has fd, pid, flags; new ones come last)"),
	change("a param after the reference's", process, pidfdOpen, "is reported\"}\n", "is reported\"}\n    - also:  {type: pid, from: pid}\n", "also:",
		"pidfd_open: also: param also is not the reference's (schema.lock has fd, pid, flags; only our own events grow)"),
	change("names of another set", process, pidfdOpen, "names: pidfd_open_flags", "names: close_range_flags", "flags32",
		"pidfd_open: flags: type is flags32(close_range_flags) (flags32(pidfd_open_flags) in schema.lock)"),
	change("printed otherwise", process, pidfdOpen, "from: pid}", "from: pid, show: hex}", "pid,     from",
		"pidfd_open: pid: type is pid/hex (pid in schema.lock)"),
	change("another class", process, pidfdOpen, "  event: 409", "  flags: [uses_fd]\n  event: 409", "409",
		"pidfd_open: flags is uses_fd (creates_fd,modifies_state in schema.lock)"),
	change("a code of the reference reused", process, pidfdOpen, "event: 409", "event: 75", "75",
		"pidfd_open: pidfd_open_exit has code 75 (409 in schema.lock)"),
	change("a code reused under another name", process, pidfdOpen, "event: 409", "name: lstat65\n  event: 75", "75",
		"lstat65: code 75 is lstat64_exit in schema.lock (codes are never reused; the next free one is "),
	{"an event of a code that nobody has", process, pidfdOpen, strings.Replace(pidfdOpen, "event: 409", "name: own\n  event: 0x7fff", 1), "0x7fff",
		"pidfd_open: code 32767 is neither the reference's nor ours (the reference ends at 453, ours start at 0x8000)"},
	change("an event named otherwise", process, pidfdOpen, "event: 409", "name: pidopen\n  event: 409", "409",
		"pidopen: code 409 is pidfd_open_exit in schema.lock (codes are never reused; the next free one is "),
	{"a flag's value changed", "flags.yaml", "    O_WRONLY:       2\n", "    O_WRONLY:       8\n", "O_WRONLY",
		"open_flags: O_WRONLY is 0x8 (0x2 in schema.lock)"},
	{"a flag renamed", "flags.yaml", "    O_WRONLY:       2\n", "    O_WRONGLY:      2\n", "O_WRONGLY",
		"open_flags: O_WRONGLY is called O_WRONLY in schema.lock (values are never renamed)"},
	{"a flag set removed", "flags.yaml", "- set: shutdown_how\n", "- set: shutdown_hows\n", "",
		"unknown flag set shutdown_how (did you mean shutdown_hows?)"},
	{"a wire type of another size", "types.yaml", "- {type: pid, code: 15, as: s64,", "- {type: pid, code: 15, as: s32,", "{",
		"pid: type has 4 bytes (8 in schema.lock)"},
	{"variants in another order", "types.yaml", "- dyn: bpf\n  variants: [fd, errno]", "- dyn: bpf\n  variants: [errno, fd]", "dyn: bpf",
		"bpf: variants are errno fd (fd errno in schema.lock)"},
	{"a syscall's code moved", "ids.yaml", "- {id: 1, syscall: restart_syscall,", "- {id: 0, syscall: restart_syscall,", "{",
		"restart_syscall: restart_syscall has id 0 (1 in schema.lock)"},
	{"a syscall's code for another call", "ids.yaml", "- {id: 1, syscall: restart_syscall,", "- {id: 1, syscall: other_call,", "{",
		"other_call: id 1 is restart_syscall in schema.lock (ids are never reused)"},

	// The lock itself.
	{"a version that is none", LockFile, "\nown 1.0.0\n", "\nown 1.0\n", "1.0", `version "1.0": want MAJOR.MINOR.PATCH`},
	{"a version with a letter", LockFile, "\nversion 10.1.0 4.5.1 ", "\nversion 10.1.0 v4.5.1 ", "v4", `version "v4.5.1": want MAJOR.MINOR.PATCH`},
	{"two versions of its own", LockFile, "\nown 1.0.0\n", "\nown 1.0.0\nown 1.1.0\n", "own 1.1", "own is repeated"},
	{"no version of its own", LockFile, "\nown 1.0.0\n", "\n", "", "the lock has no version of its own, or none of the reference (lines own and version)"},
	{"a version twice", LockFile, "\nversion 10.1.0 ", "\nversion 11.0.0 ", "11.0.0", "version 11.0.0 is repeated"},
	{"a version of half its codes", LockFile, "\nversion 10.1.0 4.5.1 454 454\n", "\nversion 10.1.0 4.5.1 454\n", "version", "line version has 4 words (5 are expected)"},
	{"a version of fewer codes than the lock has", LockFile, "\nversion 11.0.0 4.5.2 454 454\nversion 10.1.0 4.5.1 454", "\nversion 11.0.0 4.5.2 453 454\nversion 10.1.0 4.5.1 453", "11.0.0 4",
		"version 11.0.0: codes of events and syscalls end at 453 and 454 (those of the lock at 454 and 454: a version that has them is needed)"},
	{"a version of more codes than the first", LockFile, " 430 451\n", " 430 455\n", "",
		"version 8.0.4: codes of events and syscalls end at 430 and 455 (want 1 to 454 and 1 to 454)"},
	{"a line of another kind", LockFile, "\ntype int8 1\n", "\ntypes int8 1\n", "types", "unknown kind of line types (did you mean type?)"},
	{"a short line", LockFile, "\ntype int8 1\n", "\ntype int8\n", "type", "line type has 2 words (3 are expected)"},
	{"a number that is none", LockFile, "\nid 1 restart_syscall\n", "\nid one restart_syscall\n", "one", "bad number one"},
	{"a line twice", LockFile, "\nid 1 restart_syscall\n", "\nid 1 restart_syscall\nid 1 exit\n", "1 exit", "id 1 is repeated (first on line "},
	{"lines in another order", LockFile, "\nid 1 restart_syscall\nid 2 exit\n", "\nid 2 exit\nid 1 restart_syscall\n", "id 2",
		"line differs from what scaplab schema lock writes"},
	{"a param without type", LockFile, "fd:fd pid:pid flags:flags32(pidfd_open_flags)", "fd:fd pid flags:flags32(pidfd_open_flags)", "pid flags",
		"pidfd_open: bad param pid (name:type is expected)"},
	{"a type that is none", LockFile, "fd:fd pid:pid flags:flags32(pidfd_open_flags)", "fd:fd pid:pit flags:flags32(pidfd_open_flags)", "pid:pit",
		"pidfd_open: unknown type pit"},
	{"a flag set that is none", LockFile, "event 64 futex_enter futex ipc syscall old_version,converter_managed addr:uint64/hex op:flags16(futex_op)",
		"event 64 futex_enter futex ipc syscall old_version,converter_managed addr:uint64/hex op:flags16(futex_os)", "op:",
		"futex: op: unknown flag set futex_os"},
	{"a type of no file", LockFile, "\ntype int8 1\n", "\ntype int8 1\ntype int7 1\n", "int7", "int7: type is missing from types.yaml (types are never removed)"},
	{"a dyn table of no file", LockFile, "\ndyn sockopt ", "\ndyn none fd\ndyn sockopt ", "none", "none: dyn table is missing from types.yaml (tables are never removed)"},
	{"a flag set of no file", LockFile, "\nvalue access_flags F_OK ", "\nvalue aaa A 0x1\nvalue access_flags F_OK ", "A",
		"aaa: flag set is missing from flags.yaml (sets of events are never removed)"},
	{"a value of no file", LockFile, "\nvalue access_flags F_OK ", "\nvalue access_flags A_OK 0x77\nvalue access_flags F_OK ", "",
		"access_flags: value A_OK is missing (0x77 in schema.lock; values are never removed)"},
	{"a syscall of no file", LockFile, "\nid 1 restart_syscall\n", "\nid 0 nothing\nid 1 restart_syscall\n", "0 nothing",
		"nothing: id 0 is missing from ids.yaml (ids are never removed)"},
	{"a code of the reference that the lock lacks", LockFile,
		"event 409 pidfd_open_exit pidfd_open process syscall creates_fd,modifies_state fd:fd pid:pid flags:flags32(pidfd_open_flags)\n", "", "",
		"pidfd_open: code 409 is not in schema.lock (all of the reference's are; ours start at 0x8000)"},
}

// mutatedFiles returns the project's table with a mutation.
func mutatedFiles(tb testing.TB, m mutation) fstest.MapFS {
	tb.Helper()
	fsys := fstest.MapFS{}
	for name, src := range tableFiles(tb, ".") {
		if name == m.file {
			require.Equal(tb, 1, strings.Count(src, m.old), "%s: %s", m.name, m.old)
			src = strings.Replace(src, m.old, m.new, 1)
		}
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	return fsys
}

var mutatedErrors = map[mutation]ErrorList{} // loading is slow, and two tests need them

// mutated returns the errors of a mutation, or the facts that the lock does not have.
func mutated(tb testing.TB, m mutation) (errs ErrorList) {
	tb.Helper()
	if list, ok := mutatedErrors[m]; ok {
		return list
	}
	defer func() { mutatedErrors[m] = errs }()
	table, err := LoadFS(mutatedFiles(tb, m))
	if err != nil {
		var list ErrorList
		require.ErrorAs(tb, err, &list)
		return list
	}
	return table.Unlocked
}

// A change that breaks other programs is an error at the place of the change.
func TestTheWireSchemaIsLocked(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			want := m.err
			if m.at != "" {
				src := tableFiles(t, ".")[m.file]
				at := strings.Index(src, m.old) + strings.LastIndex(m.new, m.at)
				require.Contains(t, m.new, m.at)
				before := strings.Replace(src, m.old, m.new, 1)[:at]
				line := before[strings.LastIndexByte(before, '\n')+1:]
				want = fmt.Sprintf("%s:%d:%d: %s", m.file, strings.Count(before, "\n")+1, utf8.RuneCountInString(line)+1, m.err)
			}
			require.ErrorContains(t, mutated(t, m), want)
		})
	}
}

// additions remove a line from the lock: the table is then ahead of it.
var additions = []mutation{
	{"", LockFile, "type pid32 4\n", "", "", "pid32: type pid32 is not in the lock yet (run scaplab schema lock)"},
	{"", LockFile, "dyn keyctl int64 charbuf\n", "", "", "keyctl: dyn table keyctl is not in the lock yet (run scaplab schema lock)"},
	{"", LockFile, "dyn keyctl int64 charbuf\n", "dyn keyctl int64\n", "", "keyctl: a variant of dyn table keyctl is not in the lock yet (run scaplab schema lock)"},
	{"", LockFile, "event 0x800b ftruncate_exit ftruncate file syscall - res:errno fd:fd length:int64\n", "", "", "ftruncate: event 0x800b ftruncate_exit is not in the lock yet (run scaplab schema lock)"},
	{"", LockFile, "ftruncate file syscall - res:errno fd:fd length:int64\n", "ftruncate file syscall - res:errno fd:fd\n", "", "ftruncate: length: param length is not in the lock yet (run scaplab schema lock)"},
	{"", LockFile, "value shutdown_how SHUT_RD 0x0\n", "", "", "shutdown_how: value SHUT_RD is not in the lock yet (run scaplab schema lock)"},
	{"", LockFile, "id 1 restart_syscall\n", "", "", "restart_syscall: id 1 is not in the lock yet (run scaplab schema lock)"},
}

// A new fact gets its line in the lock, and nothing else there changes.
func TestTheLockIsOnlyAppendedTo(t *testing.T) {
	testutil.SkipUnderRace(t)
	full := tableFiles(t, ".")[LockFile]
	for _, m := range additions {
		fsys := mutatedFiles(t, m)
		table, err := LoadFS(fsys)
		require.NoError(t, err, m.err)
		require.Len(t, table.Unlocked, 1, m.err)
		require.ErrorContains(t, table.Unlocked[0], m.err)
		relocked := string(table.Relock())
		require.Equal(t, len(full), len(relocked), m.err)
		require.ElementsMatch(t, strings.Split(full, "\n"), strings.Split(relocked, "\n"), m.err)
		fsys[LockFile] = &fstest.MapFile{Data: []byte(relocked)}
		table, err = LoadFS(fsys)
		require.NoError(t, err, m.err)
		require.Empty(t, table.Unlocked, m.err)
	}
}

func TestTheReadmeNamesTheReferencesVersion(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	v := mustLoad(t, ".").Lock.Versions[0]
	require.Contains(t, string(readme), fmt.Sprintf("(API %s, schema %s)", v.API, v.Schema))
}
