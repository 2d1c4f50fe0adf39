// SPDX-License-Identifier: Apache-2.0

// Package cli is what the commands do alike: exit statuses, how errors are told, and
// what --version says.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	ExitFine        = 0
	ExitFound       = 1 // something is wrong with what was looked at
	ExitUsage       = 2 // wrong use
	ExitEnvironment = 3 // the environment lacks something
)

// Error is an error that says how the program is to exit. With a nil Err
// everything was already said.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Found reports that what was looked at is wrong.
func Found(err error) error { return &Error{ExitFound, err} }

// Usage reports wrong use.
func Usage(err error) error { return &Error{ExitUsage, err} }

// Lacking reports that the environment lacks something, unless err says itself
// what is the matter.
func Lacking(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{ExitEnvironment, err}
}

// Run executes a command line and returns the exit status. Errors without one
// are the environment's when they are about a file, else wrong use: cobra's own
// are about unknown commands and wrong arguments.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	info, _ := debug.ReadBuildInfo() // nil: not built as a module
	root.Version = version(info)
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	var e *Error
	var file *fs.PathError
	code := ExitUsage
	switch {
	case err == nil:
		return ExitFine
	case errors.Is(err, syscall.EPIPE):
		return ExitFine // whoever reads our output has enough
	case errors.As(err, &e):
		code = e.Code
	case errors.As(err, &file):
		code = ExitEnvironment
	}
	if e == nil || e.Err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", cmd.CommandPath(), err)
	}
	if code == ExitUsage {
		fmt.Fprintf(stderr, "See %s --help.\n", cmd.CommandPath())
	}
	return code
}

// Terminal tells whether w is one: only there is progress shown.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// defaultWidth is what terminals had in the beginning.
const defaultWidth = 80
