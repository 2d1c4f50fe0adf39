// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"time"
)

// program is a sink that writes lines to the standard input of a shell command. One that
// ends is started again for the next alert, but not more often than once a second.
type program struct {
	command string
	out     io.Writer // of the command
	cmd     *exec.Cmd
	in      *os.File
	ended   chan struct{}
	started time.Time
	late    bool // the time for deliveries is over
}

// Program returns a sink that pipes alerts to a shell command, whose output goes to out.
func Program(command string, out io.Writer) Sink { return &program{command: command, out: out} }

func (p *program) Name() string { return "program " + p.command }

var (
	errKilled = errors.New("the command did not end with its input and was killed; it may not have read all")
	errEnded  = errors.New("the command ended less than a second after its start")
)

func (p *program) start() error {
	if time.Since(p.started) < time.Second {
		return errEnded
	}
	p.started = time.Now()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command("sh", "-c", p.command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, p.out, p.out
	// What the command started may keep its output open.
	cmd.WaitDelay = time.Second
	apart(cmd)
	if err := cmd.Start(); err != nil {
		w.Close()
		return err
	}
	p.cmd, p.in, p.ended = cmd, w, make(chan struct{})
	go func(ended chan struct{}) {
		_ = cmd.Wait() // its exit status says nothing about the alerts
		close(ended)
	}(p.ended)
	return nil
}

func (p *program) Deliver(ctx context.Context, a *Alert) error {
	if p.in != nil {
		select {
		case <-p.ended:
			p.in.Close()
			p.in = nil
		default:
		}
	}
	if p.in == nil {
		if err := p.start(); err != nil {
			return err
		}
	}
	in := p.in
	stop := context.AfterFunc(ctx, func() { interrupt(in) })
	defer stop()
	_, err := in.Write(line(a))
	if err != nil {
		p.late = ctx.Err() != nil
		in.Close()
		p.in = nil
	}
	return err
}

// Close ends the input of the command and gives it some time to end, unless all time is over.
func (p *program) Close() error {
	if p.cmd == nil {
		return nil
	}
	if p.in != nil {
		p.in.Close()
	}
	wait := 500 * time.Millisecond
	if p.late {
		wait = 0
	}
	select {
	case <-p.ended:
	case <-time.After(wait):
		end(p.cmd)
		return errKilled
	}
	return nil
}

// interrupt makes a write that waits return.
func interrupt(f *os.File) { _ = f.SetWriteDeadline(time.Unix(1, 0)) }
