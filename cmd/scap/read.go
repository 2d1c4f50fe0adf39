// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

// textFlags say how events are printed.
type textFlags struct {
	json, all, whole bool

	time  string
	count uint64
}

func (t *textFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&t.json, "json", false, "one JSON object per event")
	cmd.Flags().BoolVar(&t.all, "all", false, "also print events that only update the state")
	cmd.Flags().BoolVarP(&t.whole, "verbose", "v", false, "print buffers in full rather than their first 80 bytes")
	cmd.Flags().StringVarP(&t.time, "time", "t", timeStyles[0], "time of an event: "+strings.Join(timeStyles, ", "))
	_ = cmd.RegisterFlagCompletionFunc("time", cobra.FixedCompletions(timeStyles, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().Uint64VarP(&t.count, "count", "n", 0, "stop after this many events; 0: never")
}

func (t *textFlags) printer(out io.Writer, in inspector) (*printer, error) {
	style := slices.IndexFunc(timeStyles, func(s string) bool { return s == t.time || s[:1] == t.time })
	if style < 0 {
		return nil, cli.Usage(fmt.Errorf("unknown time %q: one of %s", t.time, strings.Join(timeStyles, ", ")))
	}
	return &printer{out: out, json: t.json, all: t.all, whole: t.whole, time: timeStyles[style], in: in}, nil
}

func newReadCmd() *cobra.Command {
	var path string
	var text textFlags
	var raw bool
	cmd := &cobra.Command{
		Use:   "read -r FILE [FILTER...]",
		Short: "Print the events of a capture",
		Long: `Print the events of a capture, one line each: number, time, CPU, process, thread,
direction, name, arguments. FILE may be - for standard input.

` + filterHelp,
		Example:           "  scap read -r trace.scap openat 1234",
		ValidArgsFunction: completeEvents,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := parseFilter(args)
			if err != nil {
				return err
			}
			r, err := savefile.Open(path, savefile.Options{Raw: raw})
			if err != nil {
				return opened(err)
			}
			defer r.Close()
			in := newThreads(r.State())
			p, err := text.printer(cmd.OutOrStdout(), in)
			if err != nil {
				return err
			}
			err = printAll(r, in, f, p, text.count)
			if ferr := p.flush(); err == nil {
				err = ferr
			}
			return cmp.Or(err, leftOut(r, path))
		},
	}
	cmd.Flags().StringVarP(&path, "read", "r", "", "the capture; -: standard input")
	_ = cmd.MarkFlagRequired("read")
	cmd.Flags().BoolVar(&raw, "raw", false, "do not convert older events")
	text.add(cmd)
	return cmd
}

func printAll(r *savefile.Reader, in inspector, f matcher, p presenter, count uint64) error {
	num, printed := uint64(0), uint64(0)
	section := r.Section()
	return readAll(r, func(evs []event.Event) error {
		if r.Section() != section {
			section = r.Section()
			in.reset(r.State())
		}
		for i := range evs {
			ev := &evs[i]
			num++
			in.apply(ev)
			if p.shown(ev) && f.keep(ev, in) {
				if err := p.print(num, ev); err != nil {
					return err
				}
				if printed++; printed == count {
					return errStop
				}
			}
			in.gone(ev)
		}
		if len(evs) < batchSize {
			return p.flush() // from a pipe, no more may come for some time
		}
		return nil
	})
}
