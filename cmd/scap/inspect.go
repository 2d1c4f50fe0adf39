// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// The interfaces between the commands and the parts that interpret events. An
// implementation with more state, fields and formats fits without changing a command.

// inspector follows the state of a system while its events go by. [threads] is one.
type inspector interface {
	reset(state *proc.State)     // a capture begins with state; nil: nothing is known
	apply(ev *event.Event)       // updates the state from ev, the next event
	gone(ev *event.Event)        // is called after ev was used: forgets what ended with it
	comm(tid event.PID) []byte   // name of a thread; nil: not known
	pid(tid event.PID) event.PID // its process; tid itself when not known
}

// matcher decides which events are kept. [nameFilter] is one.
type matcher interface {
	keep(ev *event.Event, in inspector) bool
	wants(t event.Type) bool // reports whether events of type t may pass, for the driver's selection
	all() bool               // reports whether events of all types may pass
}

// presenter writes events as text. [printer] is one.
type presenter interface {
	shown(ev *event.Event) bool              // reports whether ev is more than an update of the state
	print(num uint64, ev *event.Event) error // ev is event number num of the capture
	flush() error
}
