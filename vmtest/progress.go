// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"slices"
	"time"

	"github.com/scaplab/scaplab/vmtest/guest"
)

// Progress describes how far a run is, and what it does.
type Progress struct {
	Done, Total, Failed int           // number of verdicts
	Left                time.Duration // estimated; 0 if unknown
	Machines            []Activity    // the oldest first
}

// Activity is what one machine does.
type Activity struct {
	Kernel  string
	Drivers guest.Drivers
	Doing   string // a case, or "starting"
	Since   time.Time
}

// starting is the activity of a machine before its first case.
const starting = "starting"

// activity is an Activity and the machine or lane that it belongs to.
type activity struct {
	Activity
	of any
}

// doing records what a machine does. of identifies the machine.
func (r *Report) doing(of any, k *Kernel, drivers guest.Drivers, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.active, func(a activity) bool { return a.of == of })
	if i < 0 {
		i = len(r.active)
		r.active = append(r.active, activity{of: of})
	}
	r.active[i].Activity = Activity{k.Name, drivers, what, time.Now()}
	r.progress()
}

// idle records that a machine does nothing any more.
func (r *Report) idle(of any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active = slices.DeleteFunc(r.active, func(a activity) bool { return a.of == of })
	r.progress()
}

// progress returns how far the run is.
func (r *Report) progress() {
	if r.opts.Progress == nil {
		return
	}
	p := Progress{Done: len(r.Results), Total: r.total, Failed: r.failed}
	p.Left = estimate(time.Since(r.planned), len(r.Results)-r.given, r.total-r.given)
	for _, a := range r.active {
		p.Machines = append(p.Machines, a.Activity)
	}
	r.opts.Progress(p)
}

// estimate returns the remaining time if the pace does not change; 0 if there is no
// base for it yet.
func estimate(elapsed time.Duration, done, total int) time.Duration {
	const enough = 10
	if done < enough || done > total {
		return 0
	}
	return time.Duration(float64(elapsed) / float64(done) * float64(total-done))
}
