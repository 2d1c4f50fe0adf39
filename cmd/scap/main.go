// SPDX-License-Identifier: Apache-2.0

// Command scap records system events and reads captures, its own and those of sysdig,
// falco and stratoshark.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
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
		newRulesCmd(),
		newInfoCmd(),
		newConvertCmd(),
		newEventsCmd(),
		newFieldsCmd(),
		newPsCmd(),
		newFDsCmd(),
		newVerifyCmd(),
		newSynthCmd(),
		cli.NewVersionCmd("scap"),
		cli.NewManCmd("scap"),
	)
	return root
}

// run runs the program in this process; tests call it too.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return cli.Run(ctx, newRoot(), args, stdout, stderr)
}

// errStop ends readAll early.
var errStop = errors.New("enough")

// batchSize is how many events are asked for at once.
const batchSize = 256

// readAll calls each with all events of a capture, in batches. A batch has fewer than
// batchSize events if the next event may need a wait. An error of the capture is
// returned after everything readable was read.
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

// leftOut returns an error with the counts of what the reader left out; nil: nothing.
func leftOut(r *savefile.Reader, path string) error {
	c := r.Counts()
	var parts []string
	if c.Corrupt > 0 || c.BadRecords > 0 {
		parts = append(parts, fmt.Sprintf("%d events and %d records of the state are corrupt and were left out", c.Corrupt, c.BadRecords))
	}
	if c.StateCut > 0 {
		parts = append(parts, fmt.Sprintf("%d records of the state were left out, since it is larger than real ones", c.StateCut))
	}
	if c.SkippedBlocks > 0 {
		parts = append(parts, fmt.Sprintf("%d blocks of unknown type were left out (%s)", c.SkippedBlocks, typesOf(r)))
	}
	if c.BadEnds > 0 {
		parts = append(parts, fmt.Sprintf("%d blocks end with a wrong length", c.BadEnds))
	}
	if parts == nil {
		return nil
	}
	return cli.Found(fmt.Errorf("%s: %s", path, strings.Join(parts, "; ")))
}

// typesOf returns the types of the blocks that the reader does not know.
func typesOf(r *savefile.Reader) string {
	var types []string
	for _, t := range r.UnknownBlocks() {
		types = append(types, fmt.Sprintf("%#x", t))
	}
	return strings.Join(types, " ")
}

// untilSignal returns a context that the first SIGINT or SIGTERM cancels, so that a
// command completes its capture file; a second signal kills. Commands that only read
// keep the default, to end at the first signal: they may be waiting for a pipe, and
// results of half a capture would be wrong.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
