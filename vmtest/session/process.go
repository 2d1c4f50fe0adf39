// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/wire"
)

// Process runs the guest as a process on the running kernel.
type Process struct {
	Program string
	Args    []string
	Env     []string
	Limit   time.Duration // time for it to become ready
	Log     io.Writer
}

func (l *Process) Launch(ctx context.Context) (*Session, error) {
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
	// The directory is made here: a guest that is killed cannot remove it.
	dir, err := os.MkdirTemp("", "scaplab-host")
	if err == nil {
		err = os.Chmod(dir, 0o755) // cases may become another user
	}
	if err != nil {
		ours.Close()
		logR.Close()
		return nil, err
	}
	cmd := exec.Command(l.Program, l.Args...)
	cmd.Env = append(slices.Clone(l.Env), "TMPDIR="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, logW
	p, err := machine.StartProcess(cmd)
	if err != nil {
		ours.Close()
		logR.Close()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	conn := wire.NewConn(ours)
	said := machine.ReadConsole(logR, l.Log)
	stop := make(chan struct{})
	s := &Session{
		Messages: Pump(conn, stop),
		Send:     conn.Send,
		SendRaw:  conn.SendBytes,
		Console:  said.Text,
		Finish: once(func() string {
			waitFor(p.Done, 2*time.Second) // after quitting it removes its files
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
			_ = os.RemoveAll(dir) // fails if a case has mounted something there
			return how
		}),
	}
	m, err := s.Await(ctx, guest.KindHello, l.Limit)
	if err == nil {
		err = m.Decode(&s.Hello)
	}
	if err != nil {
		how := s.Finish()
		return nil, &BootError{strings.TrimSpace(err.Error() + " " + how), machine.Excerpt(s.Console())}
	}
	s.Took = time.Since(start)
	s.How = "started in " + seconds(s.Took)
	return s, nil
}
