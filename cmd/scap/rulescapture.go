// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/internal/hold"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/rule"
)

// captureFlags say which alerts get a capture of the events around them.
type captureFlags struct {
	dir           string
	all           bool
	before, after time.Duration
	memory, files int
}

func (c *captureFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.dir, "capture", "", "write a capture of the events around each alert of a rule with capture: true into this directory")
	f.BoolVar(&c.all, "capture-all", false, "with --capture: around the alerts of all rules")
	f.DurationVar(&c.before, "capture-before", 5*time.Second, "with --capture: at least so much before the alert, as far as the memory allows")
	f.DurationVar(&c.after, "capture-after", 5*time.Second, "with --capture: so much after the last alert, unless its rule has a capture_duration")
	f.IntVar(&c.memory, "capture-memory", 128<<20, "with --capture: bytes for the events before an alert")
	f.IntVar(&c.files, "capture-files", 100, "with --capture: stop after so many files")
}

func (c *captureFlags) check() error {
	switch {
	case c.dir == "" && c.all:
		return cli.Usage(errors.New("--capture-all needs --capture DIR"))
	case c.before < 0 || c.after < 0 || c.memory < 0 || c.files < 1:
		return cli.Usage(errors.New("--capture-before, -after and -memory are 0 or more, --capture-files is 1 or more"))
	}
	if c.dir == "" {
		return nil
	}
	if st, err := os.Stat(c.dir); err != nil {
		return cli.Lacking(fmt.Errorf("--capture: %w", err))
	} else if !st.IsDir() {
		return cli.Usage(fmt.Errorf("--capture %s: it is not a directory", c.dir))
	}
	return nil
}

// segment is a state and the events after it.
type segment struct {
	state  *proc.State
	begin  uint64 // ns; 0: no event yet
	events hold.Events
}

// surroundings keeps the last events in memory and writes those around alerts to files.
// A goroutine writes: the disk holds up no event.
type surroundings struct {
	flags captureFlags
	live  bool
	in    *sinsp.Inspector
	talk  io.Writer

	last, now segment // last is older; its state is nil at the start

	until   uint64             // the file gets events up to this time; 0: there is no file
	queue   chan []event.Event // to the goroutine that writes; nil: there is no file
	batch   hold.Events
	writers sync.WaitGroup // of the files that are not complete
	files   int
	missed  uint64 // events that the disk was too slow for
}

// watchSurroundings begins with the state of in, before its first event.
func watchSurroundings(flags captureFlags, live bool, in *sinsp.Inspector, talk io.Writer) *surroundings {
	return &surroundings{flags: flags, live: live, in: in, talk: talk, now: segment{state: in.Snapshot()}}
}

const (
	writeSize = 2 << 20 // bytes of memory; held events take them in pieces of 1 MiB
	waiting   = 64      // batches that may wait for the disk
)

// keep keeps an event, after the state was changed by it and before it is looked at.
func (s *surroundings) keep(ev *sinsp.Event) {
	ts := ev.Timestamp()
	if s.now.begin == 0 {
		s.now.begin = ts
	}
	s.now.events.Add(ev.Event)
	if s.queue != nil {
		if s.batch.Add(ev.Event); s.batch.Size() > writeSize || ts > s.until {
			s.pass()
		}
		if ts > s.until {
			s.end()
		}
	}
}

// rotate begins a new segment if the current one has enough. The state is that after the
// last event.
func (s *surroundings) rotate(ts uint64) {
	if s.now.events.Size() > s.flags.memory/2 || ts > s.now.begin+uint64(s.flags.before) && s.now.begin != 0 {
		s.last, s.now = s.now, segment{state: s.in.Snapshot()}
	}
}

// pass hands the collected events to the goroutine that writes. Live, it does not wait for it.
func (s *surroundings) pass() {
	evs := s.batch.All()
	s.batch = hold.Events{}
	if !s.live {
		s.queue <- evs
		return
	}
	select {
	case s.queue <- evs:
	default:
		s.missed += uint64(len(evs))
	}
}

// alert begins a file, or makes the current one longer.
func (s *surroundings) alert(r *rule.Rule, ev *sinsp.Event) {
	if !r.Capture && !s.flags.all {
		return
	}
	after := s.flags.after
	if r.CaptureFor > 0 {
		after = r.CaptureFor
	}
	s.until = max(s.until, ev.Timestamp()+uint64(after))
	if s.queue != nil || s.files >= s.flags.files {
		return
	}
	s.files++
	first := s.last
	if first.state == nil {
		first = segment{state: s.now.state}
	}
	at := time.Unix(0, int64(ev.Timestamp())).UTC().Format("20060102T150405.000000000")
	path := filepath.Join(s.flags.dir, fmt.Sprintf("%s-%d.scap", at, ev.Num))
	queue := make(chan []event.Event, waiting+2)
	s.queue = queue
	s.queue <- first.events.All()
	s.queue <- s.now.events.All()
	s.writers.Go(func() { s.write(path, first.state, queue) })
}

func (s *surroundings) write(path string, state *proc.State, queue chan []event.Event) {
	err := func() error {
		opts := (&writeFlags{}).options()
		opts.State = state
		file, err := savefile.Create(path, opts)
		if err != nil {
			return err
		}
		for evs := range queue {
			for i := range evs {
				if err := file.Write(&evs[i]); err != nil && !errors.Is(err, event.ErrTooLarge) {
					file.Close()
					return err
				}
			}
		}
		return file.Close()
	}()
	if err != nil {
		fmt.Fprintf(s.talk, "scap rules: capture %s: %s\n", escape.Lines(path), escape.Lines(err.Error()))
		for range queue { // so that nobody waits
		}
		return
	}
	fmt.Fprintf(s.talk, "scap rules: capture in %s\n", escape.Lines(path))
}

// end completes the file.
func (s *surroundings) end() {
	close(s.queue)
	s.queue, s.until = nil, 0
}

// close completes the files at the end, unless that takes too long while somebody waits
// for a live capture to end, and says what they lack.
func (s *surroundings) close() {
	if s.queue != nil {
		s.pass()
		s.end()
	}
	done := make(chan struct{})
	go func() {
		s.writers.Wait()
		close(done)
	}()
	var late <-chan time.Time
	if s.live {
		late = time.After(grace / 4)
	}
	select {
	case <-done:
	case <-late:
	}
	if s.missed > 0 {
		fmt.Fprintf(s.talk, "scap rules: captures lack %d events, the disk was too slow\n", s.missed)
	}
}
