// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// officialFiles are the rule files of falco, unchanged, with the number of their rules.
var officialFiles = []struct {
	name  string
	rules int
}{
	{"falco_rules.yaml", 25}, {"falco-incubating_rules.yaml", 31}, {"falco-sandbox_rules.yaml", 37},
}

// officialDir is where they are, beside the project.
const officialDir = "../../../shared/data/rules"

func mustOfficial(tb testing.TB, files ...string) *Set {
	tb.Helper()
	if _, err := os.Stat(officialDir); err != nil {
		tb.Skip("the official rule files are not beside the project: ", err)
	}
	var l Loader
	for _, f := range files {
		l.AddFile(filepath.Join(officialDir, f))
	}
	set, report := l.Load()
	for _, m := range report.Messages() {
		tb.Errorf("%s", m)
	}
	require.False(tb, report.Failed())
	return set
}

func TestOfficialFilesLoadAlone(t *testing.T) {
	for _, f := range officialFiles {
		set := mustOfficial(t, f.name)
		require.Len(t, set.Rules, f.rules, f.name)
	}
}

func TestOfficialFilesLoadTogether(t *testing.T) {
	set := mustOfficial(t, officialFiles[0].name, officialFiles[1].name, officialFiles[2].name)
	require.Len(t, set.Rules, 93)
	for _, r := range set.Rules {
		codes := r.Condition.Codes()
		require.NotZero(t, codes.Len(), "rule %s can match no event", r.Name)
	}
}
