// SPDX-License-Identifier: Apache-2.0

// Package machine runs kernels in virtual machines: QEMU as the current user, an
// initramfs with one static program, two serial ports, and memory that the host has, too. It does not depend on what
// the program is for.
package machine

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/scaplab/scaplab/vmtest/wire"
)

// Image is a file that a machine starts from.
type Image struct {
	File   string
	Digest string // SHA-256 of the content
}

// Config describes a machine completely.
type Config struct {
	Arch         string // GOARCH
	QEMU         string // path of the program
	Accel        Accelerator
	SingleThread bool // emulate all processors in one thread of the host
	Kernel       Image
	Initrd       Image
	MemoryMB     int
	CPUs         int
	Counted      bool     // time counts instructions; see counted
	Disks        []string // files that are its disks /dev/vda, /dev/vdb ...; what it writes is lost
	Arguments    []string // more of the kernel's command line
}

func (c *Config) command() []string {
	t := targets[c.Arch]
	// loglevel=5 shows the kernel's warnings and errors.
	// unknown_nmi_panic makes an interrupt print where a hung kernel is. The guest writes the
	// name of each case to the log, more often than programs may write by default.
	line := []string{"console=" + t.console, "loglevel=5", "printk.devkmsg=on", "panic=-1", "oops=panic", "unknown_nmi_panic", "scaplab_port=" + t.channel}
	return slices.Concat(line, t.args, c.Arguments)
}

func (c *Config) devices() []device {
	d := []device{bare{}, board{targets[c.Arch], c.Accel, c.SingleThread, c.MemoryMB, c.CPUs}, bootImage{c.Kernel.File, c.Initrd.File, c.command()}}
	if c.Counted {
		d = append(d, counted{})
	}
	for _, file := range c.Disks {
		d = append(d, disk{file})
	}
	return d
}

// key returns a digest of everything that a saved state depends on. The paths of files do not matter.
func (c *Config) key() string {
	placeless := *c
	placeless.Kernel.File, placeless.Initrd.File = c.Kernel.Digest, c.Initrd.Digest
	all := strings.Join(append([]string{qemuIdentity(c.QEMU)}, argv(placeless.devices()...)...), "\x00")
	sum := sha256.Sum256([]byte(all))
	return hex.EncodeToString(sum[:])
}

// VM is a running QEMU.
type VM struct {
	Conn    *wire.Conn // the second serial port; payloads may pass through mailboxes
	Console *Console   // the first

	proc    *Process
	channel *line
	outbox  *wire.Mailbox
	qmp     *qmp
	stderr  *tailBuffer
	files   []*os.File
	closed  bool
	killed  string
}

// Start starts a machine. With a snapshot, the machine waits for that saved state
// instead of booting; see [VM.WaitRunning]. The console is copied to consoleLog,
// which may be nil.
func Start(ctx context.Context, c *Config, snapshot *os.File, consoleLog io.Writer) (_ *VM, err error) {
	v := &VM{stderr: new(tailBuffer)}
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
		if err != nil {
			for _, f := range v.files {
				f.Close()
			}
		}
	}()
	pair := func(name string) *os.File {
		if err != nil {
			return nil
		}
		var ours, other *os.File
		if ours, other, err = SocketPair(name); err == nil {
			v.files, theirs = append(v.files, ours), append(theirs, other)
		}
		return ours
	}
	console, channel, control := pair("console"), pair("channel"), pair("monitor")
	if err != nil {
		return nil, err
	}
	const firstFD = 3 // exec.Cmd.ExtraFiles start here
	memory, theirBox, ourBox, err := sharedMemory(wire.MailboxSize)
	if err != nil {
		return nil, fmt.Errorf("mailbox: %w", err)
	}
	theirs = append(theirs, memory)
	devices := append(c.devices(), serialPort{"console", firstFD, ""}, serialPort{"channel", firstFD + 1, targets[c.Arch].port}, monitor{firstFD + 2}, mailbox{firstFD + 3})
	extra := slices.Clone(theirs)
	if snapshot != nil {
		devices = append(devices, incoming{firstFD + 4})
		extra = append(extra, snapshot)
	}
	cmd := exec.Command(c.QEMU, argv(devices...)...)
	cmd.ExtraFiles = extra
	cmd.Stdout, cmd.Stderr = v.stderr, v.stderr
	cmd.WaitDelay = time.Second
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if v.proc, err = StartProcess(cmd); err != nil {
		return nil, err
	}
	v.Console = ReadConsole(console, consoleLog)
	v.channel = &line{File: channel}
	v.Conn = wire.NewConn(v.channel)
	v.Conn.Reader.Use(mapped(theirBox))
	v.outbox = mapped(ourBox)
	v.qmp = &qmp{f: control, r: bufio.NewReader(control)}
	return v, nil
}

