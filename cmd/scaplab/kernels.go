// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernels"
)

func newKernelsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kernels",
		Short: "The kernels to test on: which there are, what they offer, and fetching them",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newKernelsListCmd(), newKernelsFetchCmd(), newKernelsFactsCmd(), newKernelsDiffCmd())
	return cmd
}

func newKernelsListCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the known kernel series and what is fetched of them",
		Long:    "List prints each kernel series this build knows, the suites that have it, and the\nrelease kept from the last fetch. It does not use the network.",
		Example: "  scaplab kernels list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			catalog, err := kernels.LoadCatalog()
			if err != nil {
				return err
			}
			list, err := (&kernels.Store{Catalog: catalog}).List()
			if err != nil {
				return environment(err)
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", " ")
				return e.Encode(list)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "series\tsuites\trelease\tpackage\tfetched")
			for _, k := range list {
				release, source, fetched := "-", "-", "-"
				if k.Kernel != nil {
					release, source, fetched = k.Kernel.Release, k.Kernel.Source(), k.Fetched.Format("2006-01-02 15:04")
				}
				def := ""
				if k.Default {
					def = " *"
				}
				fmt.Fprintf(t, "%s%s\t%s\t%s\t%s\t%s\n", k.Series, def, k.Suites, release, source, fetched)
			}
			if err := t.Flush(); err != nil {
				return cli.Lacking(err)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "* used when --kernel is not given")
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newKernelsFetchCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "fetch [KERNEL]...",
		Short: "Fetch kernels, the newest of each series",
		Long: "Fetch looks for the newest package of each series, fetches, checks and unpacks it.\n" +
			"Without arguments it fetches the kernels that matrix uses by default. matrix\n" +
			"fetches by itself what is missing; this is for doing it ahead.",
		Example: "  scaplab kernels fetch\n  scaplab kernels fetch 6.1 newest\n  scaplab kernels fetch all",
		RunE: func(cmd *cobra.Command, args []string) error {
			var names []string
			for _, a := range args {
				names = append(names, splitList(a)...)
			}
			kernels, gone, err := f.namedKernels(cmd, names, newTalk(cmd.ErrOrStderr()).say)
			if err != nil {
				return err
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, k := range kernels {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", k.Name, k.Release, k.Source(), k.Image)
			}
			if err := t.Flush(); err != nil {
				return cli.Lacking(err)
			}
			if len(gone) > 0 {
				return cli.Lacking(errors.New("not every kernel is available"))
			}
			return nil
		},
	}
	f.mirrorFlags(cmd)
	cmd.Flags().Lookup("max-age").DefValue = "0s"
	f.maxAge = 0
	return cmd
}
