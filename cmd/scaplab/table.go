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
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/gen"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/tables"
)

func newTableCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "table",
		Short: "Check, show and extend the description of system calls",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Usage(errors.New("lint, fmt, show, coverage, add or diff?"))
			}
			return cli.Usage(fmt.Errorf("unknown command %q", args[0]))
		},
	}
	cmd.AddCommand(newTableLintCmd(), newTableFmtCmd(), newTableShowCmd(), newTableCoverageCmd(), newTableAddCmd(), newTableDiffCmd())
	return cmd
}

func newTableLintCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "lint [DIR]",
		Short: "Check the tables, and print every error with its place",
		Long: "Lint reads the tables of DIR (the project's own without one), checks each entry\n" +
			"and the rules across entries, and prints one error per line, sorted.",
		Example: "  scaplab table lint\n  scaplab table lint ./tables",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := lintedTable(cmd, args)
			if err != nil {
				return err
			}
			cases := 0
			for _, s := range t.Syscalls {
				cases += len(s.Cases)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d syscalls with %d cases, %d other events, %d flag sets: no errors; next free code: %#x\n",
				len(t.Syscalls), cases, len(t.Events), len(t.Flags), t.NextCode())
			return nil
		},
	}
}

func newTableFmtCmd() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt",
		Short: "Put the files of the table into their canonical layout",
		Long: "Fmt puts keys in order and columns in line in every file of tables, and keeps\n" +
			"comments. Files that change are named on stdout.",
		Example: "  scaplab table fmt            # after editing tables/syscalls/file.yaml\n" +
			"  scaplab table fmt --check    # changes nothing; shows what would change",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := tableDir()
			if err != nil {
				return err
			}
			files, err := tables.Unformatted(dir)
			var list tables.ErrorList
			if errors.As(err, &list) {
				printErrors(cmd.OutOrStdout(), err)
				return cli.Found(nil)
			}
			if err != nil {
				return cli.Lacking(err)
			}
			for _, name := range slices.Sorted(maps.Keys(files)) {
				path := filepath.Join(dir, name)
				if !check {
					if err := os.WriteFile(path, files[name], 0o644); err != nil {
						return cli.Lacking(err)
					}
					fmt.Fprintln(cmd.OutOrStdout(), path)
					continue
				}
				old, err := os.ReadFile(path)
				if err != nil {
					return cli.Lacking(err)
				}
				fmt.Fprint(cmd.OutOrStdout(), gen.Diff(path, old, files[name]))
			}
			if check && len(files) > 0 {
				return cli.Found(fmt.Errorf("%d files are not in the canonical layout: run go run ./cmd/scaplab table fmt", len(files)))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; fail with the difference when a file is not in the canonical layout")
	return cmd
}

func newTableCoverageCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "coverage [ARCH...]",
		Short: "Say how many system calls have typed events, and which have not",
		Long: "Coverage counts, for each architecture (amd64 and arm64 without one), the calls\n" +
			"with typed events and names those with generic ones. Then it says how many params\n" +
			"of typed events have, in some case, a wanted value other than 0 or nothing, and\n" +
			"names the others.",
		Example:   "  scaplab table coverage\n  scaplab table coverage riscv64",
		ValidArgs: tables.Arches,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := shownTable()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{"amd64", "arm64"}
			}
			out := cmd.OutOrStdout()
			for _, arch := range args {
				if !slices.Contains(tables.Arches, arch) {
					return cli.Usage(fmt.Errorf("unknown architecture %q%s", arch, hint.DidYouMean(arch, tables.Arches)))
				}
				c := t.Coverage(arch)
				fmt.Fprintf(out, "%s: %d calls, %d typed, %d generic; %d that no kernel has\n", arch, len(c.Typed)+len(c.Generic), len(c.Typed), len(c.Generic), len(c.Absent))
				if len(c.Generic) > 0 {
					fmt.Fprintf(out, "  generic: %s\n", strings.Join(c.Generic, " "))
				}
				if len(c.Absent) > 0 {
					fmt.Fprintf(out, "  no kernel has: %s\n", strings.Join(c.Absent, " "))
				}
			}
			all, without := t.Unasserted()
			fmt.Fprintf(out, "%d of %d params have a value in some case (%.1f %%)\n", all-len(without), all, 100*float64(all-len(without))/float64(max(all, 1)))
			if len(without) > 0 {
				fmt.Fprintf(out, "  without: %s\n", strings.Join(without, " "))
			}
			return nil
		},
	}
}

