// SPDX-License-Identifier: Apache-2.0

package main

import (
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
)

// sourceFlags choose the driver and its settings.
type sourceFlags struct {
	driver     string
	module     string
	snaplen    int
	ringSize   int
	dropFailed bool
	enter      bool
}

var drivers = []string{"ebpf", "kmod"}

func (s *sourceFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.driver, "driver", drivers[0], "ebpf: programs loaded for the capture; kmod: the kernel module, which must be loaded")
	f.StringVar(&s.module, "module", kmod.DefaultName, "with --driver kmod: the module's name")
	f.IntVarP(&s.snaplen, "snaplen", "s", 0, fmt.Sprintf("limit on payload bytes per event; 0: %d", driver.SnaplenDefault))
	f.IntVar(&s.ringSize, "ring-size", 0, "bytes of each ring, a power of two; 0: the driver's default")
	f.BoolVar(&s.dropFailed, "drop-failed", false, "leave out system calls that fail")
	f.BoolVar(&s.enter, "enter", false, "also capture the enter events that some system calls have")
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
	src, err := ebpf.Open(sel, ebpf.Options{Settings: set})
	if err != nil {
		return nil, err
	}
	for _, r := range src.Refused() {
		fmt.Fprintln(talk, "not captured:", r)
	}
	return src, nil
}

// selection returns what the driver captures: events that may pass f, and those that
// change the state, without which names would soon be wrong.
func selection(f matcher, enter bool) scap.Selection {
	sel := scap.Selection{Enter: enter, All: f.wants(event.TypeGenericExit)}
	wanted := func(t event.Type) bool {
		if !f.all() && f.wants(t) {
			return true
		}
		info := event.Lookup(t)
		return info != nil && info.Flags&event.ModifiesState != 0
	}
	if sel.All {
		for _, tp := range driver.Tracepoints() {
			// Page faults would be most of the capture.
			if !strings.HasPrefix(tp, "page_fault") {
				sel.Tracepoints = append(sel.Tracepoints, tp)
			}
		}
	}
	for _, e := range driver.Events() {
		if !wanted(event.Type(e.Code)) {
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
