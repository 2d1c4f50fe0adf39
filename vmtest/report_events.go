// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/judge"
)

// DriverEvents has the events that a driver delivered of a case, as text.
type DriverEvents struct {
	Driver guest.Driver `json:"driver"`
	Text   []string     `json:"text"` // an event a line, in time order: "< openat fd=3 ...", "> ..." for an enter event
}

// briefEvent is the length in bytes of an event's text: a case may write 64 kB.
const briefEvent = 1000

// eventsOf returns what each of the drivers delivered of a case.
func eventsOf(r *guest.CaseResult, drivers guest.Drivers) []DriverEvents {
	var all []DriverEvents
	for _, d := range drivers.All() {
		own := r.By(d)
		if own == nil || len(own.Events) == 0 {
			continue
		}
		text := make([]string, len(own.Events))
		for i, raw := range own.Events {
			text[i] = eventText(raw, r.TID)
		}
		all = append(all, DriverEvents{d, text})
	}
	return all
}

// eventText returns an event as a line. A thread other than tid, such as the case's child, is named.
func eventText(raw []byte, tid uint64) string {
	var ev event.Event
	if err := ev.Reset(raw, 0); err != nil {
		return fmt.Sprintf("%v: % x", err, raw[:min(len(raw), 64)])
	}
	name, mark := judge.Symbol(uint16(ev.Type())), "<"
	if info := ev.Info(); info != nil {
		name = info.Name
		if info.Enter {
			mark = ">"
		}
	}
	text := mark + " " + name
	if uint64(ev.TID()) != tid {
		text = fmt.Sprintf("%s (thread %d)", text, ev.TID())
	}
	if args := ev.AppendArgs(nil); len(args) > 0 {
		text += " " + judge.Brief(string(args), briefEvent)
	}
	return text
}

// trimEvents keeps the events of failed cells, and those of the first kernel on which a case passed: others
// that passed have the same. The results are sorted, so that joined shards keep what one run keeps.
func (r *Report) trimEvents() {
	type key struct {
		id, arch string
		driver   guest.Driver
	}
	shown := map[key]bool{}
	for i := range r.Results {
		x := &r.Results[i]
		if x.Status == judge.Fail || x.Events == nil {
			continue
		}
		var kept []DriverEvents
		for _, e := range x.Events {
			if k := (key{x.Syscall + "/" + x.Case, x.Arch, e.Driver}); !shown[k] {
				shown[k] = true
				kept = append(kept, e)
			}
		}
		x.Events = kept
	}
}
