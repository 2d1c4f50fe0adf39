// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/internal/minisign"
	"github.com/scaplab/scaplab/internal/modsign"
	"github.com/scaplab/scaplab/internal/release/verify"
)

func newVerifyCmd() *cobra.Command {
	var minisignPub, moduleCert string
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check a release: sums, signatures, manifest and provenance",
		Long: `Verify checks the directory that scaplab build release wrote: every file is listed in SHA256SUMS and has that
sum, no file is missing or added, the manifest and the provenance name the same modules and objects with the same
sums, and, with --minisign-pub and --module-cert, the signatures are by these keys. It prints what is wrong, one line
each; the exit status is 1 then.

Without keys, whoever can change a file can change its sum, too.`,
		Example: "  scaplab verify release --minisign-pub minisign.pub --module-cert modules.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var keys verify.Keys
			if minisignPub != "" {
				key, err := minisign.LoadPublicKey(minisignPub)
				if err != nil {
					return fmt.Errorf("--minisign-pub: %w", err)
				}
				keys.Files = &key
			}
			if moduleCert != "" {
				cert, err := modsign.LoadCertificate(moduleCert)
				if err != nil {
					return fmt.Errorf("--module-cert: %w", err)
				}
				keys.Modules = cert
			}
			r, err := verify.Directory(args[0], keys)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, p := range r.Problems {
				fmt.Fprintln(out, escape.Lines(p.String()))
			}
			if n := len(r.Problems); n > 0 {
				fmt.Fprintf(out, "%s: %d wrong\n", escape.Lines(args[0]), n)
				return cli.Found(nil)
			}
			fmt.Fprintf(out, "%s: %d files, %d of them modules and %d eBPF objects, are as listed\n", escape.Lines(args[0]), r.Files, r.Modules, r.Objects)
			for _, sentence := range r.Signed {
				fmt.Fprintln(out, escape.Lines(sentence))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&minisignPub, "minisign-pub", "", "public key that the files must be signed with")
	cmd.Flags().StringVar(&moduleCert, "module-cert", "", "certificate (PEM or DER) whose key the modules must be signed with")
	return cmd
}
