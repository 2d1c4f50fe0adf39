// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheDocsNameThePersonas(t *testing.T) {
	text, err := os.ReadFile("../docs/drivers.md")
	require.NoError(t, err)
	compatibility, err := os.ReadFile("../docs/compatibility.md")
	require.NoError(t, err)
	for i, v := range mustLoad(t, ".").Lock.Versions {
		name := v.API
		if i == 0 {
			name += " (default)"
		}
		require.Contains(t, string(compatibility), v.API)
		require.Contains(t, string(text), fmt.Sprintf("\n| %s | %s | %d |", name, v.Schema, v.Codes))
	}
}
