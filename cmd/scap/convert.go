// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

func newConvertCmd() *cobra.Command {
	var write writeFlags
	var from, until, numbers string
	var raw bool
	cmd := &cobra.Command{
		Use:   "convert FILE... OUT",
		Short: "Rewrite captures: convert, compress, cut, merge",
		Long: `Rewrite captures. Events of older schemas become current ones. Several captures are
merged by time, and the result has the state of the one that begins first; several
captures in one file stay separate. A time is in seconds after the first event (1.5),
or a date such as 2006-01-02T15:04:05Z. A part also has the earlier events that change
the state, marked as such: scap read shows them with --all.

Released versions of sysdig, stratoshark and falco can read the result. Where old events
lack a param, it has the value that they expect. With --native the param stays empty, and
the result also has what only this project knows.`,
		Example: "  scap convert -z old.scap new.scap.gz\n  scap convert --from 10 --until 20 trace.scap part.scap",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cut, err := parseCut(from, until, numbers)
			if err != nil {
				return err
			}
			paths, out := args[:len(args)-1], args[len(args)-1]
			if err := write.check(cmd, out); err != nil {
				return err
			}
			fopts := write.options()
			fopts.Before = func(name string) error { return notOneOf(name, paths) }
			return convertAll(cmd, paths, out, savefile.Options{Raw: raw, Defaults: !write.native}, fopts, cut)
		},
	}
	write.add(cmd)
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "leave out events before this time")
	f.StringVar(&until, "until", "", "leave out events from this time on")
	f.StringVar(&numbers, "events", "", "keep only events with these numbers, such as 1000-1999")
	f.BoolVar(&raw, "no-convert", false, "keep older events as they are, rather than as current ones")
	return cmd
}

// notOneOf returns an error if out is one of the files that are read.
func notOneOf(out string, paths []string) error {
	o, err := os.Stat(out)
	if err != nil {
		return nil // not there yet
	}
	for _, path := range paths {
		if p, err := os.Stat(path); err == nil && os.SameFile(o, p) {
			return cli.Usage(fmt.Errorf("%s is both input and output", path))
		}
	}
	return nil
}

func convertAll(cmd *cobra.Command, paths []string, out string, opts savefile.Options, fopts savefile.FileOptions, cut *cut) (err error) {
	var readers []*savefile.Reader
	var sources []scap.Source
	defer func() {
		for _, r := range readers {
			r.Close()
		}
	}()
	for _, path := range paths {
		r, err := savefile.Open(path, opts)
		if err != nil {
			return opened(err)
		}
		sources = append(sources, r)
		readers = append(readers, r)
	}
	src := sources[0]
	fopts.State = readers[0].State()
	if len(readers) > 1 {
		earliest := uint64(math.MaxUint64)
		for i, r := range readers {
			p, begins := peek(r)
			if begins < earliest {
				earliest, fopts.State = begins, r.State()
			}
			sources[i] = p
		}
		src = scap.Merge(sources...)
	}
	w, err := savefile.Create(out, fopts)
	if err != nil {
		return cli.Lacking(err)
	}
	defer func() {
		if cerr := w.Close(); err == nil && cerr != nil {
			err = cli.Lacking(cerr)
		}
		tellLeftOut(cmd, w)
	}()
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	tooLarge := 0
	err = copyEvents(ctx, src, readers, w, cut, &tooLarge)
	if tooLarge > 0 && err == nil {
		err = cli.Found(fmt.Errorf("%s: %d events left out: %w", out, tooLarge, event.ErrTooLarge))
	}
	for i, r := range readers {
		err = cmp.Or(err, leftOut(r, paths[i]))
	}
	return err
}

// peeked is a capture whose first event was read ahead, for its timestamp.
type peeked struct {
	*savefile.Reader
	first []event.Event
}

func peek(r *savefile.Reader) (p *peeked, begins uint64) {
	ev, err := r.Next()
	if err != nil { // the next read returns it again
		return &peeked{Reader: r}, math.MaxUint64
	}
	return &peeked{r, []event.Event{ev.Clone()}}, ev.Timestamp()
}

func (p *peeked) ReadBatch(evs []event.Event) (int, error) {
	if n := copy(evs, p.first); n > 0 {
		p.first = nil
		return n, nil
	}
	return p.Reader.ReadBatch(evs)
}

