// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/scaplab/scaplab/vmtest/wire"
)

// target says how guests of one architecture are run.
type target struct {
	qemu    string // program
	pkg     string // Debian package that has it
	machine string
	console string // kernel's name of the first serial port
	channel string // device node of the second one
	port    string // device that is the second serial port; "" where the board has it
	kvm     bool   // this machine could run it without emulation
	tcgCPU  string // what the emulated processor has or lacks, behind "max"
	args    []string
}

// targets by GOARCH.
var targets = map[string]target{
	"amd64": {
		qemu: "qemu-system-x86_64", pkg: "qemu-system-x86", machine: "pc",
		console: "ttyS0", channel: "/dev/ttyS1", kvm: runtime.GOARCH == "amd64",
		// The emulator of QEMU 7.2 leaves garbage in the flags after cmpxchg16b: an
		// interrupt there saves it, and with NT or TF in it the guest soon dies.
		tcgCPU: ",-cx16",
		// Each only leaves out waiting for hardware that is not there or a
		// self-test; together a quarter of the boot. What would change the
		// tested kernel (mitigations=off, nokaslr) measured as no gain at all.
		args: []string{"no_timer_check", "i8042.noaux", "i8042.nokbd", "cryptomgr.notests", "random.trust_cpu=on",
			"raid=noautodetect", "8250.nr_uarts=2"},
	},
	"arm64": {
		qemu: "qemu-system-aarch64", pkg: "qemu-system-arm", machine: "virt",
		console: "ttyAMA0", channel: "/dev/ttyS0", port: "pci-serial", kvm: runtime.GOARCH == "arm64",
		// Emulating the real algorithm of pointer authentication takes half of the time.
		tcgCPU: ",pauth-impdef=on",
		args:   []string{"cryptomgr.notests", "random.trust_cpu=on", "raid=noautodetect"},
	},
}

// accelerator is how QEMU runs guest code.
type accelerator string

const (
	accelKVM accelerator = "kvm"
	accelTCG accelerator = "tcg"
)

// device is a part of the machine, as QEMU arguments.
type device interface{ argv() []string }

type (
	board struct {
		target
		accel    accelerator
		memoryMB int
		cpus     int
	}
	// counted makes the machine's time the number of its instructions, 1 ns each,
	// from a fixed date on; it does not pass by itself while the machine idles.
	counted   struct{}
	bootImage struct {
		kernel, initrd string
		command        []string
	}
	// serialPort and monitor talk over an inherited socket: nothing in the
	// file system, so nothing to clean up and no race for a name.
	serialPort struct {
		id     string
		fd     int
		device string // "": one of the board's
	}
	monitor  struct{ fd int }
	incoming struct{ fd int }
	bare     struct{}
)

func (b board) argv() []string {
	cpu := "max" // under KVM: what the host has
	if b.accel == accelTCG {
		cpu += b.tcgCPU
	}
	return []string{"-machine", b.machine, "-accel", string(b.accel), "-cpu", cpu,
		"-m", strconv.Itoa(b.memoryMB), "-smp", strconv.Itoa(b.cpus)}
}

func (counted) argv() []string {
	return []string{"-icount", "shift=0,sleep=off", "-rtc", "base=2030-01-01,clock=vm"}
}

func (b bootImage) argv() []string {
	return []string{"-kernel", b.kernel, "-initrd", b.initrd, "-append", strings.Join(b.command, " ")}
}

func (s serialPort) argv() []string {
	chardev := []string{"-chardev", fmt.Sprintf("socket,id=%s,fd=%d", s.id, s.fd)}
	if s.device != "" {
		return append(chardev, "-device", s.device+",chardev="+s.id)
	}
	return append(chardev, "-serial", "chardev:"+s.id)
}

func (m monitor) argv() []string {
	return []string{"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", m.fd), "-mon", "chardev=qmp,mode=control"}
}

func (i incoming) argv() []string { return []string{"-incoming", "fd:" + strconv.Itoa(i.fd)} }

// bare is no default devices, no user configuration, no reboot: a guest that
// resets or panics ends its QEMU.
func (bare) argv() []string {
	return []string{"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"}
}

func argv(devices ...device) []string {
	var a []string
	for _, d := range devices {
		a = append(a, d.argv()...)
	}
	return a
}

// machineConfig is all that decides what a guest is.
type machineConfig struct {
	arch     string
	qemu     string // path of the program
	accel    accelerator
	kernel   string // path
	initrd   string // path
	memoryMB int
	cpus     int
	counted  bool     // see the device
	more     []string // of the kernel's command line
}

func (m *machineConfig) command() []string {
	t := targets[m.arch]
	// loglevel=5 shows the kernel's warnings but no chatter.
	// unknown_nmi_panic lets a hung kernel be made to say where it is. The guest names
	// each case in the log, more often than the kernel lets programs write by default.
	c := []string{"console=" + t.console, "loglevel=5", "printk.devkmsg=on", "panic=-1", "oops=panic", "unknown_nmi_panic", "scaplab_port=" + t.channel}
	return slices.Concat(c, t.args, m.more)
}

func (m *machineConfig) devices() []device {
	d := []device{bare{}, board{targets[m.arch], m.accel, m.memoryMB, m.cpus}, bootImage{m.kernel, m.initrd, m.command()}}
	if m.counted {
		d = append(d, counted{})
	}
	return d
}

// vm is one running QEMU.
type vm struct {
	proc    *process
	channel *os.File
	conn    *wire.Conn
	console *console
	qmp     *qmp
	stderr  *tailBuffer
	files   []*os.File
}

