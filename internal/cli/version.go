// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
)

// Version returns the version of this program's source and build, and of its schema and API.
func Version() string {
	info, _ := debug.ReadBuildInfo() // nil: not built as a module
	return version(info)
}

func version(info *debug.BuildInfo) string {
	tool, commit := "of unknown version", ""
	if info != nil {
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		tool = strings.Trim(info.Main.Version, "()") // (devel)
		if revision := settings["vcs.revision"]; revision != "" {
			commit = fmt.Sprintf(" (commit %.12s of %s", revision, settings["vcs.time"])
			if settings["vcs.modified"] == "true" {
				commit += ", modified"
			}
			commit += ")"
		}
	}
	return fmt.Sprintf("%s%s, schema %s, own schema %s, API %s, %s %s/%s", tool, commit, event.SchemaVersion, event.OwnSchemaVersion, event.APIVersion,
		runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
