// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap/event"
)

const namesHelp = "FILTER is any number of event names and pids. It selects events that have one of the names and come from one of the processes."

// nameFilter keeps events by name and by pid.
type nameFilter struct {
	types []bool          // by event code; nil: all
	names map[string]bool // of generic events: the call that they stand for
	pids  []event.PID
}

var _ matcher = (*nameFilter)(nil)

func (f *nameFilter) all() bool { return f.types == nil }

func (f *nameFilter) wants(t event.Type) bool { return f.types == nil || f.types[t] }

// parseFilter reads arguments such as "openat", "read,write" and "4711".
func parseFilter(args []string) (*nameFilter, error) {
	f := &nameFilter{}
	for _, arg := range args {
		for _, word := range strings.FieldsFunc(arg, func(r rune) bool { return r == ',' || r == ' ' }) {
			if pid, err := strconv.ParseUint(word, 10, 32); err == nil {
				f.pids = append(f.pids, event.PID(pid))
				continue
			}
			if err := f.addName(word); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// completeEvents completes the names of events.
func completeEvents(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for info := range event.All() {
		if info.Flags&(event.Unused|event.OldVersion) == 0 {
			names = append(names, info.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

func (f *nameFilter) addName(name string) error {
	known := false
	for info := range event.All() {
		if info.Name == name && info.Flags&event.Unused == 0 {
			if f.types == nil {
				f.types, f.names = make([]bool, 1<<16), map[string]bool{}
			}
			f.names[name] = true
			f.types[info.Code] = true
			known = true
		}
	}
	if !known {
		return cli.Usage(fmt.Errorf("unknown event %q (scap events lists them all)", name))
	}
	return nil
}

// keep reports whether ev passes the filter.
func (f *nameFilter) keep(ev *event.Event, in inspector) bool {
	if f.types != nil && !f.types[ev.Type()] && !f.names[genericName(ev)] {
		return false
	}
	if f.pids == nil {
		return true
	}
	tid := ev.TID()
	return slices.Contains(f.pids, tid) || slices.Contains(f.pids, in.pid(tid))
}
