// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stableOffences are in the order of the rules.
var stableOffences = []offence{
	{rule: "Directory traversal monitored file read", do: traverse, fields: map[string]any{"fd.name": "/etc/passwd", "fd.nameraw": "../../etc/passwd"}},
	{rule: "Read sensitive file trusted after startup", program: "nginx", do: func(_ string, innocent bool) error {
		if !innocent {
			time.Sleep(5200 * time.Millisecond) // the rule waits for 5 s from the start
		}
		return readFile("/etc/shadow")
	}, fields: map[string]any{"fd.name": "/etc/shadow", "proc.name": "nginx", "evt.type": "openat"}},
	{rule: "Read sensitive file untrusted", do: func(_ string, innocent bool) error {
		return readFile(either(innocent, "/etc/hostname", "/etc/shadow"))
	}, fields: map[string]any{"fd.name": "/etc/shadow", "proc.name": "offender", "user.name": "root", "user.uid": 0.0}},
	{rule: "Run shell untrusted", program: "nginx", do: func(_ string, innocent bool) error {
		return runProgram(either(innocent, "true", "sh"), "-c", "exit")
	}, fields: map[string]any{"proc.name": "sh", "proc.pname": "nginx", "proc.cmdline": "sh -c exit"}},
	{rule: "System user interactive", program: "sshd", do: asDaemon, fields: map[string]any{"user.name": "daemon", "proc.name": "true"}},
	{rule: "Terminal shell in container", program: "runc", container: true, do: startsOnTerminal("sh", "-c", "exit"), fields: map[string]any{"proc.name": "sh", "proc.pname": "runc"}},
	{rule: "Contact K8S API Server From Container", container: true, repeat: true, do: connects(unix.SOCK_STREAM, clusterAddr+":443", "203.0.113.1:443"),
		fields: map[string]any{"fd.name": has("->" + clusterAddr + ":443"), "evt.type": "connect"}},
	{rule: "Netcat Remote Code Execution in Container", program: "nc", container: true, args: []string{"-l", "-e", "sh"}, innocent: []string{"-l"},
		fields: map[string]any{"proc.name": "nc", "evt.type": "execve"}},
	{rule: "Search Private Keys or Passwords", program: "grep", args: []string{"BEGIN RSA PRIVATE", "/dev/null"}, innocent: []string{"hello", "/dev/null"},
		fields: map[string]any{"proc.name": "grep"}},
	{rule: "Clear Log Activities", do: func(dir string, innocent bool) error {
		f, err := os.Create(filepath.Join(dir, either(innocent, "other", "auth.log")))
		if err == nil {
			f.Close()
		}
		return err
	}, fields: map[string]any{"evt.type": "openat"}},
	{rule: "Remove Bulk Data from Disk", program: "shred", fields: map[string]any{"proc.name": "shred"}},
	{rule: "Create Symlink Over Sensitive Files", do: func(dir string, innocent bool) error {
		return os.Symlink(either(innocent, "/usr", "/etc/shadow"), filepath.Join(dir, "link"))
	}, fields: map[string]any{"evt.arg.target": "/etc/shadow", "evt.type": "symlinkat"}},
	{rule: "Create Hardlink Over Sensitive Files", do: func(dir string, innocent bool) error {
		_ = os.Link(either(innocent, "/etc/hostname", "/etc/shadow"), filepath.Join(dir, "link"))
		return nil // links to another file system fail, which the rule does not ask about
	}, fields: map[string]any{"evt.arg.oldpath": "/etc/shadow"}},
	{rule: "Packet socket created in container", container: true, do: func(_ string, innocent bool) error {
		family := unix.AF_PACKET
		if innocent {
			family = unix.AF_INET
		}
		_, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
		return err
	}, fields: map[string]any{"evt.type": "socket"}},
	{rule: "Redirect STDOUT/STDIN to Network Connection in Container", container: true, do: redirect, fields: map[string]any{"fd.l4proto": "tcp"}},
	{rule: "Linux Kernel Module Injection Detected", container: true, do: func(_ string, innocent bool) error {
		if !innocent {
			_ = unix.FinitModule(-1, "", 0) // fails, which the rule does not ask about
		}
		return nil
	}, fields: map[string]any{"evt.type": "finit_module", "proc.name": "offender"}},
	{rule: "Detect release_agent File Container Escapes", container: true, do: func(dir string, innocent bool) error {
		return os.WriteFile(filepath.Join(dir, either(innocent, "other", "release_agent")), nil, 0o600)
	}, fields: map[string]any{"evt.type": "openat"}},
	{rule: "PTRACE attached to process", do: trace, fields: map[string]any{"evt.type": "ptrace", "proc.name": "offender"}},
	{rule: "PTRACE anti-debug attempt", do: func(_ string, innocent bool) error {
		if !innocent {
			_, _, e := unix.RawSyscall(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0)
			return errnoOf(e)
		}
		return nil
	}, fields: map[string]any{"evt.type": "ptrace"}},
	{rule: "Find AWS Credentials", program: "find", args: []string{"/", "-name", ".aws/credentials"}, innocent: []string{"/", "-name", ".aws"},
		fields: map[string]any{"proc.name": "find"}},
	{rule: "Execution from /dev/shm", do: fromShm},
	{rule: "Drop and execute new binary in container", container: true, do: dropAndRun, fields: map[string]any{"proc.name": "dropped"}},
	{rule: "Disallowed SSH Connection Non Standard Port", program: "ssh", do: connects(unix.SOCK_STREAM, "203.0.113.1:443", "203.0.113.1:22"), fields: map[string]any{"fd.type": "ipv4", "fd.l4proto": "tcp"}},
	{rule: "Fileless execution via memfd_create", do: fromMemory},
}