// lintedTable reads the tables of the directory in args, or the project's own,
// and prints what is wrong with them.
func lintedTable(cmd *cobra.Command, args []string) (*tables.Table, error) {
	dir := ""
	if len(args) == 1 {
		dir = args[0]
	}
	t, err := loadTable(dir)
	if err != nil {
		var ce *cli.Error
		if errors.As(err, &ce) && ce.Code != cli.ExitFound {
			return nil, err
		}
		n := printErrors(cmd.OutOrStdout(), errors.Unwrap(err))
		fmt.Fprintf(cmd.ErrOrStderr(), "errors: %d\n", n)
		return nil, cli.Found(nil)
	}
	return t, nil
}

// shownTable reads the project's own tables, or elsewhere those that this program was built with.
func shownTable() (*tables.Table, error) {
	if _, err := projectRoot(); err != nil {
		return tables.BuiltIn()
	}
	return loadTable("")
}

// loadTable reads the tables of dir, or the project's own.
func loadTable(dir string) (*tables.Table, error) {
	if dir == "" {
		var err error
		if dir, err = tableDir(); err != nil {
			return nil, err
		}
	}
	t, err := tables.Load(dir)
	if err != nil {
		return nil, cli.Found(err)
	}
	return t, nil
}

// tableDir is the directory of the project's own tables: relative, so that
// places in errors are as short as can be.
func tableDir() (string, error) {
	root, err := projectRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "tables")
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, dir); err == nil {
			dir = rel
		}
	}
	return dir, nil
}

// printErrors writes each error of a list on a line of its own.
func printErrors(w io.Writer, err error) int {
	var list tables.ErrorList
	if !errors.As(err, &list) {
		fmt.Fprintln(w, err)
		return 1
	}
	for _, e := range list {
		fmt.Fprintln(w, e)
	}
	return len(list)
}

func newTableShowCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a syscall or event: numbers, params, generated C, cases",
		Long: "Show prints what the table knows of a syscall or an event. NAME is the name of\n" +
			"either, an event's symbol (openat_exit) or its code. Outside the project it shows\n" +
			"what this program was built with.",
		Example: "  scaplab table show openat\n  scaplab table show 307 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := shownTable()
			if err != nil {
				return err
			}
			shown, err := lookUp(t, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(shown)
			}
			for i, s := range shown {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				s.print(cmd.OutOrStdout())
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// shownEntry is one syscall, or one event without a syscall, as `table show` has it.
type shownEntry struct {
	Name      string            `json:"name"`
	At        string            `json:"at"`
	Signature string            `json:"signature,omitempty"`
	Class     string            `json:"class"`
	Drop      string            `json:"drop,omitempty"`
	Numbers   map[string]int    `json:"numbers,omitempty"`
	Since     map[string]string `json:"since,omitempty"`
	Until     string            `json:"until,omitempty"`
	State     string            `json:"state,omitempty"`
	Differs   string            `json:"differs,omitempty"`
	Events    []shownEvent      `json:"events"`
	Cases     []shownCase       `json:"cases,omitempty"`
}

type shownEvent struct {
	Code    uint16       `json:"code"`
	Name    string       `json:"name"`
	Symbol  string       `json:"symbol"`
	Dir     string       `json:"dir"`
	Source  string       `json:"source"`
	From    string       `json:"from,omitempty"`
	Flags   []string     `json:"flags,omitempty"`
	Differs string       `json:"differs,omitempty"`
	Params  []shownParam `json:"params"`
	C       string       `json:"c,omitempty"`
}

type shownParam struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Names string `json:"names,omitempty"`
	From  string `json:"from,omitempty"`
	When  string `json:"when,omitempty"`
	Else  string `json:"else,omitempty"`
}

type shownCase struct {
	Name string `json:"name"`
	Call string `json:"call"`
}

// lookUp finds the entries that go by name.
func lookUp(t *tables.Table, name string) ([]*shownEntry, error) {
	code, numErr := strconv.ParseUint(name, 0, 16)
	names := func(e *tables.Event) bool {
		return e != nil && (e.Name == name || e.Symbol == name || numErr == nil && uint64(e.Code) == code)
	}
	var out []*shownEntry
	known := make(map[string]bool)
	for _, s := range t.Syscalls {
		known[s.Name] = true
		if s.Name != name && !names(s.Exit) && !names(s.Enter) {
			continue
		}
		e := &shownEntry{Name: s.Name, At: s.Pos.String(), Signature: s.Signature(), Class: s.Class, Drop: s.Drop,
			Numbers: s.NR, Since: s.Since, Until: s.Until, State: s.Exit.State.String(), Differs: s.Differs.Text}
		for _, ev := range []*tables.Event{s.Enter, s.Exit} {
			if err := e.add(t, ev); err != nil {
				return nil, err
			}
		}
		for _, c := range s.Cases {
			name := c.Name
			if name == "" {
				name = "works"
			}
			e.Cases = append(e.Cases, shownCase{name, c.Call.String()})
		}
		out = append(out, e)
	}
	for _, ev := range t.Events {
		known[ev.Name] = true
		if !names(ev) {
			continue
		}
		e := &shownEntry{Name: ev.Name, At: ev.Pos.String(), Class: ev.Class}
		if err := e.add(t, ev); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, cli.Usage(fmt.Errorf("no syscall or event is called %s%s", name, hint.DidYouMean(name, slices.Sorted(maps.Keys(known)))))
	}
	return out, nil
}

