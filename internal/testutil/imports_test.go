// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/scaplab/scaplab/"

// boundaries say which packages of the module must not depend on which others,
// through any chain of imports. "x" is x alone, "x/..." it and all below it.
var boundaries = []struct {
	from, not []string
	why       string
}{
	{
		[]string{"driver/...", "scap/...", "sinsp/...", "vmtest/...", "cmd/scap/...", "internal/expr/...", "internal/kver"},
		[]string{"gen/...", "tables/..."},
		"nothing that runs reads the table: what it needs of it is generated",
	},
	{
		[]string{"sinsp/..."},
		[]string{"driver/...", "scap/ebpf", "scap/kmod", "scap/savefile"},
		"sinsp knows scap.Source and no engine",
	},
	{
		[]string{"sinsp", "sinsp/field", "sinsp/filter", "sinsp/output"},
		[]string{"sinsp/rule", "sinsp/alert"},
		"rules and alerts are made of filters and formats, which know nothing of them",
	},
	{
		[]string{"sinsp/rule"},
		[]string{"sinsp/alert", "internal/cli"},
		"rules say what holds, not where alerts go",
	},
	{
		[]string{"scap", "scap/event", "scap/scaptest", "scap/proc", "scap/savefile"},
		[]string{"driver/...", "scap/ebpf", "scap/kmod", "sinsp/..."},
		"what needs no live kernel works on any system",
	},
	{
		[]string{"driver/...", "scap/...", "tables/...", "internal/expr/...", "internal/kver", "internal/testutil"},
		[]string{"gen/...", "cmd/...", "vmtest/..."},
		"libraries do not know the workbench",
	},
	{
		[]string{"internal/cmd/generate"},
		[]string{"driver/...", "scap/...", "sinsp/...", "vmtest/...", "cmd/..."},
		"the generator builds whatever the generated code is like",
	},
	{
		[]string{"vmtest/guest/...", "vmtest/wire"},
		[]string{"vmtest", "vmtest/judge", "vmtest/machine", "internal/kernels/...", "internal/kmodbuild"},
		"the guest does not carry the host's part",
	},
	{
		[]string{"vmtest/guest/object"},
		[]string{"vmtest/guest", "vmtest/wire", "scap/...", "driver/..."},
		"what a case is made of knows nothing of drivers and the host",
	},
	{
		[]string{"vmtest/machine"},
		[]string{"vmtest", "vmtest/guest/...", "vmtest/judge", "internal/kernels/...", "scap/...", "driver/..."},
		"a machine runs any kernel and any program",
	},
	{
		[]string{"vmtest/session"},
		[]string{"vmtest", "vmtest/judge", "internal/kernels/...", "internal/kmodbuild"},
		"what guests say is judged elsewhere",
	},
	{
		[]string{"vmtest/judge"},
		[]string{"vmtest", "vmtest/machine", "vmtest/session", "internal/kernels/...", "internal/kmodbuild"},
		"a verdict depends on what the guest reports alone",
	},
	{
		[]string{"vmtest/shard"},
		[]string{"vmtest", "vmtest/judge", "vmtest/machine", "vmtest/session", "internal/kernels/...", "internal/kmodbuild"},
		"how a run is divided depends on nothing but the cases",
	},
	{
		[]string{"internal/kernels/...", "internal/kmodbuild", "internal/env", "internal/files"},
		[]string{"vmtest/...", "gen/...", "tables/...", "cmd/...", "scap/...", "sinsp/..."},
		"kernels are fetched and modules built without the harness",
	},
	{
		[]string{"vmtest", "vmtest/guest/...", "vmtest/judge", "vmtest/machine", "vmtest/session", "vmtest/shard", "vmtest/wire"},
		[]string{"internal/kmodbuild", "internal/cli"},
		"the harness is given its modules",
	},
}

func matches(pkg string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		dir, all := strings.CutSuffix(p, "/...")
		return pkg == dir || all && strings.HasPrefix(pkg, dir+"/")
	})
}

// chain is the shortest chain of imports from pkg to one of the patterns.
func chain(graph map[string][]string, pkg string, patterns []string) []string {
	from := map[string]string{pkg: ""}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at != pkg && matches(at, patterns) {
			var path []string
			for ; at != ""; at = from[at] {
				path = append([]string{at}, path...)
			}
			return path
		}
		for _, next := range graph[at] {
			if _, seen := from[next]; !seen {
				from[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// imports is the module's own import graph, tests left out. The driver and the
// guest are of interest on Linux, so it is Linux's.
func imports(tb testing.TB) map[string][]string {
	tb.Helper()
	out := goCommand(tb, moduleRoot(tb), []string{"GOOS=linux"}, "list", "-e", "-deps", "-json=ImportPath,Imports,Standard", "./...")
	graph := map[string][]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return graph
		} else {
			require.NoError(tb, err)
		}
		pkg, ours := strings.CutPrefix(p.ImportPath, module+"")
		if !ours {
			continue
		}
		graph[pkg] = nil
		for _, i := range p.Imports {
			if i, ours := strings.CutPrefix(i, module+""); ours {
				graph[pkg] = append(graph[pkg], i)
			}
		}
	}
}

func TestImportsKeepToTheirSide(t *testing.T) {
	graph := imports(t)
	require.Contains(t, graph["scap"], "scap/event", "the graph is read")
	for pkg := range graph {
		for _, b := range boundaries {
			if !matches(pkg, b.from) {
				continue
			}
			if path := chain(graph, pkg, b.not); path != nil {
				t.Errorf("%s (%s)", strings.Join(path, " imports "), b.why)
			}
		}
	}
}

// Besides constants that Go and C share, and the escaping of text, which all outputs share.
func TestEventImportsTheStandardLibraryOnly(t *testing.T) {
	out := goCommand(t, moduleRoot(t), nil, "list", "-deps", "-json=ImportPath,Imports,Standard", "./scap/event")
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p listed
		require.NoError(t, dec.Decode(&p))
		require.True(t, p.Standard || slices.Contains([]string{module + "scap/event", module + "internal/abi", module + "internal/escape"}, p.ImportPath), p.ImportPath)
	}
}

func TestChainsAreFound(t *testing.T) {
	graph := map[string][]string{"a": {"b", "c"}, "b": {"c/d"}, "c": {"b"}, "c/d": {"e"}, "e": {"a"}}
	require.Equal(t, []string{"a", "b", "c/d"}, chain(graph, "a", []string{"c/d"}))
	require.Equal(t, []string{"a", "c"}, chain(graph, "a", []string{"c/..."}))
	require.Equal(t, []string{"b", "c/d", "e"}, chain(graph, "b", []string{"e", "a"}))
	require.Nil(t, chain(graph, "b", []string{"x"}))
	require.Nil(t, chain(map[string][]string{"a": {"b"}}, "a", []string{"a/..."}), "a package is on its own side")
}
