// SPDX-License-Identifier: Apache-2.0

package sinsp

import "github.com/scaplab/scaplab/scap/event"

// Reduce calls the method of r that handles ev, with the values of its params:
// none for an event that changes no state, nor for a syscall that failed, save
// for reducers that run after a failure too. The values hold as long as the
// event's bytes. It does not allocate. An error wraps [event.ErrCorrupt] or
// [event.ErrTruncated]; no method was called then.
func Reduce(r Reducers, ev *event.Event) error { return reduce(r, ev) }
