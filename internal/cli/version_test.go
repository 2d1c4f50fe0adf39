// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/version"
	"github.com/scaplab/scaplab/scap/event"
)

func TestVersionNamesTheSourceAndWhatItSpeaks(t *testing.T) {
	speaks := ", schema " + interfaces()[0].Schema + ", own schema " + event.OwnSchemaVersion + ", API " + interfaces()[0].API + ", " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	time := debug.BuildSetting{Key: "vcs.time", Value: "2026-11-28T17:00:00Z"}
	for name, tt := range map[string]struct {
		info *debug.BuildInfo
		want string
	}{
		"an installed version": {&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "1.2.3"},
		"a modified checkout": {
			&debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-20261128170000-0123456789ab+dirty"}, Settings: []debug.BuildSetting{
				revision, time, {Key: "vcs.modified", Value: "true"},
			}},
			version.Number + " (commit 0123456789ab of 2026-11-28T17:00:00Z, modified)",
		},
		"a checkout": {
			&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{revision, time, {Key: "vcs.modified", Value: "false"}}},
			version.Number + " (commit 0123456789ab of 2026-11-28T17:00:00Z)",
		},
		"a checkout without git": {&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, version.Number},
		"nothing known":          {nil, version.Number},
	} {
		require.Equal(t, tt.want+speaks, build(tt.info).String(), name)
	}

	var out, errs bytes.Buffer
	root := &cobra.Command{Use: "tool"}
	root.AddCommand(NewVersionCmd("tool"))
	require.Equal(t, ExitFine, Run(t.Context(), root, []string{"--version"}, &out, &errs))
	require.Equal(t, "tool "+Version()+"\n", out.String())
	out.Reset()
	require.Equal(t, ExitFine, Run(t.Context(), root, []string{"version"}, &out, &errs))
	require.Equal(t, "tool "+Version()+"\n", out.String())
	out.Reset()
	require.Equal(t, ExitFine, Run(t.Context(), root, []string{"version", "--json"}, &out, &errs))
	require.Empty(t, errs.String())
	var got Build
	dec := json.NewDecoder(&out)
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&got))
	require.Equal(t, ThisBuild(), got)
	require.Equal(t, ExitUsage, Run(t.Context(), root, []string{"version", "x"}, &out, &errs))
}
