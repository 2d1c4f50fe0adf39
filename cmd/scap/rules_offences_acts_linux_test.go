// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
)

// act is what a program does, in a directory of its own. All functions here that return one
// have what the offender does before what the innocent program does.
type act func(dir string, innocent bool) error

func either[T any](innocent bool, yes, no T) T {
	if innocent {
		return yes
	}
	return no
}

func readFile(path string) error {
	f, err := os.Open(path)
	if err == nil {
		f.Close()
	}
	return err
}

func runProgram(name string, args ...string) error { return exec.Command(name, args...).Run() }

func errnoOf(e syscall.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}

// copyProgram copies a program that PATH has.
func copyProgram(name, to string) error {
	from, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o700)
}

// helper returns a command that does nothing, under any name.
func helper(dir, name string, args ...string) (*exec.Cmd, error) {
	dir = filepath.Join(dir, "helper")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	if err := os.Link(os.Args[0], path); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), offenceVar+"="+idle)
	return cmd, nil
}

// starts starts a program of a name, with arguments.
func starts(guilty, innocent []string) act {
	return func(dir string, in bool) error {
		argv := either(in, innocent, guilty)
		cmd, err := helper(dir, argv[0], argv[1:]...)
		if err != nil {
			return err
		}
		return cmd.Run()
	}
}

// startsFirst starts the first program of a new PID namespace, as that of a container is.
func startsFirst(guilty, innocent *syscall.SysProcAttr) act {
	return func(dir string, in bool) error {
		cmd, err := helper(dir, "first")
		if err != nil {
			return err
		}
		cmd.SysProcAttr = either(in, innocent, guilty)
		return cmd.Run()
	}
}

// startsOnTerminal starts a program, which has a terminal unless it is innocent.
func startsOnTerminal(name string, args ...string) act {
	return func(dir string, innocent bool) error {
		cmd, err := helper(dir, name, args...)
		if err != nil {
			return err
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if !innocent {
			if _, cmd.Stdin, err = testutil.OpenTerminal(); err != nil {
				return err
			}
			cmd.SysProcAttr.Setctty = true
		}
		return cmd.Run()
	}
}

// within makes a directory the root of the process, so that nothing of the machine is
// touched, and in it the directory of the path.
func within(dir, path string) error {
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root+filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := unix.Chroot(root); err != nil {
		return err
	}
	return os.Chdir("/")
}

// opens opens a file below another root, which it makes unless it is only read.
func opens(flags int, guilty, innocent string) act {
	return func(dir string, in bool) error {
		path := either(in, innocent, guilty)
		if err := within(dir, path); err != nil {
			return err
		}
		if flags&unix.O_CREAT == 0 {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
		}
		f, err := os.OpenFile(path, flags, 0o600)
		if err == nil {
			f.Close()
		}
		return err
	}
}

// reads reads a file below another root.
func reads(guilty, innocent string) act { return opens(os.O_RDONLY, guilty, innocent) }

// writes writes a file below another root.
func writes(guilty, innocent string) act {
	return opens(os.O_WRONLY|os.O_CREATE|os.O_TRUNC, guilty, innocent)
}

// removes removes a file below another root.
func removes(guilty, innocent string) act {
	return func(dir string, in bool) error {
		path := either(in, innocent, guilty)
		if err := within(dir, path); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		f.Close()
		return os.Remove(path)
	}
}

// mkdirs makes a directory below another root.
func mkdirs(guilty, innocent string) act {
	return func(dir string, in bool) error {
		path := either(in, innocent, guilty)
		if err := within(dir, path); err != nil {
			return err
		}
		return os.Mkdir(path, 0o700)
	}
}

// creates makes a file with a mode.
func creates(guilty, innocent uint32) act {
	return func(dir string, in bool) error {
		fd, err := unix.Open(filepath.Join(dir, "file"), unix.O_WRONLY|unix.O_CREAT, either(in, innocent, guilty))
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}
}

// chmods changes the mode of a file.
func chmods(guilty, innocent uint32) act {
	return func(dir string, in bool) error {
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		return unix.Chmod(path, either(in, innocent, guilty))
	}
}

// calls makes a system call, unless the program is innocent. Its failure is of no account.
func calls(nr uintptr, args ...uintptr) act {
	return func(_ string, innocent bool) error {
		if !innocent {
			args := append(args, 0, 0, 0)
			_, _, _ = unix.RawSyscall(nr, args[0], args[1], args[2])
		}
		return nil
	}
}

// network moves the process into a network namespace where nothing leaves the machine:
// lo has the addresses.
func network(addrs ...netip.Addr) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	for i, a := range addrs {
		req, err := unix.NewIfreq(either(i > 0, fmt.Sprintf("lo:%d", i), "lo"))
		if err != nil {
			return err
		}
		b := a.As4()
		if err := req.SetInet4Addr(b[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(s, unix.SIOCSIFADDR, req); err != nil {
			return err
		}
		req.SetUint16(unix.IFF_UP)
		if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req); err != nil {
			return err
		}
	}
	return nil
}

func sockaddr(a netip.AddrPort) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// listen returns a socket that accepts connections.
func listen(at netip.AddrPort) (int, error) {
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return l, err
	}
	if err := unix.Bind(l, sockaddr(at)); err != nil {
		return l, err
	}
	return l, unix.Listen(l, 1)
}

// connects connects to an address of the whole internet, in a network namespace where it
// is this machine's own. The socket is of the type unix.SOCK_STREAM or unix.SOCK_DGRAM.
func connects(typ int, guilty, innocent string) act {
	return func(_ string, in bool) error {
		to := netip.MustParseAddrPort(either(in, innocent, guilty))
		if err := network(to.Addr()); err != nil {
			return err
		}
		if typ == unix.SOCK_STREAM {
			// As the address of a listening socket, it would itself be the offence.
			if _, err := listen(netip.AddrPortFrom(netip.IPv4Unspecified(), to.Port())); err != nil {
				return err
			}
		}
		s, err := unix.Socket(unix.AF_INET, typ, 0)
		if err != nil {
			return err
		}
		return unix.Connect(s, sockaddr(to))
	}
}

// accepts accepts a connection from an address, likewise.
func accepts(guilty, innocent string) act {
	return func(_ string, in bool) error {
		from := netip.MustParseAddr(either(in, innocent, guilty))
		if err := network(from); err != nil {
			return err
		}
		const port = 8443
		l, err := listen(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
		if err != nil {
			return err
		}
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		if err := unix.Connect(s, sockaddr(netip.AddrPortFrom(from, port))); err != nil {
			return err
		}
		_, _, err = unix.Accept(l)
		return err
	}
}

// receives receives bytes from a connection of loopback.
func receives(guilty, innocent string) act {
	return func(_ string, in bool) error {
		at := netip.MustParseAddrPort("127.0.0.1:8080")
		if err := network(at.Addr()); err != nil {
			return err
		}
		l, err := listen(at)
		if err != nil {
			return err
		}
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		if err := unix.Connect(s, sockaddr(at)); err != nil {
			return err
		}
		c, _, err := unix.Accept(l)
		if err != nil {
			return err
		}
		if _, err := unix.Write(c, []byte(either(in, innocent, guilty))); err != nil {
			return err
		}
		_, _, err = unix.Recvfrom(s, make([]byte, 64), 0)
		return err
	}
}
