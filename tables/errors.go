// SPDX-License-Identifier: Apache-2.0

package tables

import "github.com/scaplab/scaplab/internal/expr"

// Error is one error in the table, ErrorList all of them, sorted by place.
type (
	Error     = expr.Error
	ErrorList = expr.ErrorList
)
