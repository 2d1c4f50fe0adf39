// SPDX-License-Identifier: Apache-2.0

// Command scap records system events and reads captures: those of its own, of
// sysdig, falco and stratoshark.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

// What run returns, and so the exit status.
const (
	exitFine        = 0
	exitFound       = 1 // something is wrong with what was read
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

// found reports that what was read is wrong.
func found(err error) error { return &codeError{exitFound, err} }

// lacking reports that the environment lacks something, unless err says itself
// what is the matter.
func lacking(err error) error {
	var ce *codeError
	if errors.As(err, &ce) {
		return err
	}
	return &codeError{exitEnvironment, err}
}

// usage reports wrong use.
func usage(err error) error { return &codeError{exitUsage, err} }

// opened classifies the failure to open a capture.
func opened(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return lacking(err)
	}
	return found(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "scap",
		Short:         "Record system events and read captures",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	// One file per command; each has a constructor, named here.
	root.AddCommand(
		newRecordCmd(),
		newReadCmd(),
		newInfoCmd(),
		newConvertCmd(),
		newEventsCmd(),
		newVerifyCmd(),
		newSynthCmd(),
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
	var output *fs.PathError
	if errors.As(err, &ce) {
		code = ce.code
	} else if errors.As(err, &output) {
		code = exitEnvironment
	}
	if errors.Is(err, syscall.EPIPE) {
		return exitFine // whoever reads our output has enough
	}
	if ce == nil || ce.err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", cmd.CommandPath(), err)
	}
	if code == exitUsage {
		fmt.Fprintf(stderr, "See %s --help.\n", cmd.CommandPath())
	}
	return code
}

// errStop ends readAll early.
var errStop = errors.New("enough")

// batchSize is how many events are asked for at once.
const batchSize = 256

// readAll calls each with all events of a capture, a batch at a time: fewer than
// batchSize where the next may have to be waited for. What is wrong with the capture
// is told after all that can be read was read.
func readAll(r *savefile.Reader, each func(evs []event.Event) error) error {
	evs := make([]event.Event, batchSize)
	for {
		n, err := r.ReadBatch(evs)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return found(err)
		}
		if err := each(evs[:n]); errors.Is(err, errStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// leftOut tells what of a capture could not be delivered; nil: nothing.
func leftOut(r *savefile.Reader, path string) error {
	c := r.Counts()
	if c.Corrupt == 0 && c.BadRecords == 0 {
		return nil
	}
	return found(fmt.Errorf("%s: %d events and %d records of the state are corrupt and were left out", path, c.Corrupt, c.BadRecords))
}

// untilSignal is ctx until the user wants a command that writes a capture to end:
// then its file is to be completed. A second signal ends it where it is. What only
// reads ends with the first, as any program does: it may be waiting for a pipe, and
// what it would say about half a capture is not true of the whole.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
