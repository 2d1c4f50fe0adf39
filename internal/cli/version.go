// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/version"
	"github.com/scaplab/scaplab/scap/event"
)

// Build is what a program says of its source and build, and of the interfaces that it speaks.
type Build struct {
	// Version is that of the module if it was installed as one (go install ...@v1.2.3),
	// else that of the source. It has no leading v.
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`   // 40 hex digits; empty: built outside a checkout
	Time     string `json:"time,omitempty"`     // of the commit, RFC 3339
	Modified bool   `json:"modified,omitempty"` // the source differs from the commit
	Go       string `json:"go"`
	Platform string `json:"platform"` // GOOS/GOARCH
	Schema   string `json:"schema"`   // of all events, with those that the reference does not have
	// Interfaces of the kernel module that scap can talk to, the default first.
	Interfaces []Interface `json:"interfaces"`
}

// Interface is a version of the module's API with the schema of its events.
type Interface struct {
	API    string `json:"api"`
	Schema string `json:"schema"`
}

// interfaces is the one place where a program takes the versions that it speaks.
func interfaces() (list []Interface) {
	for _, p := range event.Personas() {
		list = append(list, Interface{p.API, p.Schema})
	}
	return list
}

// ThisBuild describes this program.
func ThisBuild() Build {
	info, _ := debug.ReadBuildInfo() // nil: not built as a module
	return build(info)
}

func build(info *debug.BuildInfo) Build {
	b := Build{
		Version: version.Number, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Schema: event.OwnSchemaVersion, Interfaces: interfaces(),
	}
	if info == nil {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	// In a checkout Go derives a version of the module from the tags before the commit: not what the source says.
	if v := info.Main.Version; b.Commit == "" && v != "" && v != "(devel)" {
		b.Version = strings.TrimPrefix(v, "v")
	}
	return b
}

// String is b in one line, as --version prints it.
func (b Build) String() string {
	commit := ""
	if b.Commit != "" {
		commit = fmt.Sprintf(" (commit %.12s of %s", b.Commit, b.Time)
		if b.Modified {
			commit += ", modified"
		}
		commit += ")"
	}
	def := b.Interfaces[0]
	return fmt.Sprintf("%s%s, schema %s, own schema %s, API %s, %s %s", b.Version, commit, def.Schema, b.Schema, def.API, b.Go, b.Platform)
}

// Version returns the version of this program's source and build, and of its schema and API, in one line.
func Version() string { return ThisBuild().String() }

// NewVersionCmd returns the command that prints the version of the program.
func NewVersionCmd(program string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program and of the interfaces that it speaks",
		Long: `Print the version, the commit that the program was built from, the version of Go, the platform, and the
versions of the kernel module's API and of the event schema. Another interface than the first is one
that older modules and clients have.`,
		Example: "  " + program + " version\n  " + program + " version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := ThisBuild()
			if !asJSON {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", program, b)
				return err
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", " ")
			return enc.Encode(b)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
