// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/wire"
)

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

// killedError is a guest that another process ended.
type killedError struct{ by string }

func (e *killedError) Error() string { return "QEMU was killed from outside: " + e.by }

// vmLauncher brings up machines of one kernel, from a snapshot when there is
// a good one, else by booting. It may be used by several lanes at once.
type vmLauncher struct {
	config    machine.Config
	kernel    string            // its name
	snapshots machine.Snapshots // "" for none
	bootLimit time.Duration     // until a booted guest must be ready
	log       func(format string, args ...any)
	console   io.Writer // nil, or where consoles are copied to

	mu       sync.Mutex // one boot at a time: the next lane then restores
	unusable bool       // snapshots do not work here; no further try
	failures int        // boots in a row that came to nothing
	failure  error      // of the last of them
}

func (l *vmLauncher) launch(ctx context.Context) (*session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.snapshots != "" && !l.unusable {
		s, err := l.restore(ctx)
		switch {
		case err == nil:
			return s, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case isKilled(err):
			return nil, err
		case !errors.Is(err, machine.ErrNoSnapshot):
			l.unusable = true
			l.log("kernel %s: booting, since its snapshot did not work: %v", l.kernel, err)
			l.snapshots.Remove(&l.config)
		}
	}
	if l.failures >= bootTries { // another lane has tried
		return nil, l.failure
	}
	s, err := l.boot(ctx)
	if isKilled(err) {
		return nil, err
	}
	if l.failure = err; err != nil {
		l.failures++
	} else {
		l.failures = 0
	}
	return s, err
}

func isKilled(err error) bool {
	_, ok := errors.AsType[*killedError](err)
	return ok
}

// restoreLimit bounds each step of a restore, which takes a tenth of a second.
const restoreLimit = 15 * time.Second

// restore continues the saved machine.
func (l *vmLauncher) restore(ctx context.Context) (_ *session, err error) {
	start := time.Now()
	var hello guest.Hello
	f, err := l.snapshots.Open(&l.config, &hello)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v, err := machine.Start(ctx, &l.config, f, l.console)
	if err != nil {
		return nil, err
	}
	s := vmSession(v)
	s.hello = hello
	defer func() {
		if err != nil {
			said := s.finish()
			switch by := v.Killed(); {
			case by != "":
				err = &killedError{by}
			case said != "":
				err = fmt.Errorf("%w (%s)", err, said)
			}
		}
	}()
	if err := v.WaitRunning(ctx, restoreLimit); err != nil {
		return nil, err
	}
	if err := ping(ctx, s, restoreLimit); err != nil {
		return nil, err
	}
	l.snapshots.Used(&l.config)
	s.how = "restored in " + seconds(time.Since(start))
	return s, nil
}

// ping makes the guest answer, and sets its clock, which stood still.
func ping(ctx context.Context, s *session, limit time.Duration) error {
	want := guest.Ping{N: uint64(time.Now().UnixNano()), Clock: time.Now().UnixNano()}
	if err := s.send(guest.KindPing, want); err != nil {
		return err
	}
	m, err := s.await(ctx, guest.KindPong, limit)
	if err != nil {
		return err
	}
	var got guest.Ping
	if err := m.decode(&got); err != nil {
		return err
	}
	if got.N != want.N {
		return fmt.Errorf("guest answered ping %d with %d", want.N, got.N)
	}
	return nil
}

// boot starts the machine from nothing and leaves a snapshot behind.
func (l *vmLauncher) boot(ctx context.Context) (_ *session, err error) {
	start := time.Now()
	v, err := machine.Start(ctx, &l.config, nil, l.console)
	if err != nil {
		return nil, err
	}
	s := vmSession(v)
	m, err := s.await(ctx, guest.KindHello, l.bootLimit)
	if err == nil {
		err = m.decode(&s.hello)
	}
	if err != nil {
		said := s.finish()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if by := v.Killed(); by != "" {
			return nil, &killedError{by}
		}
		text := s.console()
		reason := cmp.Or(machine.Headline(text), said)
		return nil, &bootError{strings.TrimSuffix(fmt.Sprintf("%v: %s", err, firstLine(reason)), ": "), machine.Excerpt(text)}
	}
	s.how = "cold boot in " + seconds(time.Since(start))
	// A machine that complained when it started, or when drivers were loaded, is to do so the next time, too.
	if l.snapshots == "" || l.unusable || v.Console.Complains() {
		return s, nil
	}
	if err := l.snapshots.Save(ctx, v, &l.config, s.hello); err != nil {
		l.unusable = true
		l.log("kernel %s: no snapshot: %v", l.kernel, err)
		if err := ping(ctx, s, restoreLimit); err != nil { // the failed save may have stopped it
			s.finish()
			return nil, &bootError{fmt.Sprintf("no answer after a failed snapshot: %v", err), machine.Excerpt(s.console())}
		}
	}
	return s, nil
}

// vmSession makes a session of a started machine.
func vmSession(v *machine.VM) *session {
	stop := make(chan struct{})
	return &session{
		messages:  pump(v.Conn, stop),
		send:      v.Conn.Send,
		died:      v.Console.Died(),
		console:   v.Console.Text,
		complaint: v.Console.Complaint,
		stalls:    v.Console.Stalls,
		provoke:   v.Interrupt,
		killed:    v.Killed,
		finish: once(func() string {
			said := v.Close()
			close(stop)
			return said
		}),
	}
}

// once is f for the first call and "" for later ones.
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
	ours, theirs, err := machine.SocketPair("guest")
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
	p, err := machine.StartProcess(cmd)
	if err != nil {
		ours.Close()
		logR.Close()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	conn := wire.NewConn(ours)
	said := machine.ReadConsole(logR, l.log)
	stop := make(chan struct{})
	s := &session{
		messages: pump(conn, stop),
		send:     conn.Send,
		console:  said.Text,
		finish: once(func() string {
			waitFor(p.Done, 2*time.Second) // it cleans up after itself when asked to go
			var how string
			select {
			case <-p.Done:
				how = "guest process: " + p.State().String()
			default:
			}
			p.Kill()
			waitFor(said.Finished(), time.Second)
			close(stop)
			ours.Close()
			logR.Close()
			_ = os.RemoveAll(dir) // what a case mounted there is busy
			return how
		}),
	}
	m, err := s.await(ctx, guest.KindHello, l.limit)
	if err == nil {
		err = m.decode(&s.hello)
	}
	if err != nil {
		how := s.finish()
		return nil, &bootError{strings.TrimSpace(err.Error() + " " + how), machine.Excerpt(s.console())}
	}
	s.how = "started in " + seconds(time.Since(start))
	return s, nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
