// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/sinsp/field"
)

func TestFieldsOfAClassAreListed(t *testing.T) {
	out := mustRun(t, "fields", "user", "group")
	require.Contains(t, out, "user: the user that the thread acts as")
	require.Regexp(t, `(?m)^  user\.loginuid +int +id of the user who logged in, -1 if none did$`, out)
	require.Regexp(t, `(?m)^  group\.name `, out)
	require.NotContains(t, out, "proc.name ")
}

func TestDeprecatedFieldsAreListedOnDemand(t *testing.T) {
	require.NotContains(t, mustRun(t, "fields", "evt"), "evt.latency.human")
	require.Contains(t, mustRun(t, "fields", "evt", "--all"), "evt.latency.human")
}

func TestAllFieldsAreListedAsJSON(t *testing.T) {
	n := 0
	for line := range strings.Lines(mustRun(t, "fields", "--json")) {
		var d field.Description
		require.NoError(t, json.Unmarshal([]byte(line), &d))
		require.NotNil(t, field.All()[d.Name], line)
		require.NotEmpty(t, d.Desc, line)
		n++
	}
	require.Len(t, field.All(), n)
}

func TestAnUnknownClassOfFieldsIsNamed(t *testing.T) {
	code, _, stderr := runCommand(t, "fields", "procs")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "unknown class procs (did you mean proc?)")
}
