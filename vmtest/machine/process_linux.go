// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is a child that does not outlive this program. When it ends, the rest of its
// process group is ended with it, e.g. the children of a guest process.
type Process struct {
	Done chan struct{} // closed when it has ended

	cmd *exec.Cmd
	mu  sync.Mutex
	// The process has ended and may be reaped: from then on its number, which is also that
	// of its group, may belong to other processes.
	ended bool
}

// StartProcess starts cmd. The kernel ends the child when the thread that started
// it ends, so one thread is kept until then.
func StartProcess(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p := &Process{cmd: cmd, Done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// wait waits for the end of the process and reaps it.
func (p *Process) wait() {
	for unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	p.mu.Lock()
	p.killGroup()
	p.ended = true
	p.mu.Unlock()
	_ = p.cmd.Wait() // State returns how it ended
	close(p.Done)
}

func (p *Process) killGroup() { _ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) }

// State returns how the process ended, once Done is closed.
func (p *Process) State() *os.ProcessState { return p.cmd.ProcessState }

// Kill ends the process and waits for its end.
func (p *Process) Kill() {
	p.mu.Lock()
	if !p.ended {
		p.killGroup()
	}
	p.mu.Unlock()
	<-p.Done
}

// SocketPair returns two connected stream sockets. ours supports deadlines,
// theirs is for a child.
func SocketPair(name string) (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair for %s: %w", name, err)
	}
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("socketpair for %s: %w", name, err), syscall.Close(fds[0]), syscall.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}

// sharedMemory returns a file in memory, for a child, and two mappings here: of its first size bytes, and of the next ones.
func sharedMemory(size int) (theirs *os.File, first, second []byte, err error) {
	fd, err := unix.MemfdCreate("shared", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "shared memory")
	if err = f.Truncate(2 * int64(size)); err == nil {
		first, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err == nil {
		if second, err = unix.Mmap(fd, int64(size), size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
			unmap(first)
		}
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, f.Close())
	}
	return f, first, second, nil
}

func unmap(mem []byte) { _ = unix.Munmap(mem) }

// sendWithFile sends data and an open file on a socket.
func sendWithFile(socket *os.File, data []byte, file *os.File) error {
	rc, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var sendErr error
	err = rc.Write(func(fd uintptr) bool {
		n, sendErr = syscall.SendmsgN(int(fd), data, syscall.UnixRights(int(file.Fd())), nil, 0)
		return !errors.Is(sendErr, syscall.EAGAIN)
	})
	if err == nil {
		err = sendErr
	}
	if err == nil && n != len(data) {
		err = fmt.Errorf("%d of %d bytes sent", n, len(data))
	}
	return err
}
