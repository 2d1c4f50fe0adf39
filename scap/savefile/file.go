// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/hold"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// FileOptions of [Create]. If a limit is set, a capture is split into several files,
// each of them a complete capture with its own state.
type FileOptions struct {
	WriterOptions
	// NewState returns the state for the head of each file after the first; nil:
	// they also begin with WriterOptions.State, unless ScanState is set.
	NewState func() (*proc.State, error)
	// ScanState is NewState for a state that takes time. It runs in a goroutine of its
	// own: until it returns, events go to the current file, and those that change the
	// state also to the next, as hidden. ctx is done when the current file has twice
	// MaxSize, or 64 MiB more: ScanState returns then what it has.
	ScanState func(ctx context.Context) (*proc.State, error)
	// Before is called before each file is created, and its error ends the
	// capture; nil: no check.
	Before func(name string) error
	// Warn is called for trouble with files after the first that does not end the
	// capture; nil: it is ignored.
	Warn func(error)

	// MaxSize begins a new file when one has this many bytes on disk; 0: never. A
	// state counts for at most half of it, so that each file has events for the
	// other half.
	MaxSize int64
	// MaxEvents begins a new file when one has this many events; 0: never.
	MaxEvents uint64
	// Every begins a new file when this much time has passed by the events'
	// timestamps; 0: never.
	Every time.Duration
	// MaxFiles limits the number of files; 0: no limit. A new file beyond the
	// limit overwrites the oldest, or the oldest is removed if the names differ.
	MaxFiles int
}

func (o *FileOptions) rotates() bool { return o.MaxSize > 0 || o.MaxEvents > 0 || o.Every > 0 }

// File writes a capture to one file, or to several in turn. The names of several
// files are the path plus a counter from 0, padded to the width of the last if
// MaxFiles is set. If Every is set and the path has %-directives of strftime, the
// name is the path with the time of the file's first event instead, plus a counter
// from 1 if the previous file has the same name.
//
// Files are readable by their owner only. A file that has the name is replaced, not
// overwritten. While the next file cannot be created, events go to the current one.
type File struct {
	path    string
	opts    FileOptions
	f       *os.File
	w       *Writer
	name    string
	stamp   string     // timed: the name without a counter
	again   int        // number of earlier files with the same stamp
	kept    []keptFile // timed, with MaxFiles: the existing files, oldest first
	files   int
	begun   uint64 // timestamp of the file's first event
	copies  uint64 // events in the file that are also in the one before
	copied  LeftOut
	events  uint64 // in earlier files
	written int64
	leftOut LeftOut
	next    *nextFile // the next file, while it is prepared
	retry   time.Duration
	slack   int64
}

// keptFile is a file of a ring.
type keptFile struct {
	name string
	info fs.FileInfo
}

// retryAfter is how long the next file is left alone after it could not be created.
const retryAfter = time.Second

// Create begins a capture file; "-" is standard output.
func Create(path string, opts FileOptions) (*File, error) {
	f := &File{path: path, opts: opts, retry: retryAfter, slack: slack}
	if path == "-" && opts.rotates() {
		return nil, errors.New("standard output cannot be several files")
	}
	if f.timed() {
		return f, nil // named after the first event
	}
	return f, f.open(opts.State, 0)
}

func (f *File) timed() bool { return f.opts.Every > 0 && strings.Contains(f.path, "%") }

// errBefore marks an error of FileOptions.Before.
type errBefore struct{ error }

func (e errBefore) Unwrap() error { return e.error }

