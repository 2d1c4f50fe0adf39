// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
)

type recordOptions struct {
	path     string
	duration time.Duration
	self     bool
	scan     scanFlags
	source   sourceFlags
	write    writeFlags
	text     textFlags
}

func newRecordCmd() *cobra.Command {
	var o recordOptions
	cmd := &cobra.Command{
		Use:   "record [-w FILE] [FILTER...]",
		Short: "Capture the events of this machine",
		Long: `Capture the events of this machine as text, or into a file that begins with the state of
the machine. SIGINT ends the capture; a summary follows. Released versions of sysdig,
stratoshark and falco can read the file, unless --native keeps what they do not know.
It is readable by its owner only, and replaces a file of that name. A file also gets events that do
not pass the filter but change the state, marked as such: scap read shows them with
--all.

` + namesHelp,
		Example:           "  scap record -w trace.scap openat connect\n  scap record -w trace.scap -C 100 -W 5\n  scap record --driver kmod execve",
		ValidArgsFunction: completeEvents,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := parseFilter(args)
			if err != nil {
				return err
			}
			if err := cmp.Or(o.source.check(), o.write.check(cmd, o.path)); err != nil {
				return err
			}
			return o.run(cmd, f)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&o.path, "write", "w", "", "the capture file; -: standard output")
	fl.DurationVarP(&o.duration, "duration", "d", 0, "stop after this time")
	fl.BoolVar(&o.self, "self", false, "also capture this command's own events")
	o.scan.add(cmd)
	o.source.add(cmd)
	o.write.add(cmd)
	o.text.add(cmd)
	return cmd
}

func (o *recordOptions) run(cmd *cobra.Command, f matcher) (err error) {
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	live, err := o.source.open(selection(f, o.source.enter), cmd.ErrOrStderr())
	if err != nil {
		return cli.Lacking(err)
	}
	defer live.Close()
	rec := &recorder{f: f, err: &talk{w: cmd.ErrOrStderr()}, progress: cli.Terminal(cmd.ErrOrStderr()), start: time.Now(), count: o.text.count}
	self := live.Self()
	switch {
	case !o.self && self == 0:
		rec.warn("which events are this command's own is not known, so they are captured, too")
	case !o.self:
		rec.self = self
	}
	scan := func(ctx context.Context) (*proc.State, error) {
		state, err := o.scan.scan(ctx, self)
		if err == nil && state.Cut.Why != "" {
			rec.warn(state.Cut.String())
		}
		return state, err
	}
	src, state, err := readDuring(ctx, live, maxHeld, scan)
	if err != nil {
		return cli.Lacking(err)
	}
	rec.in = newThreads(state)
	if o.path != "" {
		opts := o.write.options()
		opts.State = state
		opts.FlushInterval = time.Second
		opts.ScanState = scan
		opts.Warn = func(err error) { rec.warn(err.Error()) }
		if rec.file, err = savefile.Create(o.path, opts); err != nil {
			return cli.Lacking(err)
		}
	} else if rec.text, err = o.text.printer(cmd.OutOrStdout(), rec.in); err != nil {
		return err
	}
	if o.duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, o.duration)
		defer stop()
	}
	err = rec.run(ctx, src)
	if cerr := rec.close(); err == nil {
		err = cerr
	}
	rec.summary(src)
	if err != nil {
		return cli.Lacking(err)
	}
	return nil
}

// talk is standard error, which several goroutines write to.
type talk struct {
	mu sync.Mutex
	w  io.Writer
}

func (t *talk) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.Write(p)
}

// recorder writes events of a live source to a file or as text.
type recorder struct {
	f        matcher
	in       inspector
	file     *savefile.File
	text     presenter
	err      io.Writer
	progress bool
	start    time.Time
	self     event.PID // process whose events are left out; 0: none
	events   uint64    // kept
	tooLarge uint64    // of them, too large for the file
	count    uint64

	lastShown  time.Time
	lastEvents uint64
}

// warn prints a message on a line of its own.
func (r *recorder) warn(text string) {
	clear := ""
	if r.progress {
		clear = "\r\x1b[K"
	}
	fmt.Fprintf(r.err, "%sscap record: %s\n", clear, escape.Lines(text))
}

func (r *recorder) run(ctx context.Context, src scap.Source) error {
	evs := make([]event.Event, batchSize)
	tick := r.start
	for batch := 0; ctx.Err() == nil; batch++ {
		n, err := src.ReadBatch(evs)
		if err != nil && !errors.Is(err, scap.ErrTimeout) {
			return err
		}
		if err := r.keep(evs[:n]); errors.Is(err, errStop) {
			return nil
		} else if err != nil {
			return err
		}
		// A full batch means that more events wait: read the clock less often.
		if n < len(evs) || batch&15 == 0 {
			if now := time.Now(); now.Sub(tick) >= time.Second {
				tick = now
				if err := r.flush(); err != nil {
					return err
				}
				r.showProgress(src, now)
			}
		}
	}
	if live, ok := src.(scap.Live); ok {
		return r.drain(live, evs)
	}
	return nil
}

