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
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/filter"
)

type recordOptions struct {
	path     string
	duration time.Duration
	self     bool
	explain  bool
	scan     scanFlags

	privileged bool
	source     sourceFlags
	write      writeFlags
	text       textFlags
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

Kernel memory: 4 MiB of rings for each CPU that runs, 8 MiB with --driver kmod
(--ring-size), and some 20 MiB for programs. More CPUs can share less memory:
--cpus-per-ring 8 --ring-size 4194304 takes 4 MiB for 8. A CPU that runs later gets a
ring of its own once its first events are lost, and counted; with --driver kmod it has
none until the next capture, which a message says.

` + filterHelp,
		Example:           "  scap record -w trace.scap openat connect\n  scap record -w trace.scap -C 100 -W 5\n  scap record --driver kmod execve",
		ValidArgsFunction: completeEvents,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := compileFilter(args)
			if err != nil {
				return err
			}
			if o.explain {
				text, err := o.presenter(cmd)
				if err != nil {
					return err
				}
				return explain(cmd.OutOrStdout(), f, o.source.enter, o.needsFDs(f, text))
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
	fl.BoolVar(&o.explain, "explain", false, "do not capture; print what the driver would capture for the filter, and why")
	fl.BoolVar(&o.self, "self", false, "also capture this command's own events")
	fl.BoolVar(&o.privileged, "keep-privileges", false, "stay root; else, run by sudo, the capture goes on and its files are created as the user who ran sudo")
	o.scan.add(cmd)
	o.source.add(cmd)
	o.write.add(cmd)
	o.text.add(cmd)
	return cmd
}

// presenter returns what makes text of events; nil: a file gets them.
func (o *recordOptions) presenter(cmd *cobra.Command) (presenter, error) {
	if o.path != "" {
		return nil, nil
	}
	return o.text.presenter(cmd.OutOrStdout())
}

// needsFDs reports whether events are captured only to know what descriptors are: a file has
// the whole state, text what its fields ask for.
func (o *recordOptions) needsFDs(f *filter.Filter, text presenter) bool {
	l, ok := text.(*lines)
	return !ok || l.all || needsFDs(f, l.format.Fields())
}

func (o *recordOptions) run(cmd *cobra.Command, f *filter.Filter) (err error) {
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	text, err := o.presenter(cmd)
	if err != nil {
		return err
	}
	warn(cmd.ErrOrStderr(), f)
	live, err := o.source.open(selection(f, o.source.enter, o.needsFDs(f, text)), cmd.ErrOrStderr())
	if err != nil {
		return cli.Lacking(err)
	}
	defer live.Close()
	rec := &recorder{f: f, text: text, err: &talk{w: cmd.ErrOrStderr()}, progress: cli.Terminal(cmd.ErrOrStderr()), start: time.Now(), count: o.text.count}
	self := live.Self()
	switch {
	case !o.self && self == 0:
		rec.warn("which events are this command's own is not known, so they are captured, too")
	case !o.self:
		rec.self = self
	}
	scan := func(ctx context.Context) (*proc.State, error) {
		state, err := o.scan.scan(ctx, self)
		if err == nil && state.Cut.Why != "" && !rec.ending.Load() {
			rec.warn(state.Cut.String())
		}
		return state, err
	}
	src, state, err := readDuring(ctx, live, maxHeld, scan)
	if err != nil {
		return cli.Lacking(err)
	}
	rec.inspect = sinsp.Options{State: state, Lookup: func(tid event.PID) (*proc.Thread, error) {
		return proc.ScanThread(proc.Options{Root: o.scan.root, MaxFDs: o.scan.fds, Self: self}, tid)
	}}
	if !o.privileged {
		if err := dropPrivileges(needOf(o.path, o.source.driver)); err != nil {
			rec.warn("privileges are kept: " + err.Error())
		}
	}
	if o.path != "" {
		opts := o.write.options()
		opts.State = state
		opts.FlushInterval = time.Second
		opts.ScanState = scan
		opts.Warn = func(err error) { rec.warn(err.Error()) }
		if rec.file, err = savefile.Create(o.path, opts); err != nil {
			return cli.Lacking(err)
		}
	}
	if o.duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, o.duration)
		defer stop()
	}
	err = rec.run(ctx, src)
	rec.ending.Store(true)
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
	f        *filter.Filter // nil: all events
	inspect  sinsp.Options
	file     *savefile.File
	text     presenter // if there is no file
	err      io.Writer
	progress bool
	start    time.Time
	ending   atomic.Bool // a scan for a next file is of no use any more
	self     event.PID   // process whose events are left out; 0: none
	events   uint64      // kept
	tooLarge uint64      // of them, too large for the file
	count    uint64      // of events after which the capture ends; 0: none
	end      uint64      // events after that time are not kept; 0: the capture goes on

	lastShown  time.Time
	lastEvents uint64

	clock chan clockSet // moves of the clock that are not told yet
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
	in := sinsp.New(src, r.inspect)
	watch, err := r.watchClock()
	if err != nil {
		return err
	}
	defer watch.Close()
	tick := r.start
	for n := 0; ctx.Err() == nil; n++ {
		switch err := r.next(in); {
		case errors.Is(err, errStop):
			return nil
		case err != nil && !errors.Is(err, scap.ErrTimeout):
			return err
		}
		// If more events wait, the clock is read less often.
		if !in.Waits() && n%4096 != 0 {
			continue
		}
		if now := time.Now(); now.Sub(tick) >= time.Second {
			tick = now
			if err := cmp.Or(r.tellClock(), r.flush()); err != nil {
				return err
			}
			r.showProgress(src, now)
		}
	}
	if err := r.tellClock(); err != nil {
		return err
	}
	if live, ok := src.(scap.Live); ok {
		return r.drain(live, in)
	}
	return nil
}

// drain ends the capture and keeps what was captured before: events that were held during
// the scan, and those in the rings.
func (r *recorder) drain(src scap.Live, in *sinsp.Inspector) error {
	r.end = uint64(time.Now().UnixNano())
	if err := src.Select(scap.Selection{}); err != nil {
		return err
	}
	src.Interrupt() // when the rings are empty, that is all
	for {
		switch err := r.next(in); {
		case errors.Is(err, errStop) || errors.Is(err, scap.ErrTimeout):
			return nil
		case err != nil:
			return err
		}
	}
}

// next handles the next event.
func (r *recorder) next(in *sinsp.Inspector) error {
	ev, err := in.Next()
	if err != nil {
		return err
	}
	if ev.Type() == event.TypeCPUHotplugEnter { // of the module, once
		var plug event.CPUHotplugEnter
		if err := plug.Decode(ev.Event); err == nil {
			r.warn(fmt.Sprintf("CPU %d has started: it has no ring, so its events are missing until the next capture", plug.CPU))
		}
	}
	switch {
	case r.end > 0 && ev.Timestamp() > r.end:
		return errStop
	case r.self != 0 && (ev.TID() == r.self || ev.Thread != nil && ev.Thread.PID == r.self):
		// Our own events: writing one would make the next.
	case r.f == nil || r.f.Match(ev):
		// Whoever asks for enter events wants to see where they differ: user memory may change before the exit.
		ev.SetHidden(false)
		if r.file == nil {
			return r.print(ev)
		}
		r.events++
		if err := r.write(ev); err != nil {
			return err
		}
		if r.events == r.count {
			return errStop
		}
	case r.file != nil:
		return r.leaveOut(ev)
	}
	return nil
}

// print prints an event, if it is more than an update of the state.
func (r *recorder) print(ev *sinsp.Event) error {
	if !r.text.shown(ev) {
		return nil
	}
	ok, err := r.text.print(ev)
	if ok {
		r.events++
	}
	if err == nil && ok && r.events == r.count {
		err = errStop
	}
	return err
}

func (r *recorder) write(ev *sinsp.Event) error {
	err := r.file.Write(ev.Event)
	if errors.Is(err, event.ErrTooLarge) {
		// The driver's limit on events is a little above that of files.
		r.tooLarge++
		err = nil
	}
	return err
}

// leaveOut handles an event that does not pass the filter: a file gets it, as hidden,
// if it changes the state.
func (r *recorder) leaveOut(ev *sinsp.Event) error {
	info := ev.Info()
	if info == nil || info.Flags&event.ModifiesState == 0 {
		return nil
	}
	ev.SetHidden(true)
	return r.write(ev)
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
	return r.text.close()
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
		{d.TailCall, "not callable"}, {d.NoRing, "CPU without ring"}, {d.Messages, "messages after the 16th of a call"}, {d.Other, "other"},
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
