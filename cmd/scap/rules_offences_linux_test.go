// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
)

// offence is what one of falco's rules is about. A program commits it, or does the same
// without what is wrong with it.
type offence struct {
	rule      string
	program   string   // its name; "": offender
	args      []string // of it
	innocent  []string // the arguments of the program that does nothing wrong
	container bool     // it runs in a cgroup as that of a container
	do        func(dir string, innocent bool) error
	fields    map[string]any // that the alert has
}

// offences are in the order of the rules.
var offences = []offence{
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
	{rule: "Terminal shell in container", program: "runc", container: true, do: onTerminal, fields: map[string]any{"proc.name": "sh", "proc.pname": "runc"}},
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
	{rule: "Disallowed SSH Connection Non Standard Port", program: "ssh", do: connectOut, fields: map[string]any{"fd.type": "ipv4", "fd.l4proto": "tcp"}},
	{rule: "Fileless execution via memfd_create", do: fromMemory},
}

func either(innocent bool, yes, no string) string {
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

// onTerminal runs a shell whose terminal is a new one.
func onTerminal(_ string, innocent bool) error {
	cmd := exec.Command("sh", "-c", "exit")
	if !innocent {
		ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			return err
		}
		n, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
		if err != nil {
			return err
		}
		if err := unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		if cmd.Stdin, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
			return err
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
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

// copyProgram copies a small program.
func copyProgram(to string) error {
	from, err := exec.LookPath("true")
	if err != nil {
		return err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o700)
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
	if err := copyProgram(path); err != nil {
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
	if err := copyProgram(path); err != nil {
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
	if err := copyProgram(filepath.Join(dir, "lower", "dropped")); err != nil {
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
		if err := copyProgram(path); err != nil {
			return err
		}
	}
	return runProgram(path)
}

// connectOut connects to an address of the whole internet, in a network namespace where
// it is this machine's own.
func connectOut(_ string, innocent bool) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	addr := [4]byte{203, 0, 113, 1}
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := req.SetInet4Addr(addr[:]); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCSIFADDR, req); err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req); err != nil {
		return err
	}
	to := &unix.SockaddrInet4{Port: 443, Addr: addr}
	if innocent {
		to.Port = 22
	}
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(l, to); err != nil {
		return err
	}
	if err := unix.Listen(l, 1); err != nil {
		return err
	}
	return unix.Connect(s, to)
}

// cgroupVar has the cgroup that the program enters before it becomes itself.
const (
	offenceVar = "SCAP_OFFENCE" // index in offences
	cgroupVar  = "SCAP_OFFENCE_CGROUP"
	guiltVar   = "SCAP_OFFENCE_INNOCENT"
)

// offend is the program.
func offend(number string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if cgroup := os.Getenv(cgroupVar); cgroup != "" {
		if err := os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
			fail(err)
		}
		os.Unsetenv(cgroupVar)
		fail(syscall.Exec(os.Args[0], os.Args, os.Environ()))
	}
	i, err := strconv.Atoi(number)
	if err != nil {
		fail(err)
	}
	os.Unsetenv(offenceVar)
	if o := offences[i]; o.do != nil {
		if err := o.do(filepath.Dir(os.Args[0]), os.Getenv(guiltVar) != ""); err != nil {
			fail(err)
		}
	}
	os.Exit(0)
}

// containerCgroup makes a cgroup that looks like that of a container.
func containerCgroup(tb testing.TB) string {
	tb.Helper()
	root := "/sys/fs/cgroup/memory"
	if _, err := os.Stat(root); err != nil {
		root = "/sys/fs/cgroup"
	}
	parent := filepath.Join(root, "docker")
	dir := filepath.Join(parent, strings.Repeat("c0ffee01", 8))
	err := os.MkdirAll(dir, 0o755)
	if errors.Is(err, unix.EROFS) || errors.Is(err, os.ErrPermission) {
		tb.Skip("the cgroups of this machine may not be changed: ", err) // within a container
	}
	require.NoError(tb, err)
	tb.Cleanup(func() {
		require.Eventually(tb, func() bool { return os.Remove(dir) == nil }, time.Minute, 10*time.Millisecond)
		_ = os.Remove(parent) // a real one stays
	})
	return dir
}

