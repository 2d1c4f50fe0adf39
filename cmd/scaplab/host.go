// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/vmtest"
)

func newHostCmd() *cobra.Command {
	f := runFlags{driver: "ebpf"}
	cmd := &cobra.Command{
		Use:   "host",
		Short: "Run the same cases on the running kernel",
		Long: "Host runs the cases on the kernel this program runs on, with the eBPF driver. Cases\n" +
			"that would change the machine are left out. It needs the rights to load programs:\n" +
			"root, or the capabilities BPF and PERFMON.",
		Example: "  sudo scaplab host\n  sudo scaplab host --syscall openat,close",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, done, err := f.options(cmd)
			if err != nil {
				return err
			}
			defer done()
			rep, err := vmtest.RunHost(cmd.Context(), o)
			return f.report(cmd, rep, err)
		},
	}
	f.chooseFlags(cmd)
	f.reportFlags(cmd)
	f.consoleFlag(cmd)
	f.caseFlags(cmd)
	f.watchFlag(cmd)
	return cmd
}
