// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// smallRelease has the files of a release with four events.
var smallRelease = map[string]string{
	"driver/API_VERSION":    "12.1.0\n",
	"driver/SCHEMA_VERSION": "4.6.0\n",
	"driver/ppm_events_public.h": `#define PPM_O_RDONLY (1 << 0)
#define PPM_O_NEW (1 << 24)
#define PPM_SHUT_UNKNOWN 0xffff
#define DIRFD_PARAM(n) ((void *)n)
typedef enum {
	PPME_GENERIC_E = 0,
	PPME_GENERIC_X = 1,
	PPME_SYSCALL_OPENAT_E = 2,
	PPME_SYSCALL_OPENAT_X = 3,
	PPM_EVENT_MAX = 4
} ppm_event_code;
#define PPM_SC_FIELDS PPM_SC_X(UNKNOWN, 0) \
	PPM_SC_X(READ, 3) \
	PPM_SC_X(PAGE_FAULT_USER, 4) \
	PPM_SC_X(_SYSCTL, 5)
typedef enum {
#define PPM_SC_X(name, value) PPM_SC_##name = (value),
	PPM_SC_FIELDS
#undef PPM_SC_X
	PPM_SC_MAX,
} ppm_sc_code;
enum ppm_param_type { PT_NONE = 0, PT_UINT16 = 6, PT_SYSCALLID, PT_FD, PT_FLAGS8, PT_FLAGS32, PT_FSRELPATH, PT_DYN, PT_NOVEL, PT_MAX };
enum { PPM_IDX_FD, PPM_IDX_NUMBER, PPM_IDX_MAX };
`,
	"driver/dynamic_params_table.c": `const struct ppm_param_info bpf_dynamic_param[PPM_IDX_MAX] = {
	[PPM_IDX_FD] = {{0}, PT_FD, PF_DEC, 0, 0},
	[PPM_IDX_NUMBER] = {{0}, PT_UINT16, PF_HEX, 0, 0},
};
`,
	"driver/flags_table.c": `const struct ppm_name_value file_flags[] = {
	{"O_RDONLY", PPM_O_RDONLY},
	{"O_NEW", PPM_O_NEW},
	{0, 0},
};
const struct ppm_name_value how[] = { {"SHUT_UNKNOWN", PPM_SHUT_UNKNOWN}, {0, 0} };
`,
	"driver/event_table.c": `const struct ppm_event_info g_event_info[] = {
	[PPME_GENERIC_E] = {"syscall", EC_OTHER | EC_SYSCALL, EF_OLD_VERSION, 1, {{"ID", PT_SYSCALLID, PF_DEC}}},
	/* PPME_GENERIC_X */ {"syscall", EC_OTHER | EC_SYSCALL, EF_SKIPPARSERESET | EF_USES_FD, 0},
	[PPME_SYSCALL_OPENAT_E] = {"NA", EC_UNKNOWN, EF_UNUSED, 0},
	[PPME_SYSCALL_OPENAT_X] = {"openat", EC_FILE | EC_SYSCALL, EF_NONE, 7,
		{{"name", PT_FSRELPATH, PF_NA, DIRFD_PARAM(1)},
		 {"dirfd", PT_FD, PF_DEC},
		 {"flags", PT_FLAGS32, PF_HEX, file_flags},
		 {"how", PT_FLAGS8, PF_HEX, how},
		 {"any", PT_DYN, PF_DEC, bpf_dynamic_param, PPM_IDX_MAX},
		 {"more", PT_UINT16, PF_HEX},
		 {"novel", PT_NOVEL, PF_NA}}},
};
`,
}

