// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/tables"
)

func newSchemaCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Hold the table to the wire schema that others rely on",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Usage(errors.New("show, check, diff or lock?"))
			}
			return cli.Usage(fmt.Errorf("unknown command %q", args[0]))
		},
	}
	cmd.AddCommand(newSchemaShowCmd(), newSchemaCheckCmd(), newSchemaDiffCmd(), newSchemaLockCmd())
	return cmd
}

func newSchemaCheckCmd() *cobra.Command {
	var against string
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "Compare the tables with schema.lock, and that with the last release",
		Long: "Check compares event codes, params, flag values, wire types and syscall codes of\n" +
			"the tables of DIR (the project's own without one) with tables/schema.lock. What\n" +
			"differs, or is not in the lock yet, is printed with its place.\n\n" +
			"It then compares the lock with another schema, that of the last release: the last tag\n" +
			"v* of git that is reachable, if there is one. If the lock differs from it and states a\n" +
			"version that the changes do not allow, they are printed, as by schema diff.\n\n" + schemaNames,
		Example: "  scaplab schema check\n  scaplab schema check --against v0.1.0",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := lintedTable(cmd, args)
			if err != nil {
				return err
			}
			switch {
			case t.Lock == nil:
				return cli.Lacking(fmt.Errorf("the table has no %s", tables.LockFile))
			case len(t.Unlocked) > 0:
				n := printErrors(cmd.OutOrStdout(), t.Unlocked)
				fmt.Fprintf(cmd.ErrOrStderr(), "not locked: %d\n", n)
				return cli.Found(nil)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "the tables agree with %s (own schema %s, the reference's %s)\n", tables.LockFile, t.Lock.OwnVersion(), t.Lock.SchemaVersion())
			if against == "" {
				if against = lastRelease(cmd.Context()); against == "" {
					fmt.Fprintln(cmd.ErrOrStderr(), "no tag v* is reachable: the schema is not compared with that of a release")
					return nil
				}
			}
			return checkAgainst(cmd, against, t.Lock)
		},
	}
	cmd.Flags().StringVar(&against, "against", "", "the schema to compare the lock with (default: that of the last tag v*)")
	return cmd
}

// lastRelease returns the last tag v* that is reachable from the commit here, or "".
func lastRelease(ctx context.Context) string {
	tag, err := exec.CommandContext(ctx, "git", "describe", "--tags", "--abbrev=0", "--match", "v*").Output()
	if err != nil {
		return "" // no tag, or no repository
	}
	return strings.TrimSpace(string(tag))
}

// checkAgainst returns an error if the schema differs from an older one and states a version that does not allow that.
func checkAgainst(cmd *cobra.Command, name string, now *tables.Lock) error {
	old, err := readSchema(cmd, name)
	if err != nil {
		return err
	}
	d, err := diffSchemas(old, now)
	if err != nil {
		return err
	}
	if name == reference {
		d.Own = nil
	}
	if err := d.verdict(); err != nil {
		return errors.Join(d.write(cmd.OutOrStdout()), err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "the schema's versions allow its %d changes since %s\n", len(d.Changes), name)
	return nil
}

func newSchemaLockCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "lock",
		Short: "Add what is new to schema.lock",
		Long: "Lock adds new events of ours, params at the end of them, flag values, wire types\n" +
			"and syscall codes to tables/schema.lock, and prints them. It changes no line:\n" +
			"where the tables disagree with the lock, the tables are wrong.",
		Example: "  scaplab schema lock",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := lintedTable(cmd, args)
			if err != nil {
				return err
			}
			root, err := projectRoot()
			if err != nil {
				return err
			}
			if t.Lock == nil {
				return cli.Lacking(fmt.Errorf("the table has no %s", tables.LockFile))
			}
			added := t.Unlocked
			if len(added) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "nothing is new")
				return nil
			}
			if err := os.WriteFile(filepath.Join(root, "tables", tables.LockFile), t.Relock(), 0o644); err != nil {
				return cli.Lacking(err)
			}
			for _, e := range added {
				fmt.Fprintf(cmd.OutOrStdout(), "%v: %s\n", e.Pos, e.Subject)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d added to %s\n", len(added), tables.LockFile)
			return nil
		},
	}
}
