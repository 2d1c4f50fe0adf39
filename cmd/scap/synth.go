// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/synth"
	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/scap/savefile"
)

func newSynthCmd() *cobra.Command {
	var write writeFlags
	var events int
	var old bool
	cmd := &cobra.Command{
		Use:   "synth OUT",
		Short: "Write a synthetic capture of any size",
		Long: `Write a synthetic capture with the mix of events of a busy server, the same every time,
for benchmarks and for trying readers.`,
		Example: "  scap synth --events 5000000 bench.scap",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := write.check(cmd, args[0]); err != nil {
				return err
			}
			opts := write.options()
			opts.State = &proc.State{Machine: proc.Machine{NumCPUs: 4, Memory: 1 << 34, Hostname: "synthetic"}}
			w, err := savefile.Create(args[0], opts)
			if err != nil {
				return cli.Lacking(err)
			}
			mix := synth.Write
			if old {
				mix = synth.WriteOld
			}
			err = mix(w, events)
			if cerr := w.Close(); err == nil {
				err = cerr
			}
			tellLeftOut(cmd, w)
			if err != nil {
				return cli.Lacking(err)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&events, "events", 1_000_000, "number of events, about 80 bytes each")
	cmd.Flags().BoolVar(&old, "old", false, "as the first versions of the format: two events for each call")
	write.add(cmd)
	return cmd
}
