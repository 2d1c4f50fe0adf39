// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestRunTellsAnErrorOnceAndHowToExit(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		err  error
		args []string
		code int
		said string
	}{
		{nil, nil, ExitFine, ""},
		{Found(broken), nil, ExitFound, "tool: broken\n"},
		{Found(nil), nil, ExitFound, ""},
		{Usage(broken), nil, ExitUsage, "tool: broken\nSee tool --help.\n"},
		{Lacking(broken), nil, ExitEnvironment, "tool: broken\n"},
		{Lacking(fmt.Errorf("more: %w", Found(broken))), nil, ExitFound, "tool: more: broken\n"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, nil, ExitEnvironment, "tool: open x: no such file or directory\n"},
		{Lacking(&fs.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}), nil, ExitFine, ""},
		{nil, []string{"--nothing"}, ExitUsage, "tool: unknown flag: --nothing\nSee tool --help.\n"},
		{nil, []string{"extra"}, ExitUsage, "tool: unknown command \"extra\" for \"tool\"\nSee tool --help.\n"},
	} {
		var out, errs bytes.Buffer
		root := &cobra.Command{Use: "tool", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return tt.err }}
		require.Equal(t, tt.code, Run(t.Context(), root, tt.args, &out, &errs), "%v", tt.err)
		require.Equal(t, tt.said, errs.String())
		require.Empty(t, out.String())
	}
}
