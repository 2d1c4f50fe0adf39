// SPDX-License-Identifier: Apache-2.0

package sinsp

import (
	"iter"
	"maps"

	"github.com/scaplab/scaplab/scap/event"
)

// threadTable has the threads by id.
type threadTable struct {
	byTID map[event.PID]*Thread
	last  *Thread // that find returned last
}

func (tt *threadTable) find(tid event.PID) *Thread {
	if t := tt.last; t != nil && t.TID == tid {
		return t
	}
	t := tt.byTID[tid]
	if t != nil {
		tt.last = t
	}
	return t
}

func (tt *threadTable) all() iter.Seq[*Thread] { return maps.Values(tt.byTID) }

// group is a process: threads of one PID.
type group struct {
	pid    event.PID
	leader *Thread
}