// open begins a file whose first event is at ts. After an error the current file is as it was.
func (f *File) open(state *proc.State, ts uint64) error {
	name, stamp, again := f.fileName(ts)
	out := os.Stdout
	if f.path != "-" {
		if f.opts.Before != nil {
			if err := f.opts.Before(name); err != nil {
				return errBefore{err}
			}
		}
		if f.timed() && f.opts.MaxFiles > 0 {
			f.makeRoom(name)
		}
		var err error
		if out, err = createFile(name, f.opts.rotates()); err != nil {
			return err
		}
	}
	opts := f.opts.WriterOptions
	opts.State = state
	w, err := NewWriter(out, opts)
	if err != nil {
		if f.path != "-" {
			out.Close()
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	if f.timed() && f.opts.MaxFiles > 0 {
		info, _ := out.Stat() // nil: it will not be removed
		f.kept = append(f.kept, keptFile{name, info})
	}
	f.f, f.w, f.name, f.stamp, f.again, f.begun, f.copies, f.copied = out, w, name, stamp, again, ts, 0, LeftOut{}
	f.files++
	return nil
}

// fileName returns the name of the next file.
func (f *File) fileName(ts uint64) (name, stamp string, again int) {
	if !f.opts.rotates() {
		return f.path, "", 0
	}
	if f.timed() {
		stamp := strftime(f.path, time.Unix(0, int64(ts)))
		if stamp == f.stamp {
			return stamp + strconv.Itoa(f.again+1), stamp, f.again + 1
		}
		return stamp, stamp, 0
	}
	num, width := f.files, 0
	if n := f.opts.MaxFiles; n > 0 {
		num %= n
		width = len(strconv.Itoa(n - 1))
	}
	return fmt.Sprintf("%s%0*d", f.path, width, num), "", 0
}

// makeRoom makes room in the ring for a file of that name. If the name repeats (a
// time-of-day pattern after 24 h), the new file replaces the old.
func (f *File) makeRoom(name string) {
	f.kept = slices.DeleteFunc(f.kept, func(old keptFile) bool { return old.name == name })
	if len(f.kept) < f.opts.MaxFiles {
		return
	}
	old := f.kept[0]
	f.kept = slices.Delete(f.kept, 0, 1)
	st, err := os.Lstat(old.name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(st, old.info) {
		return // somebody removed it, or put another in its place
	}
	if err == nil {
		err = os.Remove(old.name)
	}
	if err != nil {
		f.warn(err)
	}
}

func (f *File) warn(err error) {
	if f.opts.Warn != nil {
		f.opts.Warn(err)
	}
}

// Name returns the name of the current file.
func (f *File) Name() string { return f.name }

// Files returns the number of files begun.
func (f *File) Files() int { return f.files }

// Events returns the number of events written to all files.
func (f *File) Events() uint64 {
	if f.w == nil {
		return f.events
	}
	return f.events + f.w.Events() - f.copies
}

// Written returns the number of bytes that reached the files.
func (f *File) Written() int64 {
	if f.w == nil {
		return f.written
	}
	return f.written + f.w.Written()
}

// LeftOut returns what Compat did not write to the files.
func (f *File) LeftOut() LeftOut {
	if f.w == nil {
		return f.leftOut
	}
	return f.leftOut.plus(f.w.LeftOut().minus(f.copied))
}

// Write writes one event. It begins a new file first if a limit is reached.
func (f *File) Write(ev *event.Event) error {
	if f.opts.rotates() {
		if err := f.rotate(ev); err != nil {
			return err
		}
	}
	return f.failed(f.w.Write(ev))
}

// WriteBatch writes several events.
func (f *File) WriteBatch(evs []event.Event) error {
	if !f.opts.rotates() {
		return f.failed(f.w.WriteBatch(evs))
	}
	for i := range evs {
		if err := f.Write(&evs[i]); err != nil {
			return err
		}
	}
	return nil
}

// Section does what [Writer.Section] does. Without NewState, later files also begin
// with that state.
func (f *File) Section(state *proc.State) error {
	f.opts.State = state
	if f.w == nil {
		return nil
	}
	return f.failed(f.w.Section(state))
}

// Flush writes the buffered blocks.
func (f *File) Flush() error {
	if f.w == nil {
		return nil
	}
	return f.failed(f.w.Flush())
}

func (f *File) rotate(ev *event.Event) error {
	ts := ev.Timestamp()
	if f.w == nil {
		return f.open(f.opts.State, ts)
	}
	if f.begun == 0 {
		f.begun = ts
	}
	if f.next == nil {
		if !f.reached(ts) {
			return nil
		}
		f.next = f.prepare()
	}
	n := f.next
	if !n.ready(f.retry) {
		n.add(ev)
		if f.overdue() || n.since.Size() > maxSince {
			n.cancel()
		}
		return nil
	}
	old, err := *f, n.err
	if err == nil {
		err = f.open(n.state, ts)
	}
	if errors.As(err, new(errBefore)) {
		return err
	}
	if err != nil {
		if !n.failed {
			f.warn(fmt.Errorf("%s goes on, since the next file cannot begin: %w", f.name, err))
		}
		f.tryAgain(n, ev)
		return nil
	}
	f.next = nil
	for i := range n.since.All() {
		if err := f.w.Write(&n.since.All()[i]); err != nil && !errors.Is(err, event.ErrTooLarge) {
			return f.failed(err)
		}
	}
	f.copies, f.copied, f.w.head = f.w.Events(), f.w.LeftOut(), f.w.Size()
	return f.finish(&old)
}

// size returns the size that MaxSize limits.
func (f *File) size() int64 {
	if f.opts.Compress {
		return f.w.Written()
	}
	return f.w.Size()
}

// reached reports whether the file has reached a limit.
func (f *File) reached(ts uint64) bool {
	o := &f.opts
	aged := o.Every > 0 && ts >= f.begun && ts-f.begun >= uint64(o.Every)
	large := o.MaxSize > 0 && f.size() >= o.MaxSize && f.w.Size()-f.w.head >= o.MaxSize/2
	return aged || large || o.MaxEvents > 0 && f.w.Events()-f.copies >= o.MaxEvents
}

// slack is what a file may have beyond its limit, if that is small, until the state of the
// next is read.
const slack = 64 << 20

// overdue reports whether the next file must begin, with whatever state there is.
func (f *File) overdue() bool {
	limit := f.opts.MaxSize
	return limit > 0 && f.size() >= limit+max(limit, f.slack)
}

// nextFile is the next file while its state is read, or while it cannot be created.
type nextFile struct {
	scanned chan struct{} // closed when state and err are there
	cancel  context.CancelFunc
	state   *proc.State
	err     error
	since   hold.Events // since the scan began: events that change the state
	failed  bool        // it could not begin
	at      time.Time   // when it failed
}

// maxSince bounds the memory of nextFile.since. Above it the state is read again.
const maxSince = 64 << 20

// prepare begins to read the state of the next file.
func (f *File) prepare() *nextFile {
	n := &nextFile{scanned: make(chan struct{}), cancel: func() {}, state: f.opts.State}
	switch {
	case f.opts.NewState != nil:
		n.state, n.err = f.opts.NewState()
	case f.opts.ScanState != nil:
		ctx, cancel := context.WithCancel(context.Background())
		n.cancel = cancel
		go func() {
			defer close(n.scanned)
			defer cancel()
			n.state, n.err = f.opts.ScanState(ctx)
		}()
		return n
	}
	close(n.scanned)
	return n
}

// ready reports whether the next file may be tried.
func (n *nextFile) ready(retry time.Duration) bool {
	select {
	case <-n.scanned:
		return !n.failed || time.Since(n.at) >= retry
	default:
		return false
	}
}

// add keeps ev for the next file if it changes the state.
func (n *nextFile) add(ev *event.Event) {
	if info := ev.Info(); info == nil || info.Flags&event.ModifiesState == 0 {
		return
	}
	hidden := *ev
	hidden.SetHidden(true)
	n.since.Add(&hidden)
}

// tryAgain sets the next file up for another try after ev.
func (f *File) tryAgain(n *nextFile, ev *event.Event) {
	if n.err != nil || n.since.Size() > maxSince {
		f.next = f.prepare()
		n = f.next
	}
	n.failed, n.at = true, time.Now()
	n.add(ev)
}

// failed adds the file's name to err and truncates the file to whole blocks or gzip
// members.
func (f *File) failed(err error) error {
	if err == nil || errors.Is(err, event.ErrTooLarge) || errors.Is(err, event.ErrTruncated) {
		return err
	}
	if n, ok := f.w.whole(); ok && f.path != "-" {
		_ = f.f.Truncate(n) // the first failure is the one to report
	}
	return fmt.Errorf("%s: %w", f.name, err)
}

// finish completes the file of old, which f has replaced.
func (f *File) finish(old *File) error {
	err := old.failed(old.w.Close())
	f.events += old.w.Events() - old.copies
	f.written += old.w.Written()
	f.leftOut = f.leftOut.plus(old.w.LeftOut().minus(old.copied))
	if f.path != "-" {
		if cerr := old.f.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

// Close completes the capture.
func (f *File) Close() error {
	if f.next != nil {
		f.next.cancel()
		<-f.next.scanned
		f.next = nil
	}
	if f.w == nil {
		return nil
	}
	old := *f
	f.w, f.copies = nil, 0
	return f.finish(&old)
}

// strftime formats those directives of the C function that are useful in file names.
func strftime(format string, t time.Time) string {
	layouts := map[byte]string{
		'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'j': "002",
		'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'p': "PM", 'I': "03", 'Z': "MST", 'z': "-0700",
		'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", 'e': "_2",
	}
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out.WriteByte(format[i])
			continue
		}
		i++
		switch layout, ok := layouts[format[i]]; {
		case ok:
			out.WriteString(t.Format(layout))
		case format[i] == 's':
			out.WriteString(strconv.FormatInt(t.Unix(), 10))
		case format[i] == '%':
			out.WriteByte('%')
		default:
			out.WriteString(format[i-1 : i+1])
		}
	}
	return out.String()
}
