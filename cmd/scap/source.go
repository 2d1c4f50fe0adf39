// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/ebpf"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/kmod"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
)

// sourceFlags choose the driver and its settings.
type sourceFlags struct {
	driver     string
	module     string
	snaplen    int
	ringSize   int
	perRing    int
	dropFailed bool
	enter      bool
}

var drivers = []string{"ebpf", "kmod"}

func (s *sourceFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.driver, "driver", drivers[0], "ebpf: programs loaded for the capture; kmod: the kernel module, which must be loaded")
	f.StringVar(&s.module, "module", kmod.DefaultName, "with --driver kmod: the module's name")
	f.IntVarP(&s.snaplen, "snaplen", "s", 0, fmt.Sprintf("limit on payload bytes per event; 0: %d", driver.SnaplenDefault))
	f.IntVar(&s.ringSize, "ring-size", 0, "bytes of each ring, a power of two: the memory that each CPU that runs takes; 0: 4 MiB, with --driver kmod what the module has (8 MiB)")
	f.IntVar(&s.perRing, "cpus-per-ring", 0, "with --driver ebpf: so many CPUs share a ring, -1: all do; 0: each has its own, if the kernel can and --ring-size is at least 4 MiB")
	f.BoolVar(&s.dropFailed, "drop-failed", false, "leave out system calls that fail")
	f.BoolVar(&s.enter, "enter", false, "also capture, and show, the enter events that some system calls have: with the path or address before another thread could change it")
	_ = cmd.RegisterFlagCompletionFunc("driver", cobra.FixedCompletions(drivers, cobra.ShellCompDirectiveNoFileComp))
}

// check returns an error if flags are out of range.
func (s *sourceFlags) check() error {
	if !slices.Contains(drivers, s.driver) {
		return cli.Usage(fmt.Errorf("unknown driver %q: one of %s", s.driver, strings.Join(drivers, ", ")))
	}
	if s.snaplen < 0 || s.snaplen > driver.SnaplenMax {
		return cli.Usage(fmt.Errorf("--snaplen %d: 0 to %d", s.snaplen, driver.SnaplenMax))
	}
	if s.perRing < -1 {
		return cli.Usage(fmt.Errorf("--cpus-per-ring %d: a number of CPUs, 0 or -1", s.perRing))
	}
	if s.perRing != 0 && s.driver != "ebpf" {
		return cli.Usage(errors.New("--cpus-per-ring is for --driver ebpf: each CPU has its own ring in the module"))
	}
	if s.ringSize < 0 || s.ringSize&(s.ringSize-1) != 0 {
		return cli.Usage(fmt.Errorf("--ring-size %d: a power of two", s.ringSize))
	}
	return nil
}

// open starts the capture of sel. It prints to talk what is not captured.
func (s *sourceFlags) open(sel scap.Selection, talk io.Writer) (scap.Live, error) {
	set := scap.Settings{Snaplen: s.snaplen, RingSize: s.ringSize, DropFailed: s.dropFailed}
	if s.driver == "kmod" {
		src, err := kmod.Open(sel, kmod.Options{Settings: set, Name: s.module})
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("the kernel module %s is not loaded (scaplab build kmod makes it, insmod loads it): %w", s.module, err)
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("the kernel module's devices are for root: %w", err)
		case err != nil:
			return nil, err
		}
		return src, nil
	}
	src, err := ebpf.Open(sel, ebpf.Options{Settings: set, CPUsPerRing: s.perRing})
	if err != nil {
		return nil, err
	}
	for _, r := range src.Refused() {
		fmt.Fprintln(talk, "not captured:", r)
	}
	return src, nil
}

// selector says which events are of use.
type selector interface {
	Codes() event.Set
	MayCall(ev *event.Event) bool
}

// selection returns what the driver captures: events that may pass f, and those that
// change the state, without which names would soon be wrong. f may be nil. Without fds,
// events that change nothing but what descriptors are do not count as such.
func selection(f *filter.Filter, enter, fds bool) scap.Selection {
	if f == nil {
		return selectionFor(nil, enter, fds)
	}
	return selectionFor(f, enter, fds)
}

