// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// FileOptions of [Create]. If a limit is set, a capture is split into several files,
// each of them a complete capture with its own state.
type FileOptions struct {
	WriterOptions
	// NewState returns the state for the head of each file after the first; nil:
	// they also begin with WriterOptions.State.
	NewState func() (*proc.State, error)
	// Before is called before each file is created, and its error ends the
	// capture; nil: an existing file is overwritten without a check.
	Before func(name string) error

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
type File struct {
	path    string
	opts    FileOptions
	f       *os.File
	w       *Writer
	name    string
	stamp   string   // timed: the name without a counter
	again   int      // number of earlier files with the same stamp
	kept    []string // timed, with MaxFiles: the existing files, oldest first
	files   int
	begun   uint64 // timestamp of the file's first event
	events  uint64 // in earlier files
	written int64
}

// Create begins a capture file; "-" is standard output.
func Create(path string, opts FileOptions) (*File, error) {
	f := &File{path: path, opts: opts}
	if path == "-" && opts.rotates() {
		return nil, errors.New("standard output cannot be several files")
	}
	if f.timed() {
		return f, nil // named after the first event
	}
	return f, f.open(opts.State)
}

// createFile does what os.Create does, write-only: on a named pipe, a descriptor that
// is also open for reading never gets EPIPE.
func createFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
}

func (f *File) timed() bool { return f.opts.Every > 0 && strings.Contains(f.path, "%") }

func (f *File) open(state *proc.State) error {
	f.name = f.fileName()
	if f.timed() && f.opts.MaxFiles > 0 {
		if err := f.keep(f.name); err != nil {
			return err
		}
	}
	if f.path == "-" {
		f.f = os.Stdout
	} else {
		if f.opts.Before != nil {
			if err := f.opts.Before(f.name); err != nil {
				return err
			}
		}
		out, err := createFile(f.name)
		if err != nil {
			return err
		}
		f.f = out
	}
	opts := f.opts.WriterOptions
	opts.State = state
	w, err := NewWriter(f.f, opts)
	if err != nil {
		f.f.Close()
		return fmt.Errorf("%s: %w", f.name, err)
	}
	f.w = w
	f.files++
	return nil
}

func (f *File) fileName() string {
	if !f.opts.rotates() {
		return f.path
	}
	if f.timed() {
		stamp := strftime(f.path, time.Unix(0, int64(f.begun)))
		if stamp == f.stamp {
			f.again++
			return stamp + strconv.Itoa(f.again)
		}
		f.stamp, f.again = stamp, 0
		return stamp
	}
	num, width := f.files, 0
	if n := f.opts.MaxFiles; n > 0 {
		num %= n
		width = len(strconv.Itoa(n - 1))
	}
	return fmt.Sprintf("%s%0*d", f.path, width, num)
}

// keep makes room in the ring for a file of that name. If the name repeats (a
// time-of-day pattern after 24 h), the new file replaces the old.
func (f *File) keep(name string) error {
	f.kept = slices.DeleteFunc(f.kept, func(old string) bool { return old == name })
	if len(f.kept) == f.opts.MaxFiles {
		if err := os.Remove(f.kept[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f.kept = slices.Delete(f.kept, 0, 1)
	}
	f.kept = append(f.kept, name)
	return nil
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
	return f.events + f.w.Events()
}

// Written returns the number of bytes that reached the files.
func (f *File) Written() int64 {
	if f.w == nil {
		return f.written
	}
	return f.written + f.w.Written()
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
		f.begun = ts
		return f.open(f.opts.State)
	}
	if f.begun == 0 {
		f.begun = ts
	}
	size := f.w.Size()
	if f.opts.Compress {
		size = f.w.Written()
	}
	aged := f.opts.Every > 0 && ts >= f.begun && ts-f.begun >= uint64(f.opts.Every)
	large := size >= f.opts.MaxSize && f.w.Size()-f.w.head >= f.opts.MaxSize/2
	full := f.opts.MaxSize > 0 && large || f.opts.MaxEvents > 0 && f.w.Events() >= f.opts.MaxEvents
	if !aged && !full {
		return nil
	}
	if err := f.closeFile(); err != nil {
		return err
	}
	f.begun = ts
	state := f.opts.State
	if f.opts.NewState != nil {
		var err error
		if state, err = f.opts.NewState(); err != nil {
			return fmt.Errorf("state of %s: %w", f.path, err)
		}
	}
	return f.open(state)
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

func (f *File) closeFile() error {
	err := f.failed(f.w.Close())
	f.events += f.w.Events()
	f.written += f.w.Written()
	f.w = nil
	if f.path != "-" {
		if cerr := f.f.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

// Close completes the capture.
func (f *File) Close() error {
	if f.w == nil {
		return nil
	}
	return f.closeFile()
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
