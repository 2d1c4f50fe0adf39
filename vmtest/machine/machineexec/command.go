// SPDX-License-Identifier: Apache-2.0

package machineexec

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/session"
	"github.com/scaplab/scaplab/vmtest/wire"
)

// Command is a command to run in a machine.
type Command struct {
	// Args are the program and its arguments. The program is a path in the machine, relative to Dir unless it is absolute, or
	// a name that is looked up in the PATH of Env.
	Args []string
	Env  []string // KEY=VALUE, after PATH, HOME, TMPDIR and PWD, of which it may have others
	Dir  string   // working directory in the machine, which is made; "" is /

	In  []Copy // what the machine gets before the command starts
	Out []Copy // what is taken from the machine when the command has ended

	Stdin          io.Reader // nil is an empty one
	Stdout, Stderr io.Writer // nil discards; a write is done before the next one begins
}

// Copy is a file, or a directory whose content is copied.
type Copy struct {
	From string // here, or, of Command.Out, in the machine
	To   string // the other way round; a directory stays if it exists
	// Optional says that a file that is not there is no error.
	Optional bool
	// Skip says which directories inside From, by their names, are left out. It may be nil.
	Skip func(name string) bool
}

// ExitError says that a command was run and did not end with status 0.
type ExitError struct {
	Code   int
	Signal syscall.Signal // that ended it, or 0
	Reason string         // why it was not started, or ""; Code is 126 or 127 then
}