// written collects what the command writes.
type written struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *written) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *written) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// watch starts scap rules and returns when it watches. stop ends it and returns what it
// wrote to standard error.
func watch(t *testing.T, out io.Writer, args ...string) (errs *written, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	errs = &written{}
	done := make(chan int, 1)
	go func() { done <- run(ctx, append([]string{"rules"}, args...), out, errs) }()
	stop = sync.OnceValue(func() int {
		cancel()
		return <-done
	})
	t.Cleanup(func() { stop() })
	require.Eventually(t, func() bool {
		select {
		case code := <-done:
			done <- code
			t.Fatalf("scap rules ended with %d: %s", code, errs)
		default:
		}
		return strings.Contains(errs.String(), "rules watch this machine")
	}, 10*time.Minute, 10*time.Millisecond)
	return errs, stop
}

// found is an alert of a rule.
type found struct {
	Rule   string         `json:"rule"`
	Fields map[string]any `json:"output_fields"`
}

// ofProcess are the alerts that a process and its children caused.
func ofProcess(t *testing.T, text string, pid int) (list []found) {
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		var a found
		require.NoError(t, json.Unmarshal([]byte(line), &a), "%s", line)
		for _, field := range []string{"proc.pid", "proc.apid[1]"} {
			if n, ok := a.Fields[field].(float64); ok && int(n) == pid {
				list = append(list, a)
				break
			}
		}
	}
	return list
}

// The official rules of falco alert when programs do what the rules are about, with the
// fields that say so, and do not when the same programs do the same without the offence.
func TestOfficialRulesFindOffences(t *testing.T) {
	testutil.SkipIfShort(t, "runs 46 programs under a live capture")
	const dir = "../../../shared/data/rules"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the official rule files are not beside the project: ", err)
	}
	testutil.SkipUnlessKernel(t, "5.8", "the eBPF ring buffer")
	testutil.SkipUnlessRoot(t)
	cgroup := containerCgroup(t)
	self, err := os.Executable()
	require.NoError(t, err)
	binary := filepath.Join(t.TempDir(), "program")
	b, err := os.ReadFile(self)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, b, 0o700))

	out := &written{}
	errs, stop := watch(t, out, "--json", "--all-matches", "-o", "append_output[].extra_output=%proc.pid %proc.apid[1]",
		"--ring-size", strconv.Itoa(16<<20), filepath.Join(dir, "falco_rules.yaml"))

	start := func(t *testing.T, i int, innocent bool) *exec.Cmd {
		o := &offences[i]
		name := o.program
		if name == "" {
			name = "offender"
		}
		if o.do == nil && o.args == nil && innocent {
			name = "innocent" // the offence is the name
		}
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.Link(binary, path))
		cmd := exec.Command(path, o.args...)
		cmd.Env = append(os.Environ(), offenceVar+"="+strconv.Itoa(i))
		if innocent {
			cmd.Args = append([]string{path}, o.innocent...)
			cmd.Env = append(cmd.Env, guiltVar+"=1")
		}
		if o.container {
			cmd.Env = append(cmd.Env, cgroupVar+"="+cgroup)
		}
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		return cmd
	}
	t.Run("offences", func(t *testing.T) {
		for i, o := range offences {
			t.Run(o.rule, func(t *testing.T) {
				t.Parallel()
				innocent, guilty := start(t, i, true), start(t, i, false)
				require.NoError(t, innocent.Wait())
				require.NoError(t, guilty.Wait())
				var got []found
				require.Eventually(t, func() bool {
					got = nil
					for _, a := range ofProcess(t, out.String(), guilty.Process.Pid) {
						if a.Rule == o.rule {
							got = append(got, a)
						}
					}
					return got != nil
				}, 2*time.Minute, 20*time.Millisecond, "no alert")
				for field, want := range o.fields {
					require.Equal(t, want, got[0].Fields[field], "%s of %v", field, got[0].Fields)
				}
				for _, a := range ofProcess(t, out.String(), innocent.Process.Pid) {
					require.NotEqual(t, o.rule, a.Rule, "the innocent program: %v", a.Fields)
				}
			})
		}
	})
	began := time.Now()
	require.Zero(t, stop(), errs.String())
	t.Logf("the end took %s", time.Since(began))
	require.Contains(t, errs.String(), " alerts, ")
	for _, o := range offences {
		require.Contains(t, errs.String(), o.rule+"\n", "in the totals")
	}
}
