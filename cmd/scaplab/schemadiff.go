// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/savefile"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
	"github.com/scaplab/scaplab/sinsp/rule"
	"github.com/scaplab/scaplab/tables"
)

const schemaNames = "A schema is a file such as tables/schema.lock, a directory of tables, a revision of git\n" +
	"(of the repository here), builtin (this program's), or reference (the part of\n" +
	"builtin that is falcosecurity/libs').\n"

const reference = "reference" // name of a schema

func newSchemaShowCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "show [SCHEMA]",
		Short:   "Print a schema, as schema.lock has it",
		Long:    schemaNames,
		Example: "  scaplab schema show reference\n  scaplab schema show v0.1.0",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lock, err := readSchema(cmd, append(args, "builtin")[0])
			if err != nil {
				return err
			}
			if _, err = io.WriteString(cmd.OutOrStdout(), lock.Text()); err != nil {
				return cli.Lacking(err)
			}
			return nil
		},
	}
}

// users are those who may rely on what a schema had.
type users struct {
	captures, rules, filters []string
}

func newSchemaDiffCmd() *cobra.Command {
	var u users
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what changed between two schemas, and for whom",
		Long: "Diff prints each change with its level: major when something that was recorded before\n" +
			"reads as something else or is not found by its name any more, minor when something is\n" +
			"new, patch when nobody sees it. It names the captures, rules and filters given that a\n" +
			"major change concerns, and the versions that the new schema must have: all changes count\n" +
			"for its own, those of the reference's events for the reference's. The exit status is 1 if\n" +
			"it states a lower one.\n\n" + schemaNames,
		Example: "  scaplab schema diff v0.1.0 tables\n" +
			"  scaplab schema diff reference builtin\n" +
			"  scaplab schema diff HEAD~1 tables --capture old.scap --rules falco_rules.yaml",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			old, err := readSchema(cmd, args[0])
			if err != nil {
				return err
			}
			now, err := readSchema(cmd, args[1])
			if err != nil {
				return err
			}
			d, err := diffSchemas(old, now)
			if err != nil {
				return err
			}
			if args[0] == reference { // which has no version of that kind, nor is its own about what others add
				d.Own = nil
			}
			if err := u.find(d.Changes); err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", " ")
				err = e.Encode(d)
			} else {
				err = d.write(cmd.OutOrStdout())
			}
			if err != nil {
				return cli.Lacking(err)
			}
			return d.verdict()
		},
	}
	cmd.Flags().StringArrayVar(&u.captures, "capture", nil, "a capture that may rely on the old schema; may be repeated")
	cmd.Flags().StringArrayVar(&u.rules, "rules", nil, "a file of rules; may be repeated")
	cmd.Flags().StringArrayVar(&u.filters, "filter", nil, "a filter; may be repeated")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// schemaDiff is what diff prints.
type schemaDiff struct {
	Own       *tables.VersionDemand `json:"own,omitempty"` // all changes demand it; nil: the old schema is the reference's
	Reference tables.VersionDemand  `json:"reference"`     // those of the reference's events demand it
	Changes   []change              `json:"changes"`
}

func diffSchemas(old, now *tables.Lock) (*schemaDiff, error) {
	changes := tables.DiffSchemas(old, now)
	own, ref, err := tables.DemandedVersions(old, now, changes)
	if err != nil {
		return nil, cli.Found(err)
	}
	d := &schemaDiff{&own, ref, []change{}}
	for _, c := range changes {
		d.Changes = append(d.Changes, change{SchemaChange: c, Place: c.Pos.String()})
	}
	return d, nil
}

// verdict returns an error if the new schema states lower versions than it must have.
func (d *schemaDiff) verdict() error {
	var errs []error
	if d.Own != nil && !d.Own.Met() {
		errs = append(errs, fmt.Errorf("the new schema states own version %s (want %s or later: line own of %s)", d.Own.New, d.Own.Demands, tables.LockFile))
	}
	if !d.Reference.Met() {
		errs = append(errs, fmt.Errorf("the new schema states version %s of the reference (want %s or later: first line version of %s)",
			d.Reference.New, d.Reference.Demands, tables.LockFile))
	}
	if len(errs) == 0 {
		return nil
	}
	return cli.Found(errors.Join(errs...))
}

type change struct {
	tables.SchemaChange
	Place  string   `json:"place"`
	Breaks []string `json:"breaks,omitempty"` // captures, rules and filters
}

