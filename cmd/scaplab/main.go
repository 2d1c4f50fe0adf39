// SPDX-License-Identifier: Apache-2.0

// Command scaplab is the workbench: it checks the table, generates what follows
// from it, and proves every entry on many kernels.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/vmtest/guest"
)

// What run returns, and so the exit status.
const (
	exitFine        = 0
	exitFound       = 1 // something is wrong with what was looked at
	exitUsage       = 2 // wrong use
	exitEnvironment = 3 // the environment lacks something
)

// codeError is an error that says how the program is to exit. With a nil err
// everything was already said.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

// found reports that what was looked at is wrong.
func found(err error) error { return &codeError{exitFound, err} }

// lacking reports that the environment lacks something.
func lacking(err error) error { return &codeError{exitEnvironment, err} }

// usage reports wrong use.
func usage(err error) error { return &codeError{exitUsage, err} }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "scaplab",
		Short:         "Describe system calls once, prove them on every kernel",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	// One file per command; each has a constructor, named here.
	root.AddCommand(
		newGenCmd(),
		newTableCmd(),
		newMatrixCmd(),
		newReproCmd(),
		newBuildCmd(),
		newHostCmd(),
		newKernelsCmd(),
		newDoctorCmd(),
		newReportCmd(),
	)
	return root
}

// run is the program without its process: tests call it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitFine
	}
	code := exitUsage // cobra's own errors: unknown commands, wrong arguments
	var ce *codeError
	if errors.As(err, &ce) {
		code = ce.code
	}
	if ce == nil || ce.err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", cmd.CommandPath(), err)
	}
	if code == exitUsage {
		fmt.Fprintf(stderr, "See %s --help.\n", cmd.CommandPath())
	}
	return code
}

// projectRoot is the directory that holds the tables: the working directory or
// the nearest one above it.
func projectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", lacking(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "tables", "syscalls.yaml")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", lacking(errors.New("tables/syscalls.yaml is in no directory above this one: run scaplab inside the project"))
		}
		dir = up
	}
}

func main() {
	guest.Hook() // does not return in a guest, where this program is init
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
