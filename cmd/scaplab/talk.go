// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/vmtest"
)

// Progress is a line that is rewritten on a terminal, and one now and then in a log.
const (
	terminalPace = 100 * time.Millisecond
	tickPace     = time.Second // when nothing new happens, the time still passes
	logPace      = 30 * time.Second
)

// talk writes lines to stderr, and how far a run has come.
type talk struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	width    func() int // of the terminal
	shown    bool       // a line of progress
	state    vmtest.Progress
	last     time.Time // when progress was written
	quit     chan struct{}
	ended    bool
	screen   *watchScreen // nil without --watch, and where there is no terminal for it
}

func newTalk(w io.Writer) *talk {
	return &talk{w: w, last: time.Now(), terminal: cli.Terminal(w) && os.Getenv("TERM") != "dumb", width: func() int { return cli.Width(w) }}
}

// watch shows the run on the terminal w, if it is one, until end or the end of ctx: a second signal, which ends
// the program at once, finds the terminal as it was. stop is to be called at the end.
func (t *talk) watch(ctx context.Context, w io.Writer) (stop func()) {
	if !cli.Terminal(w) || os.Getenv("TERM") == "dumb" {
		return func() {}
	}
	t.mu.Lock()
	t.screen = &watchScreen{w: w, size: func() (int, int) { return cli.Size(w) }, began: time.Now()}
	t.mu.Unlock()
	stopLeaving := context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.leave()
	})
	stopResizing := cli.Resized(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.watched() && t.screen.shown {
			t.screen.draw(t.state, time.Now())
		}
	})
	return func() {
		stopLeaving()
		stopResizing()
		t.end()
	}
}

// watched reports whether the screen shows the run.
func (t *talk) watched() bool { return t.screen != nil && !t.screen.left }

// leave gives the terminal back, and writes the lines that were said meanwhile.
func (t *talk) leave() {
	if !t.watched() {
		return
	}
	for _, line := range t.screen.leave() {
		fmt.Fprintln(t.w, line)
	}
}

// say writes a line.
func (t *talk) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watched() && t.screen.shown {
		t.screen.lines = append(t.screen.lines, fmt.Sprintf(format, args...))
		return
	}
	t.clear()
	fmt.Fprintf(t.w, format+"\n", args...)
}

// progress shows how far a run has come, until the next call or end.
func (t *talk) progress(p vmtest.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	t.state = p
	if t.quit == nil {
		t.quit = make(chan struct{})
		go t.tick(t.quit)
	}
	t.show(time.Now(), terminalPace)
}

func (t *talk) tick(quit <-chan struct{}) {
	tick := time.NewTicker(tickPace)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case now := <-tick.C:
			t.mu.Lock()
			if !t.ended {
				t.show(now, 0)
			}
			t.mu.Unlock()
		}
	}
}

// show writes the progress, unless it was written less than pace ago.
func (t *talk) show(now time.Time, pace time.Duration) {
	watched := t.watched() && t.state.Total > 0 // before, kernels are fetched and modules built
	if !t.terminal && !watched {
		pace = logPace
	}
	if now.Sub(t.last) < pace {
		return
	}
	t.last = now
	if watched {
		t.clear()
		t.screen.draw(t.state, now)
		return
	}
	line := progressLine(t.state, now)
	if line == "" {
		t.clear()
		return
	}
	if !t.terminal {
		fmt.Fprintln(t.w, line)
		return
	}
	if text := []rune(line); len(text) >= t.width() { // the last column may wrap, too
		line = string(text[:max(t.width()-1, 0)])
	}
	t.clear()
	fmt.Fprint(t.w, line)
	t.shown = true
}

// progressLine is e.g. "12/105, 1 failed, 2m left | 6.12 openat/missing-file | 5.10 starting 14s".
func progressLine(p vmtest.Progress, now time.Time) string {
	var parts []string
	if p.Total > 0 {
		count := fmt.Sprintf("%d/%d, %d failed", p.Done, p.Total, p.Failed)
		if p.Left > 0 {
			count += ", " + rough(p.Left) + " left"
		}
		parts = append(parts, count)
	}
	for _, m := range p.Machines {
		text := strings.TrimSpace(m.Kernel + " " + m.Doing)
		if d := now.Sub(m.Since); d >= 2*time.Second { // most cases take less
			text += " " + rough(d)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " | ")
}

// doing shows what is done before there are machines, until done is called.
func (f *runFlags) doing(kernel, what string) (done func()) {
	if f.talk == nil {
		return func() {}
	}
	f.talk.progress(vmtest.Progress{Machines: []vmtest.Activity{{Kernel: kernel, Doing: what, Since: time.Now()}}})
	return func() { f.talk.progress(vmtest.Progress{}) }
}

// rough is a time in one unit: 14s, 3m, 2h.
func rough(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < 90*time.Minute:
		return fmt.Sprintf("%.0fm", d.Minutes())
	}
	return fmt.Sprintf("%.0fh", d.Hours())
}

// clear takes the line of progress away.
func (t *talk) clear() {
	if t.shown {
		fmt.Fprint(t.w, "\r\x1b[K")
		t.shown = false
	}
}

// end takes the line of progress away for good.
func (t *talk) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	t.leave()
	if t.ended = true; t.quit != nil {
		close(t.quit)
		t.quit = nil
	}
}
