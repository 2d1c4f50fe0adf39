// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/vmtest/wire"
)

// wantsCommands reports whether this machine was started to run commands.
func wantsCommands() bool { return slices.Contains(os.Environ(), CommandArgument) }

// accounts are the files in which programs look up users, groups and hosts. The machine has no resolver.
var accounts = map[string]string{
	"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
	"/etc/group":  "root:x:0:\nnogroup:x:65534:\n",
	"/etc/hosts":  "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 scaplab\n",
}

// mergedDirs are those of the root directory that distributions have made links into /usr: programs are run as /bin/sh wherever
// they are copied to.
var mergedDirs = []string{"bin", "sbin", "lib", "lib64"}

// descendantGrace is how long output of processes that outlive the command is waited for.
const descendantGrace = time.Second

// commander serves the connection of a machine that runs commands.
type commander struct {
	conn   *wire.Conn
	unpack *io.PipeWriter // of the archive that arrives; nil between archives
	done   chan error     // how its unpacking ended
	stdin  chan []byte    // of the running command; nil if it has none
}

// serveCommands answers the host until it says that it needs no more.
func serveCommands(rw io.ReadWriter, warnings []string) error {
	c := &commander{conn: newConn(rw)}
	hello := Hello{Arch: runtime.GOARCH, Init: true, CPUs: runtime.NumCPU(), BTF: needFile(btfPath) == nil, Warnings: warnings}
	hello.Release, hello.Version = running()
	if err := openMailboxes(c.conn); err != nil {
		hello.Warnings = append(hello.Warnings, noMailbox(err))
	} else {
		hello.Mailbox = true
	}
	for _, name := range mergedDirs {
		if err := errors.Join(os.MkdirAll("/usr/"+name, 0o755), os.Symlink("usr/"+name, "/"+name)); err != nil {
			hello.Warnings = append(hello.Warnings, err.Error())
		}
	}
	for name, text := range accounts {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			hello.Warnings = append(hello.Warnings, err.Error())
		}
	}
	if err := c.conn.Send(KindHello, hello); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	for {
		kind, value, err := c.conn.Receive()
		if err == nil {
			if kind == KindQuit {
				return nil
			}
			err = c.answer(kind, value)
		} else if isGarbled(err) {
			err = c.conn.Send(KindError, Error{Text: err.Error()})
		}
		if err != nil {
			return fmt.Errorf("answer %s: %w", kind, err)
		}
	}
}

func (c *commander) answer(kind string, value json.RawMessage) error {
	switch kind {
	case KindPing:
		var p Ping
		err := json.Unmarshal(value, &p)
		if err == nil && p.Clock != 0 {
			err = setClock(p.Clock)
		}
		if err != nil {
			return c.conn.Send(KindError, Error{Text: err.Error()})
		}
		return c.conn.Send(KindPong, p)
	case KindFiles:
		return c.files(value)
	case KindCommand:
		var order Command
		if err := json.Unmarshal(value, &order); err != nil {
			return c.conn.Send(KindError, Error{Text: err.Error()})
		}
		return c.start(&order)
	case KindStdin:
		if c.stdin != nil {
			c.stdin <- slices.Clone(value)
		}
		return nil
	case KindFetch:
		var f Fetch
		if err := json.Unmarshal(value, &f); err != nil {
			return c.conn.Send(KindError, Error{Text: err.Error()})
		}
		return c.fetch(f.Path)
	}
	return c.conn.Send(KindError, Error{Text: fmt.Sprintf("unknown request %q", kind)})
}

// files unpacks a part of an archive. The rest of one that cannot be unpacked is ignored.
func (c *commander) files(part []byte) error {
	if c.unpack == nil {
		var r *io.PipeReader
		r, c.unpack = io.Pipe()
		c.done = make(chan error, 1)
		go func() {
			err := files.Untar(r, "/")
			r.CloseWithError(err) // writes end with it
			c.done <- err
		}()
	}
	if len(part) > 0 {
		_, _ = c.unpack.Write(part) // an error is that of the unpacking
		return nil
	}
	c.unpack.Close()
	err := <-c.done
	c.unpack = nil
	var done Done
	if err != nil {
		done.Error = err.Error()
		if errors.Is(err, unix.ENOSPC) {
			done.Error += " (files are in the machine's memory)"
		}
	}
	return c.conn.Send(KindDone, done)
}

