// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
)

// stream is a sink that writes lines.
type stream struct {
	name string
	w    io.Writer
}

// Stream returns a sink that writes a line for each alert.
func Stream(name string, w io.Writer) Sink { return &stream{name, w} }

func (s *stream) Name() string { return s.name }

func (s *stream) Deliver(_ context.Context, a *Alert) error {
	_, err := s.w.Write(line(a))
	return err
}

func (s *stream) Close() error { return nil }

// line returns the alert with a line end. Other sinks use the same alert.
func line(a *Alert) []byte { return append(a.Line[:len(a.Line):len(a.Line)], '\n') }

// file is a sink that appends lines to a file.
type file struct {
	path   string
	f      *os.File
	cut    bool // the file ends within a line
	reopen atomic.Bool
}

// File returns a sink that appends to a file, which it makes, readable by its owner only.
// Reopen opens the path anew.
func File(path string) (Sink, error) {
	f := &file{path: path}
	return f, f.open()
}

func (f *file) Name() string { return "file " + f.path }

func (f *file) open() (err error) {
	// Without O_NONBLOCK a FIFO that nobody reads would block for ever.
	f.f, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	return err
}

// Reopen implements [Reopener].
func (f *file) Reopen() { f.reopen.Store(true) }

func (f *file) Deliver(ctx context.Context, a *Alert) error {
	if f.reopen.Swap(false) && f.f != nil {
		_ = f.f.Close() // it was moved away
		f.f = nil
	}
	if f.f == nil {
		f.cut = false
		if err := f.open(); err != nil {
			return err
		}
	}
	out := f.f
	stop := context.AfterFunc(ctx, func() { interrupt(out) })
	defer stop()
	text := line(a)
	if f.cut {
		text = append([]byte{'\n'}, text...)
	}
	n, err := out.Write(text)
	if n > 0 {
		f.cut = n < len(text)
	}
	if err != nil && errors.Is(err, os.ErrClosed) {
		f.f = nil
	}
	return err
}

func (f *file) Close() error {
	if f.f == nil {
		return nil
	}
	if err := f.f.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
