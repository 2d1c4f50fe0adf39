// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestAnOutputThatFailsIsAnErrorWhetherTheCommandLooksOrNot(t *testing.T) {
	var errs bytes.Buffer
	root := &cobra.Command{Use: "tool", Run: func(c *cobra.Command, _ []string) { c.Print("text") }}
	require.Equal(t, ExitEnvironment, Run(t.Context(), root, nil, full{}, &errs))
	require.Equal(t, "tool: write output: no space left on device\n", errs.String())
	require.Equal(t, ExitEnvironment, Run(t.Context(), root, []string{"--help"}, full{}, &errs))
}

func TestAnErrorDoesNotCommandTheTerminal(t *testing.T) {
	var out, errs bytes.Buffer
	root := &cobra.Command{Use: "tool", RunE: func(*cobra.Command, []string) error { return Found(errors.New("\x1b[2Jbad\n\u202etwo")) }}
	Run(t.Context(), root, nil, &out, &errs)
	require.Equal(t, "tool: .[2Jbad\n...two\n", errs.String())
}

func TestATerminalIsSeenThroughTheOutputOfACommand(t *testing.T) {
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal
	require.NoError(t, err)
	defer device.Close()
	seen := false
	root := &cobra.Command{Use: "tool", Run: func(c *cobra.Command, _ []string) { seen = Terminal(c.OutOrStdout()) }}
	Run(t.Context(), root, nil, device, &bytes.Buffer{})
	require.True(t, seen)
}
