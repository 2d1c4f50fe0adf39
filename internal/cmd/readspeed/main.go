// SPDX-License-Identifier: Apache-2.0

//go:build unix

// Command readspeed compares the speed of scap read with that of sysdig in a Debian tree
// (see ../filediff/prepare): both read the same synthetic captures (scap synth), and both
// rewrite one of the first versions of the format.
//
//	internal/cmd/filediff/prepare /var/tmp/sid
//	go run ./internal/cmd/readspeed [-n RUNS] /var/tmp/sid
//
// The programs take turns, so that what else the machine does disturbs them alike. What
// counts is the processor time of a run, the kernel's included, from the start of the
// program to its end, and of several runs the least: other work only adds to it.
//
// It prints millions of events per second of processor time, and the ratio. --before
// names another scap, such as one built before a change, which takes turns as well.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/synth"
)

func main() {
	var o options
	flag.IntVar(&o.runs, "n", 3, "`runs` of each program")
	flag.IntVar(&o.events, "events", 5_000_000, "events of the capture for filters")
	flag.IntVar(&o.textEvents, "text-events", 500_000, "events of the capture that is printed as text, for which sysdig takes long")
	flag.StringVar(&o.before, "before", "", "another `scap` program to compare with")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: readspeed [-n RUNS] TREE")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 || o.runs < 1 || o.events < 1 || o.textEvents < 1 {
		flag.Usage()
		os.Exit(2)
	}
	o.tree = flag.Arg(0)
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "readspeed:", err)
		os.Exit(3)
	}
}

type options struct {
	tree, before             string
	runs, events, textEvents int
}

// trial is what the programs do with a capture.
type trial struct {
	name, file string
	events     int
	args       []string // filter
	convert    bool     // writes all events to a file, instead of text
}

// program is one that reads captures.
type program struct {
	name    string
	command func(t *trial) *exec.Cmd
	least   time.Duration // processor time of a run
}

func (o *options) run() error {
	const inTree = "/tmp/readspeed" // where the captures are, in the tree
	dir := filepath.Join(o.tree, inTree)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	scap := filepath.Join(dir, "scap")
	if err := call("go", "build", "-o", scap, "github.com/scaplab/scaplab/cmd/scap"); err != nil {
		return fmt.Errorf("build scap: %w", err)
	}
	const large, small, gz, old, rewritten = "large.scap", "small.scap", "large.scap.gz", "old.scap", "rewritten.scap"
	for name, n := range map[string]int{large: o.events, small: o.textEvents} {
		if err := call(scap, "synth", "--events", fmt.Sprint(n), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := call(scap, "synth", "--old", "--events", fmt.Sprint(o.events), filepath.Join(dir, old)); err != nil {
		return err
	}
	if err := call(scap, "convert", "-z", filepath.Join(dir, large), filepath.Join(dir, gz)); err != nil {
		return err
	}
	trials := []trial{
		{name: "proc.name=zzz", file: large, events: o.events, args: []string{"proc.name=zzz"}},
		{name: "14 terms", file: large, events: o.events, args: []string{synth.ManyTerms}},
		{name: "evt.type=execve", file: large, events: o.events, args: []string{"evt.type=execve"}},
		{name: "text", file: small, events: o.textEvents},
		{name: "proc.name=zzz of a gzip file", file: gz, events: o.events, args: []string{"proc.name=zzz"}},
		{name: "convert an old file", file: old, events: o.events, convert: true},
	}
	own := func(name, path string) *program {
		return &program{name: name, command: func(t *trial) *exec.Cmd {
			if t.convert {
				return exec.Command(path, "convert", filepath.Join(dir, t.file), filepath.Join(dir, rewritten))
			}
			return exec.Command(path, append([]string{"read", "-r", filepath.Join(dir, t.file)}, t.args...)...)
		}}
	}
	programs := []*program{own("scap", scap), {name: "sysdig", command: func(t *trial) *exec.Cmd {
		args := append([]string{o.tree, "sysdig", "-r", filepath.Join(inTree, t.file)}, t.args...)
		if t.convert {
			args = append(args, "-w", filepath.Join(inTree, rewritten))
		}
		cmd := exec.Command("chroot", args...)
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/root"}
		return cmd
	}}}
	if o.before != "" {
		programs = append(programs, own("before", o.before))
	}
	fmt.Printf("%s, %d CPUs, load %s; ", model(), runtime.NumCPU(), load())
	defer func() { fmt.Printf("load %s at the end\n", load()) }()
	fmt.Printf("%d runs each; millions of events per second of processor time\n", o.runs)
	fmt.Printf("%-30s", "")
	for i, p := range programs {
		fmt.Printf(" %8s", p.name)
		if i > 0 {
			fmt.Printf(" %6s", "ratio")
		}
	}
	fmt.Println()
	for i := range trials {
		t := &trials[i]
		for _, p := range programs {
			p.least = math.MaxInt64
		}
		for range o.runs {
			for _, p := range programs {
				d, err := processorTime(p.command(t))
				if err != nil {
					return fmt.Errorf("%s: %s: %w", t.name, p.name, err)
				}
				p.least = min(p.least, d)
			}
		}
		fmt.Printf("%-30s", t.name)
		for i, p := range programs {
			fmt.Printf(" %8.3f", float64(t.events)/p.least.Seconds()/1e6)
			if i > 0 {
				fmt.Printf(" %6.2f", p.least.Seconds()/programs[0].least.Seconds())
			}
		}
		fmt.Println()
	}
	unpack := time.Duration(math.MaxInt64)
	for range o.runs {
		d, err := processorTime(exec.Command("gzip", "-dc", filepath.Join(dir, gz)))
		if err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
		unpack = min(unpack, d)
	}
	fmt.Printf("%-30s %8.3f\n", "gzip -dc of that file", float64(o.events)/unpack.Seconds()/1e6)
	return nil
}

// processorTime runs a command and returns the processor time that it takes.
func processorTime(cmd *exec.Cmd) (time.Duration, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // prints to no pipe
	if err != nil {
		return 0, err
	}
	defer null.Close()
	var talk strings.Builder
	cmd.Stdout, cmd.Stderr = null, &talk
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(talk.String()))
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// call runs a command whose output is of no interest.
func call(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if errors.As(err, new(*exec.ExitError)) {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return err
}

// load returns the machine's load of the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// model returns the name of the machine's processor.
func model() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
