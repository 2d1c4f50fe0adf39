// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

// officialFiles are the rule files of falco, in the order in which they load.
var officialFiles = []string{"falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"}

func TestThePageOfOfficialRulesGolden(t *testing.T) {
	if _, err := os.Stat(officialDir); err != nil {
		t.Skip("the official rule files are not beside the project: ", err)
	}
	triggered := map[string]string{}
	for _, o := range offences {
		how := "yes"
		if o.runtime {
			how += ", in a capture with the answers of a container runtime"
		}
		if o.own != "" {
			how += ", with an own " + o.own
		}
		if o.note != "" {
			how += "; " + o.note
		}
		triggered[o.rule] = how
	}
	var paths []string
	for _, name := range officialFiles {
		paths = append(paths, filepath.Join(officialDir, name))
	}
	set, report := loadRules(paths, nil)
	require.Empty(t, report.Messages())
	var b strings.Builder
	b.WriteString(`# The official rules of falco here

All rules of the three official files of falcosecurity/rules (June 2026) load without an error or a warning. The table is made by a
test, which fails when it is not what the loader and the tests say. "Needs" has what the drivers capture for the rule; the calls that
only keep the state are captured for all. "Triggered" says whether a program of ` + "`TestOfficialRulesFindOffences`" + ` (` + "`cmd/scap`" + `, live, eBPF)
does what the rule is about: the alert comes with the fields that it should have, and the same program without the offence is not
reported by the rule. What only a container runtime knows is added to a capture of the programs (` + "`TestOfficialRulesNeedARuntime`" + `).
Rules marked * are disabled unless they are selected, as the tests do.
`)
	for i, name := range officialFiles {
		fmt.Fprintf(&b, "\n## %s\n\n| rule | priority | needs | triggered |\n|---|---|---|---|\n", name)
		for _, r := range set.Rules {
			if r.Position.File != paths[i] {
				continue
			}
			n := needsOf(r, nil, "")
			require.Empty(t, n.Why, r.Name)
			star := ""
			if !r.Enabled {
				star = " *"
			}
			how := triggered[r.Name]
			require.NotEmpty(t, how, "no program triggers rule %s", r.Name)
			fmt.Fprintf(&b, "| %s%s | %s | %s | %s |\n", r.Name, star, r.Priority, somePage(n), how)
		}
	}
	testutil.GoldenFile(t, "../../docs/rules-official.md", []byte(b.String()))
}

func somePage(n needs) string {
	return strings.ReplaceAll(some(slices.Concat(n.Calls, n.Meta)), "|", `\|`)
}
