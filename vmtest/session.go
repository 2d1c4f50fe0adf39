// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/wire"
)

// message is one thing the guest said. With err, a *wire.GarbledError leaves
// the channel usable and anything else is its end.
type message struct {
	kind string
	body json.RawMessage
	err  error
}

func (m *message) decode(v any) error {
	if err := json.Unmarshal(m.body, v); err != nil {
		return fmt.Errorf("message %s: %w", m.kind, err)
	}
	return nil
}

// session is one living guest, a machine or a process.
type session struct {
	hello    guest.Hello
	how      string         // "cold boot in 1.9s", "restored in 0.1s"
	messages <-chan message // closed at the channel's end
	send     func(kind string, v any) error
	died     <-chan struct{} // closed when the guest said on its console that it is dead
	console  func() string   // what the guest said so far; after finish, all of it
	provoke  func()          // makes a hung guest say on its console where it is; may be nil
	finish   func() string   // ends the guest, waits, and says how it ended if that is worth saying

	// Of its kernel's complaints, those not yet taken; nil for a guest without a kernel of its own.
	complaint func(of func(id string) bool) string
	stalls    func() []string
}

// launcher brings up guests.
type launcher interface {
	launch(ctx context.Context) (*session, error)
}

// bootError is a guest that never became ready.
type bootError struct {
	reason  string
	console string
}

func (e *bootError) Error() string {
	if e.console == "" {
		return e.reason
	}
	return e.reason + "\n" + e.console
}

// pump receives messages until the channel ends or stop is closed.
func pump(conn *wire.Conn, stop <-chan struct{}) <-chan message {
	c := make(chan message, 64)
	go func() {
		defer close(c)
		for {
			kind, body, err := conn.Receive()
			m := message{kind, append(json.RawMessage(nil), body...), err}
			select {
			case c <- m:
			case <-stop:
				return
			}
			var garbled *wire.GarbledError
			if err != nil && !errors.As(err, &garbled) {
				return
			}
		}
	}()
	return c
}

// await returns the next message of a kind, skipping others. It gives up when
// the guest dies, the channel ends or the limit is over.
func (s *session) await(ctx context.Context, kind string, limit time.Duration) (message, error) {
	return s.awaitAny(ctx, limit, kind)
}

// awaitAny is await for one of several kinds.
func (s *session) awaitAny(ctx context.Context, limit time.Duration, kinds ...string) (message, error) {
	kind := kinds[0]
	timer := time.NewTimer(limit)
	defer timer.Stop()
	died := s.died
	for {
		select {
		case m, ok := <-s.messages:
			var garbled *wire.GarbledError
			switch {
			case !ok:
				return message{}, fmt.Errorf("guest ended before %s", kind)
			case errors.As(m.err, &garbled): // firmware talk, or a record cut by the restore
			case m.err != nil:
				if errors.Is(m.err, io.EOF) {
					return message{}, fmt.Errorf("guest ended before %s", kind)
				}
				return message{}, m.err
			case slices.Contains(kinds, m.kind):
				return m, nil
			}
		case <-died:
			return message{}, fmt.Errorf("guest kernel died before %s", kind)
		case <-timer.C:
			return message{}, fmt.Errorf("no %s from the guest within %v", kind, limit)
		case <-ctx.Done():
			return message{}, ctx.Err()
		}
	}
}

// excerptLines is how much console goes with a crash.
const excerptLines = 25

// vmSession makes a session of a started machine.
func vmSession(v *vm) *session {
	stop := make(chan struct{})
	ended := false
	return &session{
		messages:  pump(v.conn, stop),
		send:      v.conn.Send,
		died:      v.console.died,
		console:   v.console.text,
		complaint: v.console.complaint,
		stalls:    v.console.stalls,
		provoke: func() {
			if v.qmp.do(5*time.Second, "inject-nmi", nil, nil, nil) == nil {
				waitFor(v.proc.done, 5*time.Second) // it panics, and so ends
			}
		},
		finish: func() string {
			if ended {
				return ""
			}
			ended = true
			select {
			case <-v.proc.done: // it ended by itself: QEMU may have said why
			default:
				// A machine that panics resets at once, and its console is complete then.
				select {
				case <-v.console.died:
					waitFor(v.proc.done, 2*time.Second)
				default:
				}
			}
			v.close()
			close(stop)
			return v.stderr.String()
		},
	}
}

func waitFor(c <-chan struct{}, limit time.Duration) {
	select {
	case <-c:
	case <-time.After(limit):
	}
}

// processLauncher runs the guest as a process on the running kernel.
type processLauncher struct {
	program string
	args    []string
	env     []string
	limit   time.Duration // until it must be ready
	log     io.Writer
}

func (l *processLauncher) launch(ctx context.Context) (*session, error) {
	start := time.Now()
	ours, theirs, err := socketPair("guest")
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	logR, logW, err := os.Pipe()
	if err != nil {
		ours.Close()
		return nil, err
	}
	defer logW.Close()
	// Its files are here, since one that has to be killed leaves them.
	dir, err := os.MkdirTemp("", "scaplab-host")
	if err == nil {
		err = os.Chmod(dir, 0o755) // cases may become another user
	}
	if err != nil {
		ours.Close()
		logR.Close()
		return nil, err
	}
	cmd := exec.Command(l.program, l.args...)
	cmd.Env = append(slices.Clone(l.env), "TMPDIR="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, logW
	p, err := startProcess(cmd)
	if err != nil {
		ours.Close()
		logR.Close()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	conn := wire.NewConn(ours)
	said := readConsole(logR, l.log)
	stop := make(chan struct{})
	ended := false
	s := &session{
		messages: pump(conn, stop),
		send:     conn.Send,
		console:  said.text,
		finish: func() string {
			if ended {
				return ""
			}
			ended = true
			waitFor(p.done, 2*time.Second) // it cleans up after itself when asked to go
			var how string
			select {
			case <-p.done:
				how = "guest process: " + p.cmd.ProcessState.String()
			default:
			}
			p.kill()
			waitFor(said.finished, time.Second)
			close(stop)
			ours.Close()
			logR.Close()
			_ = os.RemoveAll(dir) // what a case mounted there is busy
			return how
		},
	}
	m, err := s.await(ctx, guest.KindHello, l.limit)
	if err == nil {
		err = m.decode(&s.hello)
	}
	if err != nil {
		how := s.finish()
		return nil, &bootError{strings.TrimSpace(err.Error() + " " + how), crashExcerpt(s.console(), excerptLines)}
	}
	s.how = "started in " + seconds(time.Since(start))
	return s, nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
