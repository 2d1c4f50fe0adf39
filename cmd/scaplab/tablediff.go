// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/internal/tabledraft"
)

func newTableDiffCmd() *cobra.Command {
	var f factFlags
	cmd := &cobra.Command{
		Use:   "diff KERNEL KERNEL",
		Short: "Say which entries of the table the change from one kernel to another touches",
		Long: "Diff compares the system calls of two kernels and tells what that means for the table:\n" +
			"entries of calls that came, went or have other arguments, or whose structs changed, and\n" +
			"the calls that table add would draft. scaplab kernels diff has all that changed.\n" +
			"KERNEL is a series, newest, an image, or a file of facts.",
		Example: "  scaplab table diff 6.12 newest",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := shownTable()
			if err != nil {
				return err
			}
			var both [2]*kernelfacts.Facts
			for i := range both {
				if both[i], err = f.facts(cmd, args[i]); err != nil {
					return err
				}
			}
			d := tabledraft.Diff(t, both[0], both[1])
			if f.asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", " ")
				e.SetEscapeHTML(false)
				return e.Encode(d)
			}
			return writeTableDiff(cmd.OutOrStdout(), d, args[1])
		},
	}
	f.add(cmd)
	return cmd
}

func writeTableDiff(w io.Writer, d *tabledraft.Changes, kernel string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "from %s to %s\n", d.From, d.To)
	section := func(title string, keep func(tabledraft.Touched) bool) {
		list := slices.DeleteFunc(slices.Clone(d.Entries), func(e tabledraft.Touched) bool { return !keep(e) })
		if len(list) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%d %s\n", len(list), title)
		for _, e := range list {
			fmt.Fprintf(&b, "  %s (%s)\n", e.Call, e.At)
			if e.Before != "" && e.After != "" && e.Before != e.After {
				fmt.Fprintf(&b, "    - %s\n    + %s\n", e.Before, e.After)
			}
			for _, s := range e.Structs {
				before, after := membersOf(s.Before), membersOf(s.After)
				fmt.Fprintf(&b, "    struct %s\n", s.Name)
				for _, m := range before {
					if !slices.Contains(after, m) {
						fmt.Fprintf(&b, "      - %s\n", m)
					}
				}
				for _, m := range after {
					if !slices.Contains(before, m) {
						fmt.Fprintf(&b, "      + %s\n", m)
					}
				}
			}
			for _, n := range e.Notes {
				fmt.Fprintf(&b, "    %s\n", n)
			}
		}
	}
	section("entries of new calls", func(e tabledraft.Touched) bool { return e.Before == "" && e.After != "" })
	section("entries of calls that are gone", func(e tabledraft.Touched) bool { return e.Before != "" && e.After == "" })
	section("entries of calls that changed", func(e tabledraft.Touched) bool { return (e.Before == "") == (e.After == "") })
	if len(d.Gone) > 0 {
		fmt.Fprintf(&b, "\n%d calls are gone that have no entry: %s\n", len(d.Gone), strings.Join(d.Gone, ", "))
	}
	if len(d.Lacking) == 0 {
		fmt.Fprintf(&b, "\nThe table lacks no call that programs of 64 bits can make on kernel %s.\n", kernel)
	} else {
		fmt.Fprintf(&b, "\n%d calls that the table lacks: scaplab table add --kernel %s\n", len(d.Lacking), kernel)
		for _, name := range d.Lacking {
			fmt.Fprintf(&b, "  %s\n", name)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// membersOf splits a struct in C, as facts have it.
func membersOf(c string) []string {
	_, c, _ = strings.Cut(c, "{ ")
	var list []string
	for m := range strings.SplitSeq(strings.TrimSuffix(c, " }"), ";") {
		if m = strings.TrimSpace(m); m != "" {
			list = append(list, m)
		}
	}
	return list
}
