// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/tabledraft"
	"github.com/scaplab/scaplab/tables"
)

func newTableAddCmd() *cobra.Command {
	var f factFlags
	var kernel, dir string
	var write bool
	cmd := &cobra.Command{
		Use:   "add --kernel KERNEL [CALL...]",
		Short: "Draft entries for system calls that a kernel has and the table lacks",
		Long: "Add drafts the entry of each CALL, or of all calls that the kernel has and the table\n" +
			"lacks: from the names and types of the arguments, from the structs that they point to,\n" +
			"from what other entries do, and from the layout of the reference's event if it has one.\n" +
			"Sets of flags and structs that are needed and not there are drafted as well. A comment\n" +
			"with TODO stands where a person must decide.\n\n" +
			"The draft is printed; --write puts it into the files of the table. KERNEL is a series,\n" +
			"newest, an image, or a file of facts (scaplab kernels facts --json).",
		Example: "  scaplab table add --kernel newest\n  scaplab table add --kernel 6.12 --write cachestat",
		RunE: func(cmd *cobra.Command, args []string) error {
			if kernel == "" {
				return cli.Usage(errors.New("--kernel is missing (a series, newest, or a file)"))
			}
			if dir == "" {
				var err error
				if dir, err = tableDir(); err != nil {
					return err
				}
			}
			t, err := loadTable(dir)
			if err != nil {
				return err
			}
			facts, err := f.facts(cmd, kernel)
			if err != nil {
				return err
			}
			entries, others, err := draft(t, tabledraft.New(t, facts), args, func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) })
			if err != nil {
				return err
			}
			if len(entries) == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "the table lacks no call that programs of 64 bits can make on kernel %s\n", facts.Kernel)
				if len(others) > 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "others, which are drafted if they are named: %s\n", strings.Join(others, " "))
				}
			}
			if f.asJSON {
				if err := writeDraftsJSON(cmd.OutOrStdout(), entries); err != nil {
					return err
				}
			}
			if !write {
				if !f.asJSON {
					return writeDrafts(cmd.OutOrStdout(), entries)
				}
				return nil
			}
			return addToTable(cmd, dir, entries, !f.asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&kernel, "kernel", "", "the kernel that has the calls")
	cmd.Flags().StringVar(&dir, "table", "", "directory of the table (default: the project's own)")
	cmd.Flags().BoolVar(&write, "write", false, "put the drafts into the files of the table")
	return cmd
}

// draft drafts the calls in names, or all that the table lacks; say is told which of these cannot be drafted. others are those
// that it lacks besides.
func draft(t *tables.Table, d *tabledraft.Drafter, names []string, say func(string)) (entries []*tabledraft.Entry, others []string, err error) {
	lacking, others := d.Lacking()
	all := len(names) == 0
	if all {
		names = lacking
	}
	for _, name := range names {
		if i := slices.IndexFunc(t.Syscalls, func(s *tables.Syscall) bool { return s.Name == name }); i >= 0 {
			return nil, nil, cli.Usage(fmt.Errorf("%s has an entry (%s)", name, t.Syscalls[i].Pos))
		}
		e, err := d.Draft(name)
		if errors.Is(err, tabledraft.ErrUnknown) && all {
			say(err.Error())
			continue
		}
		if err != nil {
			return nil, nil, cli.Usage(err)
		}
		entries = append(entries, e)
	}
	return entries, others, nil
}

func writeDrafts(w io.Writer, entries []*tabledraft.Entry) error {
	var b strings.Builder
	part := func(file, text string) { fmt.Fprintf(&b, "# %s\n%s\n", file, text) }
	for _, e := range entries {
		at := e.File()
		if e.After != "" {
			at += ", near " + e.After
		}
		part(at, e.Text())
		for _, s := range e.Sets {
			part("flags.yaml", s.Text())
		}
		for _, s := range e.Structs {
			part("structs.yaml", s.Text())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeDraftsJSON(w io.Writer, entries []*tabledraft.Entry) error {
	type param struct {
		Name string `json:"name"`
		Type string `json:"type"`
		From string `json:"from"`
		Todo string `json:"todo,omitempty"`
	}
	type entry struct {
		Call   string   `json:"call"`
		File   string   `json:"file"`
		Near   string   `json:"near,omitempty"`
		Event  uint16   `json:"event"`
		Params []param  `json:"params"`
		Todos  []string `json:"todos"`
		Text   string   `json:"text"`
		Sets   []string `json:"sets,omitempty"`
		Struct []string `json:"structs,omitempty"`
	}
	list := []entry{}
	for _, e := range entries {
		out := entry{Call: e.Call, File: e.File(), Near: e.After, Event: e.Code, Params: []param{}, Todos: e.Todos(), Text: e.Text()}
		for _, p := range e.Exit {
			out.Params = append(out.Params, param{p.Name, p.Type, p.From, p.Todo})
		}
		for _, s := range e.Sets {
			out.Sets = append(out.Sets, s.Text())
		}
		for _, s := range e.Structs {
			out.Struct = append(out.Struct, s.Text())
		}
		list = append(list, out)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	return enc.Encode(list)
}

// addToTable writes the drafts into the files of the table, and reports what lint says of them.
func addToTable(cmd *cobra.Command, dir string, entries []*tabledraft.Entry, names bool) error {
	files, err := tabledraft.Add(dir, entries)
	if err != nil {
		return cli.Found(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return cli.Lacking(err)
		}
		if names {
			fmt.Fprintln(cmd.OutOrStdout(), path)
		}
	}
	todos := 0
	for _, e := range entries {
		todos += len(e.Todos())
	}
	if len(entries) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d drafted; %d things are marked TODO (grep TODO %s/*.yaml %[3]s/syscalls/*.yaml)\n", len(entries), todos, dir)
	}
	_, err = lintedTable(cmd, []string{dir})
	return err
}