func (d *schemaDiff) write(w io.Writer) error {
	var b strings.Builder
	for _, c := range d.Changes {
		fmt.Fprintf(&b, "%s: %v: %s: %s (%s)\n", c.Place, c.Level, c.Subject, c.What, c.Why)
		for _, who := range c.Breaks {
			fmt.Fprintf(&b, "    breaks %s\n", who)
		}
	}
	if len(d.Changes) == 0 {
		b.WriteString("the schemas are the same\n")
	} else {
		fmt.Fprintf(&b, "%d changes\n", len(d.Changes))
		demand := func(what string, v tables.VersionDemand) {
			fmt.Fprintf(&b, "%s: the highest is %v: the new schema must have version %s or later (the old one has %s, it states %s)\n", what, v.Level, v.Demands, v.Old, v.New)
		}
		if d.Own != nil {
			demand("of all", *d.Own)
		}
		demand("of the reference's events", d.Reference)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// readSchema reads the schema of that name: see schemaNames.
func readSchema(cmd *cobra.Command, name string) (*tables.Lock, error) {
	switch name {
	case "builtin", reference:
		t, err := tables.BuiltIn()
		if err != nil {
			return nil, err // the text is part of the program
		}
		if name == reference {
			return t.Lock.Reference(), nil
		}
		return t.Lock, nil
	}
	file := name
	st, err := os.Stat(name)
	if err == nil && st.IsDir() {
		file = filepath.Join(name, tables.LockFile)
		_, err = os.Stat(file)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(file)
	} else if of, gitErr := exec.CommandContext(cmd.Context(), "git", "show", "--end-of-options", name+":tables/"+tables.LockFile).Output(); gitErr == nil { // from any directory of the repository
		file, text, err = name+":tables/"+tables.LockFile, of, nil
	} else {
		err = fmt.Errorf("schema %s: no such file, directory of tables or revision with tables/%s (want one of these, builtin or reference)", name, tables.LockFile)
	}
	if err != nil {
		return nil, cli.Usage(err)
	}
	lock, err := tables.ReadLock(file, text)
	var list tables.ErrorList
	if errors.As(err, &list) {
		printErrors(cmd.OutOrStdout(), list)
		return nil, cli.Found(nil)
	}
	return lock, err
}

// find adds to each major change who relies on what it changes.
func (u *users) find(changes []change) error {
	var filters []named
	for _, text := range u.filters {
		f, err := filter.Compile(text)
		if err != nil {
			return cli.Usage(fmt.Errorf("--filter: %w", err))
		}
		filters = append(filters, named{"the filter " + text, f})
	}
	for _, file := range u.rules {
		text, err := os.ReadFile(file)
		if err != nil {
			return cli.Usage(fmt.Errorf("--rules: %w", err))
		}
		var l rule.Loader
		l.Add(file, string(text))
		set, report := l.Load()
		if report.Failed() {
			return cli.Found(fmt.Errorf("--rules %s does not load; scaplab's scap rules check says why", file))
		}
		for _, r := range set.Rules {
			filters = append(filters, named{fmt.Sprintf("the rule %q of %s", r.Name, file), r.Condition})
		}
	}
	for i := range changes {
		c := &changes[i]
		if c.Level != tables.Major {
			continue
		}
		for _, f := range filters {
			if reliesOn(f.filter, &c.SchemaChange) {
				c.Breaks = append(c.Breaks, f.name)
			}
		}
	}
	for _, file := range u.captures {
		if err := findInCapture(file, changes); err != nil {
			return err
		}
	}
	return nil
}

// named is a filter and what it is called.
type named struct {
	name   string
	filter *filter.Filter
}

// reliesOn reports whether a filter asks for what a change changes: it selects some events, this among them, and asks
// for the param, or for any if the values of a flag set change.
func reliesOn(f *filter.Filter, c *tables.SchemaChange) bool {
	codes := f.Codes()
	asks := func(param int) bool { // of the event; -1: any
		return slices.ContainsFunc(f.Fields(), func(ref *field.Ref) bool {
			return (ref.Name == "evt.arg" || ref.Name == "evt.rawarg") && (param < 0 || ref.Arg.Param(event.Type(c.Event)) == param)
		})
	}
	if c.Set != "" {
		return asks(-1) && strings.Contains(f.String(), c.Name)
	}
	info := event.Lookup(event.Type(c.Event))
	if info == nil || !strings.HasPrefix(c.Subject, "event ") || !codes.Has(info.Code) {
		return false
	}
	if c.Param < 0 {
		for other := range event.All() {
			if !codes.Has(other.Code) {
				return true // it asks for types of events
			}
		}
		return false
	}
	return asks(c.Param)
}

// findInCapture adds a capture to the changes that it has events of.
func findInCapture(file string, changes []change) error {
	r, err := savefile.Open(file, savefile.Options{Raw: true})
	if err != nil {
		return cli.Lacking(fmt.Errorf("--capture: %w", err))
	}
	defer r.Close()
	counts := make([]int, len(changes))
	for {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return cli.Found(fmt.Errorf("--capture %s: %w", file, err))
		}
		for i := range changes {
			c := &changes[i]
			switch {
			case c.Level != tables.Major:
			case c.Set != "":
				if hasValue(ev, c.Set, c.Name) {
					counts[i]++
				}
			case strings.HasPrefix(c.Subject, "event ") && uint16(ev.Type()) == c.Event && (c.Param < 0 || c.Param < ev.NumParams()):
				counts[i]++
			}
		}
	}
	for i, n := range counts {
		if n > 0 {
			changes[i].Breaks = append(changes[i].Breaks, fmt.Sprintf("the capture %s (%d events)", file, n))
		}
	}
	return nil
}

// hasValue reports whether a param of the event has a name of a flag set.
func hasValue(ev *event.Event, set, name string) bool {
	info := ev.Info()
	if info == nil {
		return false
	}
	for i := range min(ev.NumParams(), len(info.Params)) {
		p, raw := &info.Params[i], ev.Param(i)
		if p.Names == nil || p.Names.Name != set || len(raw) == 0 || len(raw) > 8 {
			continue
		}
		value, ok := p.Names.Value(name)
		var wide [8]byte
		copy(wide[:], raw) // captures are little-endian
		if n := binary.LittleEndian.Uint64(wide[:]); ok && (n == value || value != 0 && n&value == value) {
			return true
		}
	}
	return false
}
