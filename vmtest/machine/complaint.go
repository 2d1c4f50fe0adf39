// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"regexp"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/vmtest/wire"
)

var (
	// bugRE matches the line with which a kernel begins to tell that something is wrong with it, fatal or not.
	bugRE = regexp.MustCompile(`\bBUG\b|\bWARNING: |Oops|Kernel panic|general protection fault|possible (recursive|circular) locking|` +
		`suspicious RCU usage|Bad page|list_(add|del) corruption|use-after-free|scheduling while atomic|refcount_t|KASAN:|UBSAN:|Out of memory`)
	// stallRE matches what it also says when its host was too busy to run it.
	stallRE = regexp.MustCompile(`soft lockup|hard LOCKUP|self-detected stall|detected stalls|blocked for more than`)
)

// Complaint returns the first line of a kernel's log that tells of a bug; "" when there is none.
func Complaint(log string) string {
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(stampRE.ReplaceAllString(line, ""))
		if strings.HasPrefix(line, wire.CaseLine) {
			continue // a case may be called anything
		}
		if bugRE.MatchString(line) || stallRE.MatchString(line) || strings.Contains(line, "Call Trace") {
			return line
		}
	}
	return ""
}

// complaint is what a kernel said of one bug, and of which case.
type complaint struct {
	id    string // "" before the first case
	lines []string
}

// complaints gathers, line by line, what a kernel complains of. The guest names
// each case in the kernel's log, so it is known which one it was.
type complaints struct {
	id     string
	bugs   []*complaint
	last   *complaint // that the next lines belong to
	stalls []string
}

// add looks at one clean line of the log.
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

// take returns, once, what was said of the cases for which of holds; "" for nothing.
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
