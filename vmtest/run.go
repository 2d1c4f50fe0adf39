// SPDX-License-Identifier: Apache-2.0

// Package vmtest proves the table's entries on real kernels: it boots each of them in
// a virtual machine with this program as init, makes the guest execute each call
// while a driver captures, and judges the events.
//
// It needs no privilege, server or disk image: QEMU runs as the current user,
// kernels come from packages, results arrive in memory shared with the machine, or on a serial port.
package vmtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/kernels"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/session"
)

// Run boots the kernels and runs the cases. The error is about the machine that runs
// them; faults of kernels and drivers are in the report. If there is an error, the
// report, unless it is nil, has the results until then.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	if len(o.Kernels) == 0 && !o.Shard.Partial() {
		return nil, env.Lacks("no kernel to run on", goneText(o.Gone))
	}
	return o.reported(func(rep *Report, pieces []piece) error {
		if pieces = skipWithoutModule(rep, o.Kernels, pieces); len(pieces) == 0 {
			return nil
		}
		first := pieces[0].kernel
		rep.doing(&o, &o.Kernels[first], guest.Drivers{}, "finding out how machines run here")
		machines, err := newFleet(ctx, &o, first)
		rep.idle(&o)
		if err != nil {
			return err
		}
		defer machines.close()
		rep.setAccel(machines.accel)
		return o.runAll(ctx, rep, machines, pieces)
	})
}

// reported plans a run, executes it and returns its report, which is also saved meanwhile.
func (o *Options) reported(run func(rep *Report, pieces []piece) error) (*Report, error) {
	rep := newReport(*o)
	pieces := plan(*o)
	rep.expect(pieces)
	rep.given = len(rep.Results)
	stop := rep.saving()
	err := run(rep, pieces)
	stop()
	rep.ended = time.Now()
	rep.finish()
	rep.Partial = rep.whyPartial(err)
	return rep, errors.Join(err, rep.captures.write())
}

// runAll runs the pieces, several at a time, then measures costs if requested.
func (o *Options) runAll(ctx context.Context, rep *Report, machines *fleet, pieces []piece) error {
	work, runCtx := errgroup.WithContext(ctx)
	work.SetLimit(o.Jobs)
	for _, p := range pieces {
		work.Go(func() error {
			var l session.Launcher = machines.launcher(p.kernel, p.cpus)
			if rep.captures != nil {
				l = stateLauncher{l, o.Kernels[p.kernel], rep.captures}
			}
			return o.runPiece(runCtx, rep, o.Kernels[p.kernel], p, l)
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	if o.Costs {
		if err := o.eachKernel(ctx, func(ctx context.Context, i int, k Kernel) error {
			return rep.addCosts(ctx, k, machines.config(i, 1), o.Console)
		}); err != nil {
			return err
		}
	}
	if !o.Verifier {
		return nil
	}
	return o.eachKernel(ctx, func(ctx context.Context, i int, k Kernel) error {
		return rep.addVerifier(ctx, k, machines.config(i, 1), o)
	})
}

// eachKernel calls f for all kernels, for several at a time.
func (o *Options) eachKernel(ctx context.Context, f func(ctx context.Context, i int, k Kernel) error) error {
	work, runCtx := errgroup.WithContext(ctx)
	work.SetLimit(o.Jobs)
	for i, k := range o.Kernels {
		work.Go(func() error { return f(runCtx, i, k) })
	}
	return work.Wait()
}

func goneText(gone []kernels.Unavailable) string {
	var s []string
	for _, g := range gone {
		s = append(s, fmt.Sprintf("%s: %v", g.Request, g.Reason))
	}
	return strings.Join(s, "; ")
}
