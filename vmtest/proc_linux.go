// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is a child that does not outlive this program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of cmd.Wait; valid once done is closed
}

// startProcess starts cmd. The kernel ends the child when the thread that
// started it ends, so one thread is kept for it until then.
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// kill ends the process and waits for its end.
func (p *process) kill() {
	// The group holds children of the child, e.g. those of a guest process.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	_ = p.cmd.Process.Kill()
	<-p.done
}

// socketPair returns two connected stream sockets. ours can be waited on with
// a deadline, theirs is for a child.
func socketPair(name string) (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair for %s: %w", name, err)
	}
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("socketpair for %s: %w", name, err), syscall.Close(fds[0]), syscall.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}

// sendWithFile writes data on a socket with an open file attached.
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

// mayLoadPrograms says why this process may not load eBPF programs that trace.
func mayLoadPrograms() error {
	var have [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &have[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	has := func(capability int) bool { return have[capability/32].Effective>>(capability%32)&1 != 0 }
	if !has(unix.CAP_SYS_ADMIN) && !(has(unix.CAP_BPF) && has(unix.CAP_PERFMON)) {
		return fmt.Errorf("user %d has neither CAP_SYS_ADMIN nor CAP_BPF and CAP_PERFMON", os.Geteuid())
	}
	return nil
}