// copyEvents copies the events of src, which is one file, perhaps with several
// captures, or several files merged. If one of several files fails, the others go on.
func copyEvents(ctx context.Context, src scap.Source, captures []*savefile.Reader, w *savefile.File, cut *cut, tooLarge *int) error {
	evs := make([]event.Event, batchSize)
	section := captures[0].Section()
	var failures []error
	for ctx.Err() == nil {
		n, err := src.ReadBatch(evs)
		if errors.Is(err, io.EOF) {
			return joined(failures)
		}
		if err != nil {
			if failures = append(failures, err); len(captures) > 1 {
				continue
			}
			return joined(failures)
		}
		if r := captures[0]; len(captures) == 1 && r.Section() != section {
			section = r.Section()
			if err := w.Section(r.State()); err != nil {
				return cli.Lacking(err)
			}
		}
		kept, done := cut.apply(evs[:n])
		for i := range kept {
			switch err := w.Write(&kept[i]); {
			case errors.Is(err, event.ErrTooLarge):
				*tooLarge++ // the conversion made it larger
			case err != nil:
				return cli.Lacking(err)
			}
		}
		if done {
			return joined(failures)
		}
	}
	return cli.Found(errors.New("interrupted: the output is incomplete"))
}

func joined(failures []error) error {
	if len(failures) == 0 {
		return nil
	}
	return cli.Found(errors.Join(failures...))
}

// cut keeps a part of a capture.
type cut struct {
	from, until       uint64 // ns since the Unix epoch, or after the first event
	fromRel, untilRel bool
	first, last       uint64 // numbers of events, from 1
	num               uint64
}

func parseCut(from, until, numbers string) (*cut, error) {
	c := &cut{until: math.MaxUint64, first: 1, last: math.MaxUint64}
	var err error
	if from != "" {
		if c.from, c.fromRel, err = parseTime(from); err != nil {
			return nil, cli.Usage(fmt.Errorf("--from: %w", err))
		}
	}
	if until != "" {
		if c.until, c.untilRel, err = parseTime(until); err != nil {
			return nil, cli.Usage(fmt.Errorf("--until: %w", err))
		}
	}
	if numbers != "" {
		if c.first, c.last, err = parseNumbers(numbers); err != nil {
			return nil, cli.Usage(fmt.Errorf("--events: %w", err))
		}
	}
	return c, nil
}

// parseNumbers reads "10", "10-19" and "10-".
func parseNumbers(s string) (first, last uint64, err error) {
	from, to, ok := strings.Cut(s, "-")
	first, err1 := strconv.ParseUint(from, 10, 64)
	last, err2 := first, error(nil)
	switch {
	case ok && to == "":
		last = math.MaxUint64
	case ok:
		last, err2 = strconv.ParseUint(to, 10, 64)
	}
	if err1 != nil || err2 != nil || first > last {
		return 0, 0, fmt.Errorf("%q is not a range of numbers (such as 1000-1999)", s)
	}
	return first, last, nil
}

func parseTime(s string) (ns uint64, relative bool, err error) {
	if sec, err := strconv.ParseFloat(s, 64); err == nil && sec >= 0 && sec < 1e9 {
		return uint64(math.Round(sec * 1e9)), true, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, false, fmt.Errorf("%q is neither seconds nor a date", s)
	}
	return uint64(t.UnixNano()), false, nil
}

// apply filters evs in place. done reports that no later event can be in the part.
// Events outside the part that change the state stay, marked as hidden, so that names
// in the part are those of the whole capture.
func (c *cut) apply(evs []event.Event) (kept []event.Event, done bool) {
	kept = evs[:0]
	for i := range evs {
		ts := evs[i].Timestamp()
		if c.num == 0 {
			if c.fromRel {
				c.from += ts
			}
			if c.untilRel {
				c.until += ts
			}
		}
		c.num++
		if c.num > c.last {
			return kept, true
		}
		// Events may be a little out of order, so a late one does not end it.
		wanted := c.num >= c.first && ts >= c.from && ts < c.until
		if !wanted && ts < c.until {
			if info := evs[i].Info(); info != nil && info.Flags&event.ModifiesState != 0 {
				evs[i].SetHidden(true)
				wanted = true
			}
		}
		if wanted {
			kept = append(kept, evs[i])
		}
	}
	return kept, false
}
