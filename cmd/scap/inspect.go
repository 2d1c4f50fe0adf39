// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// What the commands ask of the three parts that give events a meaning. Another
// implementation, with more state, fields and formats, needs no change of a command.

// inspector follows the state of a system while its events go by. [threads] is one.
type inspector interface {
	reset(state *proc.State)     // a capture begins with state; nil: nothing is known
	apply(ev *event.Event)       // ev is next: takes from it what it says
	gone(ev *event.Event)        // ev was dealt with: forgets what has ended with it
	comm(tid event.PID) []byte   // name of a thread; nil: not known
	pid(tid event.PID) event.PID // its process; tid itself when not known
}

// matcher decides which events are kept. [filter] is one.
type matcher interface {
	keep(ev *event.Event, in inspector) bool
	// wants reports whether events of type t may be kept: what a driver is
	// asked for. all: whether it does not look at types.
	wants(t event.Type) bool
	all() bool
}

// presenter writes events as text. [printer] is one.
type presenter interface {
	shown(ev *event.Event) bool              // reports whether ev is more than state
	print(num uint64, ev *event.Event) error // of event number num of the capture
	flush() error
}