// start starts a command. The answer, KindExit, comes when it has ended.
func (c *commander) start(order *Command) error {
	if err := addRandomness(order.Seed); err != nil {
		fmt.Fprintf(os.Stderr, "guest: random numbers: %v\n", err)
	}
	fail := func(code int, err error) error {
		return c.conn.Send(KindExit, Exit{Code: code, Error: err.Error()})
	}
	if len(order.Args) == 0 {
		return fail(shellNotFound, errors.New("no command"))
	}
	if err := os.MkdirAll(order.Dir, 0o755); err != nil {
		return fail(shellNotRun, fmt.Errorf("working directory: %w", err))
	}
	os.Clearenv() // for the look-up of the program
	cmd := &exec.Cmd{Args: order.Args, Env: order.Env, Dir: order.Dir, WaitDelay: descendantGrace}
	for _, v := range cmd.Env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			_ = os.Setenv("PATH", path) // it has no zero byte, which alone is refused
		}
	}
	program := order.Args[0]
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		program = filepath.Join(order.Dir, program)
	}
	var err error
	if cmd.Path, err = exec.LookPath(program); err != nil {
		return fail(shellCode(err), err)
	}
	cmd.Stdout, cmd.Stderr = sender{c.conn, KindStdout}, sender{c.conn, KindStderr}
	var input io.WriteCloser
	if order.Stdin {
		if input, err = cmd.StdinPipe(); err != nil {
			return fail(shellNotRun, err)
		}
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	if err := cmd.Start(); err != nil {
		return fail(shellCode(err), err)
	}
	go reapOrphans(children, cmd.Process.Pid)
	if input != nil {
		c.stdin = make(chan []byte, 1) // the host sends one for each KindMore
		go c.feed(input, c.stdin)
	}
	go func() {
		err := cmd.Wait()
		var exit Exit
		if cmd.ProcessState == nil {
			exit = Exit{Code: shellNotRun, Error: err.Error()}
		} else if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
			exit.Signal = int(status.Signal())
		} else {
			exit.Code = status.ExitStatus()
		}
		if err := c.conn.Send(KindExit, exit); err != nil {
			fmt.Fprintf(os.Stderr, "guest: %v\n", err)
		}
	}()
	return nil
}

// Exit statuses of shells for programs that were not started.
const (
	shellNotRun   = 126
	shellNotFound = 127
)

func shellCode(err error) int {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return shellNotFound
	}
	return shellNotRun
}

// feed writes to a command what the host sends, until the command reads no more.
func (c *commander) feed(input io.WriteCloser, parts <-chan []byte) {
	defer input.Close()
	for {
		if err := c.conn.Send(KindMore, struct{}{}); err != nil {
			return
		}
		part := <-parts
		if len(part) == 0 {
			return
		}
		if _, err := input.Write(part); err != nil {
			return
		}
	}
}

// reapOrphans reaps the processes whose parents ended before them, which become children of init. The command itself is
// reaped by its Wait.
func reapOrphans(children <-chan os.Signal, command int) {
	for range children {
		for {
			var info unix.Siginfo
			err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
			pid := siginfoPID(&info)
			if err != nil || pid == 0 || pid == command {
				break
			}
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // nobody else does
		}
	}
}

// siginfoPID returns si_pid, which x/sys does not name: it follows three numbers and padding to 8 bytes.
func siginfoPID(info *unix.Siginfo) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), 16)))
}

// addRandomness mixes bytes into the kernel's random numbers.
func addRandomness(seed []byte) error {
	f, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(seed); err != nil {
		return err
	}
	return unix.IoctlSetInt(int(f.Fd()), unix.RNDRESEEDCRNG, 0)
}

// sender sends what is written to it.
type sender struct {
	conn *wire.Conn
	kind string
}

func (s sender) Write(p []byte) (int, error) {
	if err := s.conn.SendBytes(s.kind, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// fetch sends a file, or the content of a directory.
func (c *commander) fetch(path string) error {
	st, err := os.Stat(path)
	answer := Fetched{Missing: errors.Is(err, fs.ErrNotExist)}
	switch {
	case err != nil && !answer.Missing:
		answer.Error = err.Error()
	case err == nil && !st.IsDir() && !st.Mode().IsRegular():
		answer.Error = path + " is neither a file nor a directory"
	case err == nil:
		answer.Dir = st.IsDir()
	}
	if err := c.conn.Send(KindFetched, answer); err != nil || answer.Missing || answer.Error != "" {
		return err
	}
	name := ""
	if !answer.Dir {
		name = filepath.Base(path)
	}
	var done Done
	parts := files.Chunks(func(part []byte) error { return c.conn.SendBytes(KindFiles, part) })
	t := files.NewTarWriter(parts)
	if err := errors.Join(t.Add(path, name), t.Close(), parts.Close()); err != nil {
		done.Error = err.Error()
	}
	return errors.Join(c.conn.SendBytes(KindFiles, nil), c.conn.Send(KindDone, done))
}
