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

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

// opened classifies the failure to open a capture.
func opened(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return cli.Lacking(err)
	}
	return cli.Found(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "scap",
		Short: "Record system events and read captures",
	}
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
	return cli.Run(ctx, newRoot(), args, stdout, stderr)
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
			return cli.Found(err)
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
	return cli.Found(fmt.Errorf("%s: %d events and %d records of the state are corrupt and were left out", path, c.Corrupt, c.BadRecords))
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
