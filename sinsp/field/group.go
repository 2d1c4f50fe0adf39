// SPDX-License-Identifier: Apache-2.0

package field

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

var groupClass = &Class{
	Name: "group",
	Desc: "the group that the thread acts as",
	Fields: []Field{
		{Name: "group.gid", Type: Uint, Format: event.FormatID,
			Desc:    "effective group id",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return v.SetUint(uint64(t.GID)) })},
		{Name: "group.name", Type: String,
			Desc:    "name of group.gid, <NA> if it is not known",
			Extract: self(groupName)},
	},
}

func groupName(t *sinsp.Thread, v *Value) bool {
	switch g := t.Group(); {
	case g != nil:
		return v.SetString(g.Name)
	case t.GID == 0:
		return v.SetString("root")
	}
	return v.SetString(unavailable)
}