// UseMailbox makes what is sent to the guest pass through the mailbox, too. The guest must read from it, and must be running:
// a restored machine's memory replaces what was there.
func (v *VM) UseMailbox() { v.Conn.Writer.Use(v.outbox) }

// mapped returns the mailbox in a mapping that ends with it.
func mapped(mem []byte) *wire.Mailbox {
	box := wire.NewMailbox(mem)
	runtime.AddCleanup(box, unmap, mem)
	return box
}

// Done is closed when QEMU has ended.
func (v *VM) Done() <-chan struct{} { return v.proc.Done }

// WaitRunning waits until a restored machine runs. Data sent before that is lost.
func (v *VM) WaitRunning(ctx context.Context, limit time.Duration) error {
	return v.qmp.waitRunning(ctx, limit)
}

// lastWords is the time in which a machine should report why it ends. It takes a tenth of
// a second, and more on a loaded host.
const lastWords = 20 * time.Second

// Interrupt injects a non-maskable interrupt, which makes the kernel of a hung machine
// print where it is, and panic.
func (v *VM) Interrupt() {
	if v.qmp.do(lastWords, "inject-nmi", nil, nil, nil) == nil {
		waitFor(v.proc.Done, lastWords)
	}
}

// Close ends the machine, waits for its end, and returns the messages of QEMU.
// Later calls return "".
func (v *VM) Close() string {
	if v.closed {
		return ""
	}
	v.closed = true
	if v.channel.hungUp.Load() { // QEMU is about to end: its status must be known before it is killed
		waitFor(v.proc.Done, 5*time.Second)
	}
	select {
	case <-v.proc.Done: // it ended by itself: QEMU may have printed why
	default:
		// A machine that panics resets at once. Its console is complete then.
		select {
		case <-v.Console.Died():
			waitFor(v.proc.Done, lastWords)
		default:
		}
	}
	select {
	case <-v.proc.Done:
		v.killed = killedBy(v.proc.State(), v.stderr.String())
	default:
	}
	v.proc.Kill()
	waitFor(v.Console.Finished(), lastWords)
	for _, f := range v.files {
		f.Close()
	}
	return v.stderr.String()
}

// Killed returns the signal of another process that ended QEMU, or "". It is known
// once the machine is closed.
func (v *VM) Killed() string { return v.killed }

// killedBy returns the signal that ended QEMU if it must have come from outside:
// faults of QEMU itself are caused by the machine.
func killedBy(state *os.ProcessState, said string) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		switch status.Signal() {
		case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE, syscall.SIGABRT, syscall.SIGTRAP:
			return ""
		}
		return "signal: " + status.Signal().String()
	}
	// QEMU handles some signals: it prints who sent them, and ends without error.
	if _, by, ok := strings.Cut(said, "terminating on "); ok {
		by, _, _ = strings.Cut(by, "\n")
		return by
	}
	return ""
}

// line is a serial port. QEMU hangs up when it ends.
type line struct {
	*os.File
	hungUp atomic.Bool
}

func (l *line) Read(b []byte) (int, error) {
	n, err := l.File.Read(b)
	if err != nil {
		l.hungUp.Store(true)
	}
	return n, err
}

func waitFor(c <-chan struct{}, limit time.Duration) {
	select {
	case <-c:
	case <-time.After(limit):
	}
}
