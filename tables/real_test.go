// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The project's own table has no errors, and nothing that schema.lock lacks.
func TestTableIsClean(t *testing.T) {
	table, err := Load(".")
	require.NoError(t, err)
	require.Empty(t, table.Unlocked)
}
