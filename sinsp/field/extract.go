// SPDX-License-Identifier: Apache-2.0

package field

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

// extract is the type of [Field.Extract].
type extract = func(ev *sinsp.Event, arg *Arg, v *Value) bool

// unavailable is the text of some fields when the state lacks what they ask for, as in
// the reference. Fields that have no such text are missing then.
const unavailable = "<NA>"

// missing extracts nothing.
func missing(*sinsp.Event, *Arg, *Value) bool { return false }

// present sets a text that is missing if it is empty.
func (v *Value) present(s string) bool { return s != "" && v.SetString(s) }

// drop takes back the last Add.
func (v *Value) drop() { v.List = v.List[:len(v.List)-1] }

// info makes an extract of what the event's type tells. Types that are not known have
// none of it.
func info(get func(*event.Info) bool) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		in := ev.Info()
		return v.SetBool(in != nil && get(in))
	}
}

// everyCode is the [Field.ByCode] of fields that use only the event's type.
func everyCode(event.Type) bool { return true }
