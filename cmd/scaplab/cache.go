// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cache"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/env"
)

func newCacheCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Kernels, packages, modules and saved machines that are kept between runs",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newCacheListCmd(), newCachePruneCmd())
	return cmd
}

func newCacheListCmd() *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Say what is kept, how large it is and when it was last used",
		Long:    "List prints how much of each kind is kept; with --all each item, that which was not used\nfor longest first.",
		Example: "  scaplab cache list\n  scaplab cache list --all",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := env.CacheDir()
			if err != nil {
				return cli.Lacking(err)
			}
			list, err := cache.List(dir)
			if err != nil {
				return cli.Lacking(err)
			}
			switch {
			case asJSON:
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", " ")
				if list == nil {
					list = []cache.Item{}
				}
				return e.Encode(list)
			case all:
				return writeItems(cmd.OutOrStdout(), list)
			}
			return writeKinds(cmd.OutOrStdout(), dir, list)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each item, as JSON")
	cmd.Flags().BoolVar(&all, "all", false, "print each item")
	return cmd
}

func newCachePruneCmd() *cobra.Command {
	var limits cache.Limits
	var size string
	var try bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove what is kept and not used",
		Long: "Prune removes what --older-than and --max-size name. What is removed is fetched or made\n" +
			"again when it is needed. What a running command has used since its start stays, so\n" +
			"prune is safe beside a matrix.",
		Example: "  scaplab cache prune --older-than 336h\n" +
			"  scaplab cache prune --max-size 4GB --dry-run\n" +
			"  scaplab cache prune --max-size 1GB --kind snapshot,headers",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if size != "" {
				if limits.MaxSize, err = parseSize(size); err != nil {
					return cli.Usage(fmt.Errorf("--max-size %s: %w", size, err))
				}
			}
			for _, k := range limits.Kinds {
				if !slices.Contains(cache.Kinds(), k) {
					return cli.Usage(fmt.Errorf("--kind %q (want %s)", k, strings.Join(cache.Kinds(), ", ")))
				}
			}
			if limits.MaxSize == 0 && limits.OlderThan <= 0 {
				return cli.Usage(fmt.Errorf("nothing says what to remove (--older-than, --max-size)"))
			}
			dir, err := env.CacheDir()
			if err != nil {
				return cli.Lacking(err)
			}
			removed, err := cache.Prune(dir, limits, try)
			if err != nil {
				return cli.Lacking(err)
			}
			if err := writeItems(cmd.OutOrStdout(), removed); err != nil {
				return cli.Lacking(err)
			}
			what := "removed"
			if try {
				what = "would be removed"
			}
			var total int64
			for _, i := range removed {
				total += i.Size
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d items, %s, %s\n", len(removed), sizeText(total), what)
			return nil
		},
	}
	cmd.Flags().StringVar(&size, "max-size", "", "remove what was not used for longest until everything together is at most so large: 500MB, 4GB")
	cmd.Flags().DurationVar(&limits.OlderThan, "older-than", 0, "remove what was not used for so long")
	cmd.Flags().StringSliceVar(&limits.Kinds, "kind", nil, "remove only these kinds: "+strings.Join(cache.Kinds(), ", "))
	cmd.Flags().BoolVar(&try, "dry-run", false, "only say what would be removed")
	return cmd
}

func writeKinds(w io.Writer, dir string, list []cache.Item) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "kind\titems\tsize\tlast used")
	var total int64
	for _, kind := range cache.Kinds() {
		var n int
		var size int64
		var used time.Time
		for _, i := range list {
			if i.Kind == kind {
				n, size, used = n+1, size+i.Size, i.Used // the last one was used last
			}
		}
		total += size
		if n > 0 {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", kind, n, sizeText(size), used.Format(time.DateTime))
		}
	}
	if err := t.Flush(); err != nil {
		return cli.Lacking(err)
	}
	_, err := fmt.Fprintf(w, "%s in %s\n", sizeText(total), dir)
	return err
}

func writeItems(w io.Writer, list []cache.Item) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, i := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", i.Kind, sizeText(i.Size), i.Used.Format(time.DateTime), i.Path)
	}
	return t.Flush()
}

// sizeUnits are what sizes may be given in.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}}

// parseSize reads a size such as 500MB, of which a KB has 1024 bytes.
func parseSize(s string) (int64, error) {
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			n, err := strconv.ParseFloat(number, 64)
			if err != nil || !(n > 0 && n < 1<<20) {
				break
			}
			return int64(n * float64(u.bytes)), nil
		}
	}
	return 0, fmt.Errorf("not a size (want a number with KB, MB or GB)")
}

func sizeText(n int64) string {
	for _, u := range sizeUnits {
		if n >= u.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.bytes), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
