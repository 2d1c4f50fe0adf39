// SPDX-License-Identifier: Apache-2.0

package field

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

var utilClass = &Class{
	Name: "util",
	Desc: "helpers for output",
	Fields: []Field{
		{Name: "util.cnt", Type: Uint, Format: event.FormatID,
			Desc:    "a counter that grows by one each time it is asked for",
			Extract: extractCounter},
	},
}

// extractCounter counts in v, which the caller keeps for each field.
func extractCounter(_ *sinsp.Event, _ *Arg, v *Value) bool { return v.SetUint(v.Num + 1) }
