// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
)

// maxFindings limits how many findings are printed; all are counted.
const maxFindings = 20

func newVerifyCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE...",
		Short: "Check that captures are whole and sound",
		Long: `Check that captures are whole and sound: frames, records, lengths, and the size of
every param against its type. Exit status 1 when anything is wrong.`,
		Example: "  scap verify trace.scap",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wrong := false
			for _, path := range args {
				v := verifier{out: cmd.OutOrStdout(), path: path}
				if err := v.run(); err != nil {
					var ce *cli.Error
					if errors.As(err, &ce) && ce.Code != cli.ExitFound {
						return err
					}
					v.tell(err.Error()) // the error has the file's name
				}
				if v.findings > maxFindings {
					fmt.Fprintf(v.out, "%s: %d more findings\n", escape.Lines(path), v.findings-maxFindings)
				}
				if v.findings == 0 {
					fmt.Fprintf(v.out, "%s: fine: %d events\n", escape.Lines(path), v.events)
				}
				wrong = wrong || v.findings > 0
			}
			if wrong {
				return cli.Found(nil)
			}
			return nil
		},
	}
}

type verifier struct {
	out      io.Writer
	path     string
	findings int
	events   uint64
}

func (v *verifier) report(format string, args ...any) {
	v.tell(v.path + ": " + fmt.Sprintf(format, args...))
}

func (v *verifier) tell(finding string) {
	if v.findings++; v.findings <= maxFindings {
		fmt.Fprintln(v.out, escape.Lines(finding))
	}
}

func (v *verifier) run() error {
	r, err := savefile.Open(v.path, savefile.Options{Raw: true})
	if err != nil {
		return opened(err)
	}
	defer r.Close()
	rerr := readAll(r, func(evs []event.Event) error {
		for i := range evs {
			v.events++
			v.event(&evs[i])
		}
		return nil
	})
	c := r.Counts()
	for _, n := range []struct {
		count uint64
		what  string
	}{
		{c.Corrupt, "corrupt events"}, {c.BadRecords, "corrupt records of the state"}, {c.SkippedBlocks, "blocks of unknown type " + typesOf(r)},
		{c.StateCut, "records more than real states have"}, {c.BadEnds, "blocks that end with a wrong length"},
	} {
		if n.count > 0 {
			v.report("%d %s", n.count, n.what)
		}
	}
	return rerr
}

func (v *verifier) event(ev *event.Event) {
	info := ev.Info()
	if info == nil {
		v.report("event %d: unknown type %d", v.events, ev.Type())
		return
	}
	if ev.NumParams() > len(info.Params) {
		v.report("event %d: %s has %d params, its type %d", v.events, info.Name, ev.NumParams(), len(info.Params))
	}
	for i, value := range ev.Params() {
		if i >= len(info.Params) || len(value) == 0 {
			continue
		}
		p := &info.Params[i]
		if size, fixed := p.Type.Size(); fixed && size != len(value) {
			v.report("event %d: %s: %s has %d bytes, a %s has %d", v.events, info.Name, p.Name, len(value), p.Type, size)
		}
	}
}
