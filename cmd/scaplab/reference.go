// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/tables"
)

const releaseNames = "A release is a directory with the sources of falcosecurity/libs or of its driver, a package of\n" +
	"the module (a .deb file, or NAME or NAME/SUITE of Debian, such as falcosecurity-scap-dkms),\n" +
	"a schema.lock, or builtin: the release that the tables of this program follow.\n"

func newReferenceCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reference",
		Short: "Follow the releases of falcosecurity/libs",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Usage(errors.New("diff?"))
			}
			return cli.Usage(fmt.Errorf("unknown command %q", args[0]))
		},
	}
	cmd.AddCommand(newReferenceDiffCmd())
	return cmd
}

func newReferenceDiffCmd() *cobra.Command {
	f := &runFlags{arch: runtime.GOARCH, maxAge: 24 * time.Hour}
	var asJSON, asLock bool
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what a release of the reference changed, and which entries that touches",
		Long: "Diff compares the event codes, names, params, types, flag values and syscall codes of two\n" +
			"releases, read from their sources. Each change has the level that schema diff gives it, and\n" +
			"the entries of the tables that it is about, with their places.\n\n" + releaseNames,
		Example: "  scaplab reference diff builtin ../libs\n" +
			"  scaplab reference diff builtin ../libs --lock\n" +
			"  scaplab reference diff falcosecurity-scap-dkms builtin --json",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && asLock {
				return cli.Usage(errors.New("--json and --lock are two outputs (want one)"))
			}
			t, err := tables.BuiltIn()
			if err != nil {
				return err // the text is part of the program
			}
			var locks [2]*tables.Lock
			for i, name := range args {
				if locks[i], err = f.readRelease(cmd, name, t.Lock.Reference()); err != nil {
					return err
				}
			}
			out := cmd.OutOrStdout()
			if asLock {
				for _, line := range locks[1].LinesSince(locks[0]) {
					fmt.Fprintln(out, line)
				}
				return nil
			}
			d, err := diffReleases(t, args, locks)
			if err != nil {
				return cli.Found(err)
			}
			if asJSON {
				e := json.NewEncoder(out)
				e.SetIndent("", " ")
				err = e.Encode(d)
			} else {
				err = d.write(out)
			}
			if err != nil {
				return cli.Lacking(err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&asLock, "lock", false, "print the lines of schema.lock that NEW has and OLD has not")
	cmd.Flags().StringVar(&f.mirror, "mirror", "", "Debian archive of packages, URI[,SECURITY-URI]; default is the one apt is set up for")
	return cmd
}

// readRelease reads a release of that name: see releaseNames.
func (f *runFlags) readRelease(cmd *cobra.Command, name string, like *tables.Lock) (*tables.Lock, error) {
	st, err := os.Stat(name)
	dir := name
	switch {
	case name == "builtin" || name == reference:
		return like, nil
	case err == nil && !st.IsDir() && !strings.HasSuffix(name, ".deb"):
		lock, err := readSchema(cmd, name)
		if err != nil {
			return nil, err
		}
		return lock.Reference(), nil
	case err == nil && st.IsDir():
	case err == nil || isPackage(name):
		if dir, err = os.MkdirTemp("", "scaplab-reference-"); err != nil {
			return nil, cli.Lacking(err)
		}
		defer os.RemoveAll(dir)
		file := name
		if st == nil {
			pkg, suite, _ := strings.Cut(name, "/")
			if suite == "" {
				suite = defaultSuite
			}
			store, err := f.store(newTalk(cmd.ErrOrStderr()).say)
			if err != nil {
				return nil, err
			}
			p, err := store.Package(cmd.Context(), suite, pkg)
			if err != nil {
				return nil, cli.Lacking(fmt.Errorf("release %s: %w (want a directory, a package, a %s or builtin)", name, err, tables.LockFile))
			}
			file, name = p.File, p.Name+" "+p.Version
		}
		if err := kernels.Unpack(cmd.Context(), file, dir); err != nil {
			return nil, cli.Lacking(fmt.Errorf("release %s: %w", name, err))
		}
	default:
		return nil, cli.Usage(fmt.Errorf("release %s: %w (want a directory, a package, a %s or builtin)", name, err, tables.LockFile))
	}
	lock, err := tables.ReadReference(filepath.ToSlash(name), os.DirFS(dir), like)
	if err != nil {
		return nil, cli.Found(err)
	}
	return lock, nil
}

// stated is what a release of the reference states.
type stated struct {
	Name   string `json:"name"` // as given
	API    string `json:"api"`
	Schema string `json:"schema"`
	Codes  uint16 `json:"codes"` // its event codes are below it
	IDs    uint16 `json:"ids"`   // its syscall codes are
}

// releaseDiff is what diff prints.
type releaseDiff struct {
	Old     stated               `json:"old"`
	New     stated               `json:"new"`
	Demand  tables.VersionDemand `json:"reference"`
	Changes []change             `json:"changes"`
}

func diffReleases(t *tables.Table, names []string, locks [2]*tables.Lock) (*releaseDiff, error) {
	changes := tables.DiffSchemas(locks[0], locks[1])
	_, demand, err := tables.DemandedVersions(locks[0], locks[1], changes)
	if err != nil {
		return nil, err
	}
	d := &releaseDiff{Demand: demand, Changes: []change{}}
	for i, into := range []*stated{&d.Old, &d.New} {
		into.Name = names[i]
		if len(locks[i].Versions) > 0 {
			v := locks[i].Versions[0]
			into.API, into.Schema, into.Codes, into.IDs = v.API, v.Schema, v.Codes, v.IDs
		}
	}
	for _, c := range changes {
		x := change{SchemaChange: c, Place: c.Pos.String()}
		for _, e := range t.Touched(&c) {
			if place := e.Pos.String(); place != x.Place { // an event that only schema.lock has
				x.Entries = append(x.Entries, entry{e.Name, place})
			}
		}
		d.Changes = append(d.Changes, x)
	}
	return d, nil
}

func (d *releaseDiff) write(w io.Writer) error {
	var b strings.Builder
	for i, r := range []stated{d.Old, d.New} {
		fmt.Fprintf(&b, "%s: %s: API %s, schema %s, event codes below %d, syscall codes below %d\n", []string{"old", "new"}[i], r.Name, r.API, r.Schema, r.Codes, r.IDs)
	}
	touched := map[entry]bool{}
	for _, c := range d.Changes {
		fmt.Fprintf(&b, "%s: %v: %s: %s (%s)\n", c.Place, c.Level, c.Subject, c.What, c.Why)
		for _, e := range c.Entries {
			fmt.Fprintf(&b, "    touches %s, %s\n", e.Name, e.Place)
			touched[e] = true
		}
	}
	if len(d.Changes) == 0 {
		b.WriteString("their events are the same\n")
	} else {
		counts := map[tables.Level]int{}
		for _, c := range d.Changes {
			counts[c.Level]++
		}
		var parts []string
		for _, level := range []tables.Level{tables.Major, tables.Minor, tables.Patch} {
			if n := counts[level]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %v", n, level))
			}
		}
		fmt.Fprintf(&b, "%d changes (%s) touch %d entries\n", len(d.Changes), strings.Join(parts, ", "), len(touched))
		since := tables.VersionDemand{New: d.New.Schema, Demands: d.Old.Schema}
		switch {
		case !since.Met():
			b.WriteString("the new release is older than the old one: what is gone was not there yet\n")
		case !d.Demand.Met():
			fmt.Fprintf(&b, "such changes demand schema %s or later of the new release\n", d.Demand.Demands)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
