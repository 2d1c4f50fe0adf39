// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/decimal"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// Sequences of terminals. Lines do not wrap, so that a frame is right on a terminal that just became narrower.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l" // the other screen, no cursor, no wrapping
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// watchScreen is the live view of a run: it has the terminal for itself, until leave gives it back as it was.
type watchScreen struct {
	w     io.Writer
	size  func() (columns, rows int)
	began time.Time
	shown bool
	left  bool     // for good
	lines []string // what was said meanwhile; the terminal gets it at the end
}

// draw writes a frame.
func (s *watchScreen) draw(p vmtest.Progress, now time.Time) {
	var b strings.Builder
	if !s.shown {
		s.shown = true
		b.WriteString(enterScreen)
	}
	b.WriteString(home)
	columns, rows := s.size()
	for i, line := range watchFrame(p, s.lines, now.Sub(s.began), now, columns, rows) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + clearLine)
	}
	b.WriteString(clearBelow)
	_, _ = io.WriteString(s.w, b.String()) // a terminal that is gone is noticed by what follows
}

// leave gives the terminal back, and returns what was said meanwhile.
func (s *watchScreen) leave() (said []string) {
	s.left = true
	if s.shown {
		s.shown = false
		_, _ = io.WriteString(s.w, leaveScreen)
	}
	said, s.lines = s.lines, nil
	return said
}

// failMark begins the lines that tell a failure; see vmtest.Options.Log.
const failMark = "FAIL "

// watchFrame returns the lines of a frame: how far the run is, what each machine does, and the last of what was
// said, failures first. No line is longer than columns, and there are no more than rows.
func watchFrame(p vmtest.Progress, said []string, took time.Duration, now time.Time, columns, rows int) []string {
	head := fmt.Sprintf("%s of %s verdicts, %s failed, %s", decimal.Thousands(p.Done), decimal.Thousands(p.Total), decimal.Thousands(p.Failed), took.Round(time.Second))
	if p.Left > 0 {
		head += ", " + rough(p.Left) + " left"
	}
	lines := []string{head, bar(p.Done, p.Total, columns), ""}
	lines = append(lines, machineLines(p.Machines, now)...)

	var failures, others []string
	for _, text := range said {
		first, _, _ := strings.Cut(text, "\n")
		if rest, ok := strings.CutPrefix(first, failMark); ok {
			failures = append(failures, rest)
		} else {
			others = append(others, first)
		}
	}
	for _, part := range []struct {
		title string
		lines []string
	}{{"Failures", failures}, {"Messages", others}} {
		room := rows - len(lines) - 2 // of the title and the empty line above it
		if len(part.lines) == 0 || room < 1 {
			continue
		}
		lines = append(lines, "", part.title)
		for _, text := range part.lines[max(0, len(part.lines)-room):] {
			lines = append(lines, "  "+text)
		}
	}
	lines = lines[:min(len(lines), max(rows, 0))]
	for i, line := range lines {
		if text := []rune(escape.Lines(line)); len(text) > columns {
			lines[i] = string(text[:max(columns, 0)])
		} else {
			lines[i] = string(text)
		}
	}
	return lines
}

// machineLines has what each machine does as a table.
func machineLines(machines []vmtest.Activity, now time.Time) []string {
	if len(machines) == 0 {
		return nil
	}
	rows := [][4]string{{"kernel", "drivers", "for", "does"}}
	for _, m := range machines {
		drivers := m.Drivers.String()
		if m.Drivers == (guest.Drivers{}) {
			drivers = "-"
		}
		rows = append(rows, [4]string{m.Kernel, drivers, rough(now.Sub(m.Since)), m.Doing})
	}
	var width [3]int
	for _, r := range rows {
		for i := range width {
			width[i] = max(width[i], len(r[i]))
		}
	}
	var lines []string
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf("  %-*s  %-*s  %*s  %s", width[0], r[0], width[1], r[1], width[2], r[2], r[3]))
	}
	return lines
}

// bar draws how much of a whole is done.
func bar(done, all, columns int) string {
	share := 0.0
	if all > 0 {
		share = float64(done) / float64(all)
	}
	text := fmt.Sprintf(" %3.0f %%", 100*share)
	width := min(60, columns-len(text))
	if width < 1 {
		return strings.TrimSpace(text)
	}
	full := int(share * float64(width))
	return strings.Repeat("█", full) + strings.Repeat("░", width-full) + text
}
