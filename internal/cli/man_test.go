// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestManualPagesAreThoseOfTheCommandsAndOfTheirTime(t *testing.T) {
	tool := func() *cobra.Command {
		root := &cobra.Command{Use: "tool", Short: "Do things"}
		root.AddCommand(NewManCmd("tool"), NewVersionCmd("tool"))
		return root
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	var out, errs bytes.Buffer
	t.Setenv("SOURCE_DATE_EPOCH", "x")
	require.Equal(t, ExitUsage, Run(t.Context(), tool(), []string{"man", dir}, &out, &errs))
	require.Contains(t, errs.String(), `SOURCE_DATE_EPOCH="x": not a number of seconds`)

	t.Setenv("SOURCE_DATE_EPOCH", "951782400")
	require.Equal(t, ExitFine, Run(t.Context(), tool(), []string{"man", dir}, &out, &errs))
	page, err := os.ReadFile(filepath.Join(dir, "tool-version.1"))
	require.NoError(t, err)
	require.Contains(t, string(page), `"Feb 2000"`)
	require.Contains(t, string(page), "--json")
	require.NoFileExists(t, filepath.Join(dir, "tool-man.1"), "a hidden command")

	again := t.TempDir()
	require.Equal(t, ExitFine, Run(t.Context(), tool(), []string{"man", again}, &out, &errs))
	other, err := os.ReadFile(filepath.Join(again, "tool-version.1"))
	require.NoError(t, err)
	require.Equal(t, string(page), string(other))
	require.Equal(t, ExitEnvironment, Run(t.Context(), tool(), []string{"man", filepath.Join(again, "tool-version.1")}, &out, &errs))
}
