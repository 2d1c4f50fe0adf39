// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/gen"
	"github.com/scaplab/scaplab/internal/cli"
)

func newGenCmd() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "gen",
		Short: "Generate code, cases and pages from the table",
		Long: "Gen writes every file that follows from the table: C fillers, Go decoders, the\n" +
			"guest's cases, and the pages in docs. Files whose bytes would not change are\n" +
			"left alone; the others are named on stdout.",
		Example: "  scaplab gen            # after editing tables/*.yaml\n" +
			"  scaplab gen --check    # is everything fresh? shows the difference if not",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, err := projectRoot()
			if err != nil {
				return err
			}
			t, err := loadTable("")
			if err != nil {
				return err
			}
			files, err := gen.Files(t)
			if err != nil {
				return cli.Found(err)
			}
			if check {
				diff, err := gen.Check(root, files)
				fmt.Fprint(cmd.OutOrStdout(), diff)
				if errors.Is(err, gen.ErrStale) {
					return cli.Found(err)
				}
				return err
			}
			changed, err := gen.Write(root, files)
			for _, path := range changed {
				fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			if err != nil {
				return cli.Lacking(err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d files, %d changed\n", len(files), len(changed))
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; fail with the difference when a file is stale")
	return cmd
}