func (e *ExitError) Error() string {
	switch {
	case e.Reason != "":
		return e.Reason
	case e.Signal != 0:
		return "signal: " + e.Signal.String()
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// Status returns the exit status that a shell would report: 128 and the signal's number for a signal.
func (e *ExitError) Status() int {
	if e.Signal != 0 {
		return 128 + int(e.Signal)
	}
	return e.Code
}

// environment is what every command gets.
var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TMPDIR=/tmp"}

// answerLimit bounds the time for an answer that needs no work of the command. Machines are slow on a loaded host.
const answerLimit = 10 * time.Minute

// Run runs a command in a machine of its own and waits for its end. It waits before that while as many machines run as may.
// The error is an [*ExitError] if the command ended with another status than 0; any other one is about the machine or about
// the files to copy. When ctx ends, the machine is killed. What Out names is copied whenever the command has ended.
func (m *Machines) Run(ctx context.Context, c *Command) error {
	if m.o.AtOnce > 0 {
		release, err := files.Slot(ctx, filepath.Join(m.cache, "slots"), m.o.AtOnce)
		if err != nil {
			return err
		}
		defer release()
	}
	s, err := m.launcher.Launch(ctx)
	if err != nil {
		return err
	}
	defer s.Finish()
	for _, w := range s.Hello.Warnings {
		m.o.Log("kernel %s: %s", m.launcher.Kernel, w)
	}
	r := runner{s: s, c: c}
	if err := r.send(ctx); err != nil {
		return r.explain(ctx, "copy files to the machine", err)
	}
	exit, err := r.run(ctx)
	if err != nil {
		return r.explain(ctx, "run the command", err)
	}
	var failed error
	if exit.Code != 0 || exit.Signal != 0 {
		failed = &ExitError{Code: exit.Code, Signal: syscall.Signal(exit.Signal), Reason: exit.Error}
	}
	for _, f := range c.Out {
		if err := r.fetch(ctx, f); err != nil {
			return errors.Join(failed, r.explain(ctx, "copy "+f.From+" from the machine", err))
		}
	}
	_ = s.Send(guest.KindQuit, struct{}{}) // Finish ends a machine that does not
	return failed
}

// runner is one run of a command.
type runner struct {
	s *session.Session
	c *Command
}

// explain adds to an error what the machine's console says of its end.
func (r *runner) explain(ctx context.Context, step string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	said := r.s.Finish()
	text := r.s.Console()
	err = fmt.Errorf("%s: %w", step, err)
	if head := cmp.Or(machine.Headline(text), said); head != "" {
		err = fmt.Errorf("%w: %s", err, head)
		if excerpt := machine.Excerpt(text); excerpt != "" {
			err = fmt.Errorf("%w\n%s", err, excerpt)
		}
	}
	return err
}

// send sends the files.
func (r *runner) send(ctx context.Context) error {
	if len(r.c.In) == 0 {
		return nil
	}
	parts := files.Chunks(func(part []byte) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return r.s.SendRaw(guest.KindFiles, part)
	})
	t := files.NewTarWriter(parts)
	for _, f := range r.c.In {
		t.Skip = f.Skip
		if err := t.Add(f.From, strings.TrimPrefix(f.To, "/")); err != nil && !(f.Optional && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	if err := errors.Join(t.Close(), parts.Close(), r.s.SendRaw(guest.KindFiles, nil)); err != nil {
		return err
	}
	return r.done(ctx)
}

// done waits for the end of a step.
func (r *runner) done(ctx context.Context) error {
	m, err := r.await(ctx, guest.KindDone)
	if err != nil {
		return err
	}
	var done guest.Done
	if err := m.Decode(&done); err != nil {
		return err
	}
	if done.Error != "" {
		return errors.New(done.Error)
	}
	return nil
}

// await waits for a message. The machine's KindError says that it did not understand one of ours.
func (r *runner) await(ctx context.Context, kinds ...string) (session.Message, error) {
	m, err := r.s.AwaitAny(ctx, answerLimit, append(kinds, guest.KindError)...)
	if err == nil && m.Kind == guest.KindError {
		var e guest.Error
		if err = m.Decode(&e); err == nil {
			err = errors.New(e.Text)
		}
	}
	return m, err
}

// run runs the command and passes on what it writes.
func (r *runner) run(ctx context.Context) (exit guest.Exit, err error) {
	dir := cmp.Or(r.c.Dir, "/")
	order := guest.Command{Args: r.c.Args, Dir: dir, Stdin: r.c.Stdin != nil, Seed: make([]byte, 32)}
	order.Env = slices.Concat(environment, []string{"PWD=" + dir}, r.c.Env)
	_, _ = rand.Read(order.Seed) // never fails
	if err := r.s.Send(guest.KindCommand, order); err != nil {
		return exit, err
	}
	input := make(chan []byte)
	for {
		select {
		case <-ctx.Done():
			return exit, ctx.Err()
		case <-r.s.Died:
			return exit, errors.New("the kernel died")
		case part := <-input:
			if err := r.s.SendRaw(guest.KindStdin, part); err != nil {
				return exit, err
			}
		case m, open := <-r.s.Messages:
			var garbled *wire.GarbledError
			switch {
			case !open || m.Err != nil && !errors.As(m.Err, &garbled):
				return exit, errors.New("the machine ended")
			case m.Err != nil:
				return exit, m.Err // output may be missing
			}
			switch m.Kind {
			case guest.KindStdout:
				err = write(r.c.Stdout, m.Bytes())
			case guest.KindStderr:
				err = write(r.c.Stderr, m.Bytes())
			case guest.KindMore:
				go r.read(ctx, input)
			case guest.KindExit:
				return exit, m.Decode(&exit)
			case guest.KindError:
				var e guest.Error
				if err = m.Decode(&e); err == nil {
					err = errors.New(e.Text)
				}
			}
			if err != nil {
				return exit, err
			}
		}
	}
}

func write(w io.Writer, b []byte) error {
	if w == nil {
		return nil
	}
	_, err := w.Write(b)
	return err
}

// read reads the next part of the standard input. A read cannot be interrupted: it may outlast the command.
func (r *runner) read(ctx context.Context, input chan<- []byte) {
	buf := make([]byte, 64<<10)
	n := 0
	for n == 0 {
		var err error
		if n, err = r.c.Stdin.Read(buf); err != nil {
			break
		}
	}
	select {
	case input <- buf[:n]:
	case <-ctx.Done():
	}
}
