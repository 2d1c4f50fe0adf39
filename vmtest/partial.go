// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// savePace is the interval at which an unfinished report is saved: the report of a run that
// is killed is not older.
const savePace = 10 * time.Second

// NotBegun returns the report of a run that did nothing yet.
func NotBegun(o Options) *Report {
	r := newReport(o)
	r.Partial, r.running = "the run did not begin", true
	return r
}

// Running reports whether the run is not finished.
func (r *Report) Running() bool { return r.running }

// saving saves the report regularly, until the returned function is called.
func (r *Report) saving() (stop func()) {
	if r.opts.Save == nil {
		return func() {}
	}
	r.opts.Save(r.unfinished())
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(savePace)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				r.opts.Save(r.unfinished())
			}
		}
	}()
	return func() { close(quit); <-done }
}

// unfinished returns the report as it is now.
func (r *Report) unfinished() *Report {
	r.mu.Lock()
	c := &Report{
		Kernels: r.Kernels, Drivers: r.Drivers, Warnings: r.Warnings, Accel: r.Accel, opts: r.opts,
		id: r.id, begun: r.begun, starts: maps.Clone(r.starts),
		Results: slices.Clone(r.Results), Costs: slices.Clone(r.Costs), Verifier: slices.Clone(r.Verifier),
		running: true,
		Partial: fmt.Sprintf("still running after %d of %d verdicts", len(r.Results), r.total),
	}
	r.mu.Unlock()
	c.finish()
	return c
}

// whyPartial returns why a run ended early, or "".
func (r *Report) whyPartial(err error) string {
	if err == nil {
		return ""
	}
	why := firstLine(err.Error())
	switch {
	case errors.Is(err, context.Canceled):
		why = "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		why = "out of time"
	}
	return fmt.Sprintf("%s after %d of %d verdicts", why, len(r.Results), r.total)
}
