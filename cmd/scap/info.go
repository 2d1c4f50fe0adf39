// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

// fileInfo is what scap info prints of a capture.
type fileInfo struct {
	File       string          `json:"file"`
	Size       int64           `json:"size"` // bytes on disk; 0 for a pipe
	Version    string          `json:"version"`
	Schema     string          `json:"schema,omitempty"` // of all events, that the writer of a native capture had
	Compressed bool            `json:"compressed"`
	ByteOrder  string          `json:"byte_order"` // this machine's or the other
	Machine    machineInfo     `json:"machine"`
	Interfaces int             `json:"interfaces"`
	Users      int             `json:"users"`
	Groups     int             `json:"groups"`
	Processes  int             `json:"processes"`
	Threads    int             `json:"threads"`
	FDs        int             `json:"fds"`
	First      uint64          `json:"first"` // ns since the Unix epoch
	Last       uint64          `json:"last"`
	Events     uint64          `json:"events"`
	Types      []typeInfo      `json:"types"`
	Compatible *bool           `json:"compatible"` // every reader of the format can read it; null: it has no events
	Why        []string        `json:"incompatible_because,omitempty"`
	Counts     savefile.Counts `json:"counts"`
	Error      string          `json:"error,omitempty"`
}

type machineInfo struct {
	Hostname string `json:"hostname"`
	CPUs     uint32 `json:"cpus"`
	Memory   uint64 `json:"memory"`
	BootTime uint64 `json:"boot_time"`
}

type typeInfo struct {
	Code   event.Type `json:"code"`
	Name   string     `json:"name"`
	Enter  bool       `json:"enter"`
	Events uint64     `json:"events"`
	Bytes  uint64     `json:"bytes"`
}

func newInfoCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info FILE",
		Short: "Show what a capture contains",
		Long: `Show what a capture contains: the machine, its state, the time, the events in the file
by type, and whether other readers can read all of them.`,
		Example: "  scap info trace.scap",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := savefile.Open(args[0], savefile.Options{Raw: true})
			if err != nil {
				return opened(err)
			}
			defer r.Close()
			info, rerr := gatherInfo(r, args[0])
			if asJSON {
				text, err := json.MarshalIndent(info, "", "  ")
				if err != nil {
					return err
				}
				if _, err := cmd.OutOrStdout().Write(append(escape.SafeJSON(text), '\n')); err != nil {
					return err
				}
			} else if err := info.print(cmd.OutOrStdout()); err != nil {
				return err
			}
			return rerr
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	return cmd
}

func gatherInfo(r *savefile.Reader, path string) (*fileInfo, error) {
	info := &fileInfo{File: path}
	if st, err := os.Stat(path); err == nil {
		info.Size = st.Size()
	}
	s := r.State()
	m := &s.Machine
	info.Machine = machineInfo{m.Hostname, m.NumCPUs, m.Memory, m.BootTime}
	info.Interfaces, info.Users, info.Groups, info.Threads = len(s.Interfaces), len(s.Users), len(s.Groups), len(s.Threads)
	for i := range s.Threads {
		if s.Threads[i].Leader() {
			info.Processes++
		}
		info.FDs += len(s.Threads[i].FDs)
	}
	types := map[event.Type]*typeInfo{}
	newer, grown := map[event.Type]bool{}, false
	rerr := readAll(r, func(evs []event.Event) error {
		for i := range evs {
			ev := &evs[i]
			t := types[ev.Type()]
			if t == nil {
				t = &typeInfo{Code: ev.Type(), Name: ev.Type().String(), Enter: ev.Type().Enter()}
				types[ev.Type()] = t
			}
			t.Events++
			t.Bytes += uint64(len(ev.Bytes()))
			ts := ev.Timestamp()
			if info.First == 0 || ts < info.First {
				info.First = ts
			}
			info.Last = max(info.Last, ts)
			info.Events++
			switch savefile.SupportOf(ev) {
			case savefile.Skipped:
				newer[t.Code] = true
			case savefile.Refused:
				grown = true
			}
		}
		return nil
	})
	for _, t := range types {
		info.Types = append(info.Types, *t)
	}
	slices.SortFunc(info.Types, func(a, b typeInfo) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Code, b.Code))
	})
	info.Counts = r.Counts()
	info.Compressed = info.Counts.Compressed
	info.Version, info.Schema = fmt.Sprintf("1.%d", info.Counts.Minor), r.Schema()
	info.ByteOrder = "this machine's"
	if info.Counts.OtherOrder {
		info.ByteOrder = "the other"
		info.Why = append(info.Why, "it has the other byte order")
	}
	var passed []string
	for _, t := range info.Types {
		if newer[t.Code] {
			passed = append(passed, t.Name)
		}
	}
	if len(passed) > 0 {
		info.Why = append(info.Why, "events that other readers skip: "+strings.Join(passed, " "))
	}
	if grown {
		info.Why = append(info.Why, "socket or fcntl with params that libs up to 0.23 does not read")
	}
	if n := info.Counts.SkippedBlocks; n > 0 {
		info.Why = append(info.Why, fmt.Sprintf("%d blocks of unknown type (%s)", n, typesOf(r)))
	}
	if compatible := len(info.Why) == 0; info.Events > 0 || !compatible {
		info.Compatible = &compatible
	}
	if rerr != nil {
		info.Error = rerr.Error()
	}
	return info, rerr
}

