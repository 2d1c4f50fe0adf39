// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

// mustLoad loads files, given as name and text, without errors.
func mustLoad(tb testing.TB, files ...string) *Set {
	tb.Helper()
	set, report := load(files...)
	require.False(tb, report.Failed(), "%v", report.Messages())
	return set
}

func load(files ...string) (*Set, *Report) {
	var l Loader
	for i := 0; i < len(files); i += 2 {
		l.Add(files[i], files[i+1])
	}
	return l.Load()
}

// Each file of testdata is about one thing. Its golden file has what is said of it.
func TestFilesGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/files/*.yaml")
	require.NoError(t, err)
	require.Greater(t, len(files), 60)
	seen := map[Code]bool{ErrFileRead: true} // in a test of its own
	for _, path := range files {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		set, report := load(name+".yaml", string(text))
		var b strings.Builder
		for _, m := range report.Messages() {
			seen[m.Code] = true
			b.WriteString(m.String() + "\n")
		}
		if strings.HasPrefix(name, "good-") {
			require.Empty(t, b.String(), name)
		}
		for _, r := range set.Rules {
			b.WriteString("rule " + r.Name + " (" + r.Priority.String() + "): " + r.Condition.String() + "\n")
		}
		testutil.Golden(t, "files/"+name, []byte(b.String()))
	}
	for code := range descriptions {
		require.True(t, seen[code], "no file has %s", code)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	var l Loader
	l.AddFile(filepath.Join(t.TempDir(), "none.yaml"))
	_, report := l.Load()
	require.True(t, report.Failed())
	require.Equal(t, ErrFileRead, report.Files[0].Errors[0].Code)
	require.Contains(t, report.Files[0].Errors[0].String(), "none.yaml: error LOAD_ERR_FILE_READ: the file cannot be read: ")
}

func TestADirectoryStandsForItsFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yaml", "a.yml", "c.txt"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("- macro: "+name[:1]+"\n  condition: proc.name = x\n"), 0o600))
	}
	var l Loader
	l.AddFile(dir)
	_, report := l.Load()
	require.Len(t, report.Files, 2)
	require.Equal(t, filepath.Join(dir, "a.yml"), report.Files[0].Name)
}

const simple = "- rule: r\n  desc: d\n  condition: evt.type = openat and m\n  output: o\n  priority: notice\n"

func TestAFileSeesOnlyTheMacrosOfFilesBefore(t *testing.T) {
	m := "- macro: m\n  condition: proc.name = cat\n"
	_, report := load("one", simple, "two", m)
	require.Len(t, report.Files[0].Errors, 1)
	require.Equal(t, `one:3:36: error LOAD_ERR_VALIDATE: rule r: macro m is defined in a later file, at two:1:3 (load that file first)
    condition: evt.type = openat and m
                                     ^`, report.Files[0].Errors[0].String())
	mustLoad(t, "two", m, "one", simple)
	mustLoad(t, "one", m+simple, "two", "- macro: m\n  condition: proc.name = dog\n")
}

func TestTheReportInTheShapeOfFalco(t *testing.T) {
	_, report := load("bad.yaml", "- rule: r\n  desc: d\n  condition: evt.type = openat and proc.nmae = cat\n  output: o\n  priority: notice\n- list: l\n  items: []\n")
	b, err := json.Marshal(report)
	require.NoError(t, err)
	require.JSONEq(t, `{"falco_load_results":[{"name":"bad.yaml","successful":false,
		"errors":[{"code":"LOAD_ERR_COMPILE_CONDITION","codedesc":"A condition does not compile",
			"message":"unknown field proc.nmae (did you mean proc.name?)",
			"context":{"locations":[
				{"item_type":"rule","item_name":"r","position":{"name":"bad.yaml","line":0,"column":2,"offset":2}},
				{"item_type":"condition expression","item_name":"","position":{"name":"bad.yaml","line":2,"column":35,"offset":55}}],
			"snippet":"condition: evt.type = openat and proc.nmae = cat\n                                 ^"}}],
		"warnings":[{"code":"LOAD_UNUSED_LIST","codedesc":"A list is not used","message":"no condition and no list uses it",
			"context":{"locations":[{"item_type":"list","item_name":"l","position":{"name":"bad.yaml","line":5,"column":2,"offset":104}}],
			"snippet":"- list: l\n  ^"}}]}]}`, string(b))
}

func TestSelectionTakesItsStepsInOrder(t *testing.T) {
	file := ""
	for _, r := range [][3]string{{"Read shadow", "a, b", "warning"}, {"Read passwd", "b", "debug"}, {"Write", "c", "error"}} {
		file += "- rule: " + r[0] + "\n  desc: d\n  condition: evt.type = openat\n  output: o\n  priority: " + r[2] + "\n  tags: [" + r[1] + "]\n"
	}
	for _, c := range []struct {
		steps []Step
		least Priority
		want  []string
		idle  int
	}{
		{nil, Debug, []string{"Read shadow", "Read passwd", "Write"}, 0},
		{nil, Warning, []string{"Read shadow", "Write"}, 0},
		{[]Step{{Name: "*"}, {Enable: true, Tag: "b"}}, Debug, []string{"Read shadow", "Read passwd"}, 0},
		{[]Step{{Enable: true, Tag: "b"}, {Name: "*"}}, Debug, nil, 0},
		{[]Step{{Name: "Read*"}}, Debug, []string{"Write"}, 0},
		{[]Step{{Name: "*e*"}, {Enable: true, Name: "R*d *w*"}}, Debug, []string{"Read shadow", "Read passwd"}, 0},
		{[]Step{{Name: "Read"}, {Tag: "x"}}, Debug, []string{"Read shadow", "Read passwd", "Write"}, 2},
	} {
		set := mustLoad(t, "f", file)
		require.Len(t, set.Select(c.steps, c.least), c.idle)
		var got []string
		for _, r := range set.Engine().Rules {
			got = append(got, r.Name)
		}
		require.Equal(t, c.want, got, "%+v", c)
	}
}

func TestListsOfListsEnd(t *testing.T) {
	file := "- list: l0\n  items: [a, b]\n"
	for i := range 40 {
		file += fmt.Sprintf("- list: l%d\n  items: [l%d, l%d]\n", i+1, i, i)
	}
	_, report := load("f", file)
	require.True(t, report.Failed())
	require.Contains(t, report.Files[0].Errors[0].Text, "more than 1048576 items")
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/files/*.yaml")
	require.NoError(f, err)
	for _, path := range files {
		text, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, report := load("f", text)
		for _, m := range report.Messages() {
			if p := m.Position(); p.Line > 0 && (p.Line > strings.Count(text, "\n")+1 || p.Offset > len(text) || p.Col < 1) {
				t.Fatalf("%s is not in the text", m)
			}
		}
		if _, err := json.Marshal(report); err != nil {
			t.Fatal(err)
		}
	})
}