// startVM starts QEMU. With snapshot, the machine waits for its saved state
// from that file instead of booting. consoleLog may be nil.
func startVM(ctx context.Context, m *machineConfig, snapshot *os.File, consoleLog io.Writer) (_ *vm, err error) {
	v := &vm{stderr: new(tailBuffer)}
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
		if ours, other, err = socketPair(name); err == nil {
			v.files, theirs = append(v.files, ours), append(theirs, other)
		}
		return ours
	}
	console, channel, control := pair("console"), pair("channel"), pair("monitor")
	if err != nil {
		return nil, err
	}
	const firstFD = 3 // exec.Cmd.ExtraFiles start here
	devices := append(m.devices(), serialPort{"console", firstFD, ""}, serialPort{"channel", firstFD + 1, targets[m.arch].port}, monitor{firstFD + 2})
	extra := append([]*os.File(nil), theirs...)
	if snapshot != nil {
		devices = append(devices, incoming{firstFD + 3})
		extra = append(extra, snapshot)
	}
	cmd := exec.Command(m.qemu, argv(devices...)...)
	cmd.ExtraFiles = extra
	cmd.Stdout, cmd.Stderr = v.stderr, v.stderr
	cmd.WaitDelay = time.Second
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if v.proc, err = startProcess(cmd); err != nil {
		return nil, err
	}
	v.console = readConsole(console, consoleLog)
	v.channel, v.conn = channel, wire.NewConn(channel)
	v.qmp = &qmp{f: control, r: bufio.NewReader(control)}
	return v, nil
}

// close ends QEMU and waits until it has gone.
func (v *vm) close() {
	v.proc.kill()
	select {
	case <-v.console.finished:
	case <-time.After(time.Second):
	}
	for _, f := range v.files {
		f.Close()
	}
}

// qmp is a client of QEMU's monitor protocol.
type qmp struct {
	mu    sync.Mutex
	f     *os.File
	r     *bufio.Reader
	ready bool
}

type qmpCommand struct {
	Execute   string         `json:"execute"`
	Arguments map[string]any `json:"arguments,omitempty"`
}

// do runs one command; file, when not nil, is passed along; result may be nil.
func (q *qmp) do(limit time.Duration, command string, args map[string]any, file *os.File, result any) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.f.SetDeadline(time.Now().Add(limit)); err != nil {
		return fmt.Errorf("qemu monitor: %w", err)
	}
	if !q.ready {
		if _, err := q.r.ReadBytes('\n'); err != nil { // greeting
			return fmt.Errorf("qemu monitor: greeting: %w", err)
		}
		if err := q.exchange(qmpCommand{Execute: "qmp_capabilities"}, nil, nil); err != nil {
			return err
		}
		q.ready = true
	}
	return q.exchange(qmpCommand{command, args}, file, result)
}

func (q *qmp) exchange(c qmpCommand, file *os.File, result any) error {
	fail := func(err error) error { return fmt.Errorf("qemu monitor: %s: %w", c.Execute, err) }
	b, err := json.Marshal(c)
	if err != nil {
		return fail(err)
	}
	b = append(b, '\n')
	if file != nil {
		err = sendWithFile(q.f, b, file)
	} else {
		_, err = q.f.Write(b)
	}
	if err != nil {
		return fail(err)
	}
	for {
		line, err := q.r.ReadBytes('\n')
		if err != nil {
			return fail(err)
		}
		var reply struct {
			Return json.RawMessage `json:"return"`
			Event  string          `json:"event"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := json.Unmarshal(line, &reply); err != nil {
			return fail(err)
		}
		switch {
		case reply.Event != "":
		case reply.Error != nil:
			return fail(errors.New(reply.Error.Desc))
		case result != nil:
			return json.Unmarshal(reply.Return, result)
		default:
			return nil
		}
	}
}

// status is QEMU's run state: "running", "inmigrate", "paused", ...
func (q *qmp) status(limit time.Duration) (string, error) {
	var s struct {
		Status string `json:"status"`
	}
	err := q.do(limit, "query-status", nil, nil, &s)
	return s.Status, err
}

// save writes the machine's state to f; the machine runs on afterwards.
func (q *qmp) save(ctx context.Context, limit time.Duration, f *os.File) error {
	end := time.Now().Add(limit)
	if err := q.do(limit, "migrate-set-parameters", map[string]any{"max-bandwidth": int64(1) << 40}, nil, nil); err != nil {
		return err
	}
	if err := q.do(limit, "getfd", map[string]any{"fdname": "snapshot"}, f, nil); err != nil {
		return err
	}
	// Pausing first would save a paused machine.
	if err := q.do(limit, "migrate", map[string]any{"uri": "fd:snapshot"}, nil, nil); err != nil {
		return err
	}
	for {
		var m struct {
			Status string `json:"status"`
			Error  string `json:"error-desc"`
		}
		if err := q.do(limit, "query-migrate", nil, nil, &m); err != nil {
			return err
		}
		switch {
		case m.Status == "completed":
			return q.do(limit, "cont", nil, nil, nil)
		case m.Status == "failed" || m.Status == "cancelled":
			return fmt.Errorf("save state: %s %s", m.Status, m.Error)
		case time.Now().After(end):
			_ = q.do(limit, "migrate_cancel", nil, nil, nil)
			return fmt.Errorf("save state: not done after %v", limit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// waitRunning waits until a restored machine runs; what is sent before that is lost.
func (q *qmp) waitRunning(ctx context.Context, limit time.Duration) error {
	for end := time.Now().Add(limit); ; {
		s, err := q.status(limit)
		switch {
		case err != nil:
			return err
		case s == "running":
			return nil
		case s != "inmigrate" && s != "prelaunch":
			return fmt.Errorf("restore state: machine is %s", s)
		case time.Now().After(end):
			return fmt.Errorf("restore state: still %s after %v", s, limit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
