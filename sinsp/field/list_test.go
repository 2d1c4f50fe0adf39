// SPDX-License-Identifier: Apache-2.0

package field

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

func TestThePageIsFresh(t *testing.T) {
	testutil.GoldenFile(t, "../../docs/fields.md", Page())
}

func TestDescriptionsAreOneLine(t *testing.T) {
	line := regexp.MustCompile(`^[^\n]{1,120}([^.\n]|\.\.\.)$`)
	for name, f := range All() {
		if f.Desc != "1" {
			require.Regexp(t, line, f.Desc, name)
		}
	}
}

func TestDescriptionsTellHowAFieldIsWritten(t *testing.T) {
	require.Equal(t, Description{Name: "proc.aname", Class: "proc", Type: "string", Syntax: "proc.aname or proc.aname[N]", Many: "any",
		Notes: []string{"no val()", "no transformers"}, Desc: "proc.name of an ancestor, as proc.aexe"},
		procClass.Describe(All()["proc.aname"]))
	require.Equal(t, "evt.abspath or evt.abspath.src or evt.abspath.dst", evtClass.Describe(All()["evt.abspath"]).Syntax)
}