func (info *fileInfo) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	c := &info.Counts
	size := fmt.Sprint(info.Size, " bytes")
	if info.Compressed {
		size += ", gzip"
	}
	fmt.Fprintf(w, "file\t%s (%s)\n", escape.Lines(info.File), size)
	fmt.Fprintf(w, "format\t%s, %s byte order, %d section(s)\n", info.Version, info.ByteOrder, c.Sections)
	if info.Schema != "" {
		fmt.Fprintf(w, "schema\t%s\n", info.Schema)
	}
	host := escape.AppendText(nil, []byte(cmp.Or(info.Machine.Hostname, "unknown")))
	fmt.Fprintf(w, "machine\t%s, %d CPUs, %d MiB, up since %s\n", host, info.Machine.CPUs, info.Machine.Memory>>20, stamp(info.Machine.BootTime))
	fmt.Fprintf(w, "state\t%d processes, %d threads, %d fds, %d interfaces, %d users, %d groups\n",
		info.Processes, info.Threads, info.FDs, info.Interfaces, info.Users, info.Groups)
	if info.Events > 0 {
		fmt.Fprintf(w, "time\t%s to %s (%s)\n", stamp(info.First), stamp(info.Last), time.Duration(info.Last-info.First))
	}
	fmt.Fprintf(w, "events\t%d\n", info.Events)
	for _, n := range []struct {
		what  string
		count uint64
	}{
		{"for the state only", c.Hidden}, {"of unknown type", c.Unknown}, {"corrupt, left out", c.Corrupt},
		{"records of the state that are corrupt, left out", c.BadRecords}, {"blocks of unknown type, left out", c.SkippedBlocks},
		{"records more than real states have, left out", c.StateCut}, {"blocks that end with a wrong length", c.BadEnds},
	} {
		if n.count > 0 {
			fmt.Fprintf(w, "\t%d %s\n", n.count, n.what)
		}
	}
	switch {
	case info.Compatible == nil:
		fmt.Fprintf(w, "compatible\tnot known: there are no events\n")
	case *info.Compatible:
		fmt.Fprintf(w, "compatible\tyes\n")
	default:
		fmt.Fprintf(w, "compatible\tno: %s\n", strings.Join(info.Why, "; "))
	}
	if info.Error != "" {
		fmt.Fprintf(w, "error\t%s\n", escape.Lines(info.Error))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nevents\tbytes\tcode\ttype\n")
	for _, t := range info.Types {
		fmt.Fprintf(w, "%d\t%d\t%d\t%s %s\n", t.Events, t.Bytes, t.Code, direction(t.Code), t.Name)
	}
	return w.Flush()
}

func stamp(ns uint64) string {
	if ns == 0 {
		return "unknown"
	}
	return time.Unix(0, int64(ns)).Format("2006-01-02 15:04:05.000 -0700")
}
