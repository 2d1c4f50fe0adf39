// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
	"github.com/scaplab/scaplab/vmtest/shard"
)

// sampleReports returns reports of each kind.
func sampleReports(t *testing.T) map[string]*Report {
	t.Helper()
	full := testReport(t)
	full.Warnings = []Warning{{"6.1", "older than the newest"}}
	full.Costs = []Cost{{Kernel: "6.1", Arch: "amd64", Driver: "ebpf", Call: "getppid", Bare: 100, Added: 50.5}}
	full.Verifier = []Verifier{{Kernel: "6.1", Arch: "amd64", Program: "x_openat_exit", Clang: "19", Instructions: 9, Processed: 80, States: 7, PeakStates: 3, Stack: 64, Seconds: 0.5}, {Kernel: "6.1", Arch: "amd64", Clang: "19", Error: "no machine"}}
	full.Partial = "interrupted after 7 of 8 verdicts"
	full.opts.Shard = shard.Shard{Index: 1, Count: 2}
	k := full.opts.Kernels[0]
	full.add(k, guest.OnlyEBPF, "getppid/works", nil, judge.Failf(judge.ClassParam, "res: want 1, got 2 \x01"))
	last := &full.Results[len(full.Results)-1]
	last.Suite, last.Missed, last.Conformance, last.Console = "io_uring", "the path", "listed", "scap: hello"
	last.Events = []DriverEvents{{guest.EBPF, []string{"< getppid res=2"}}}
	last.Params = []judge.Param{{Name: "res", Want: "1", Got: "2", Differs: "they count from 2"}}
	var a, b bytes.Buffer
	require.NoError(t, full.WriteJSON(&a))
	require.NoError(t, testReport(t).WriteJSON(&b))
	joined, err := ReadJSON(&a, &b)
	require.NoError(t, err)
	return map[string]*Report{"full": full, "unfinished": full.unfinished(), "not begun": NotBegun(Options{Tool: "v1"}), "joined": joined, "foreign": foreignReport(), "scored": scoredReport(t)}
}

func TestJSONReportsMatchTheirSchema(t *testing.T) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile("../docs/report.schema.json")
	require.NoError(t, err)
	for name, r := range sampleReports(t) {
		var b bytes.Buffer
		require.NoError(t, r.WriteJSON(&b))
		doc, err := jsonschema.UnmarshalJSON(&b)
		require.NoError(t, err)
		require.NoError(t, schema.Validate(doc), name)
		if name != "full" {
			continue
		}
		// The schema must reject values that are missing, wrong or unknown.
		for _, change := range []func(doc, run, result map[string]any){
			func(doc, _, _ map[string]any) { delete(doc, "format") },
			func(doc, _, _ map[string]any) { doc["more"] = 1 },
			func(_, run, _ map[string]any) { delete(run, "tool") },
			func(_, run, _ map[string]any) { run["started"] = "yesterday" },
			func(_, run, _ map[string]any) { run["seconds"] = json.Number("-1") },
			func(_, _, result map[string]any) { result["status"] = "good" },
			func(_, _, result map[string]any) { result["conformance"] = "nearly" },
			func(_, _, result map[string]any) { result["events"] = []any{} },
			func(_, _, result map[string]any) { result["place"] = "somewhere" },
			func(_, _, result map[string]any) { result["status"], result["class"] = "fail", "" },
			func(_, _, result map[string]any) { result["status"], result["class"] = "fail", "bad luck" },
			func(_, _, result map[string]any) { result["status"], result["class"] = "pass", judge.ClassParam },
		} {
			b.Reset()
			require.NoError(t, r.WriteJSON(&b))
			doc, err := jsonschema.UnmarshalJSON(&b)
			require.NoError(t, err)
			all := doc.(map[string]any)
			change(all, all["runs"].([]any)[0].(map[string]any), all["results"].([]any)[0].(map[string]any))
			require.Error(t, schema.Validate(doc))
		}
	}
}

