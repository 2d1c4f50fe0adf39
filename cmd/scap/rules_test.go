// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
)

func mustWrite(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	require.NoError(tb, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestRulesCheckSaysWhatIsWrong(t *testing.T) {
	good := "- rule: r\n  desc: d\n  condition: evt.type = openat\n  output: o\n  priority: notice\n"
	for _, c := range []struct {
		text, want string
		code       int
	}{
		{good, "1 rules\n", cli.ExitFine},
		{good + "- list: l\n  items: []\n", "warning LOAD_UNUSED_LIST: list l: no condition and no list uses it\n    - list: l\n      ^\n1 rules\n", cli.ExitFine},
		{good + "- macro: m\n", "error LOAD_ERR_YAML_VALIDATE: macro m: it has no condition", cli.ExitFound},
	} {
		var out, errs bytes.Buffer
		path := mustWrite(t, "rules.yaml", c.text)
		require.Equal(t, c.code, run(t.Context(), []string{"rules", "check", path}, &out, &errs), "%s", errs.String())
		require.Contains(t, out.String(), c.want)
		require.Empty(t, errs.String())
		out.Reset()
		require.Equal(t, c.code, run(t.Context(), []string{"rules", "check", "--json", path}, &out, &errs))
		require.Contains(t, out.String(), `{"falco_load_results":[{"errors":[`)
	}
	var out, errs bytes.Buffer
	require.Equal(t, cli.ExitFound, run(t.Context(), []string{"rules", "check", filepath.Join(t.TempDir(), "none")}, &out, &errs))
	require.Contains(t, out.String(), "LOAD_ERR_FILE_READ")
}
