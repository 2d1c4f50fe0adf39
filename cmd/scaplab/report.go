// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/vmtest"
)

func newReportCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "report FILE...",
		Short: "Join the JSON results of several runs into one report",
		Long:  "Report reads files written by `matrix --json`, such as the shards of one run, and\nprints what matrix would have printed for all of them. - is stdin. A cell counts once\nfor each run that has it: the same file given twice, or a report and one that was joined of\nit, count once. The same cell of two runs counts twice. The exit status is 1 when a case\nfailed, and 3 when a shard is missing or a run is partial. docs/reports.md describes the files.",
		Example: "  scaplab report shard-1.json shard-2.json --junit all.xml\n" +
			"  scaplab report all.json --html all.html\n" +
			"  scaplab report all.json --markdown comment.md --baseline main.json",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.readBaseline(); err != nil {
				return err
			}
			var files []io.Reader
			for _, a := range args {
				if a == "-" {
					files = append(files, cmd.InOrStdin())
					continue
				}
				file, err := os.Open(a)
				if err != nil {
					return cli.Usage(err)
				}
				defer file.Close()
				files = append(files, file)
			}
			rep, err := vmtest.ReadJSON(files...)
			if err != nil {
				return cli.Usage(err)
			}
			if rep.Partial != "" {
				f.lacks = append(f.lacks, "complete report ("+rep.Partial+")")
			}
			for _, shard := range rep.Missing {
				f.lacks = append(f.lacks, "shard "+shard.String())
			}
			return f.report(cmd, rep, nil)
		},
	}
	f.reportFlags(cmd)
	return cmd
}
