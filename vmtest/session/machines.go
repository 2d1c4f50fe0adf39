// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
)

// Launcher starts guests.
type Launcher interface {
	Launch(ctx context.Context) (*Session, error)
}

// BootTries is how many times in a row a guest may end without any progress.
const BootTries = 2

// BootError: a guest did not become ready.
type BootError struct {
	Reason  string
	Console string
}

func (e *BootError) Error() string {
	if e.Console == "" {
		return e.Reason
	}
	return e.Reason + "\n" + e.Console
}

// KilledError: another process ended a guest.
type KilledError struct{ By string }

func (e *KilledError) Error() string { return "QEMU was killed from outside: " + e.By }

// Machines starts the machines of one kernel, from a snapshot if there is a
// good one, else by booting. Several lanes may use it at once.
type Machines struct {
	Config    machine.Config
	Kernel    string            // name of the kernel
	Snapshots machine.Snapshots // "" means none
	BootLimit time.Duration     // time for a booted guest to become ready
	Log       func(format string, args ...any)
	Console   io.Writer // destination of copies of the consoles, or nil

	mu       sync.Mutex // one boot at a time, so that the next lane can restore
	unusable bool       // snapshots do not work here: they are not tried again
	failures int        // failed boots in a row
	failure  error      // error of the last one
}

func (l *Machines) Launch(ctx context.Context) (*Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Snapshots != "" && !l.unusable {
		s, err := l.restore(ctx)
		switch {
		case err == nil:
			return s, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case IsKilled(err):
			return nil, err
		case !errors.Is(err, machine.ErrNoSnapshot):
			l.unusable = true
			l.Log("kernel %s: booting, since its snapshot did not work: %v", l.Kernel, err)
			l.Snapshots.Remove(&l.Config)
		default: // one program boots it, others that wait for it restore
			if unlock, err := l.Snapshots.Lock(ctx, &l.Config); err == nil {
				defer unlock()
				if s, err := l.restore(ctx); err == nil {
					return s, nil
				}
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	if l.failures >= BootTries { // another lane has tried it
		return nil, l.failure
	}
	s, err := l.Boot(ctx)
	if IsKilled(err) {
		return nil, err
	}
	if l.failure = err; err != nil {
		l.failures++
	} else {
		l.failures = 0
	}
	return s, err
}

// IsKilled reports whether err is a [KilledError].
func IsKilled(err error) bool {
	_, ok := errors.AsType[*KilledError](err)
	return ok
}

// ChooseAccel returns the accelerator for a machine, as [machine.ChooseAccel] does, which this gives the trial: a guest under KVM
// that says hello.
func ChooseAccel(ctx context.Context, cache, asked string, config machine.Config) (machine.Accel, error) {
	return machine.ChooseAccel(ctx, cache, asked, config, func(ctx context.Context, c machine.Config) (string, error) {
		l := &Machines{Config: c, BootLimit: machine.KVMLimit, Log: func(string, ...any) {}}
		s, err := l.Boot(ctx)
		if err != nil {
			return "", err
		}
		s.Finish()
		return s.How, nil
	})
}

// restoreLimit bounds each step of a restore, which takes a tenth of a second.
const restoreLimit = 15 * time.Second

// restore starts a machine from the saved state.
func (l *Machines) restore(ctx context.Context) (_ *Session, err error) {
	start := time.Now()
	var hello guest.Hello
	f, err := l.Snapshots.Open(&l.Config, &hello)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v, err := machine.Start(ctx, &l.Config, f, l.Console)
	if err != nil {
		return nil, err
	}
	s := Of(v)
	s.Hello = hello
	defer func() {
		if err != nil {
			said := s.Finish()
			switch by := v.Killed(); {
			case by != "":
				err = &KilledError{by}
			case said != "":
				err = fmt.Errorf("%w (%s)", err, said)
			}
		}
	}()
	if err := v.WaitRunning(ctx, restoreLimit); err != nil {
		return nil, err
	}
	s.useMailbox(v)
	if err := s.Ping(ctx, restoreLimit); err != nil {
		return nil, err
	}
	l.Snapshots.Used(&l.Config)
	s.Took = time.Since(start)
	s.How = "restored in " + seconds(s.Took)
	return s, nil
}

// Ping makes the guest answer, and sets its clock, which stood still while it was saved.
func (s *Session) Ping(ctx context.Context, limit time.Duration) error {
	want := guest.Ping{N: uint64(time.Now().UnixNano()), Clock: time.Now().UnixNano()}
	if err := s.Send(guest.KindPing, want); err != nil {
		return err
	}
	m, err := s.Await(ctx, guest.KindPong, limit)
	if err != nil {
		return err
	}
	var got guest.Ping
	if err := m.Decode(&got); err != nil {
		return err
	}
	if got.N != want.N {
		return fmt.Errorf("guest answered ping %d with %d", want.N, got.N)
	}
	return nil
}

// Boot boots the machine and saves a snapshot.
func (l *Machines) Boot(ctx context.Context) (_ *Session, err error) {
	start := time.Now()
	v, err := machine.Start(ctx, &l.Config, nil, l.Console)
	if err != nil {
		return nil, err
	}
	s := Of(v)
	m, err := s.Await(ctx, guest.KindHello, l.BootLimit)
	if err == nil {
		err = m.Decode(&s.Hello)
	}
	if err != nil {
		said := s.Finish()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if by := v.Killed(); by != "" {
			return nil, &KilledError{by}
		}
		text := s.Console()
		reason := cmp.Or(machine.Headline(text), said)
		return nil, &BootError{strings.TrimSuffix(fmt.Sprintf("%v: %s", err, firstLine(reason)), ": "), machine.Excerpt(text)}
	}
	s.useMailbox(v)
	s.Took = time.Since(start)
	s.How = "cold boot in " + seconds(s.Took)
	// A snapshot would hide complaints about the start or about loading drivers.
	if l.Snapshots == "" || l.unusable || v.Console.Complains() {
		return s, nil
	}
	if err := l.Snapshots.Save(ctx, v, &l.Config, s.Hello); err != nil {
		l.unusable = true
		l.Log("kernel %s: no snapshot: %v", l.Kernel, err)
		if err := s.Ping(ctx, restoreLimit); err != nil { // the failed attempt may have paused it
			s.Finish()
			return nil, &BootError{fmt.Sprintf("no answer after a failed snapshot: %v", err), machine.Excerpt(s.Console())}
		}
	}
	return s, nil
}

// useMailbox makes messages to the guest pass through the mailbox, if it reads them there.
func (s *Session) useMailbox(v *machine.VM) {
	if s.Hello.Mailbox {
		v.UseMailbox()
	}
}

// Of makes a session of a started machine.
func Of(v *machine.VM) *Session {
	stop := make(chan struct{})
	return &Session{
		Messages:  Pump(v.Conn, stop),
		Send:      v.Conn.Send,
		SendRaw:   v.Conn.SendBytes,
		Died:      v.Console.Died(),
		Console:   v.Console.Text,
		Complaint: v.Console.Complaint,
		Stalls:    v.Console.Stalls,
		Provoke:   v.Interrupt,
		Killed:    v.Killed,
		Finish: once(func() string {
			said := v.Close()
			close(stop)
			return said
		}),
	}
}

// once returns a function that calls f once; later calls return "".
func once(f func() string) func() string {
	done := false
	return func() string {
		if done {
			return ""
		}
		done = true
		return f()
	}
}

func waitFor(c <-chan struct{}, limit time.Duration) {
	select {
	case <-c:
	case <-time.After(limit):
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