func traverse(_ string, innocent bool) error {
	if err := os.Chdir("/usr/share"); err != nil {
		return err
	}
	return readFile(either(innocent, "/etc/passwd", "../../etc/passwd"))
}

func asDaemon(_ string, innocent bool) error {
	cmd := exec.Command("true")
	if !innocent {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1, Gid: 1}}
	}
	return cmd.Run()
}

// redirect makes a connection, or a file, the standard input.
func redirect(_ string, innocent bool) error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return err
	}
	f, err := c.(*net.TCPConn).File()
	if innocent {
		f, err = os.Open("/dev/null")
	}
	if err != nil {
		return err
	}
	return unix.Dup3(int(f.Fd()), 0, 0)
}

func trace(_ string, innocent bool) error {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if innocent {
		return nil
	}
	runtime.LockOSThread()
	return unix.PtraceAttach(cmd.Process.Pid)
}

func fromShm(dir string, innocent bool) error {
	if !innocent {
		var err error
		if dir, err = os.MkdirTemp("/dev/shm", "scap"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	path := filepath.Join(dir, "program")
	if err := copyProgram("true", path); err != nil {
		return err
	}
	return runProgram(path)
}

func fromMemory(_ string, innocent bool) error {
	if innocent {
		return runProgram("true")
	}
	fd, err := unix.MemfdCreate("x", 0)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)
	if err := copyProgram("true", path); err != nil {
		return err
	}
	return runProgram(path)
}

// dropAndRun runs a program of the upper layer of an overlay, or of the lower one.
func dropAndRun(dir string, innocent bool) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	if err := copyProgram("true", filepath.Join(dir, "lower", "dropped")); err != nil {
		return err
	}
	if err := unix.Mount("overlay", filepath.Join(dir, "merged"), "overlay", 0,
		fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", dir, dir, dir)); err != nil {
		return err
	}
	path := filepath.Join(dir, "merged", "dropped")
	if !innocent {
		if err := os.Remove(path); err != nil {
			return err
		}
		if err := copyProgram("true", path); err != nil {
			return err
		}
	}
	return runProgram(path)
}
