// SPDX-License-Identifier: Apache-2.0

package field

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

var syscallClass = &Class{
	Name: "syscall",
	Desc: "the syscall that made the event",
	Fields: []Field{
		{Name: "syscall.type", Type: String, Flags: OfCall,
			Desc:    "name of the syscall",
			Extract: extractSyscall, ByCode: namedByCode, Codes: syscallCodes, Constants: syscallNames},
	},
}

func syscallCodes(*Arg) event.Set {
	return event.SetOf(func(in *event.Info) bool { return in.Source == event.SourceSyscall })
}

func extractSyscall(ev *sinsp.Event, arg *Arg, v *Value) bool {
	in := ev.Info()
	return in != nil && in.Source == event.SourceSyscall && extractType(ev, arg, v)
}
