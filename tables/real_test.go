// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The project's own table has no errors, and schema.lock has all its facts.
func TestTableIsClean(t *testing.T) {
	table, err := Load(".")
	require.NoError(t, err)
	require.Empty(t, table.Unlocked)
}

// The files of the project's own table have the layout of `scaplab table fmt`.
func TestTheTableIsFormatted(t *testing.T) {
	files, err := Unformatted(".")
	require.NoError(t, err)
	for name := range files {
		t.Errorf("%s is not in the canonical layout (run scaplab table fmt)", name)
	}
}
