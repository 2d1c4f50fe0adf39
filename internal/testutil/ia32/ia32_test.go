// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package ia32

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
)

func TestManyCallsOf32BitTasksAreMade(t *testing.T) {
	calls := map[event.Type]bool{}
	for _, c := range Cases(t) {
		require.NotEmpty(t, c.Text, c.Name)
		if !c.Raw && c.Want != event.TypeGenericExit {
			calls[c.Want] = true
		}
	}
	require.GreaterOrEqual(t, len(calls), 60)
	t.Logf("%d calls", len(calls))
}
