// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
)

func TestVersionNamesTheSourceAndWhatItSpeaks(t *testing.T) {
	speaks := ", schema " + event.SchemaVersion + ", own schema " + event.OwnSchemaVersion + ", API " + event.APIVersion + ", " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	for name, tt := range map[string]struct {
		info *debug.BuildInfo
		want string
	}{
		"an installed version": {&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
		"a checkout": {
			&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
				{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}, {Key: "vcs.time", Value: "2026-11-28T17:00:00Z"},
				{Key: "vcs.modified", Value: "true"},
			}},
			"devel (commit 0123456789ab of 2026-11-28T17:00:00Z, modified)",
		},
		"nothing known": {nil, "of unknown version"},
	} {
		require.Equal(t, tt.want+speaks, version(tt.info), name)
	}

	var out, errs bytes.Buffer
	root := &cobra.Command{Use: "tool"}
	root.AddCommand(&cobra.Command{Use: "sub", Run: func(*cobra.Command, []string) {}})
	require.Equal(t, ExitFine, Run(t.Context(), root, []string{"--version"}, &out, &errs))
	require.Regexp(t, `^tool \S.*`+speaks[:20], out.String())
	require.Empty(t, errs.String())
}
