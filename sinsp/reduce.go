// SPDX-License-Identifier: Apache-2.0

package sinsp

import "github.com/scaplab/scaplab/scap/event"

// Reduce calls the method of r that handles ev, with the values of its params. It
// calls none if the event does not change the state, or if the syscall failed, except
// for reducers that also handle failures. The values are valid as long as the event's
// bytes. Reduce does not allocate. An error wraps [event.ErrCorrupt] or
// [event.ErrTruncated], and no method was called.
func Reduce(r Reducers, ev *event.Event) error { return reduce(r, ev) }
