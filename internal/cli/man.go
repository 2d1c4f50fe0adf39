// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/scaplab/scaplab/internal/version"
)

// NewManCmd returns the hidden command that writes the manual pages of a program, for packages.
func NewManCmd(program string) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write a manual page of each command",
		Hidden: true,
		Long: `Write a manual page of each command into a directory. Their date is that of SOURCE_DATE_EPOCH
(seconds since 1970), so that the same source gives the same pages.`,
		Example: "  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) " + program + " man out/man",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
			if err != nil || epoch < 0 {
				return Usage(fmt.Errorf("SOURCE_DATE_EPOCH=%q: not a number of seconds", os.Getenv("SOURCE_DATE_EPOCH")))
			}
			date := time.Unix(epoch, 0).UTC()
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return Lacking(err)
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // no second date
			header := &doc.GenManHeader{Section: "1", Date: &date, Source: "scaplab " + version.Number, Manual: "User Commands"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return Lacking(fmt.Errorf("write manual pages: %w", err))
			}
			return nil
		},
	}
}
