// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/kmod"
	"github.com/scaplab/scaplab/vmtest"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// patience is the time limit of a step in the machine, far more than it needs.
const patience = 90 * time.Second

// runGuest is init of the machine.
func runGuest() {
	for _, w := range guest.SetUpMachine() {
		fmt.Println("machine:", w)
	}
	var r results
	if err := r.collect(); err != nil {
		r.Err = err.Error()
	}
	if err := r.send(); err != nil {
		fmt.Println("send the results:", err)
	}
	time.Sleep(100 * time.Millisecond) // for the serial port
	guest.PowerOff()
}

func (r *results) collect() error {
	tree, err := os.Open("/" + treeFile)
	if err != nil {
		return err
	}
	defer tree.Close()
	if err := unpackTree(tree, "/"); err != nil {
		return fmt.Errorf("unpack %s: %w", treeFile, err)
	}
	for _, name := range []string{workloadAt, childAt, beaconAt} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.Link("/init", name); err != nil {
			return err
		}
	}
	if r.Refused, err = refused(); err != nil {
		return err
	}
	r.Legs = append(r.Legs, capture("our module", guest.ModuleFile, "persona="+event.OldAPIVersion))
	if _, err := os.Stat("/" + referenceFile); err == nil {
		r.Legs = append(r.Legs, capture("reference module", "/"+referenceFile, ""))
		r.Scored = score("/" + referenceFile)
	}
	log := make([]byte, 1<<20)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, log)
	if err != nil {
		return fmt.Errorf("read the kernel's log: %w", err)
	}
	r.Log = string(log[:n])
	return nil
}

// send prints the results on the console.
func (r *results) send() error {
	var b bytes.Buffer
	enc := base64.NewEncoder(base64.StdEncoding, &b)
	gz := gzip.NewWriter(enc)
	if err := errors.Join(json.NewEncoder(gz).Encode(r), gz.Close(), enc.Close()); err != nil {
		return err
	}
	// The kernel must not write between the lines; its log is among the results.
	if _, _, errno := unix.Syscall(unix.SYS_SYSLOG, unix.SYSLOG_ACTION_CONSOLE_LEVEL, 0, 1); errno != 0 {
		return errno
	}
	fmt.Println()
	for line := range slices.Chunk(b.Bytes(), 120) {
		fmt.Printf("%s%s\n", lineMark, line)
	}
	fmt.Println(lineEnd)
	return nil
}

func unpackTree(r io.Reader, dir string) error {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, h.FileInfo().Mode().Perm())
		if err != nil {
			return err
		}
		_, err = io.Copy(f, t)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
}

func load(file, params string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), params, 0); err != nil {
		return fmt.Errorf("load %s with %q: %w", file, params, err)
	}
	return nil
}

// refused runs sysdig on our module with its default versions, which this sysdig does
// not support, and returns sysdig's output.
func refused() (string, error) {
	if err := load(guest.ModuleFile, ""); err != nil {
		return "", err
	}
	out, err := sysdig("-n", "1").CombinedOutput()
	text := fmt.Sprintf("%s[%v]", out, err)
	if err := unix.DeleteModule(kmod.DefaultName, unix.O_NONBLOCK); err != nil {
		return text, fmt.Errorf("unload our module: %w", err)
	}
	return text, nil
}

