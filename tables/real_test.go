// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The project's own table has no errors.
func TestTableIsClean(t *testing.T) {
	_, err := Load(".")
	require.NoError(t, err)
}