func TestTheSchemaOfReportsKnowsTheClassesOfFailures(t *testing.T) {
	text, err := os.ReadFile("../docs/report.schema.json")
	require.NoError(t, err)
	var schema struct {
		Defs struct {
			Result struct {
				Properties struct {
					Class struct{ Enum []string }
				}
			}
		} `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(text, &schema))
	require.Equal(t, append([]string{""}, judge.Classes()...), schema.Defs.Result.Properties.Class.Enum)
}

// junitRules has, for each element, the attributes (* is required) and the elements that
// the XSD of JUnit reports in common use allows.
var junitRules = map[string]struct{ attrs, children string }{
	"testsuites": {"name tests failures errors time disabled", "testsuite"},
	"testsuite":  {"*name *tests failures errors skipped time timestamp hostname id package disabled", "properties testcase system-out system-err"},
	"properties": {"", "property"},
	"property":   {"*name *value", ""},
	"testcase":   {"*name *classname time assertions status", "skipped error failure system-out system-err"},
	"skipped":    {"message type", ""},
	"error":      {"type message", ""},
	"failure":    {"type message", ""},
}

type xmlNode struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []xmlNode  `xml:",any"`
}

func (n *xmlNode) attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func TestJUnitReportsFollowTheRulesOfTheCommonXSD(t *testing.T) {
	count := func(n *xmlNode, name string) int {
		c, err := strconv.Atoi(n.attr(name))
		require.NoError(t, err, "%s of %s", name, n.XMLName.Local)
		return c
	}
	var check func(n *xmlNode)
	check = func(n *xmlNode) {
		rule, ok := junitRules[n.XMLName.Local]
		require.True(t, ok, n.XMLName.Local)
		for _, a := range n.Attrs {
			require.Contains(t, strings.Fields(strings.ReplaceAll(rule.attrs, "*", "")), a.Name.Local, n.XMLName.Local)
		}
		for _, a := range strings.Fields(rule.attrs) {
			if name, required := strings.CutPrefix(a, "*"); required {
				require.NotEmpty(t, n.attr(name), "%s of %s", name, n.XMLName.Local)
			}
		}
		for _, a := range n.Attrs {
			if a.Name.Local == "time" {
				require.Regexp(t, `^[0-9]+\.[0-9]+$`, a.Value)
			}
			if a.Name.Local == "timestamp" {
				require.Regexp(t, `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$`, a.Value)
			}
		}
		outcomes := 0
		for i := range n.Children {
			name := n.Children[i].XMLName.Local
			require.Contains(t, strings.Fields(rule.children), name, n.XMLName.Local)
			require.False(t, name == "properties" && i > 0, "properties come first")
			if n.XMLName.Local == "testcase" {
				outcomes++
			}
			check(&n.Children[i])
		}
		require.LessOrEqual(t, outcomes, 1, "a case has one outcome")
	}
	var kinds = map[string]int{}
	for name, r := range sampleReports(t) {
		var b bytes.Buffer
		require.NoError(t, r.WriteJUnit(&b))
		require.True(t, bytes.HasPrefix(b.Bytes(), []byte(xml.Header)))
		var all xmlNode
		d := xml.NewDecoder(&b)
		require.NoError(t, d.Decode(&all), name)
		_, err := d.Token()
		require.ErrorIs(t, err, io.EOF, "one root")
		check(&all)
		total := map[string]int{}
		for i := range all.Children {
			s := &all.Children[i]
			got := map[string]int{}
			for j := range s.Children {
				if c := &s.Children[j]; c.XMLName.Local == "testcase" {
					got["tests"]++
					for _, outcome := range c.Children {
						got[map[string]string{"failure": "failures", "error": "errors", "skipped": "skipped"}[outcome.XMLName.Local]]++
					}
				}
			}
			for _, what := range []string{"tests", "failures", "errors", "skipped"} {
				require.Equal(t, got[what], count(s, what), "%s: %s of %s", name, what, s.attr("name"))
				total[what] += got[what]
				kinds[what] += got[what]
			}
		}
		for _, what := range []string{"tests", "failures", "errors"} {
			require.Equal(t, total[what], count(&all, what), "%s: %s of all", name, what)
		}
	}
	for _, what := range []string{"tests", "failures", "errors", "skipped"} {
		require.Positive(t, kinds[what], what)
	}
}