func sysdig(args ...string) *exec.Cmd {
	cmd := exec.Command("/usr/bin/sysdig", args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TZ=UTC"}
	return cmd
}

// capture loads a module and runs the workload under sysdig and under our client
// at the same time.
func capture(name, file, params string) (l leg) {
	l.Name = name
	if err := l.capture(file, params); err != nil {
		l.Err = err.Error()
	}
	return l
}

func (l *leg) capture(file, params string) (err error) {
	if err := load(file, params); err != nil {
		return err
	}
	defer func() {
		if e := unix.DeleteModule(kmod.DefaultName, unix.O_NONBLOCK); e != nil {
			err = errors.Join(err, fmt.Errorf("unload %s: %w", file, e))
		}
	}()
	c, err := startClient()
	if err != nil {
		return fmt.Errorf("our client: %w", err)
	}
	err = l.underSysdig()
	return errors.Join(err, c.stop(l))
}

// score performs the table's cases while sysdig records all with a module, and judges the capture.
func score(module string) *scored {
	s := &scored{}
	if err := s.record(module); err != nil {
		s.Err = err.Error()
	}
	return s
}

func (s *scored) record(module string) (err error) {
	if err := load(module, ""); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.DeleteModule(kmod.DefaultName, unix.O_NONBLOCK)) }()
	const saved = "/tmp/cases.scap"
	o := &observer{cmd: sysdig("-w", saved)}
	if err := o.start(); err != nil {
		return err
	}
	err = until([]*observer{o}, "sysdig to record", func() bool {
		_ = exec.Command(beaconAt).Run()
		st, err := os.Stat(saved)
		return err == nil && st.Size() > 0
	})
	options := vmtest.Options{Guest: "/init", Cases: guest.IDs()}
	var facts *vmtest.Facts
	if err == nil {
		facts, err = vmtest.RecordFacts(context.Background(), options)
	}
	time.Sleep(2 * time.Second) // sysdig polls for events every 30 ms
	if err = errors.Join(err, o.stop()); err != nil {
		return err
	}
	rep, err := vmtest.JudgeCapture(options, facts, saved)
	if err != nil {
		return err
	}
	scores, deviations := rep.Conformance()
	if len(scores) != 1 {
		return fmt.Errorf("%d scores of one kernel", len(scores))
	}
	s.Score = scores[0]
	for _, d := range deviations {
		if d.Differs == "" {
			s.Deviations = append(s.Deviations, fmt.Sprintf("%s %s, as in %s: %s", d.Event, d.Param, d.Example.Cell(), d.Example.Reason))
		}
	}
	return nil
}

// client is ours, reading all the time.
type client struct {
	src     *kmod.Source
	records []record
	end     chan struct{} // closed: read what is left and end
	ended   chan error
}

func startClient() (*client, error) {
	// sysdig does not select page faults, and switches come from the whole machine.
	tracepoints := slices.DeleteFunc(kmod.Tracepoints(), func(name string) bool {
		return strings.HasPrefix(name, "page_fault") || name == "sched_switch"
	})
	src, err := kmod.Open(scap.Selection{All: true, Enter: true, Tracepoints: tracepoints}, kmod.Options{Settings: scap.Settings{Timeout: 50 * time.Millisecond}, Reference: true})
	if err != nil {
		return nil, err
	}
	c := &client{src: src, end: make(chan struct{}), ended: make(chan error, 1)}
	go func() { c.ended <- c.read() }()
	return c, nil
}

func (c *client) read() error {
	batch := make([]event.Event, 1024)
	for {
		ending := false
		select {
		case <-c.end:
			ending = true
		default:
		}
		n, err := c.src.ReadBatch(batch)
		for i := range batch[:n] {
			c.records = append(c.records, record{batch[i].CPU(), bytes.Clone(batch[i].Bytes())})
		}
		switch {
		case errors.Is(err, scap.ErrTimeout):
			if ending {
				return nil
			}
		case err != nil:
			return err
		}
	}
}

func (c *client) stop(l *leg) error {
	err := c.src.Select(scap.Selection{})
	close(c.end)
	err = errors.Join(err, <-c.ended)
	stats, serr := c.src.Stats()
	l.Seen, l.Dropped = stats.Seen, stats.Drops.Total()
	// Most events are of this process and sysdig, and not compared.
	l.Records = slices.DeleteFunc(c.records, func(r record) bool {
		var ev event.Event
		return ev.Reset(r.Bytes, r.CPU) == nil && l.busy[int64(ev.TID())]
	})
	l.API, l.Schema, l.Module = c.src.API().String(), c.src.Schema().String(), c.src.Module()
	return errors.Join(err, serr, c.src.Close())
}

// threads adds a process's threads.
func threads(of map[int64]bool, pid int) {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // has them as long as the process lives
	for _, t := range tasks {
		if tid, err := strconv.ParseInt(t.Name(), 10, 64); err == nil {
			of[tid] = true
		}
	}
}

// sysdigFilter leaves out sysdig itself: printing its own writes would cause more
// writes.
const sysdigFilter = "proc.name in (workload, child, beacon)"

