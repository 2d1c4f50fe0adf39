// SPDX-License-Identifier: Apache-2.0

package subject

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
)

// A module's tables in the layout of the reference, written from its declarations.
const moduleC = `
struct param { char name[32]; int type; int format; const void *info; unsigned char infos; };
struct event { char name[32]; int category; int flags; unsigned params; struct param param[32]; };
struct call { int flags, enter, exit, code; };
const int somewhere = 7;
const struct event g_event_info[308] = {
	[1] = {"syscall", 1, 2, 2, {{"ID", 1, 2, &somewhere, 3}, {"nativeID"}}},
	[3] = {"open", 1, 2, 3, {{"fd"}, {"name"}, {"flags"}}},
	[306] = {"openat", 1, 2, 1, {{"dirfd"}}},
	[307] = {"openat", 1, 2, 2, {{"fd"}, {"a-name-that-takes-all-32-bytes..."}}},
};
const struct call g_syscall_table[512] = {[2] = {1, 2, 3, 4}, [257] = {1, 306, 307, 5}, [0] = {1, 0, 1, 6}};
__attribute__((section(".modinfo"))) const char info[] =
	"version=0.23.2\0name=falco\0api_version=8.0.4\0schema_version=4.1.0\0name=again";
`

// compileModule compiles C to an object file of x86-64, which has the parts of a module that are read.
func compileModule(t *testing.T, text string) string {
	t.Helper()
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	source, object := filepath.Join(dir, "m.c"), filepath.Join(dir, "m.ko")
	require.NoError(t, os.WriteFile(source, []byte(text), 0o600))
	out, err := exec.CommandContext(t.Context(), clang, "--target=x86_64-linux-gnu", "-Wno-everything", "-c", source, "-o", object).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return object
}

func TestAModuleSaysWhatItHas(t *testing.T) {
	s, err := ReadModule(compileModule(t, moduleC), "a test")
	require.NoError(t, err)
	require.Equal(t, "falco 0.23.2", s.String())
	require.Equal(t, "API 8.0.4, schema 4.1.0, a test", s.Long())
	require.Len(t, s.Tables.Events, 308)
	require.Equal(t, Event{Name: "open", Params: []string{"fd", "name", "flags"}}, s.Tables.Events[3])
	require.Equal(t, "a-name-that-takes-all-32-bytes..", s.Tables.Events[307].Params[1])

	require.EqualValues(t, 307, s.Exit(257, 307))
	require.EqualValues(t, 1, s.Exit(257, 327), "its table has another event for the call")
	require.EqualValues(t, 1, s.Exit(95, 0x8009), "an event that it does not have")
	require.EqualValues(t, 3, s.Exit(1<<16+2, 3), "a call of 32-bit tasks only")
	require.True(t, s.Enters(257, 306))
	require.False(t, s.Enters(2, 306))
	info := event.Lookup(event.TypeOpenatExit)
	require.Equal(t, 2, s.Params(info, 7))

	none, err := ReadModule(compileModule(t, `__attribute__((section(".modinfo"))) const char info[] = "name=ours";`), "a test")
	require.NoError(t, err)
	require.Nil(t, none.Tables)
	require.EqualValues(t, 0x8009, none.Exit(95, 0x8009), "judged by the current schema")
	require.Equal(t, len(info.Params), none.Params(info, 2))
	require.Equal(t, 2, (&Subject{Capture: true}).Params(info, 2), "a file does not say what its schema has")
}

func TestWhatIsNoModule(t *testing.T) {
	for name, text := range map[string]string{
		"it has no section .modinfo":         "int x;",
		"its .modinfo has no name":           `__attribute__((section(".modinfo"))) const char info[] = "version=1";`,
		"g_event_info has 4 bytes (want a ":  moduleOf("const int g_event_info = 1; const int g_syscall_table[4];"),
		"g_syscall_table has 4 bytes (want ": moduleOf("const char g_event_info[1840] = {1}; const int g_syscall_table = 1;"),
		"event 0 has 33 params (want at ":    moduleOf("const struct { char name[40]; int n; char rest[1796]; } g_event_info = {\"x\", 33}; const int g_syscall_table[4] = {1};"),
	} {
		_, err := ReadModule(compileModule(t, text), "a test")
		require.ErrorContains(t, err, name)
	}
	file := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(file, []byte("text"), 0o600))
	_, err := ReadModule(file, "a test")
	require.ErrorContains(t, err, "is no kernel module")
	_, err = ReadModule("/no/such/file", "a test")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func moduleOf(text string) string {
	return `__attribute__((section(".modinfo"))) const char info[] = "name=m";` + text
}
