// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/sinsp/field"
)

func newFieldsCmd() *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "fields [CLASS...]",
		Short: "List the fields of filters and formats",
		Long: `List the fields that filters and formats can ask of an event, by class: evt, proc, fd, ...

Deprecated and rarely used fields are left out unless --all is given. --json lists all, one object per line.`,
		Example: "  scap fields fd proc",
		RunE: func(cmd *cobra.Command, classes []string) error {
			selected, err := selectClasses(classes)
			if err != nil {
				return cli.Usage(err)
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			if asJSON {
				err = fieldsJSON(out, selected)
			} else {
				fieldsText(out, selected, all)
			}
			if err != nil {
				return err
			}
			return out.Flush()
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return classNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also fields that are deprecated or rarely used")
	return cmd
}

func classNames() (names []string) {
	for _, c := range field.Classes() {
		names = append(names, c.Name)
	}
	return names
}

// selectClasses returns the classes of those names, all if there are none.
func selectClasses(names []string) ([]*field.Class, error) {
	if len(names) == 0 {
		return field.Classes(), nil
	}
	byName := map[string]*field.Class{}
	for _, c := range field.Classes() {
		byName[c.Name] = c
	}
	var selected []*field.Class
	for _, name := range names {
		if byName[name] == nil {
			return nil, fmt.Errorf("unknown class %s%s", name, hint.DidYouMean(name, classNames()))
		}
		selected = append(selected, byName[name])
	}
	return selected, nil
}

func fieldsText(w io.Writer, classes []*field.Class, all bool) {
	for i, c := range classes {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: %s\n", c.Name, c.Desc)
		for j := range c.Fields {
			f := &c.Fields[j]
			if f.Flags&(field.Hidden|field.Deprecated) != 0 && !all {
				continue
			}
			d := c.Describe(f)
			desc := d.Desc
			if len(d.Notes) > 0 {
				desc += " (" + strings.Join(d.Notes, ", ") + ")"
			}
			fmt.Fprintf(w, "  %-34s %-11s %s\n", d.Syntax, d.Type, desc)
		}
	}
}

func fieldsJSON(w io.Writer, classes []*field.Class) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, c := range classes {
		for i := range c.Fields {
			if err := enc.Encode(c.Describe(&c.Fields[i])); err != nil {
				return err
			}
		}
	}
	return nil
}
