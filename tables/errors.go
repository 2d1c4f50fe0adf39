// SPDX-License-Identifier: Apache-2.0

package tables

import "github.com/scaplab/scaplab/internal/expr"

// Error is one thing wrong with the table, ErrorList everything, sorted by place.
type (
	Error     = expr.Error
	ErrorList = expr.ErrorList
)