func (s *shownEntry) add(t *tables.Table, e *tables.Event) error {
	if e == nil {
		return nil
	}
	c, err := gen.Filler(t, e.Symbol)
	if err != nil {
		return cli.Found(err)
	}
	ev := shownEvent{Code: e.Code, Name: e.Name, Symbol: e.Symbol, Dir: e.Dir, Source: e.Source, From: e.From, Flags: e.Flags,
		Differs: e.Differs.Text, Params: []shownParam{}, C: c}
	if e.Filler == "manual" {
		ev.C = fmt.Sprintf("fill_%s is written by hand in driver/fillers\n", e.Symbol)
	}
	for _, p := range e.Params {
		ev.Params = append(ev.Params, showParam(p))
	}
	s.Events = append(s.Events, ev)
	return nil
}

func showParam(p *tables.Param) shownParam {
	out := shownParam{Name: p.Name, Type: p.Type, Names: p.Names, From: p.From.String(), Else: p.Else.String()}
	if p.Len != nil {
		out.From += ", len " + p.Len.String()
	}
	if p.Snaplen {
		out.From += ", to snaplen"
	}
	if p.Base != "" {
		out.From += ", base " + p.Base
	}
	if p.Switch != nil {
		out.From = "by " + p.Switch.On
	}
	var conds []string
	for _, c := range p.When {
		op := c.Op
		var in []string
		for _, n := range c.In {
			in = append(in, n.String())
		}
		conds = append(conds, fmt.Sprintf("%s %s %s", c.Var, op, strings.Join(in, " or ")))
	}
	out.When = strings.Join(conds, " and ")
	return out
}

func (s *shownEntry) print(w io.Writer) {
	title := s.Name
	if s.Signature != "" {
		title = s.Signature
	}
	fmt.Fprintf(w, "%s\n  at       %s\n  class    %s\n", title, s.At, s.Class)
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-8s %s\n", key, value)
		}
	}
	line("drop", s.Drop)
	line("numbers", pairs(s.Numbers, func(n int) string { return strconv.Itoa(n) }))
	line("since", since(s.Since))
	line("until", s.Until)
	line("state", s.State)
	line("differs", s.Differs)
	for _, e := range s.Events {
		fmt.Fprintf(w, "\n%s event %s %s (%s)", e.Dir, tables.CodeText(e.Code), e.Name, e.Symbol)
		if e.From != "" {
			fmt.Fprintf(w, ", from %s", e.From)
		} else {
			fmt.Fprint(w, ", made by no driver")
		}
		if len(e.Flags) > 0 {
			fmt.Fprintf(w, ", %s", strings.Join(e.Flags, " "))
		}
		fmt.Fprintln(w)
		if e.Differs != s.Differs {
			line("differs", e.Differs)
		}
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for i, p := range e.Params {
			typ, when := p.Type, ""
			if p.Names != "" {
				typ += "(" + p.Names + ")"
			}
			if p.When != "" {
				when = "when " + p.When
				if p.Else != "" {
					when += ", else " + p.Else
				}
			}
			text := fmt.Sprintf("  %d\t%s\t%s\t%s\t%s", i, p.Name, typ, p.From, when)
			fmt.Fprintln(tw, strings.TrimRight(text, "\t"))
		}
		tw.Flush()
		if e.C != "" {
			fmt.Fprintf(w, "\n%s", e.C)
		}
	}
	if len(s.Cases) > 0 {
		fmt.Fprintf(w, "\n%d cases\n", len(s.Cases))
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, c := range s.Cases {
			fmt.Fprintf(tw, "  %s\t%s\n", c.Name, c.Call)
		}
		tw.Flush()
	}
}

// pairs lists a map by architecture, in the order the generator uses.
func pairs[V any](m map[string]V, text func(V) string) string {
	var out []string
	for _, a := range append(slices.Clone(tables.Arches), tables.IA32) {
		if v, ok := m[a]; ok {
			out = append(out, a+" "+text(v))
		}
	}
	return strings.Join(out, ", ")
}

// since says a kernel once when all architectures agree.
func since(m map[string]string) string {
	values := make(map[string]bool)
	for _, v := range m {
		values[v] = true
	}
	if len(values) == 1 {
		for v := range values {
			return v
		}
	}
	return pairs(m, func(v string) string {
		if v == "" {
			return "always"
		}
		return v
	})
}
