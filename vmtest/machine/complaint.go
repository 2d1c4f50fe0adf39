// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"regexp"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/vmtest/wire"
)

var (
	// bugRE matches the first line of a kernel's message about a bug, fatal or not.
	bugRE = regexp.MustCompile(`\bBUG\b|\bWARNING: |Oops|Kernel panic|general protection fault|possible (recursive|circular) locking|` +
		`suspicious RCU usage|Bad page|list_(add|del) corruption|use-after-free|scheduling while atomic|refcount_t|KASAN:|UBSAN:|Out of memory`)
	// stallRE matches messages that also appear if the host was too busy to run the kernel.
	stallRE = regexp.MustCompile(`soft lockup|hard LOCKUP|self-detected stall|detected stalls|blocked for more than`)
)

// Complaint returns the first line about a bug in a kernel's log, or "". A stall is none: a host that is too busy
// makes one.
func Complaint(log string) string {
	var c complaints
	for line := range strings.Lines(log) {
		c.add(line)
	}
	if len(c.bugs) == 0 {
		return ""
	}
	return c.bugs[0].lines[0]
}

// complaint is a kernel's message about a bug, and the case that provoked it.
type complaint struct {
	id    string // "" before the first case
	lines []string
}

// complaints collects a kernel's complaints, line by line. The guest writes the name of
// each case into the kernel's log, which shows the case that provoked them.
type complaints struct {
	id     string
	bugs   []*complaint
	last   *complaint // that the next lines belong to
	stalls []string
}

// add reads one clean line of the log.
func (c *complaints) add(line string) {
	const many = 100
	text := strings.TrimSpace(stampRE.ReplaceAllString(line, ""))
	if id, ok := strings.CutPrefix(text, wire.CaseLine); ok {
		c.id, c.last = id, nil
		return
	}
	switch stall := stallRE.MatchString(text); {
	case stall && len(c.stalls) < many:
		c.stalls = append(c.stalls, text)
	case stall:
	case c.last != nil && len(c.last.lines) < excerptLines:
		c.last.lines = append(c.last.lines, text)
	case bugRE.MatchString(text) && len(c.bugs) < many:
		c.last = &complaint{c.id, []string{text}}
		c.bugs = append(c.bugs, c.last)
	}
}

// take returns the complaints, each once, about the cases for which of is true, or "".
func (c *complaints) take(of func(id string) bool) string {
	var text []string
	c.bugs = slices.DeleteFunc(c.bugs, func(b *complaint) bool {
		if of(b.id) {
			text = append(text, b.lines...)
		}
		return of(b.id)
	})
	return strings.Join(text, "\n")
}

func (c *complaints) takeStalls() []string {
	s := c.stalls
	c.stalls = nil
	return s
}
