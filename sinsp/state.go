// SPDX-License-Identifier: Apache-2.0

package sinsp

import "github.com/scaplab/scaplab/scap/proc"

// state is the system as the events left it. It implements [Reducers].
type state struct {
	opts       Options
	stats      Stats
	machine    proc.Machine
	interfaces []proc.Interface
	threads    threadTable
	users      userLists
	containers containers
}

func (s *state) init(opts Options) { s.opts = opts }