// selectionFor returns what the driver captures for f; nil: everything.
func selectionFor(f selector, enter, fds bool) scap.Selection {
	sel := scap.Selection{Enter: enter, All: f == nil || wantsGeneric(f)}
	if sel.All {
		for _, tp := range driver.Tracepoints() {
			// Page faults would be most of the capture.
			if !strings.HasPrefix(tp, "page_fault") {
				sel.Tracepoints = append(sel.Tracepoints, tp)
			}
		}
	}
	for _, e := range driver.Events() {
		if wanted(f, event.Type(e.Code), fds) == "" {
			continue
		}
		for _, call := range e.Calls {
			if !sel.All && !slices.Contains(sel.Syscalls, call.Name) {
				sel.Syscalls = append(sel.Syscalls, call.Name)
			}
		}
		// The page faults of both modes make the same event.
		for _, tp := range []string{e.From, strings.Replace(e.From, "_user", "_kernel", 1)} {
			if slices.Contains(driver.Tracepoints(), tp) && !slices.Contains(sel.Tracepoints, tp) {
				sel.Tracepoints = append(sel.Tracepoints, tp)
			}
		}
	}
	return sel
}

// Reasons for which the driver captures an event.
const (
	forFilter = "filter"
	forState  = "state"
)

// wanted returns why events of type t are captured; "": they are not.
func wanted(f selector, t event.Type, fds bool) string {
	if f != nil {
		if codes := f.Codes(); codes.Has(t) {
			return forFilter
		}
	}
	info := event.Lookup(t)
	if info == nil || info.Flags&event.ModifiesState == 0 || !fds && info.Flags&aboutFDs != 0 {
		return ""
	}
	return forState
}

const aboutFDs = event.CreatesFD | event.DestroysFD | event.UsesFD

// needsFDs reports whether text of the events that may pass f needs to know what descriptors
// are: those that the events use, that fields look up in a table, and the directories that
// paths are relative to. What an event makes itself, such as accept, it tells itself.
func needsFDs(f *filter.Filter, fields []*field.Ref) bool {
	if f == nil {
		return true
	}
	for _, ref := range slices.Concat(f.Fields(), fields) {
		class, _, _ := strings.Cut(ref.Name, ".")
		ofTable := class == "proc" && (strings.HasPrefix(ref.Name, "proc.fd") || strings.HasPrefix(ref.Name, "proc.std"))
		if ofTable || !slices.Contains([]string{"evt", "fd", "proc", "thread", "user", "group"}, class) {
			return true
		}
	}
	codes := f.Codes()
	for _, e := range driver.Events() {
		info := event.Lookup(event.Type(e.Code))
		if info == nil || !codes.Has(event.Type(e.Code)) {
			continue
		}
		path := func(p event.ParamInfo) bool { return p.Type == event.ParamFSPath || p.Type == event.ParamFSRelPath }
		if info.Flags&event.UsesFD != 0 || slices.ContainsFunc(info.Params, path) {
			return true
		}
	}
	return false
}

// wantsGeneric reports whether f may hold for a call without an event of its own.
func wantsGeneric(f selector) bool {
	codes := f.Codes()
	if !codes.Has(event.TypeGenericExit) {
		return false
	}
	own := map[string]bool{}
	for _, e := range driver.Events() {
		for _, call := range e.Calls {
			own[call.Name] = true
		}
	}
	var b event.Builder
	var ev event.Event
	for _, id := range driver.IDs() {
		if own[id.Name] {
			continue
		}
		b.Begin(event.TypeGenericExit, 0, 0, 2)
		b.AddUint16(id.Code)
		b.AddUint16(0)
		if raw, err := b.End(); err == nil && ev.Reset(raw, 0) == nil && f.MayCall(&ev) {
			return true
		}
	}
	return false
}

// explain prints what the driver captures for f, and why.
func explain(w io.Writer, f *filter.Filter, enter, fds bool) error {
	sel := selection(f, enter, fds)
	var want selector
	if f != nil {
		want = f
	}
	because := map[string]string{}
	for _, e := range driver.Events() {
		why := wanted(want, event.Type(e.Code), fds)
		for _, call := range e.Calls {
			because[call.Name] = cmp.Or(because[call.Name], why)
		}
		because[e.From] = cmp.Or(because[e.From], why)
	}
	out := bufio.NewWriter(w)
	for _, kind := range []struct {
		name  string
		names []string
	}{{"syscall", sel.Syscalls}, {"tracepoint", sel.Tracepoints}} {
		slices.Sort(kind.names)
		if kind.name == "syscall" && sel.All {
			kind.names = []string{"all"}
			because["all"] = forFilter
		}
		for _, name := range kind.names {
			why := cmp.Or(because[name], forFilter)
			fmt.Fprintf(out, "%-10s  %-24s %s\n", kind.name, name, map[string]string{
				forFilter: "the filter may hold for it", forState: "it changes the state that fields ask for",
			}[why])
		}
	}
	return out.Flush()
}
