// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/filter"
)

func newReadCmd() *cobra.Command {
	var path string
	var text textFlags
	var old bool
	cmd := &cobra.Command{
		Use:   "read FILE [FILTER...]",
		Short: "Print the events of a capture",
		Long: `Print the events of a capture, one line each: number, time, CPU, process, thread,
direction, name, arguments; or what --print asks for. FILE may be - for standard input,
and stand after -r as in sysdig.

` + filterHelp,
		Example: "  scap read trace.scap openat 1234\n" +
			"  scap read trace.scap -p '%evt.time %proc.name %fd.name' 'evt.type = openat and fd.name startswith /etc'\n" +
			"  scap read trace.scap --summary",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if path == "" && len(args) == 0 {
				return nil, cobra.ShellCompDirectiveDefault // a file
			}
			return completeEvents(cmd, args, word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if path == "" {
				if len(args) == 0 {
					return cli.Usage(errors.New("which capture? (scap read FILE; - reads standard input)"))
				}
				path, args = args[0], args[1:]
			}
			f, err := compileFilter(args)
			if err != nil {
				return err
			}
			p, err := text.presenter(cmd.OutOrStdout())
			if err != nil {
				return err
			}
			r, err := savefile.Open(path, savefile.Options{Raw: old})
			if err != nil {
				return opened(err)
			}
			defer r.Close()
			warn(cmd.ErrOrStderr(), f)
			err = printAll(sinsp.New(r, sinsp.Options{}), f, p, text.count)
			if cerr := p.close(); err == nil {
				err = cerr
			}
			return cmp.Or(err, leftOut(r, path))
		},
	}
	cmd.Flags().StringVarP(&path, "read", "r", "", "the capture; the same as FILE")
	cmd.Flags().BoolVar(&old, "no-convert", false, "show older events as they are, rather than as current ones")
	text.add(cmd)
	return cmd
}

// warn prints what is likely a mistake in a filter.
func warn(w io.Writer, f *filter.Filter) {
	if f == nil {
		return
	}
	if warnings := f.Warnings(); warnings != nil {
		fmt.Fprintln(w, "warning:", warnings)
	}
}

// printAll prints the events that pass a filter, at most count unless that is 0.
func printAll(in *sinsp.Inspector, f *filter.Filter, p presenter, count uint64) error {
	for printed := uint64(0); ; {
		ev, err := in.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return cli.Found(err)
		}
		if (f == nil || f.Match(ev)) && p.shown(ev) {
			ok, err := p.print(ev)
			if err != nil {
				return err
			}
			if ok {
				if printed++; printed == count {
					return nil
				}
			}
		}
		if in.Waits() {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
}
