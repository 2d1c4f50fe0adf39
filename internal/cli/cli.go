// SPDX-License-Identifier: Apache-2.0

// Package cli has what the commands share: exit statuses, the format of errors, and
// the output of --version.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/internal/hint"
)

// Exit statuses.
const (
	ExitFine        = 0
	ExitFound       = 1 // the command found something wrong
	ExitUsage       = 2 // wrong use
	ExitEnvironment = 3 // something that the command needs is missing
)

// Error is an error with the program's exit status. A nil Err means that the error was
// already printed.
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

// Found returns an error for something wrong that the command found.
func Found(err error) error { return &Error{ExitFound, err} }

// Usage returns an error for wrong use.
func Usage(err error) error { return &Error{ExitUsage, err} }

// Lacking returns an error for something missing in the environment, unless err
// already has an exit status.
func Lacking(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{ExitEnvironment, err}
}

// Run executes a command line and returns the exit status. An error without a status
// counts as missing environment if it is about a file, else as wrong use: cobra's own
// errors are about unknown commands and wrong arguments.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return Usage(suggest(cmd, err)) })
	root.Version = Version()
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetArgs(args)
	out := &output{w: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if out.err != nil && !errors.As(err, new(*Error)) { // the command did not look, or did not know why
		err = Lacking(fmt.Errorf("write output: %w", out.err))
	}
	var e *Error
	var file *fs.PathError
	code := ExitUsage
	switch {
	case err == nil:
		return ExitFine
	case errors.Is(err, syscall.EPIPE):
		return ExitFine // the reader of our output closed the pipe
	case errors.As(err, &e):
		code = e.Code
	case errors.As(err, &file):
		code = ExitEnvironment
	}
	if e == nil || e.Err != nil {
		fmt.Fprintf(stderr, "%s: %s\n", cmd.CommandPath(), escape.Lines(err.Error()))
	}
	if code == ExitUsage {
		fmt.Fprintf(stderr, "See %s --help.\n", cmd.CommandPath())
	}
	return code
}

// suggest adds to an error of an unknown flag the one that may be meant.
func suggest(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	near := hint.DidYouMean(unknown.GetSpecifiedName(), known)
	if !strings.Contains(near, "did you mean ") {
		return err
	}
	return fmt.Errorf("%w%s", err, strings.Replace(near, "mean ", "mean --", 1))
}

// output is standard output. It keeps the first error, so that no command reports success
// for what a full disk did not take.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// Terminal reports whether w is a terminal, where progress is shown.
func Terminal(w io.Writer) bool {
	if o, ok := w.(*output); ok {
		w = o.w
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// The size that terminals had in the beginning.
const (
	defaultColumns = 80
	defaultRows    = 24
)

// Width returns the number of columns of the terminal w, 80 if it is not known.
func Width(w io.Writer) int {
	columns, _ := Size(w)
	return columns
}