// readSmall reads the small release after a change of a file.
func readSmall(t *testing.T, like *Lock, file, old, now string) (*Lock, error) {
	t.Helper()
	files := maps.Clone(smallRelease)
	if file != "" {
		require.Contains(t, files[file], old)
		files[file] = strings.Replace(files[file], old, now, 1)
	}
	fsys := fstest.MapFS{}
	for name, text := range files {
		if now != "" || name != file {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return ReadReference("libs", fsys, like)
}

func TestAReleaseIsReadFromItsSources(t *testing.T) {
	like := mustLock(t, `event 3 openat_exit openat file syscall - name:fsrelpath(dirfd) dirfd:fd flags:flags32(open_flags)
value open_flags O_RDONLY 0x1
`)
	got, err := readSmall(t, like, "", "", "")
	require.NoError(t, err)
	text := got.Text()
	_, lines, _ := strings.Cut(text, "\nversion")
	require.Equal(t, ` 12.1.0 4.6.0 4 6

type uint16 2
type syscallid 2
type fd 8
type flags8 1
type flags32 4
type fsrelpath -
type dyn -
type novel -
dyn bpf fd uint16/hex

event 0 syscall_enter syscall other syscall old_version ID:syscallid
event 1 syscall_exit syscall other syscall uses_fd,skip_parse_reset
event 2 na_enter_2 NA unknown unknown unused
event 3 openat_exit openat file syscall - name:fsrelpath(dirfd) dirfd:fd flags:flags32(open_flags) how:flags8(how)/hex any:dyn(bpf) more:uint16/hex novel:novel

value how SHUT_UNKNOWN 0xff
value open_flags O_RDONLY 0x1
value open_flags O_NEW 0x1000000

id 3 read
id 5 _sysctl
`, lines)
	var said []string
	for _, c := range DiffSchemas(like, got) {
		if c.Level > Patch {
			said = append(said, fmt.Sprintf("%v %v: %s: %s", c.Pos, c.Level, c.Subject, c.What))
		}
	}
	require.Equal(t, []string{
		"libs/driver/event_table.c:2:2 minor: event 0 syscall_enter: new",
		"libs/driver/event_table.c:3:23 minor: event 1 syscall_exit: new",
		"libs/driver/event_table.c:4:2 minor: event 2 na_enter_2: new",
		"libs/driver/event_table.c:9:4 minor: event 3 openat_exit how: new",
		"libs/driver/event_table.c:10:4 minor: event 3 openat_exit any: new",
		"libs/driver/event_table.c:11:4 minor: event 3 openat_exit more: new",
		"libs/driver/event_table.c:12:4 minor: event 3 openat_exit novel: new",
		"libs/driver/flags_table.c:6:39 minor: value how SHUT_UNKNOWN: new, 0xff",
		"libs/driver/flags_table.c:3:2 minor: value open_flags O_NEW: new, 0x1000000",
		"libs/driver/ppm_events_public.h:13:2 minor: id 3 read: new",
		"libs/driver/ppm_events_public.h:15:2 minor: id 5 _sysctl: new",
	}, said)
	require.Contains(t, got.LinesSince(like), "id 5 _sysctl")
	require.NotContains(t, got.LinesSince(like), "value open_flags O_RDONLY 0x1")
	require.Empty(t, got.LinesSince(got))
}

func TestWhatAReleaseChangesHasItsLevel(t *testing.T) {
	old, err := readSmall(t, &Lock{}, "", "", "")
	require.NoError(t, err)
	const events, flags, public = "driver/event_table.c", "driver/flags_table.c", "driver/ppm_events_public.h"
	for _, c := range []struct{ file, old, now, want string }{
		{events, `{"more", PT_UINT16`, `{"less", PT_UINT16`, "major event 3 openat_exit more: is less"},
		{events, "DIRFD_PARAM(1)", "DIRFD_PARAM(2)", "major event 3 openat_exit name: relative to flags, was to dirfd"},
		{events, `{"dirfd", PT_FD, PF_DEC}`, `{"dirfd", PT_UINT16, PF_DEC}`, "major event 3 openat_exit dirfd: type is uint16, was fd"},
		{events, `PT_UINT16, PF_HEX`, `PT_UINT16, PF_DEC`, "patch event 3 openat_exit more: printed as dec, was as hex"},
		{events, `"openat", EC_FILE`, `"openat", EC_NET`, "major event 3 openat_exit: class is net, was file"},
		{events, `EF_OLD_VERSION`, `EF_NONE`, "patch event 0 syscall_enter: flags is -, was old_version"},
		{events, `EF_NONE`, `EF_UNUSED`, "major event 3 openat_exit: unused"},
		{flags, "{\"O_NEW\", PPM_O_NEW},\n", "", "major value file_flags O_NEW: gone"},
		{public, "(1 << 24)", "(1 << 25)", "major value file_flags O_NEW: 0x2000000, was 0x1000000"},
		{public, "PPM_SC_X(READ, 3)", "PPM_SC_X(WRITE, 3)", "major id 3 write: was read"},
	} {
		files := []string{c.file, c.old, c.now}
		if c.now == "" {
			files[1], files[2] = c.old, " "
		}
		now, err := readSmall(t, &Lock{}, files[0], files[1], files[2])
		require.NoError(t, err, c.want)
		var said []string
		for _, ch := range DiffSchemas(old, now) {
			said = append(said, fmt.Sprintf("%v %s: %s", ch.Level, ch.Subject, ch.What))
		}
		require.Contains(t, said, c.want)
		if c.file != events || c.old != "EF_NONE" {
			require.Len(t, said, 1, c.want)
		}
	}
}

func TestSourcesThatAreNoReleaseAreErrorsWithTheirPlace(t *testing.T) {
	const events, flags, public, dyns = "driver/event_table.c", "driver/flags_table.c", "driver/ppm_events_public.h", "driver/dynamic_params_table.c"
	for _, c := range []struct{ file, old, now, want string }{
		{events, "", "", "libs has no driver of the reference (want event_table.c in it, in driver/ or in usr/src/NAME/)"},
		{flags, "", "", "libs: open driver/flags_table.c: file does not exist"},
		{"driver/API_VERSION", "", "", "libs/driver states no version (want API_VERSION, or driver_config.h)"},
		{"driver/SCHEMA_VERSION", "4.6.0", "four", `libs/driver/SCHEMA_VERSION:1:1: version "four": want MAJOR.MINOR.PATCH`},
		{events, "g_event_info", "g_events", "event_table.c has no g_event_info"},
		{events, "EF_OLD_VERSION, 1,", "EF_OLD_VERSION, 2,", "libs/driver/event_table.c:2:72: PPME_GENERIC_E has 1 params, and states 2"},
		{events, "EC_OTHER |", "OTHER |", "libs/driver/event_table.c:2:33: unexpected OTHER (want EC_NAME, or several with |)"},
		{events, "[PPME_SYSCALL_OPENAT_E]", "[PPME_GENERIC_X]", "libs/driver/event_table.c:4:2: PPME_GENERIC_X is repeated (first on line 3)"},
		{events, "[PPME_SYSCALL_OPENAT_E]", "[PPME_OTHER]", "libs/driver/event_table.c:4:3: PPME_OTHER has no value here"},
		{events, "[PPME_SYSCALL_OPENAT_E]", "[PPM_EVENT_MAX + 1]", "libs/driver/event_table.c:4:2: no event has code 5"},
		{events, `[PPME_SYSCALL_OPENAT_E] = {"NA", EC_UNKNOWN, EF_UNUSED, 0},`, "/**/", "libs/driver/event_table.c:1:29: PPME_SYSCALL_OPENAT_E has no entry in g_event_info"},
		{events, `{"NA", EC_UNKNOWN, EF_UNUSED, 0}`, `{"NA"}`, `libs/driver/event_table.c:4:2: PPME_SYSCALL_OPENAT_E is no event (want {"name", category, flags, number of params, {params}})`},
		{events, "PT_NOVEL", "PT_OTHER", "libs/driver/event_table.c:12:14: unknown type PT_OTHER"},
		{events, `{"dirfd", PT_FD, PF_DEC}`, `{"dirfd"}`, `libs/driver/event_table.c:7:4: no param (want {"name", type, format} and what the type needs)`},
		{events, "file_flags}", "other_flags}", "libs/driver/event_table.c:8:34: unknown table other_flags"},
		{events, "DIRFD_PARAM(1)", "DIRFD_PARAM(9)", "libs/driver/event_table.c:6:34: PPME_SYSCALL_OPENAT_X has no param 9"},
		{flags, "PPM_O_NEW", "PPM_O_OTHER", "libs/driver/flags_table.c:3:12: PPM_O_OTHER has no value here"},
		{flags, `{"O_NEW", PPM_O_NEW}`, `{"O_NEW"}`, `libs/driver/flags_table.c:3:2: no value of file_flags (want {"NAME", VALUE})`},
		{dyns, "[PPM_IDX_FD]", "[1]", "libs/driver/dynamic_params_table.c:2:2: variant 1 comes after 0 variants"},
		{dyns, "{{0}, PT_FD, PF_DEC, 0, 0}", "{{0}}", "libs/driver/dynamic_params_table.c:2:2: no variant of bpf_dynamic_param (want {{0}, type, format})"},
		{public, "PPME_GENERIC_X = 1", "PPME_GENERIC_X = 0", "event code 0 is PPME_GENERIC_E and PPME_GENERIC_X"},
		{public, "PPME_GENERIC_X = 1", "PPME_GENERIC_X = 0x8000", "libs/driver/ppm_events_public.h:7:2: PPME_GENERIC_X is 32768 (want a code below 0x8000)"},
		{public, "PPM_SC_X(_SYSCTL, 5)", "PPM_SC_X(_SYSCTL, 3)", "libs/driver/ppm_events_public.h:15:2: syscall code 3 is read already (line 13)"},
		{public, "PPM_SC_FIELDS\n#undef", "\n#undef", "ppm_events_public.h has no codes of events (PPME_*), of syscalls (PPM_SC_*) or types (PT_*)"},
	} {
		_, err := readSmall(t, &Lock{}, c.file, c.old, c.now)
		if assert.Error(t, err, c.want) {
			assert.Equal(t, c.want, err.Error())
		}
	}
}

func TestTouchedEntriesAreThoseOfTheChange(t *testing.T) {
	table := mustLoad(t, ".")
	names := func(c SchemaChange) (out []string) {
		for _, x := range table.Touched(&c) {
			out = append(out, fmt.Sprintf("%s %s", x.Name, x.Pos.File))
		}
		return out
	}
	require.Equal(t, []string{"openat syscalls/file.yaml"}, names(SchemaChange{Subject: "event 307 openat_exit", Event: 307}))
	require.Equal(t, []string{"epoll_create1_flags flags.yaml", "epoll_create1 schema.lock", "epoll_create1 syscalls/wait.yaml"},
		names(SchemaChange{Subject: "value epoll_create1_flags X", Set: "epoll_create1_flags", Name: "X"}))
	require.Equal(t, []string{"getppid ids.yaml", "getppid syscalls/process.yaml"}, names(SchemaChange{Subject: "id 41 getppid", Name: "getppid"}))
	require.Equal(t, []string{"keyctl syscalls/other.yaml", "keyctl types.yaml"}, names(SchemaChange{Subject: "dyn keyctl", Name: "keyctl"}))
	require.Equal(t, []string{"getppid syscalls/process.yaml"}, names(SchemaChange{Subject: "event 454 getppid_exit", Name: "getppid", Event: 454}),
		"a new event of a call that has one of ours")
	require.Contains(t, names(SchemaChange{Subject: "type ipv6addr", Name: "ipv6addr"}), "ipv6addr types.yaml")
	require.Empty(t, names(SchemaChange{Subject: "type novel", Name: "novel"}))
}
