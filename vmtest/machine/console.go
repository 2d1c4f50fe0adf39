// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/scaplab/scaplab/vmtest/wire"
)

// excerptLines is the number of lines of the console in the report of a crash.
const excerptLines = 25

// consoleLimit bounds the kept text of a console: the first half and the last.
const consoleLimit = 1 << 20

// Console keeps the messages of a guest's kernel and init.
type Console struct {
	mu       sync.Mutex
	head     []byte
	tail     []byte
	copyTo   io.Writer
	finished chan struct{}
	died     chan struct{}
	line     []byte // the last, incomplete line, for scan
	said     complaints
}

// ReadConsole reads r until its end. copyTo may be nil.
func ReadConsole(r io.Reader, copyTo io.Writer) *Console {
	c := &Console{copyTo: copyTo, finished: make(chan struct{}), died: make(chan struct{})}
	go func() {
		defer close(c.finished)
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Read(buf)
			c.add(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	return c
}

// Finished is closed at the end of the stream.
func (c *Console) Finished() <-chan struct{} { return c.finished }

// Died is closed when the kernel has reported that it is dead.
func (c *Console) Died() <-chan struct{} { return c.died }

func (c *Console) add(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.copyTo != nil {
		_, _ = c.copyTo.Write(b) // a failure of the log's reader is ignored
	}
	for _, ch := range b {
		if ch != '\n' && len(c.line) < 4096 {
			c.line = append(c.line, ch)
			continue
		}
		c.scan()
		c.line = c.line[:0]
	}
	n := min(len(b), consoleLimit/2-len(c.head))
	c.head = append(c.head, b[:n]...)
	c.tail = append(c.tail, b[n:]...)
	if len(c.tail) > consoleLimit {
		c.tail = append(c.tail[:0], c.tail[len(c.tail)-consoleLimit/2:]...)
	}
}

// scan reads one complete line.
func (c *Console) scan() {
	if deadRE.Match(c.line) {
		select {
		case <-c.died:
		default:
			close(c.died)
		}
	}
	c.said.add(cleanConsole(c.line))
}

// Complaint returns complaints of the kernel; see complaints.take.
func (c *Console) Complaint(of func(id string) bool) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.take(of)
}

// Complains reports whether there is a complaint that was not taken yet.
func (c *Console) Complains() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.said.bugs) > 0
}

// Stalls returns the stalls that the kernel reported since the last call.
func (c *Console) Stalls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.takeStalls()
}

// Text returns the kept text.
func (c *Console) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return cleanConsole(append(bytes.Clone(c.head), c.tail...))
}

var (
	escapeRE = regexp.MustCompile("\x1b(\\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>c])")
	stampRE  = regexp.MustCompile(`^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? ?`)
	deadRE   = regexp.MustCompile(`Kernel panic - not syncing`)
	crashRE  = regexp.MustCompile(`Kernel panic - not syncing|BUG: |kernel BUG at|Oops:|general protection fault|Unable to handle kernel|KASAN:|UBSAN:|soft lockup|hard LOCKUP|^panic: |^fatal error: |detected stalls`)
)

// cleanConsole turns serial output into plain lines, without escape sequences,
// carriage returns or other control bytes.
func cleanConsole(b []byte) string {
	b = escapeRE.ReplaceAll(b, nil)
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b), "?"))
}

// Excerpt returns the lines about the reason of a guest's death: from the first
// complaint on, or the last lines if there is none.
func Excerpt(text string) string { return excerpt(text, excerptLines) }

func excerpt(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range all {
		if crashRE.MatchString(stampRE.ReplaceAllString(l, "")) {
			return strings.Join(all[i:min(i+lines, len(all))], "\n")
		}
	}
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// CaseExcerpt returns the last lines of what a kernel said while a case ran: between the line that names the
// case and that of the next one.
func CaseExcerpt(text, id string) string {
	mark := wire.CaseLine + id
	var lines []string
	in := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if said := stampRE.ReplaceAllString(line, ""); strings.HasPrefix(said, wire.CaseLine) {
			if in = said == mark; in {
				lines = nil
			}
			continue
		}
		if in {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-excerptLines):], "\n")
}

// Headline returns the one line to show for a crash, or "".
func Headline(text string) string {
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(stampRE.ReplaceAllString(l, ""))
		if crashRE.MatchString(l) {
			return l
		}
	}
	return ""
}

// tailBuffer keeps the last bytes written to it.
type tailBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > 16<<10 {
		t.b = append(t.b[:0], t.b[len(t.b)-8<<10:]...)
	}
	return len(p), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(cleanConsole(t.b))
}