// drain ends the capture and keeps what was captured before: events that were held during
// the scan, and those in the rings.
func (r *recorder) drain(src scap.Live, evs []event.Event) error {
	end := uint64(time.Now().UnixNano())
	if err := src.Select(scap.Selection{}); err != nil {
		return err
	}
	src.Interrupt() // when the rings are empty, that is all
	for {
		n, err := src.ReadBatch(evs)
		if err != nil && !errors.Is(err, scap.ErrTimeout) {
			return err
		}
		if kerr := r.keep(evs[:n]); errors.Is(kerr, errStop) {
			return nil
		} else if kerr != nil {
			return kerr
		}
		if err != nil || n > 0 && evs[n-1].Timestamp() > end {
			return nil
		}
	}
}

func (r *recorder) keep(evs []event.Event) error {
	for i := range evs {
		ev := &evs[i]
		r.in.apply(ev)
		switch {
		case r.self != 0 && r.in.pid(ev.TID()) == r.self:
			// Our own events: writing one would make the next.
		case r.f.keep(ev, r.in):
			r.events++
			if err := r.put(ev); err != nil {
				return err
			}
			if r.events == r.count {
				return errStop
			}
		default:
			if err := r.leaveOut(ev); err != nil {
				return err
			}
		}
		r.in.gone(ev)
	}
	return nil
}

func (r *recorder) put(ev *event.Event) error {
	if r.file != nil {
		err := r.file.Write(ev)
		if errors.Is(err, event.ErrTooLarge) {
			// The driver's limit on events is a little above that of files.
			r.tooLarge++
			err = nil
		}
		return err
	}
	if !r.text.shown(ev) {
		return nil
	}
	return r.text.print(r.events, ev)
}

// leaveOut handles an event that does not pass the filter: a file gets it, as hidden,
// if it changes the state.
func (r *recorder) leaveOut(ev *event.Event) error {
	info := ev.Info()
	if r.file == nil || info == nil || info.Flags&event.ModifiesState == 0 {
		return nil
	}
	ev.SetHidden(true)
	return r.put(ev)
}

func (r *recorder) flush() error {
	if r.file != nil {
		return r.file.Flush()
	}
	return r.text.flush()
}

func (r *recorder) close() error {
	if r.file != nil {
		return r.file.Close()
	}
	return r.text.flush()
}

func (r *recorder) showProgress(src scap.Source, now time.Time) {
	if !r.progress || r.file == nil {
		return
	}
	st, _ := r.stats(src)
	since := now.Sub(r.lastShown)
	if r.lastShown.IsZero() {
		since = now.Sub(r.start)
	}
	rate := float64(r.events-r.lastEvents) / since.Seconds()
	r.lastShown, r.lastEvents = now, r.events
	fmt.Fprintf(r.err, "\r\x1b[K%d events, %.0f/s, %s, %s", r.events, rate, size(r.file.Written()), drops(st.Drops))
}

func (r *recorder) summary(src scap.Source) {
	if r.progress && !r.lastShown.IsZero() {
		fmt.Fprint(r.err, "\r\x1b[K")
	}
	st, err := r.stats(src)
	elapsed := time.Since(r.start)
	fmt.Fprintf(r.err, "%d events in %s (%.0f/s)", r.events, elapsed.Round(time.Millisecond), float64(r.events)/elapsed.Seconds())
	if r.file != nil {
		fmt.Fprintf(r.err, ", %s in %d file(s)", size(r.file.Written()), max(r.file.Files(), 1))
	}
	if err != nil {
		fmt.Fprintf(r.err, ", losses unknown: %v\n", err)
	} else {
		fmt.Fprintf(r.err, ", %s\n", drops(st.Drops))
	}
	if r.file == nil {
		return
	}
	if text := leftOutText(r.file.LeftOut()); text != "" {
		fmt.Fprintln(r.err, text)
	}
}

// stats returns the counts of src plus the events that were too large for the file.
func (r *recorder) stats(src scap.Source) (scap.Stats, error) {
	st, err := src.Stats()
	st.Drops.TooLarge += r.tooLarge
	return st, err
}

func drops(d scap.Drops) string {
	if d.Total() == 0 {
		return "none lost"
	}
	var causes []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{d.BufferFull, "ring full"}, {d.TooLarge, "too large"}, {d.Scratch, "no scratch memory"},
		{d.TailCall, "not callable"}, {d.NoRing, "CPU without ring"}, {d.Other, "other"},
	} {
		if c.n > 0 {
			causes = append(causes, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return fmt.Sprintf("%d lost (%s)", d.Total(), strings.Join(causes, ", "))
}

func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}
