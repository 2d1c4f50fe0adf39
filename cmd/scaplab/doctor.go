// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/vmtest"
)

func newDoctorCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine lacks and how to get it",
		Long: "Doctor looks at everything the other commands use. The exit status is 3 when\n" +
			"something that matrix needs is missing; what only others use is told, too.",
		Example: "  scaplab doctor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := vmtest.Doctor(cmd.Context(), f.mirror)
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			missing := 0
			for _, c := range checks {
				state := "ok"
				switch {
				case !c.OK && c.Needed:
					state = "MISSING"
					missing++
				case !c.OK:
					state = "absent"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", state, c.Name, c.Use, c.Detail)
				if !c.OK && c.Fix != "" {
					fmt.Fprintf(t, "\t\t\t-> %s\n", c.Fix)
				}
			}
			if err := t.Flush(); err != nil {
				return cli.Lacking(err)
			}
			if missing > 0 {
				return cli.Lacking(fmt.Errorf("%d things that matrix needs are missing", missing))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&f.mirror, "mirror", "", "Debian archive to look at, URI[,SECURITY-URI]; default is the one apt is set up for")
	return cmd
}
