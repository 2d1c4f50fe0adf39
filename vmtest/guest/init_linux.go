// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mounts are the file systems that init mounts, in order. One that the kernel lacks is a warning.
var mounts = []struct {
	target, typ, data string
	flags             uintptr
}{
	{"/proc", "proc", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"/sys", "sysfs", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"/dev", "devtmpfs", "mode=0755", unix.MS_NOSUID},
	{"/dev/pts", "devpts", "mode=0620,ptmxmode=0666", unix.MS_NOSUID | unix.MS_NOEXEC},
	{"/dev/shm", "tmpfs", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
	{"/dev/mqueue", "mqueue", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"/sys/kernel/tracing", "tracefs", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"/sys/kernel/debug", "debugfs", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"/sys/fs/bpf", "bpf", "mode=0700", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"/sys/fs/cgroup", "cgroup2", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"/tmp", "tmpfs", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
}

// setUpMachine prepares a bare machine for the cases and returns warnings about what
// failed.
func setUpMachine() (warnings []string) {
	warn := func(step string, err error) {
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("%s: %v", step, err))
		}
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			warn("mount "+m.target, err)
			continue
		}
		err := unix.Mount(m.typ, m.target, m.typ, m.flags, m.data)
		if err != nil && !errors.Is(err, unix.EBUSY) { // EBUSY: the kernel has mounted it
			warn("mount "+m.target, err)
		}
	}
	for _, l := range [][2]string{{"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"}} {
		_ = os.Symlink(l[0], l[1])
	}
	// Private: cases mount in their own namespaces.
	warn("make / private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	warn("loopback", loopbackUp())
	warn("hostname", unix.Sethostname([]byte("scaplab")))
	warn("memlock", unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}))
	warn("core files", os.WriteFile("/proc/sys/kernel/core_pattern", []byte("|/nonexistent"), 0o644))
	return warnings
}

// loopbackUp sets the interface lo up. The kernel then gives it its addresses.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return fmt.Errorf("SIOCGIFFLAGS: %w", err)
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("SIOCSIFFLAGS: %w", err)
	}
	return nil
}

// runInit runs the guest as pid 1. It does not return: the end of init would
// panic the kernel.
func runInit() {
	if os.Getenv(envMode) != modeInit {
		// Libraries read the mounts when they start, so the program mounts first and executes itself again.
		warnings := setUpMachine()
		env := append(os.Environ(), envMode+"="+modeInit, envWarnings+"="+strings.Join(warnings, "\n"))
		err := syscall.Exec("/proc/self/exe", os.Args, env)
		fmt.Fprintf(os.Stderr, "guest: start again: %v\n", err)
		if err := syscall.Exec("/init", os.Args, env); err != nil {
			fmt.Fprintf(os.Stderr, "guest: start again: %v\n", err)
		}
		powerOff()
	}
	ignoreSignals()
	port := os.Getenv(envPort)
	if port == "" {
		port = defaultPort
	}
	f, err := openPort(port)
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest: open port: %v\n", err)
		powerOff()
	}
	if wantsCosts() {
		if err := sendCosts(f); err != nil {
			fmt.Fprintf(os.Stderr, "guest: %v\n", err)
		}
		powerOff()
	}
	var warnings []string
	if w := os.Getenv(envWarnings); w != "" {
		warnings = strings.Split(w, "\n")
	}
	if wantsCommands() {
		err = serveCommands(f, warnings)
	} else {
		err = serve(f, true, warnings)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest: %v\n", err)
	}
	powerOff()
}

// ignoreSignals prevents a case's kill(0, ...) from ending the guest. It sets handlers,
// which, unlike ignored signals, are not inherited by children.
func ignoreSignals() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2,
		unix.SIGALRM, unix.SIGPIPE, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGIO, unix.SIGVTALRM)
}

// openPort opens the device of the channel to the host. A terminal is set to transport
// every byte unchanged.
func openPort(path string) (*os.File, error) {
	var fd int
	var err error
	for range 50 { // a virtio port may appear after init has started
		fd, err = unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.ENOENT) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err == nil {
		t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
		t.Cflag &^= unix.CSIZE | unix.PARENB | unix.CSTOPB | unix.CRTSCTS | unix.CBAUD
		t.Cflag |= unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		err = unix.IoctlSetTermios(fd, unix.TCSETS, t)
	} else if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		err = nil
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: set raw mode: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// powerOff ends the machine.
func powerOff() {
	unix.Sync()
	for _, how := range []int{unix.LINUX_REBOOT_CMD_POWER_OFF, unix.LINUX_REBOOT_CMD_RESTART, unix.LINUX_REBOOT_CMD_HALT} {
		_ = unix.Reboot(how)
	}
	select {}
}

// setClock sets the machine's time, in ns since the epoch.
func setClock(ns int64) error {
	ts := unix.NsecToTimespec(ns)
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return fmt.Errorf("clock_settime: %w", errno)
	}
	return nil
}
