// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/internal/tabledraft"
	"github.com/scaplab/scaplab/tables"
)

// facts612 has what is known of the calls of kernel 6.12.
const facts612 = "../../internal/tabledraft/testdata/kernel-6.12.json"

// tableWithout copies the project's table, and takes a call out of it.
func tableWithout(t *testing.T, file, call string) string {
	t.Helper()
	dir := t.TempDir()
	for _, pattern := range []string{"*.yaml", "syscalls/*.yaml", tables.LockFile} {
		names, err := filepath.Glob("../../tables/" + pattern)
		require.NoError(t, err)
		for _, name := range names {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			rel, err := filepath.Rel("../../tables", name)
			require.NoError(t, err)
			to := filepath.Join(dir, rel)
			require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
			require.NoError(t, os.WriteFile(to, text, 0o644))
		}
	}
	path := filepath.Join(dir, file)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	entry := regexp.MustCompile(`(?m)^- syscall: ` + call + `\(.*\n(?:[ ].*\n|\n)*`)
	require.True(t, entry.Match(text), call)
	require.NoError(t, os.WriteFile(path, entry.ReplaceAll(text, nil), 0o644))
	return dir
}

func TestTableAddWritesWhatLintAccepts(t *testing.T) {
	dir := tableWithout(t, "syscalls/file.yaml", "fallocate")
	path := filepath.Join(dir, "syscalls/file.yaml")
	before, err := os.ReadFile(path)
	require.NoError(t, err)

	var out, stderr bytes.Buffer
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"table", "add", "--kernel", facts612, "--table", dir}, &out, &stderr), stderr.String())
	require.Contains(t, out.String(), "- syscall: fallocate(int fd, int mode, loff_t offset, loff_t len)\n")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "nothing is written without --write")

	out.Reset()
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"table", "add", "--kernel", facts612, "--table", dir, "--json", "fallocate"}, &out, &stderr), stderr.String())
	var drafts []struct {
		Call, File, Text string
		Event            uint16
		Params           []struct{ Name, Type, From string }
		Todos            []string
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &drafts))
	require.Len(t, drafts, 1)
	require.Equal(t, "syscalls/file.yaml", drafts[0].File)
	require.Equal(t, struct{ Name, Type, From string }{"fd", "fd", "fd"}, drafts[0].Params[1])
	require.NotEmpty(t, drafts[0].Todos)

	out.Reset()
	stderr.Reset()
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"table", "add", "--kernel", facts612, "--table", dir, "--write"}, &out, &stderr), out.String()+stderr.String())
	require.Equal(t, path+"\n", out.String())
	require.Contains(t, stderr.String(), "1 drafted; ")
	after, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Greater(t, len(after), len(before))
	table, err := tables.Load(dir)
	require.NoError(t, err)
	unformatted, err := tables.Unformatted(dir)
	require.NoError(t, err)
	require.Empty(t, unformatted)
	own, err := tables.Load("../../tables")
	require.NoError(t, err)
	code := func(t *tables.Table) uint16 {
		for _, s := range t.Syscalls {
			if s.Name == "fallocate" {
				return s.Exit.Code
			}
		}
		return 0
	}
	require.Equal(t, code(own), code(table), "a call that the lock knows gets its code again")

	stderr.Reset()
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"table", "add", "--kernel", facts612, "--table", dir}, &out, &stderr))
	require.Contains(t, stderr.String(), "the table lacks no call that programs of 64 bits can make on kernel 6.12\n")
	require.Contains(t, stderr.String(), "waitpid")
}

// The draft that docs/adding.md shows, but for the code of its event, which is the next free one.
func TestThePageShowsADraft(t *testing.T) {
	var out, stderr bytes.Buffer
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"table", "add", "--kernel", facts612, "waitpid"}, &out, &stderr), stderr.String())
	page, err := os.ReadFile("../../docs/adding.md")
	require.NoError(t, err)
	code := regexp.MustCompile(`event: 0x\w+`)
	require.Contains(t, code.ReplaceAllString(string(page), "event: X"), "```yaml\n"+code.ReplaceAllString(strings.TrimSpace(out.String()), "event: X")+"\n```\n")
}

func TestTableAddSaysWhatIsWrong(t *testing.T) {
	for _, row := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, cli.ExitUsage, "--kernel is missing"},
		{[]string{"--kernel", facts612, "openat"}, cli.ExitUsage, "openat has an entry (../../tables/syscalls/file.yaml:"},
		{[]string{"--kernel", facts612, "no_such"}, cli.ExitUsage, "kernel 6.12 has no call no_such"},
		{[]string{"--kernel", "no-such.json"}, cli.ExitEnvironment, "no-such.json"},
		{[]string{"--kernel", "../../docs/report.schema.json"}, cli.ExitUsage, "no facts of a kernel"},
	} {
		var out, stderr bytes.Buffer
		require.Equal(t, row.status, run(t.Context(), append([]string{"table", "add"}, row.args...), &out, &stderr), stderr.String())
		require.Contains(t, stderr.String(), row.want)
	}
}

func TestTableDiffNamesEntries(t *testing.T) {
	src, err := os.ReadFile(facts612)
	require.NoError(t, err)
	var f kernelfacts.Facts
	require.NoError(t, json.Unmarshal(src, &f))
	f.Kernel = "later"
	for i := range f.Syscalls {
		switch f.Syscalls[i].Name {
		case "mseal":
			f.Syscalls[i].Args = append(f.Syscalls[i].Args, kernelfacts.Arg{Name: "more", Type: "int"})
		case "cachestat":
			f.Syscalls[i].Name = "cachestat_gone"
		}
	}
	for i := range f.Structs {
		if f.Structs[i].Name == "open_how" {
			f.Structs[i].Fields = append(f.Structs[i].Fields, kernelfacts.Field{Name: "new", Type: "__u64", Offset: 24})
		}
	}
	later := filepath.Join(t.TempDir(), "later.json")
	text, err := json.Marshal(&f)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(later, text, 0o644))

	var out, stderr bytes.Buffer
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"table", "diff", facts612, later}, &out, &stderr), stderr.String())
	require.Regexp(t, `(?m)^  cachestat \(.*syscalls/file\.yaml:\d+:\d+\)$`, out.String())
	require.Contains(t, out.String(), "\n    + mseal(unsigned long start, size_t len, unsigned long flags, int more)\n")
	require.Contains(t, out.String(), "the signature of the entry has 3 arguments, the call 4")
	require.Contains(t, out.String(), "\n    struct open_how\n      + __u64 new\n    structs.yaml has open_how (")
	require.Contains(t, out.String(), "\n1 calls that the table lacks: scaplab table add --kernel "+later+"\n  cachestat_gone\n")

	out.Reset()
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"table", "diff", "--json", facts612, later}, &out, &stderr))
	var c tabledraft.Changes
	require.NoError(t, json.Unmarshal(out.Bytes(), &c))
	require.Equal(t, []string{"cachestat_gone"}, c.Lacking)
	require.Len(t, c.Entries, 3)

	out.Reset()
	require.Equal(t, cli.ExitFine, run(t.Context(), []string{"kernels", "diff", facts612, later}, &out, &stderr))
	require.Contains(t, out.String(), "1 structs of their arguments\n  - struct open_how { __u64 flags; __u64 mode; __u64 resolve; }\n")
}
