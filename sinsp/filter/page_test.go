// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/sinsp/field"
)

func TestThePageIsFresh(t *testing.T) {
	testutil.GoldenFile(t, "../../docs/filters.md", Page())
}

func TestExamplesOfThePageCompile(t *testing.T) {
	for _, e := range examples {
		mustCompile(t, e.text)
	}
}

func TestThePageHasTheConstantsOfAllTypes(t *testing.T) {
	var listed []string
	for _, c := range constantForms {
		listed = append(listed, strings.Split(c.types, ", ")...)
	}
	for _, f := range field.All() {
		if f.Type != field.Dynamic {
			require.Contains(t, listed, f.Type.String(), f.Name)
		}
	}
}