// underSysdig runs the workload while one sysdig prints and another one saves what
// it captures; one that saves does not print.
func (l *leg) underSysdig() error {
	dir, err := os.MkdirTemp("", "leg")
	if err != nil {
		return err
	}
	printed, saved := filepath.Join(dir, "printed"), filepath.Join(dir, "saved.scap")
	out, err := os.Create(printed)
	if err != nil {
		return err
	}
	defer out.Close()
	printing := &observer{cmd: sysdig("--unbuffered", "-p", format, sysdigFilter)}
	printing.cmd.Stdout = out
	saving := &observer{cmd: sysdig("-w", saved, sysdigFilter)}
	both := []*observer{printing, saving}
	for i, o := range both {
		if e := o.start(); e != nil {
			for _, p := range both[:i] {
				e = errors.Join(e, p.stop())
			}
			return e
		}
	}
	err = l.runWorkload(both, printed, saved)
	l.busy = map[int64]bool{}
	threads(l.busy, os.Getpid())
	for _, o := range both {
		threads(l.busy, o.cmd.Process.Pid)
	}
	for _, o := range both {
		err = errors.Join(err, o.stop())
		l.Talk += o.talk.String()
	}
	text, e1 := os.ReadFile(printed)
	l.Lines = string(text)
	var e2 error
	l.Saved, e2 = os.ReadFile(saved)
	return errors.Join(err, e1, e2)
}

// observer is a running sysdig.
type observer struct {
	cmd   *exec.Cmd
	talk  bytes.Buffer
	ended chan struct{}
	err   error // when it has ended
}

func (o *observer) start() error {
	o.cmd.Stderr = &o.talk
	if err := o.cmd.Start(); err != nil {
		return err
	}
	o.ended = make(chan struct{})
	go func() {
		o.err = o.cmd.Wait()
		close(o.ended)
	}()
	return nil
}

func (o *observer) stop() error {
	_ = o.cmd.Process.Signal(os.Interrupt)
	select {
	case <-o.ended:
	case <-time.After(patience):
		_ = o.cmd.Process.Kill()
		<-o.ended
		return errors.New("sysdig did not end when it was interrupted")
	}
	if o.err != nil {
		return fmt.Errorf("sysdig: %w", o.err)
	}
	return nil
}

func (l *leg) runWorkload(both []*observer, printed, saved string) error {
	size := func(name string) int64 {
		st, err := os.Stat(name)
		if err != nil {
			return 0
		}
		return st.Size()
	}
	if err := until(both, "sysdig to show the first event", func() bool {
		_ = exec.Command(beaconAt).Run()
		return size(printed) > 0 && size(saved) > 0
	}); err != nil {
		return err
	}
	const report = "/tmp/account" // the same each time: it is among the events' params
	work := exec.Command(workloadAt, report)
	work.Env = []string{"GOGC=off", "GODEBUG=asyncpreemptoff=1"} // no signals of the runtime's own
	if out, err := work.CombinedOutput(); err != nil {
		return fmt.Errorf("workload: %w: %s", err, out)
	}
	text, err := os.ReadFile(report)
	if err := errors.Join(err, os.Remove(report)); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &l.Account); err != nil {
		return err
	}
	err = until(both, "sysdig to print the workload's end", func() bool {
		b, err := os.ReadFile(printed)
		return err == nil && bytes.Contains(b, fmt.Appendf(nil, "\t%d\tworkload\t>\tprocexit\t", l.Account.PID))
	})
	// sysdig writes its file only when it ends, and polls for events every 30 ms.
	time.Sleep(2 * time.Second)
	return err
}

// until waits until so returns true, while all observers run.
func until(all []*observer, what string, so func() bool) error {
	for start := time.Now(); !so(); time.Sleep(300 * time.Millisecond) {
		for _, o := range all {
			select {
			case <-o.ended:
				return fmt.Errorf("sysdig ended too early: %v: %s", o.err, o.talk.String())
			default:
			}
		}
		if time.Since(start) > patience {
			return fmt.Errorf("waited %v for %s", patience, what)
		}
	}
	return nil
}

// runAsGuest does what this program does inside the machine, by its name there.
func runAsGuest() bool {
	switch {
	case os.Getpid() == 1:
		runGuest()
	case os.Args[0] == workloadAt:
		if err := runWorkload(os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case os.Args[0] == beaconAt:
	case os.Args[0] == childAt:
		syscall.Exit(childExit)
	case os.Args[0] == "/init" || os.Args[0] == "/proc/self/exe":
		guest.Hook() // one of the processes that perform the table's cases
		return false
	default:
		return false
	}
	return true
}
