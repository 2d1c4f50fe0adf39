// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"os/exec"
	"runtime/debug"
	"strings"
)

// modified follows a revision whose tree was changed.
const modified = "+modified"

// Revision returns the revision of the source that this program was built from. go build notes it; where it did not, as with go run,
// it is that of the checkout around the working directory, if the drivers there are those of this program.
func Revision(ctx context.Context) string {
	info, _ := debug.ReadBuildInfo() // nil: not built as a module
	if r := noted(info); r != "" {
		return r
	}
	root, err := git(ctx, "rev-parse", "--show-toplevel")
	if err != nil || !sameDrivers(root) {
		return "unknown"
	}
	head, err := git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return "unknown"
	}
	if changed, err := git(ctx, "-C", root, "status", "--porcelain"); err != nil || changed != "" {
		head += modified
	}
	return head
}

func noted(info *debug.BuildInfo) string {
	if info == nil {
		return ""
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if revision != "" && settings["vcs.modified"] == "true" {
		revision += modified
	}
	return revision
}

func git(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	return strings.TrimSpace(string(out)), err
}
