// SPDX-License-Identifier: Apache-2.0

package field

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

var userClass = &Class{
	Name: "user",
	Desc: "the user that the thread acts as, and the user who logged in",
	Fields: []Field{
		{Name: "user.uid", Type: Uint, Format: event.FormatID,
			Desc:    "effective user id",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return v.SetUint(uint64(t.UID)) })},
		{Name: "user.name", Type: String,
			Desc:    "name of user.uid, <NA> if it is not known",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return userText(t.User(), t.UID, userName, "root", v) })},
		{Name: "user.homedir", Type: String,
			Desc:    "home directory of user.uid, <NA> if it is not known",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return userText(t.User(), t.UID, userHome, "/root", v) })},
		{Name: "user.shell", Type: String,
			Desc:    "shell of user.uid, <NA> if it is not known",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return userText(t.User(), t.UID, userShell, unavailable, v) })},
		{Name: "user.loginuid", Type: Int, Format: event.FormatID,
			Desc:    "id of the user who logged in, -1 if none did",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return v.SetInt(int64(int32(t.LoginUID))) })},
		{Name: "user.loginname", Type: String,
			Desc:    "name of user.loginuid, <NA> if it is not known",
			Extract: self(func(t *sinsp.Thread, v *Value) bool { return userText(t.LoginUser(), t.LoginUID, userName, "root", v) })},
	},
}

func userName(u *sinsp.User) string  { return u.Name }
func userHome(u *sinsp.User) string  { return u.Home }
func userShell(u *sinsp.User) string { return u.Shell }

// userText sets a text of a user. Of user 0 it is known without an entry.
func userText(u *sinsp.User, id event.UID, get func(*sinsp.User) string, ofRoot string, v *Value) bool {
	switch {
	case u != nil:
		return v.SetString(get(u))
	case id == 0:
		return v.SetString(ofRoot)
	}
	return v.SetString(unavailable)
}
