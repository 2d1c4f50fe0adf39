// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/kmodbuild"
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

// sameDrivers reports whether the checkout has the drivers that are built into this program.
func sameDrivers(root string) bool {
	same := func(name string, want []byte) bool {
		got, err := os.ReadFile(filepath.Join(root, "driver", filepath.FromSlash(name)))
		return err == nil && bytes.Equal(got, want)
	}
	for _, name := range kmodbuild.Sources() {
		if want, err := driver.ModuleSource.ReadFile(name); err != nil || !same(name, want) {
			return false
		}
	}
	for arch, objects := range objectsOf {
		names, err := fs.Glob(objects, "*"+objectExt)
		if err != nil {
			return false
		}
		for _, name := range names {
			if want, err := objects.ReadFile(name); err != nil || !same("bpf/"+arch+"/"+name, want) {
				return false
			}
		}
	}
	return true
}
